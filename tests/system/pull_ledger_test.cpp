// What the puller of the other tests would notice: each mistake of a gateway that they look for, made once.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "tools/platform/ledger.hpp"

namespace touchpoint::tests {
namespace {

using platform::Ledger;

std::string sale(std::uint64_t sequence) {
    const std::string digits = std::to_string(sequence);
    return R"({"specversion":"1.0","gatewayid":"g","epoch":"e","stream":"sales","sequence":")" +
           std::string(20 - digits.size(), '0') + digits +
           R"(","id":"1","source":"/s","type":"store.pos.sale.v1","data":{}})";
}

TEST(PullLedgerTest, WhatWasAcknowledgedMustNotComeAgain) {
    Ledger ledger;
    ledger.take(sale(1));
    EXPECT_FALSE(ledger.take(sale(1)));
    EXPECT_EQ(ledger.summary().error_count(), 0u);  // the answer may have been lost
    ledger.acknowledged();
    EXPECT_FALSE(ledger.take(sale(1)));
    EXPECT_EQ(ledger.summary().again, 1u);
    EXPECT_EQ(ledger.summary().error_count(), 1u);
}

TEST(PullLedgerTest, WhatWasPerhapsAcknowledgedMayComeAgain) {
    Ledger ledger;
    ledger.take(sale(1));
    ledger.acknowledged();
    ledger.acknowledged_perhaps();
    EXPECT_FALSE(ledger.take(sale(1)));
    EXPECT_EQ(ledger.summary().error_count(), 0u);
}

TEST(PullLedgerTest, CountsFromWhereAConsumerBegins) {
    Ledger ledger;
    ledger.begin("e", "sales", 6);
    EXPECT_FALSE(ledger.take(sale(8)));
    EXPECT_EQ(ledger.summary().holes, 1u);
    EXPECT_TRUE(ledger.take(sale(7)));
}

TEST(PullLedgerTest, WhoAskedForSomeTypesMayMissNumbersButGoesForward) {
    Ledger ledger(true);
    EXPECT_TRUE(ledger.take(sale(3)));
    EXPECT_TRUE(ledger.take(sale(9)));
    EXPECT_FALSE(ledger.take(sale(5)));
    EXPECT_EQ(ledger.summary().holes, 0u);
    EXPECT_EQ(ledger.summary().events, 2u);
}

}  // namespace
}  // namespace touchpoint::tests
