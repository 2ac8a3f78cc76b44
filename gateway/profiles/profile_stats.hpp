// What readers of profiles found. A value.
#pragma once

#include <cstdint>

namespace touchpoint::gateway {

struct ProfileReadStats {
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;
    std::uint64_t limited = 0;  // answered 429
    std::uint64_t wanted = 0;   // now
    std::uint64_t wanted_dropped = 0;
};

}  // namespace touchpoint::gateway
