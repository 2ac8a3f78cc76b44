// The judge must be able to say no: each error that the small platform looks for, made on purpose.

#include "tools/platform/ledger.hpp"

#include <gtest/gtest.h>
#include <cstdio>

namespace touchpoint::platform {
namespace {

std::string event(int sequence, const std::string& data = "{}", const std::string& more = "") {
    char number[32];
    std::snprintf(number, sizeof number, "%020d", sequence);
    return R"({"specversion":"1.0","gatewayid":"g","epoch":"e","stream":"sales","sequence":")" +
           std::string(number) + R"(","id":"i","source":"/s","type":"t",)" + more + R"("data":)" + data + "}";
}
std::string gap(int first, int last) {
    char text[400];
    std::snprintf(text, sizeof text,
                  R"({"specversion":"1.0","gatewayid":"g","epoch":"e","stream":"sales","sequence":"%020d",)"
                  R"("id":"i","source":"/s","type":"store.system.gap.v1","data":{"first":%d,"last":%d}})",
                  last, first, last);
    return text;
}

TEST(LedgerTest, ContiguousEventsAndEqualRepeatsAreFine) {
    Ledger ledger;
    EXPECT_TRUE(ledger.take(event(1)));
    EXPECT_TRUE(ledger.take(event(2)));
    EXPECT_FALSE(ledger.take(event(1)));
    EXPECT_EQ(ledger.counts().repeats, 1u);
    EXPECT_EQ(ledger.counts().error_count(), 0u);
    EXPECT_EQ(ledger.summary().events_in("sales"), 2u);
}

TEST(LedgerTest, AHoleIsAnErrorUnlessAGapExplainsIt) {
    Ledger ledger;
    ledger.take(event(1));
    EXPECT_FALSE(ledger.take(event(3)));
    EXPECT_EQ(ledger.counts().holes, 1u);
    EXPECT_TRUE(ledger.take(gap(2, 4)));
    EXPECT_TRUE(ledger.take(event(5)));
    EXPECT_FALSE(ledger.take(gap(9, 9))) << "6 to 8 are not explained";
    EXPECT_EQ(ledger.counts().holes, 2u);
    EXPECT_EQ(ledger.summary().streams.at(0).missing, 3u);
}

TEST(LedgerTest, ARepeatWithOtherContentIsAnError) {
    Ledger ledger;
    ledger.take(event(1, R"({"amount":"1.00"})"));
    EXPECT_FALSE(ledger.take(event(1, R"({"amount":"2.00"})")));
    EXPECT_EQ(ledger.counts().changed, 1u);
}

TEST(LedgerTest, APersonErasedBetweenTwoSendingsDoesNotChangeTheEvent) {
    Ledger ledger;
    ledger.take(event(1, "{}", R"("customer":"card:1",)"));
    ledger.take(event(1));
    EXPECT_EQ(ledger.counts().repeats, 1u);
    EXPECT_EQ(ledger.counts().changed, 0u);
}

TEST(LedgerTest, WhatIsNotTheContractIsCounted) {
    Ledger ledger;
    EXPECT_FALSE(ledger.take("{}"));
    EXPECT_FALSE(ledger.take("[1]"));
    EXPECT_FALSE(ledger.take(event(0)));
    EXPECT_FALSE(ledger.take(event(1).substr(0, 100)));
    EXPECT_EQ(ledger.counts().malformed, 4u);
    EXPECT_FALSE(ledger.counts().errors.empty());
}

TEST(LedgerTest, MembersInsideDataAreNotTheEvents) {
    Ledger ledger;
    EXPECT_TRUE(
        ledger.take(event(1, R"({"sequence":"00000000000000000009","gatewayid":"x","t":["}","\"{"]})")));
    EXPECT_EQ(ledger.summary().streams.at(0).gateway_id, "g");
}

TEST(LedgerTest, WhatWasAcknowledgedMustNotComeAgain) {
    Ledger ledger;
    ledger.take(event(1));
    EXPECT_FALSE(ledger.take(event(1)));
    EXPECT_EQ(ledger.counts().error_count(), 0u) << "the answer may have been lost";
    ledger.acknowledged();
    EXPECT_FALSE(ledger.take(event(1)));
    EXPECT_EQ(ledger.counts().again, 1u);
    EXPECT_EQ(ledger.counts().error_count(), 1u);
}

TEST(LedgerTest, WhatWasPerhapsAcknowledgedMayComeAgain) {
    Ledger ledger;
    ledger.take(event(1));
    ledger.acknowledged();
    ledger.acknowledged_perhaps();
    EXPECT_FALSE(ledger.take(event(1)));
    EXPECT_EQ(ledger.counts().error_count(), 0u);
}

TEST(LedgerTest, CountsFromWhereAConsumerBegins) {
    Ledger ledger;
    ledger.begin("e", "sales", 6);
    EXPECT_FALSE(ledger.take(event(8)));
    EXPECT_EQ(ledger.counts().holes, 1u);
    EXPECT_TRUE(ledger.take(event(7)));
}

TEST(LedgerTest, WhoAskedForSomeTypesMissesNumbersButGoesForward) {
    Ledger ledger(true);
    EXPECT_TRUE(ledger.take(event(3)));
    EXPECT_TRUE(ledger.take(event(9)));
    EXPECT_FALSE(ledger.take(event(5)));
    EXPECT_EQ(ledger.counts().holes, 0u);
    EXPECT_EQ(ledger.summary().events_in("sales"), 2u);
}

TEST(SplitTest, SplitsOnlyWhatIsWhole) {
    std::vector<std::string_view> events;
    EXPECT_TRUE(split_array(R"( [ {"a":"]}"} , {"b":[{}]} ] )", events));
    EXPECT_EQ(events.size(), 2u);
    EXPECT_TRUE(split_array("[]", events));
    for (const char* bad : {"", "{}", "[{}", "[{} {}]", "[{},]", "[{}]x", R"([{"a":"])"})
        EXPECT_FALSE(split_array(bad, events)) << bad;
    EXPECT_FALSE(split_lines("{}\n{}", events));
    EXPECT_TRUE(split_lines("{}\n{}\n", events));
}

}  // namespace
}  // namespace touchpoint::platform
