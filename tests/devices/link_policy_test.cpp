#include "devices/link_policy.hpp"

#include <gtest/gtest.h>

namespace touchpoint::devices {
namespace {

using std::chrono::milliseconds;

struct LinkPolicyTest : testing::Test {
    LinkAction tick() { return policy.tick(now, room); }
    void connect() {
        ASSERT_EQ(tick(), LinkAction::connect);
        policy.connected();
    }
    SteadyTime now{std::chrono::hours(1)};
    LinkRoom room;
    LinkPolicy policy{LinkOptions{}};
};

TEST_F(LinkPolicyTest, OneAttemptAtATime) {
    EXPECT_EQ(tick(), LinkAction::connect);
    EXPECT_EQ(tick(), LinkAction::nothing);
    policy.connected();
    EXPECT_TRUE(policy.open());
    EXPECT_EQ(tick(), LinkAction::nothing);
}

TEST_F(LinkPolicyTest, FailuresWaitFromHalfASecondToFive) {
    for (const int wait : {500, 1000, 2000, 4000, 5000, 5000}) {
        ASSERT_EQ(tick(), LinkAction::connect);
        policy.lost(now);
        EXPECT_EQ(policy.next(), now + milliseconds(wait));
        now += milliseconds(wait - 1);
        EXPECT_EQ(tick(), LinkAction::nothing);
        now += milliseconds(1);
    }
    ASSERT_EQ(tick(), LinkAction::connect);
    policy.connected();
    policy.subscribed();
    policy.lost(now);
    EXPECT_EQ(policy.next(), now + milliseconds(500));
}

TEST_F(LinkPolicyTest, AConnectionThatMayNotReadIsClosedAndTriedAgainWithGrowingPauses) {
    for (const int wait : {500, 1000, 2000, 4000, 5000, 5000}) {
        connect();
        policy.refused();
        EXPECT_EQ(tick(), LinkAction::disconnect);
        EXPECT_EQ(tick(), LinkAction::nothing);
        policy.lost(now);
        EXPECT_EQ(policy.next(), now + milliseconds(wait));
        EXPECT_FALSE(policy.closed_for_room());
        now += milliseconds(wait);
    }
    connect();
    policy.subscribed();
    EXPECT_EQ(tick(), LinkAction::nothing);
    policy.lost(now);
    EXPECT_EQ(policy.next(), now + milliseconds(500));
}

TEST_F(LinkPolicyTest, ARefusalThatComesAfterItsConnectionMeansNothing) {
    connect();
    policy.lost(now);
    policy.refused();
    now += std::chrono::seconds(1);
    connect();
    EXPECT_EQ(tick(), LinkAction::nothing);
}

TEST_F(LinkPolicyTest, AFullJournalClosesTheLinkUntilHalfOfItIsFree) {
    connect();
    room.journal_above_soft_bound = true;
    room.journal_below_resume_bound = false;
    EXPECT_EQ(tick(), LinkAction::disconnect);
    EXPECT_EQ(tick(), LinkAction::nothing);
    policy.lost(now);
    EXPECT_TRUE(policy.closed_for_room());
    EXPECT_EQ(policy.next(), std::nullopt);
    room.journal_above_soft_bound = false;
    EXPECT_EQ(tick(), LinkAction::nothing);
    room.journal_below_resume_bound = true;
    EXPECT_EQ(tick(), LinkAction::connect);
    EXPECT_FALSE(policy.closed_for_room());
}

TEST_F(LinkPolicyTest, AFullStoreOrAFullRunClosesItToo) {
    connect();
    room.store_full = true;
    EXPECT_EQ(tick(), LinkAction::disconnect);
    policy.lost(now);
    room = {};
    connect();
    room.journal_has_reserve = false;
    EXPECT_EQ(tick(), LinkAction::disconnect);
}

TEST_F(LinkPolicyTest, AfterStopItNeverConnectsAgain) {
    connect();
    policy.stop();
    EXPECT_EQ(tick(), LinkAction::disconnect);
    policy.lost(now);
    now += std::chrono::hours(1);
    EXPECT_EQ(tick(), LinkAction::nothing);
}

}  // namespace
}  // namespace touchpoint::devices
