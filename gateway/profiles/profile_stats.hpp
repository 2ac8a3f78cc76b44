// What readers of profiles found. A value.
#pragma once

#include <chrono>
#include <cstdint>

namespace touchpoint::gateway {

struct ProfileReadStats {
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;
    std::uint64_t limited = 0;  // answered 429
    std::uint64_t not_now = 0;  // answered 503: it would have been too late
    std::uint64_t wanted = 0;   // now
    std::uint64_t wanted_dropped = 0;
};

struct ProfileFollowStats {
    std::uint64_t followers = 0;               // now
    std::uint64_t told = 0;                    // changes
    std::chrono::milliseconds longest_lag{0};  // of the loop, in the last minute or two
};

struct LivePictureStats {
    std::uint64_t behind_events = 0;  // durable, and not in the pictures yet
    bool trouble = false;             // the log or the cache cannot be read or written
};

}  // namespace touchpoint::gateway
