// How late the loop is, by a clock that the test moves.
#include "gateway/profiles/loop_lag.hpp"

#include <gtest/gtest.h>

namespace touchpoint::gateway {
namespace {

using std::chrono::milliseconds;

class LoopLagTest : public testing::Test {
  protected:
    void wait(int ms) { now_ += milliseconds(ms); }
    SteadyTime now_ = SteadyTime(std::chrono::hours(1));
    LoopLag lag_{milliseconds(50), now_};
};

TEST_F(LoopLagTest, ALoopThatBeatsInTimeIsNeverLate) {
    EXPECT_EQ(lag_.every(), milliseconds(10));
    for (int i = 0; i < 100; ++i) {
        wait(i % 10);
        EXPECT_FALSE(lag_.late(now_));
        wait(10 - i % 10);
        lag_.beat(now_);
        EXPECT_EQ(lag_.lag(now_), milliseconds(0));
    }
}

TEST_F(LoopLagTest, BehindALongStepEverythingIsLateUntilTheBeatAfterIt) {
    wait(10 + 50);
    EXPECT_FALSE(lag_.late(now_));
    wait(1);
    EXPECT_TRUE(lag_.late(now_));  // before the beat
    lag_.beat(now_);
    EXPECT_TRUE(lag_.late(now_));  // and behind it: who came meanwhile
    wait(10);
    lag_.beat(now_);
    EXPECT_FALSE(lag_.late(now_));
    EXPECT_EQ(lag_.longest(), milliseconds(51));
}

TEST_F(LoopLagTest, TheLongestIsForgottenAfterTwoMinutes) {
    wait(310);
    lag_.beat(now_);
    EXPECT_EQ(lag_.longest(), milliseconds(300));
    const SteadyTime end = now_ + 2 * LoopLag::longest_of;
    while (now_ < end) {
        wait(10);
        lag_.beat(now_);
    }
    EXPECT_EQ(lag_.longest(), milliseconds(0));
}

TEST_F(LoopLagTest, ADeadlineOfAnyLengthIsSeenByFiveBeats) {
    EXPECT_EQ(LoopLag(milliseconds(5), now_).every(), milliseconds(2));
    EXPECT_EQ(LoopLag(milliseconds(1000), now_).every(), milliseconds(20));
}

}  // namespace
}  // namespace touchpoint::gateway
