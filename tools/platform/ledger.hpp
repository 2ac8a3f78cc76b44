// What arrived, checked as a careful platform would: sequences without holes per (gatewayid, epoch, stream),
// repeats that must be equal to the first copy, and gaps that explain missing ranges. Pure: no files, no
// sockets.
//
// Memory: 8 bytes for each sequence seen.
// Threads: confined to one thread at a time (the server holds its lock).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace touchpoint::platform {

struct StreamSummary {
    std::string gateway_id;
    std::string epoch;
    std::string stream;
    std::uint64_t last = 0;     // highest sequence that is explained without a hole below it
    std::uint64_t events = 0;   // different events kept
    std::uint64_t missing = 0;  // sequences up to `last` that a gap explains
};

struct Summary {
    std::uint64_t events = 0;       // different events kept, without system.gap
    std::uint64_t gaps = 0;         // system.gap events kept
    std::uint64_t repeats = 0;      // events that were here already, equal
    std::uint64_t changed = 0;      // repeats with other content: an error
    std::uint64_t holes = 0;        // sequences that came without the ones before them: an error
    std::uint64_t malformed = 0;    // not the contract's shape: an error
    std::uint64_t keys_reused = 0;  // Idempotency-Key with other bytes: an error
    std::uint64_t again = 0;        // given once more after it was acknowledged: an error
    std::uint64_t refused = 0;      // answers to a pull that it did not deserve: an error
    std::uint64_t requests = 0;     // to the event address
    std::uint64_t batches = 0;      // taken
    std::uint64_t bytes = 0;        // of bodies, as received
    std::vector<StreamSummary> streams;
    std::vector<std::string> errors;  // the first few, in words

    std::uint64_t error_count() const { return changed + holes + malformed + keys_reused + again + refused; }
    std::uint64_t events_in(std::string_view stream) const;
    std::string to_json() const;
};

// The events of a body, one text each, in order. False: the body is not of that shape; `events` is then
// undefined.
bool split_array(std::string_view body, std::vector<std::string_view>& events);
bool split_lines(std::string_view body, std::vector<std::string_view>& events);

class Ledger {
  public:
    static constexpr std::size_t errors_max = 20;

    // `filtered`: some types were not asked for, so numbers may be passed over; in order it must be all the
    // same.
    explicit Ledger(bool filtered = false) : filtered_(filtered) {}
    // What a new consumer is told: up to `position` nothing comes. REQUIRES: before the first event of the
    // stream.
    void begin(std::string_view epoch, std::string_view stream, std::uint64_t position);
    // Everything that was taken is acknowledged: it must not come again.
    void acknowledged();
    // An acknowledgement may have been lost: what was taken may come again.
    void acknowledged_perhaps();
    // True: new, to be kept. False: a repeat, or an error that is counted.
    bool take(std::string_view event);
    // Refused by name in our own answer: its number is explained, nothing of it is kept.
    void refuse(std::string_view event);
    const Summary& counts() const { return summary_; }
    Summary& counts() { return summary_; }
    Summary summary() const;  // with streams
    void error(std::string words);

  private:
    struct Numbered {
        // By sequence - 1: hash of the content, or explained_by_gap. Contiguous.
        std::vector<std::uint64_t> content;
        std::uint64_t events = 0;
        std::uint64_t acknowledged = 0;
    };
    Numbered& numbered(std::string_view gateway, std::string_view epoch, std::string_view stream);
    void repeated(const Numbered& numbered, std::uint64_t sequence, std::string_view stream);
    bool take_gap(Numbered& numbered, std::uint64_t first, std::uint64_t last, std::string_view stream);
    // False, and counted: a hole.
    bool follows(std::uint64_t have, std::uint64_t sequence, std::string_view what);

    std::map<std::tuple<std::string, std::string, std::string>, Numbered> streams_;  // gateway, epoch, stream
    std::map<std::pair<std::string, std::string>, std::uint64_t> begins_;            // epoch, stream
    Summary summary_;
    const bool filtered_;
};

}  // namespace touchpoint::platform
