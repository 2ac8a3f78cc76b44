// What the finite disk asks for: decisions only, in numbers and out. Who does them: committer.cpp.
//
//     0 ────────── shed_to ── shed_from ────── resume_at ── stop_at ────────── commit_max ────── end of the
//     map
//       all is well    <── shed down    shed        intake opens  closes    journal goes in    deletes only
//
// Threads: pure.
// Why: store/README.md, "Bounds".
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "gateway/core/streams.hpp"
#include "store/event_store.hpp"

namespace touchpoint::store {

// Oldest chunks of these go first, in this order; the other streams are never shed.
inline constexpr std::array<Stream, 3> shed_order = {Stream::quarantine, Stream::telemetry,
                                                     Stream::interactions};
inline constexpr unsigned shed_from_percent = 90;  // of the bound
inline constexpr unsigned shed_to_percent = 87;    // low water: a commit's worth below would thrash
inline constexpr unsigned resume_percent = 98;     // of where intake stops
// Without room on the disk the file is the bound; it must not be filled to the last page, because pages that
// are free one by one do not take a chunk of several.
inline constexpr unsigned stuck_shed_from_percent = 80;
inline constexpr unsigned stuck_shed_to_percent = 75;
inline constexpr unsigned stuck_stop_percent = 85;
inline constexpr unsigned stuck_commit_percent = 93;
// What came in as 2 bytes of journal can be 3 in the store, when it does not compress (base64 of a payload in
// quarantine).
inline constexpr std::uint64_t journal_room(std::uint64_t journal_bytes) { return journal_bytes / 2 * 3; }

// Of used bytes (pages in use).
struct Marks {
    std::uint64_t shed_from = 0;
    std::uint64_t shed_to = 0;
    std::uint64_t stop_at = 0;     // intake closes
    std::uint64_t resume_at = 0;   // and opens again
    std::uint64_t commit_max = 0;  // what was taken in before that is committed up to here
    bool operator==(const Marks&) const = default;
};
// `stuck_at`: the length of the file, when the disk has no room to make it longer.
Marks marks(std::uint64_t bytes_max, std::uint64_t journal_room, std::optional<std::uint64_t> stuck_at);

// The most bytes that a commit of so many events, with so many bytes of members, can need.
std::uint64_t commit_bytes_worst(std::uint64_t events, std::uint64_t bytes);
// What it adds for good when it does not compress: counted until the used pages are measured again.
std::uint64_t commit_bytes_likely(std::uint64_t events, std::uint64_t bytes);

// What the map is made of. With 32-bit pointers it is cut to what fits between libraries and stacks.
struct Room {
    std::uint64_t bytes_max = 0;      // for what is held
    std::uint64_t journal_bytes = 0;  // for what was taken in already
    std::uint64_t reserve_bytes = 0;  // for deletes and positions
    std::uint64_t map_bytes() const { return bytes_max + journal_bytes + reserve_bytes; }
    bool operator==(const Room&) const = default;
};
Room fit_address_space(Room wanted, unsigned pointer_bits);

// What of a stream is held, and how far consumers let go of it.
struct Held {
    Sequence first = 0;  // oldest; 0: nothing
    Sequence last = 0;   // horizon
    std::uint64_t events = 0;
    std::uint64_t bytes = 0;
};

// Up to where a consumer lets go of a stream: nothing at or before it is held for it.
inline Sequence let_go(const ConsumerState& consumer, Stream stream) {
    return consumer.acknowledged[stream] > consumer.released[stream] ? consumer.acknowledged[stream]
                                                                     : consumer.released[stream];
}

// Bytes that would be deleted if `consumer` were not there; a stream's events count as equally large.
std::uint64_t held_alone(const ConsumerState& consumer, const std::map<std::string, ConsumerState>& all,
                         const PerStream<Held>& held);
// Where `released` must stand so that it holds at most `bytes_max` alone, and a tenth less once it is moved:
// oldest first, low streams first. Empty: it does already.
std::optional<PerStream<Sequence>> release_for_bytes(const ConsumerState& consumer,
                                                     const std::map<std::string, ConsumerState>& all,
                                                     const PerStream<Held>& held, std::uint64_t bytes_max);

}  // namespace touchpoint::store
