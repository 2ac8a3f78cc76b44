// One name, one reader: who gets the place, who waits, and how long.
#include "uplink/pull_seats.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace touchpoint::uplink {
namespace {

using std::chrono::seconds;

class PullSeatsTest : public testing::Test {
  protected:
    PullSeats::Claim claim(const std::string& reader, std::uint64_t request, bool take_over = false,
                           seconds wait = seconds(30)) {
        return seats_.claim("crm", reader, take_over, request, now_, now_ + wait);
    }
    SteadyTime now_{seconds(1000)};
    PullSeats seats_;
};

TEST_F(PullSeatsTest, TheSecondReaderIsToldWhenToComeBack) {
    EXPECT_TRUE(claim("", 1).granted);
    now_ += seconds(10);
    const auto second = claim("", 2);
    EXPECT_FALSE(second.granted);
    EXPECT_EQ(second.retry_after, seconds(20));
    EXPECT_FALSE(second.displaced);
    EXPECT_TRUE(seats_.claim("dwh", "", false, 3, now_, now_).granted);  // another name
    now_ += seconds(30);  // late with its answer: it still has the place
    EXPECT_EQ(claim("", 2).retry_after, seconds(1));
}

TEST_F(PullSeatsTest, WithoutAnIdThePlaceIsFreeWithTheAnswer) {
    claim("", 1);
    seats_.release("crm", 1, now_);
    EXPECT_TRUE(claim("a", 2).granted);
}

TEST_F(PullSeatsTest, AReaderWithAnIdKeepsThePlaceForItsLease) {
    claim("a", 1);
    seats_.release("crm", 1, now_);
    now_ += seconds(20);
    EXPECT_EQ(claim("b", 2).retry_after, seconds(40));
    EXPECT_FALSE(claim("", 2).granted);
    seats_.seen("crm", "b", now_);  // not the one with the lease
    EXPECT_EQ(claim("b", 2).retry_after, seconds(40));
    seats_.seen("crm", "a", now_);
    EXPECT_EQ(claim("b", 2).retry_after, seconds(60));
    now_ += PullSeats::lease;
    EXPECT_TRUE(claim("b", 3).granted);
}

TEST_F(PullSeatsTest, TheSameReaderComesBackOverItsOwnForgottenRequest) {
    claim("a", 1);
    const auto again = claim("a", 2);
    EXPECT_TRUE(again.granted);
    EXPECT_EQ(again.displaced, 1u);
    seats_.release("crm", 1, now_);  // the old one ends: nothing changes
    EXPECT_FALSE(claim("b", 3).granted);
}

TEST_F(PullSeatsTest, TakingOverEndsTheOther) {
    claim("a", 1);
    const auto taken = claim("b", 2, true);
    EXPECT_TRUE(taken.granted);
    EXPECT_EQ(taken.displaced, 1u);
    EXPECT_FALSE(claim("a", 3).granted);
    seats_.release("crm", 2, now_);
    EXPECT_FALSE(claim("a", 3).granted);  // b has the lease now
    EXPECT_TRUE(claim("a", 3, true).granted);
}

TEST_F(PullSeatsTest, CountsTurnsOfTheNamesThatExist) {
    seats_.set_turn("crm", 5);
    EXPECT_EQ(seats_.turn("crm"), 0u);
    claim("", 1);
    seats_.set_turn("crm", 5);
    EXPECT_EQ(seats_.turn("crm"), 5u);
    seats_.forget("crm");
    EXPECT_EQ(seats_.turn("crm"), 0u);
}

}  // namespace
}  // namespace touchpoint::uplink
