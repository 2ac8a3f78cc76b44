// Events of a slice as the text that a platform is sent. Pure: no files, no sockets, no clock.
//
// On the wire: uplink/README.md, "The body".
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/event_reader.hpp"
#include "store/event_store.hpp"
#include "uplink/options.hpp"

namespace touchpoint::uplink {

// Which numbering the sequences belong to.
struct Origin {
    std::string gateway_id;
    std::string store_id;
    std::string epoch;
};

// What stands at one index of a batch: an event (first == last) or a gap.
struct Item {
    Sequence first = 0;
    Sequence last = 0;
    bool gap = false;
};

struct Batch {
    Stream stream = Stream::telemetry;
    std::vector<Item> items;  // contiguous, never empty once built from something
    std::string body;         // uncompressed
    Sequence first() const { return items.front().first; }
    Sequence last() const { return items.back().last; }
};

struct BatchLimits {
    std::size_t bytes_max = 1u << 20;  // of the body; one item is always taken, whatever its size
    std::size_t events_max = 1000;     // items
};

// The text of a body, item by item, under its limits.
class BodyText {
  public:
    BodyText(Format format, const BatchLimits& limits, std::size_t expected_bytes = 0);
    // False, and nothing has changed: it does not fit any more. The first item always does.
    bool append(std::string_view item);
    std::size_t items() const { return items_; }
    std::size_t bytes() const { return text_.size(); }
    std::string finish();  // once

  private:
    BatchLimits limits_;
    bool array_;
    std::size_t items_ = 0;
    std::string text_;
};

// The raw identifier behind a pseudonym, or empty when the vault no longer has it.
using Join = std::function<std::optional<std::string>(std::string_view pseudonym)>;

// What a person is called in an event that leaves now, by what he has consented to.
struct PersonName {
    std::string subject;  // "profile/c-1", or "pseudonym/p1_.." as it is stored
    bool raw = false;     // what stands behind the pseudonym may leave, too, where a destination asks for it
    std::string other{};  // as one of several names of this person, where that is another one
};
// Any thread. Empty: everybody leaves as he is stored, and raw identifiers where they are asked for.
using NamePerson = std::function<PersonName(std::string_view pseudonym, Stream stream)>;

class Formatter {
  public:
    // An empty `join`: no raw identifiers (identifiers = "pseudonym").
    Formatter(Origin origin, Format format, Join join = {}, NamePerson name = {});

    // `lead`, if given, stands in front of the slice's events: a gap that the reader does not know yet.
    Batch build(const store::Slice& slice, const BatchLimits& limits, const store::Gap* lead = nullptr) const;

    std::string event(Stream stream, const store::StoredEvent& event) const;
    // Equal for equal rows: the id is made of epoch, stream and range, the time is the row's.
    std::string gap(const store::Gap& gap) const;

    static std::string_view content_type(Format format);

  private:
    void append_members(std::string& out, Stream stream, std::string_view members) const;
    void append_head(std::string& out, Stream stream, Sequence sequence, UtcTime recorded) const;

    Origin origin_;
    Format format_;
    Join join_;
    NamePerson name_;
    std::string head_;  // {"specversion" ... "epoch":"..": the same in all events
};

// "gateway-epoch-stream-first-last-hash": the same bytes have the same key.
std::string idempotency_key(const Origin& origin, const Batch& batch, std::string_view sent_body);

}  // namespace touchpoint::uplink
