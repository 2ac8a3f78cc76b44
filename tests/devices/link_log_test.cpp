#include "devices/link_log.hpp"

#include <gtest/gtest.h>

namespace touchpoint::devices {
namespace {

using std::chrono::seconds;

struct LinkLogTest : testing::Test {
    static std::string text(const std::optional<LinkLine>& line) {
        if (!line) return {};
        std::string out =
            std::to_string(static_cast<int>(line->level)) + ' ' + line->words + " [" + line->reason + "]";
        if (line->down) out += ' ' + std::to_string(line->down->count());
        return out;
    }
    std::string up() { return text(log.subscribed(now)); }
    std::string lost(const std::string& reason) { return text(log.lost(now, reason)); }
    std::string tick() { return text(log.tick(now)); }
    SteadyTime now{std::chrono::hours(1)};
    LinkLog log;
};

TEST_F(LinkLogTest, EachChangeOfStateIsOneLine) {
    EXPECT_EQ(up(), "6 connected to the broker []");
    now += seconds(60);
    EXPECT_EQ(lost("connection lost"), "4 connection to the broker lost [connection lost]");
    now += seconds(40);
    EXPECT_EQ(lost(nothing_answers), "");
    EXPECT_EQ(up(), "6 connected to the broker [] 40");
    EXPECT_EQ(tick(), "");
}

TEST_F(LinkLogTest, AnAttemptThatFailsLikeTheOneBeforeIsNotLogged) {
    EXPECT_EQ(lost(nothing_answers), "4 no connection to the broker [nothing answers there, or TLS fails]");
    for (int i = 0; i < 5; ++i) {
        now += seconds(5);
        EXPECT_EQ(lost(nothing_answers), "");
        EXPECT_EQ(tick(), "");
    }
    EXPECT_EQ(lost("the broker refuses user gateway (Not authorized)"),
              "3 no connection to the broker [the broker refuses user gateway (Not authorized)]");
    now += seconds(5);
    EXPECT_EQ(up(), "6 connected to the broker [] 30");
}

TEST_F(LinkLogTest, TwoClientsThatThrowEachOtherOutDoNotFillTheLog) {
    up();
    now += seconds(60);
    EXPECT_NE(lost("another client"), "");
    EXPECT_NE(up(), "");
    now += seconds(1);
    EXPECT_EQ(lost("another client"), "4 connection to the broker lost [another client]");
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(up(), "");
        now += seconds(1);
        EXPECT_EQ(tick(), "");
        EXPECT_EQ(lost("another client"), "");
    }
    EXPECT_EQ(up(), "");
    now += LinkLog::settled_after;
    EXPECT_EQ(tick(), "6 connected to the broker [] 30");
    EXPECT_EQ(tick(), "");
}

TEST_F(LinkLogTest, WhatTheGatewayClosesItselfIsToldByOthersAndItsReturnIsToldAgain) {
    up();
    now += seconds(60);
    EXPECT_EQ(lost("closed"), "");
    now += seconds(7);
    EXPECT_EQ(up(), "6 connected to the broker [] 7");
}

TEST_F(LinkLogTest, ARefusedUserIsNamed) {
    EXPECT_EQ(broker_refusal(0x87, "Not authorized", "gateway"),
              "the broker refuses user gateway (Not authorized)");
    EXPECT_EQ(broker_refusal(0x86, "Bad user name or password", ""),
              "the broker refuses clients without a user (Bad user name or password)");
    EXPECT_EQ(broker_refusal(0x8e, "Session taken over", "gateway"),
              "another client has connected under our user or client id (Session taken over)");
}

}  // namespace
}  // namespace touchpoint::devices
