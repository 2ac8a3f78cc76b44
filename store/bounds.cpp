#include "store/bounds.hpp"

#include <algorithm>
#include <limits>

namespace touchpoint::store {
namespace {

std::uint64_t percent(std::uint64_t of, unsigned part) { return of / 100 * part + of % 100 * part / 100; }

constexpr std::uint64_t page_bytes = 4096;
// Pages of the tree that a commit copies, whatever it holds.
constexpr std::uint64_t commit_pages = 64;
// A map of more would not find its place among libraries and stacks.
constexpr std::uint64_t map_bytes_max_32_bit = 1u << 30;
constexpr std::uint64_t reserve_bytes_max_32_bit = 32u << 20;

// Events of a stream that `consumer` holds and nobody else: the range behind the first, up to the second.
struct Alone {
    Sequence after = 0;
    Sequence last = 0;
    std::uint64_t event_bytes = 0;  // on average
    std::uint64_t events() const { return last > after ? last - after : 0; }
};

Alone alone(const ConsumerState& consumer, Stream stream, const std::map<std::string, ConsumerState>& all,
            const Held& held) {
    Alone range;
    if (!consumer.streams[stream] || held.first == 0 || held.events == 0) return range;
    range.after = std::max(let_go(consumer, stream), held.first - 1);
    range.last = held.last;
    for (const auto& [name, other] : all)
        if (name != consumer.name && other.streams[stream])
            range.last = std::min(range.last, let_go(other, stream));
    range.event_bytes = std::max<std::uint64_t>(held.bytes / held.events, 1);
    return range;
}

}  // namespace

Marks marks(std::uint64_t bytes_max, std::uint64_t journal_room, std::optional<std::uint64_t> stuck_at) {
    Marks made;
    made.shed_from = percent(bytes_max, shed_from_percent);
    made.shed_to = percent(bytes_max, shed_to_percent);
    made.stop_at = bytes_max;
    made.commit_max = bytes_max + journal_room;
    if (stuck_at) {
        made.shed_from = std::min(made.shed_from, percent(*stuck_at, stuck_shed_from_percent));
        made.shed_to = std::min(made.shed_to, percent(*stuck_at, stuck_shed_to_percent));
        made.stop_at = std::min(made.stop_at, percent(*stuck_at, stuck_stop_percent));
        made.commit_max = std::min(made.commit_max, percent(*stuck_at, stuck_commit_percent));
    }
    made.resume_at = percent(made.stop_at, resume_percent);
    return made;
}

std::uint64_t commit_bytes_worst(std::uint64_t events, std::uint64_t bytes) {
    return commit_bytes_likely(events, bytes) + commit_pages * page_bytes;
}

std::uint64_t commit_bytes_likely(std::uint64_t events, std::uint64_t bytes) {
    constexpr std::uint64_t dedup_bytes = 16;  // 12 of its row, and the row's page
    return bytes + bytes / 8 + events * dedup_bytes + page_bytes;
}

Room fit_address_space(Room wanted, unsigned pointer_bits) {
    if (pointer_bits >= 64) return wanted;
    Room fitted = wanted;
    fitted.reserve_bytes = std::min(wanted.reserve_bytes, reserve_bytes_max_32_bit);
    fitted.journal_bytes = std::min(wanted.journal_bytes, map_bytes_max_32_bit / 4);
    fitted.bytes_max =
        std::min(wanted.bytes_max, map_bytes_max_32_bit - fitted.reserve_bytes - fitted.journal_bytes);
    return fitted;
}

std::uint64_t held_alone(const ConsumerState& consumer, const std::map<std::string, ConsumerState>& all,
                         const PerStream<Held>& held) {
    std::uint64_t bytes = 0;
    for (const Stream stream : all_streams) {
        const Alone range = alone(consumer, stream, all, held[stream]);
        bytes += range.events() * range.event_bytes;
    }
    return bytes;
}

std::optional<PerStream<Sequence>> release_for_bytes(const ConsumerState& consumer,
                                                     const std::map<std::string, ConsumerState>& all,
                                                     const PerStream<Held>& held, std::uint64_t bytes_max) {
    const std::uint64_t bytes = held_alone(consumer, all, held);
    if (bytes <= bytes_max) return std::nullopt;
    std::uint64_t excess = bytes - percent(bytes_max, 90);
    PerStream<Sequence> released = consumer.released;
    for (auto at = all_streams.rbegin(); at != all_streams.rend() && excess > 0; ++at) {
        const Alone range = alone(consumer, *at, all, held[*at]);
        if (range.events() == 0) continue;
        const std::uint64_t wanted = excess / range.event_bytes + 1;
        const std::uint64_t given = std::min(wanted, range.events());
        released[*at] = range.after + given;
        excess -= std::min(excess, given * range.event_bytes);
    }
    return released;
}

}  // namespace touchpoint::store
