// What readers share with the committer: the environment, how far it is durable, and gaps not yet written.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "store/environment.hpp"
#include "store/event_reader.hpp"

namespace touchpoint::store {

class EventReader::Source {
  public:
    std::shared_ptr<Environment> environment;
    Table table = 0;
    std::array<std::atomic<Sequence>, stream_count> horizon{};

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
    mutable std::mutex mutex;
    std::vector<Gap> gaps;  // guarded by mutex
};

}  // namespace touchpoint::store
