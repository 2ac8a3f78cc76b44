#include "devices/receipts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/json_slice.hpp"

namespace touchpoint::devices {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

TEST(ReceiptsTest, OneMessageForAllEventsOfADeviceInOneCommit) {
    Receipts receipts;
    const Ticket first = receipts.open("touchpoint/v1/pos/t1/receipt", "", 2);
    const Ticket second = receipts.open("touchpoint/v1/pos/t1/receipt", "", 1);
    const Ticket other = receipts.open("touchpoint/v1/pos/t2/receipt", "", 1);
    const std::vector<Settled> settled = {{first, "a", Verdict::stored},
                                          {first, "b", Verdict::duplicate},
                                          {other, "x", Verdict::stored},
                                          {second, "c", Verdict::stored_id_reused}};
    const auto out = receipts.settle(settled);
    ASSERT_THAT(out, SizeIs(2));
    EXPECT_EQ(out[0].topic, "touchpoint/v1/pos/t1/receipt");
    EXPECT_EQ(out[0].payload, R"({"stored":["a","c"],"duplicate":["b"],"idreused":["c"]})");
    EXPECT_EQ(out[1].payload, R"({"stored":["x"],"duplicate":[]})");
    EXPECT_EQ(receipts.open_tickets(), 0u);
}

TEST(ReceiptsTest, EventsOfOneMessageMayBeSettledInSeveralCommits) {
    Receipts receipts;
    const Ticket ticket = receipts.open("t", "", 2);
    EXPECT_THAT(receipts.settle(std::vector<Settled>{{ticket, "a", Verdict::stored}}), SizeIs(1));
    EXPECT_EQ(receipts.open_tickets(), 1u);
    EXPECT_THAT(receipts.settle(std::vector<Settled>{{ticket, "b", Verdict::stored}}), SizeIs(1));
    EXPECT_EQ(receipts.open_tickets(), 0u);
}

TEST(ReceiptsTest, CorrelationDataIsEchoedAndKeepsAnswersApart) {
    Receipts receipts;
    const Ticket one = receipts.open("t", std::string("\0\x01", 2), 1);
    const Ticket two = receipts.open("t", "2", 1);
    const auto out = receipts.settle(std::vector<Settled>{{one, "a", {}}, {two, "b", {}}});
    ASSERT_THAT(out, SizeIs(2));
    EXPECT_EQ(out[0].correlation, std::string("\0\x01", 2));
    EXPECT_EQ(out[1].correlation, "2");
}

TEST(ReceiptsTest, LongReceiptsAreSplitAndNoIdIsLost) {
    Receipts receipts;
    const Ticket ticket = receipts.open("t", "", 10'000);
    std::vector<Settled> settled;
    for (int i = 0; i < 10'000; ++i)
        settled.push_back({ticket, std::to_string(i) + std::string(100, 'x'), Verdict::stored});
    const auto out = receipts.settle(settled);
    EXPECT_GT(out.size(), 4u);
    std::size_t ids = 0;
    for (const Outgoing& message : out) {
        EXPECT_LE(message.payload.size(), receipt_bytes_max);
        ASSERT_FALSE(validate_json(message.payload));
        ids += json_items(*json_find(json_members(message.payload), "stored"), 10'000).size();
    }
    EXPECT_EQ(ids, 10'000u);
}

TEST(ReceiptsTest, TicketsOfOthersArePassedOver) {
    Receipts receipts;
    EXPECT_THAT(receipts.settle(std::vector<Settled>{{http_ticket_bit | 1, "a", {}}, {7, "b", {}}}),
                IsEmpty());
}

TEST(ReceiptsTest, WhoAskedGetsTheReceiptWhereItMayBe) {
    const std::vector<std::string> kinds = {"pos"};
    store::Incoming message;
    EXPECT_EQ(receipt_topic({"kiosk", "k7"}, message, kinds), "");
    EXPECT_EQ(receipt_topic({"pos", "t1"}, message, kinds), "touchpoint/v1/pos/t1/receipt");
    message.response_topic = "touchpoint/v1/kiosk/k7/res/r1";
    EXPECT_EQ(receipt_topic({"kiosk", "k7"}, message, kinds), message.response_topic);
    EXPECT_EQ(receipt_topic({"kiosk", "k8"}, message, kinds), "");
    message.correlation_data = std::string(correlation_bytes_max, 'c');
    EXPECT_EQ(correlation_of(message), message.correlation_data);
    message.correlation_data += 'c';
    EXPECT_EQ(correlation_of(message), "");
}

}  // namespace
}  // namespace touchpoint::devices
