// What readers share with the committer: the environment, how far it is durable, and gaps not yet written.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/environment.hpp"
#include "store/event_reader.hpp"

namespace touchpoint::store {

class EventReader::Source {
  public:
    std::shared_ptr<Environment> environment;
    Table table = 0;
    std::array<std::atomic<Sequence>, stream_count> horizon{};
    // Rows of erased persons, as of the last commit: while there are none nothing is spent on them.
    std::atomic<std::uint64_t> erased_persons{0};
    // Moves whenever what readers are given of a person changes: EventStore::persons_generation().
    std::atomic<std::uint64_t> persons_generation{0};

    Sequence horizon_of(Stream stream) const {
        return horizon[static_cast<std::size_t>(stream)].load(std::memory_order_acquire);
    }

    // Recorded and on their way to the disk: a reader sees them at once. If a power cut takes one, what it
    // explains is met again and recorded again.
    // Without a consumer: everybody's.
    std::vector<Gap> unwritten_gaps(Stream stream, const std::optional<std::string>& consumer) const {
        const std::lock_guard lock(mutex);
        std::vector<Gap> found;
        for (const Gap& gap : gaps)
            if (gap.stream == stream && (!consumer || gap.consumer.empty() || gap.consumer == *consumer))
                found.push_back(gap);
        return found;
    }

    // A range that a commit gave up, which is not durable yet: a power cut can bring its events back, so
    // nobody may be told yet that they will not come.
    struct Unsettled {
        std::uint64_t commit = 0;
        Stream stream = Stream::telemetry;
        std::string consumer;  // empty: all
        Sequence first = 0;
        Sequence last = 0;
    };
    // How far `consumer` may be told what stands behind `after`. REQUIRES: the snapshot was taken before
    Sequence settled_horizon(Stream stream, const std::string& consumer, Sequence after,
                             Sequence limit) const {
        const std::lock_guard lock(mutex);
        for (const Unsettled& one : unsettled)
            if (one.stream == stream && one.last > after &&
                (one.consumer.empty() || one.consumer == consumer))
                limit = std::min(limit, one.first - 1);
        return limit;
    }

    // A row as far as it may be told. Empty: not yet at all. REQUIRES: as above
    std::optional<Gap> settled(Gap row) const {
        const std::lock_guard lock(mutex);
        for (const Unsettled& one : unsettled)
            if (one.stream == row.stream && one.consumer == row.consumer && one.last >= row.first)
                row.last = std::min(row.last, one.first - 1);
        return row.first <= row.last ? std::optional(std::move(row)) : std::nullopt;
    }

    // Around a commit: before it is visible; after it failed; once all up to it are durable.
    void unsettle(const std::vector<Unsettled>& ranges) {
        const std::lock_guard lock(mutex);
        unsettled.insert(unsettled.end(), ranges.begin(), ranges.end());
    }
    void settle_again(std::uint64_t failed_commit) {
        const std::lock_guard lock(mutex);
        std::erase_if(unsettled, [&](const Unsettled& one) { return one.commit >= failed_commit; });
    }
    void settle(std::uint64_t durable_commit) {
        const std::lock_guard lock(mutex);
        std::erase_if(unsettled, [&](const Unsettled& one) { return one.commit <= durable_commit; });
    }

    mutable std::mutex mutex;
    std::vector<Gap> gaps;             // guarded by mutex
    std::vector<Unsettled> unsettled;  // guarded by mutex
};

}  // namespace touchpoint::store
