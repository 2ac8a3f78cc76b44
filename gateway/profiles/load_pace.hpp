// How fast many profiles are written: beside events slowly, alone as fast as the disk takes them.
//
// A commit of events that meets a transaction of profiles waits for its flush, however little the two have to
// do with each other. So while events come a transaction is short, and the disk is left alone as long as it
// took. Measured beside 1,000 events/s with 30,000 to 60,000 profiles held (tests/bench h): p99 of a
// commit 1.3 to 1.5 times that without with 2 changes in a transaction, 1.8 to 2.2 with 4, 2.4 with 8, 3.7
// to 4.1 with 16; with a million held and 2 changes 2.2. That was with two flushes a transaction; since there
// is one (docs/decisions/0008), on a machine where a commit takes four times as long: 1.4 with 60,000
// held, 1.5 with a million. Where the flush alone takes long a few more changes make it little longer, and
// each one alone would take for ever: there are as many as go with what transactions take.
//
// Threads: none; time is an argument.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "gateway/core/clock.hpp"

namespace touchpoint::gateway {

class LoadPace {
  public:
    static constexpr std::size_t changes_alone = 16;
    static constexpr std::size_t changes_beside_min = 2;
    static constexpr std::chrono::microseconds a_change{500};  // beside events: so much of a transaction
    static constexpr std::chrono::seconds beside_for{1};       // after the last event
    static constexpr std::chrono::microseconds breath_min{1000};
    static constexpr std::chrono::microseconds breath_max{50'000};

    // `events`: how many are durable; any that came since the last look are seen by it. The first look is
    // taken for beside events.
    std::size_t changes(std::uint64_t events, SteadyTime now) {
        if (seen_ != events) came_ = now;
        seen_ = events;
        beside_ = now - came_ < beside_for;
        if (!beside_) return changes_alone;
        return std::clamp(static_cast<std::size_t>(takes_ / a_change), changes_beside_min, changes_alone);
    }
    // How long to leave the disk to others after a transaction that took so long.
    std::chrono::microseconds breath(std::chrono::microseconds took) {
        takes_ += (took - takes_) / 8;
        return beside_ ? std::clamp(took, breath_min, breath_max) : breath_min;
    }

  private:
    std::optional<std::uint64_t> seen_;
    SteadyTime came_;
    std::chrono::microseconds takes_{0};  // of the last ones, the latest most
    bool beside_ = true;
};

}  // namespace touchpoint::gateway
