// "So many a second", without drift and without a flood after a pause.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>

#include "gateway/core/clock.hpp"

namespace touchpoint::simulate {

// What fell due while the source was held up longer than this is not made up for.
inline constexpr std::chrono::milliseconds behind_max{1000};

// True when the next event is due; then `due` moves on by one event. Empty `due`: begins now.
inline bool pace_allows(std::optional<SteadyTime>& due, SteadyTime now, double rate) {
    if (rate <= 0) return false;
    if (!due) due = now;
    if (now < *due) return false;
    const auto step =
        std::chrono::duration_cast<SteadyTime::duration>(std::chrono::duration<double>(1.0 / rate));
    due = std::max(*due + step, now - behind_max);
    return true;
}

}  // namespace touchpoint::simulate
