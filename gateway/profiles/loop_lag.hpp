// How late the loop is: what comes in while it does something else waits, and nothing in this program knows
// since when. So a timer beats, and what it is late by, everything else is late by, too.
//
//     beat     beat     beat                                    beat     beat
//     |--------|--------|======= one long step =======|requests|--------|
//                                                      late     a new picture
//
// A lag shorter than a beat is not seen; the requests right behind a long step are late until the beat after
// it: whether one of them came during the step or afterwards nobody can tell.
//
// Threads: none; time is an argument.
#pragma once

#include <algorithm>
#include <chrono>

#include "gateway/core/clock.hpp"

namespace touchpoint::gateway {

class LoopLag {
  public:
    // Often enough to see a lag of `answer_within`: a fifth of it, between these.
    static constexpr std::chrono::milliseconds beat_min{2};
    static constexpr std::chrono::milliseconds beat_max{20};
    static constexpr std::chrono::seconds longest_of{60};

    LoopLag(std::chrono::milliseconds answer_within, SteadyTime now)
        : answer_within_(answer_within),
          every_(std::clamp(answer_within / 5, beat_min, beat_max)),
          due_(now + every_),
          window_(now) {}

    std::chrono::milliseconds every() const { return every_; }
    // Call it on the loop, `every()` after the last one.
    void beat(SteadyTime now) {
        last_ = lateness(now);
        due_ = now + every_;
        if (now - window_ >= longest_of) {
            window_ = now;
            before_ = longest_;
            longest_ = {};
        }
        longest_ = std::max(longest_, last_);
    }
    // What is begun now may have waited so long.
    std::chrono::milliseconds lag(SteadyTime now) const { return std::max(last_, lateness(now)); }
    bool late(SteadyTime now) const { return lag(now) > answer_within_; }
    // In this minute and the one before.
    std::chrono::milliseconds longest() const { return std::max(before_, longest_); }

  private:
    std::chrono::milliseconds lateness(SteadyTime now) const {
        return std::max(std::chrono::milliseconds(0),
                        std::chrono::duration_cast<std::chrono::milliseconds>(now - due_));
    }

    std::chrono::milliseconds answer_within_;
    std::chrono::milliseconds every_;
    SteadyTime due_;
    std::chrono::milliseconds last_{0};
    SteadyTime window_;
    std::chrono::milliseconds longest_{0};
    std::chrono::milliseconds before_{0};
};

}  // namespace touchpoint::gateway
