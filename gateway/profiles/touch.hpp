// A stored event as far as it changes what the store knows of a customer: who, when, where, what, in one
// line.
//
//     stored members ──read_touch──> Told ──> Picture (picture.hpp)
//
// Threads: pure, any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/core/clock.hpp"
#include "gateway/core/consent.hpp"
#include "gateway/core/streams.hpp"

namespace touchpoint::gateway {

inline constexpr std::size_t touch_line_bytes_max = 96;  // of what a person reads
inline constexpr std::size_t touch_word_bytes_max = 64;  // of a type, a device, a zone, an item
inline constexpr std::size_t touch_persons_max = 4;      // identifiers that one event may name

// The place of an event in the log: which numbers the platform has seen decides what is still ours to tell.
struct Mark {
    Stream stream = Stream::telemetry;
    Sequence sequence = 0;  // 0: of an epoch before this one, only its time counts
    UtcTime recorded;
    bool operator==(const Mark&) const = default;
};

struct Touch {
    Mark mark;
    UtcTime time;        // as the event says
    std::string type;    // "store.kiosk.view.v1"
    std::string device;  // "kiosk/k7"
    std::string line;    // "search: oat milk"
    bool operator==(const Touch&) const = default;
};

struct CartChange {
    enum class Kind { add, remove, set, clear };
    Kind kind = Kind::add;
    std::string item;
    std::int64_t quantity = 1000;  // in thousandths: 0.42 kg is 420
};

struct Told {
    Touch touch;
    std::string person;                // the pseudonym; empty: none was named
    std::vector<std::string> same_as;  // other pseudonyms of the same person
    std::string session;               // source and session, as one name; empty: none
    std::optional<CartChange> cart;
    bool sale = false;  // what was in the cart is paid
    bool session_end = false;
    std::optional<std::string> zone;
    bool left = false;  // that zone; without one: wherever he was
    std::optional<ConsentChange> consent;
    // It is our own message of a link, with this id; nothing else is in it then.
    std::string tells;
};

// Empty: it names neither a person nor a session, or is no event that can be read.
std::optional<Told> read_touch(Stream stream, Sequence sequence, UtcTime recorded, std::string_view members);

// Text cut to `bytes_max`, not within a letter.
std::string cut(std::string_view text, std::size_t bytes_max);

}  // namespace touchpoint::gateway
