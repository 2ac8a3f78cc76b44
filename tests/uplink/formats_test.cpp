// What leaves the shop, as text: golden lines, because a platform's parser depends on every byte of them.

#include "uplink/formats.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>

#include "tools/platform/ledger.hpp"

namespace touchpoint::uplink {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const Origin origin{"gw-s1", "s1", "e7a1"};

store::Slice slice_of(Stream stream, const std::vector<std::string>& members, Sequence first = 1) {
    store::Slice slice;
    slice.stream = stream;
    for (const std::string& each : members) {
        slice.buffers.push_back(std::make_shared<const std::string>(each));
        slice.events.push_back({first++, UtcTime{1'790'000'000'123}, *slice.buffers.back(), -1});
        slice.bytes += each.size();
    }
    return slice;
}

store::Gap gap_of(Stream stream, Sequence first, Sequence last) {
    return {stream, "", first, last, "shed", "", UtcTime{1'790'000'000'000}};
}

const std::string sale =
    R"("id":"a1","source":"/stores/s1/pos/t1","type":"store.pos.sale.v1","time":"2026-09-21T14:13:20.000Z","data":{"n":1.50})";

TEST(FormatsTest, AnEventCarriesItsOriginInFrontOfWhatTheDeviceSaid) {
    const Formatter formatter(origin, Format::ndjson);
    const auto slice = slice_of(Stream::sales, {sale}, 42);
    EXPECT_EQ(formatter.event(Stream::sales, slice.events[0]),
              R"({"specversion":"1.0","gatewayid":"gw-s1","epoch":"e7a1","stream":"sales",)"
              R"("sequence":"00000000000000000042","recordedtime":"2026-09-21T14:13:20.123Z",)" +
                  sale + "}");
}

TEST(FormatsTest, WhichPersonsAQuarantinedMessageSpeaksOfIsNotSent) {
    const Formatter formatter({"gw", "s1", "e"}, Format::ndjson);
    store::StoredEvent event;
    event.sequence = 1;
    event.members = R"("id":"q","persons":["p1_a"],"data":{"persons":["mine"]})";
    EXPECT_THAT(formatter.event(Stream::quarantine, event), testing::Not(testing::HasSubstr("p1_a")));
    EXPECT_THAT(formatter.event(Stream::quarantine, event), testing::HasSubstr("mine"));
    // A device's own member of that name goes as it is.
    EXPECT_THAT(formatter.event(Stream::sales, event), testing::HasSubstr("p1_a"));
}

TEST(FormatsTest, AGapIsAnEventThatExplainsItsRange) {
    store::Gap gap = gap_of(Stream::telemetry, 7, 9);
    gap.consumer = "platform";
    gap.detail = R"("status":400)";
    EXPECT_EQ(
        Formatter(origin, Format::ndjson).gap(gap),
        R"({"specversion":"1.0","gatewayid":"gw-s1","epoch":"e7a1","stream":"telemetry",)"
        R"("sequence":"00000000000000000009","recordedtime":"2026-09-21T14:13:20.000Z",)"
        R"("id":"gap-e7a1-telemetry-7-9","source":"/stores/s1/gateway/gw-s1","type":"store.system.gap.v1",)"
        R"("time":"2026-09-21T14:13:20.000Z","data":{"stream":"telemetry","first":7,"last":9,"count":3,)"
        R"("reason":"shed","consumer":"platform","time":"2026-09-21T14:13:20.000Z","status":400}})");
}

TEST(FormatsTest, ABatchIsAJsonArrayAndNdjsonHasOneEndedLineForEachEvent) {
    const auto slice = slice_of(Stream::sales, {sale, sale});
    std::vector<std::string_view> events;
    const Batch array = Formatter(origin, Format::cloudevents_batch).build(slice, {});
    EXPECT_TRUE(platform::split_array(array.body, events));
    EXPECT_EQ(events.size(), 2u);
    events.clear();
    const Batch lines = Formatter(origin, Format::ndjson).build(slice, {});
    EXPECT_TRUE(platform::split_lines(lines.body, events));
    EXPECT_EQ(events.size(), 2u);
    EXPECT_EQ(array.body, "[" + std::string(events[0]) + "," + std::string(events[1]) + "]");
    EXPECT_EQ(lines.first(), 1u);
    EXPECT_EQ(lines.last(), 2u);
}

TEST(FormatsTest, ABatchEndsBeforeItsBoundsAreBroken) {
    const auto slice = slice_of(Stream::sales, std::vector<std::string>(100, sale));
    const Formatter formatter(origin, Format::cloudevents_batch);
    EXPECT_EQ(formatter.build(slice, {1u << 20, 7}).items.size(), 7u);
    for (const std::size_t bytes : {1000u, 2000u, 5000u}) {
        const Batch batch = formatter.build(slice, {bytes, 1000});
        EXPECT_LE(batch.body.size(), bytes);
        EXPECT_GE(batch.items.size(), 2u);
        EXPECT_LT(batch.items.size(), 100u);
    }
}

TEST(FormatsTest, OneLargeEventIsSentWhateverTheBound) {
    const auto slice = slice_of(Stream::sales, {R"("data":")" + std::string(5000, 'x') + "\"", sale});
    const Batch batch = Formatter(origin, Format::ndjson).build(slice, {1000, 1000});
    EXPECT_EQ(batch.items.size(), 1u);
    EXPECT_GT(batch.body.size(), 5000u);
}

TEST(FormatsTest, GapsStandInThePlaceOfTheirRange) {
    auto slice = slice_of(Stream::sales, {sale}, 1);
    slice.gaps.push_back(gap_of(Stream::sales, 2, 5));
    slice.events.push_back({5, {}, {}, 0});
    auto tail = slice_of(Stream::sales, {sale}, 6);
    slice.events.push_back(tail.events[0]);
    const Batch batch = Formatter(origin, Format::ndjson).build(slice, {});
    ASSERT_EQ(batch.items.size(), 3u);
    EXPECT_TRUE(batch.items[1].gap);
    EXPECT_EQ(batch.items[1].first, 2u);
    EXPECT_EQ(batch.last(), 6u);
    platform::Ledger ledger;
    std::vector<std::string_view> events;
    ASSERT_TRUE(platform::split_lines(batch.body, events));
    for (const auto event : events) EXPECT_TRUE(ledger.take(event)) << event;
    EXPECT_EQ(ledger.counts().error_count(), 0u);
}

TEST(FormatsTest, AGapThatTheReaderDoesNotKnowYetLeadsTheBatch) {
    const store::Gap gap = gap_of(Stream::sales, 3, 3);
    const Batch batch = Formatter(origin, Format::ndjson).build(slice_of(Stream::sales, {sale}, 4), {}, &gap);
    ASSERT_EQ(batch.items.size(), 2u);
    EXPECT_EQ(batch.first(), 3u);
    EXPECT_THAT(batch.body, HasSubstr("gap-e7a1-sales-3-3"));
}

TEST(FormatsTest, TheRawIdentifierIsJoinedOnlyForTheEventsOwnSubject) {
    std::vector<std::string> asked;
    const Formatter formatter(origin, Format::ndjson,
                              [&](std::string_view pseudonym) -> std::optional<std::string> {
                                  asked.emplace_back(pseudonym);
                                  if (pseudonym == "p1_known") return "card:29\"0";
                                  return std::nullopt;
                              });
    const auto slice = slice_of(
        Stream::sales,
        {
            R"("id":"1","subject":"pseudonym/p1_known","data":{})",
            R"("id":"2","subject":"pseudonym/p1_erased","data":{})",
            R"("id":"3","subject":"profile/77","data":{})",
            R"("id":"\"subject\":\"pseudonym/p1_known\"","data":{"subject":"pseudonym/p1_known","a":[{"b":"}"}]})",
        });
    EXPECT_THAT(formatter.event(Stream::sales, slice.events[0]),
                HasSubstr(R"("customer":"card:29\"0","id":"1","subject":"pseudonym/p1_known")"));
    for (const int i : {1, 2, 3})
        EXPECT_THAT(formatter.event(Stream::sales, slice.events[static_cast<std::size_t>(i)]),
                    Not(HasSubstr("\"customer\"")));
    EXPECT_THAT(asked, ElementsAre("p1_known", "p1_erased"));
}

TEST(FormatsTest, ANameThatThePlatformDoesNotKnowReachesItBesideTheProfile) {
    const Formatter formatter(origin, Format::ndjson, {}, [](std::string_view pseudonym, Stream) {
        if (pseudonym == "p1_denied") return PersonName{"pseudonym/p1_denied"};
        if (pseudonym == "p1_second") return PersonName{"profile/c-1", true, "profile/c-9"};
        return PersonName{"profile/c-1", true,
                          pseudonym == "p1_listed" ? "" : "pseudonym/" + std::string(pseudonym)};
    });
    const auto sameas = [&](const std::string& subject, const std::string& others) {
        const auto slice =
            slice_of(Stream::customer, {R"("id":"1","subject":"pseudonym/)" + subject + R"(","sameas":")" +
                                        others + R"(","data":{"sameas":"x"}})"});
        const std::string text = formatter.event(Stream::customer, slice.events[0]);
        const std::size_t at = text.find("\"subject\"");
        return text.substr(at, text.find(",\"data\"") - at);
    };
    EXPECT_EQ(sameas("p1_listed", "pseudonym/p1_new"),
              R"("subject":"profile/c-1","sameas":"pseudonym/p1_new")");
    EXPECT_EQ(sameas("p1_new", "pseudonym/p1_listed"),
              R"("subject":"profile/c-1","sameas":"pseudonym/p1_new")")
        << "the event's own subject may be the new one";
    EXPECT_EQ(sameas("p1_new", "pseudonym/p1_newer,profile/c-2,pseudonym/p1_newer"),
              R"("subject":"profile/c-1","sameas":"pseudonym/p1_new,pseudonym/p1_newer,profile/c-2")");
    EXPECT_EQ(sameas("p1_listed", "pseudonym/p1_second"), R"("subject":"profile/c-1","sameas":"profile/c-9")")
        << "another profile of the platform's";
    EXPECT_EQ(sameas("p1_listed", "pseudonym/p1_listed"),
              R"("subject":"profile/c-1","sameas":"profile/c-1")");
    EXPECT_EQ(sameas("p1_denied", "pseudonym/p1_denied"),
              R"("subject":"pseudonym/p1_denied","sameas":"pseudonym/p1_denied")");
}

TEST(FormatsTest, TheSameBytesHaveTheSameKeyAndOtherBytesAnother) {
    const Batch batch = Formatter(origin, Format::ndjson).build(slice_of(Stream::sales, {sale, sale}, 8), {});
    const std::string key = idempotency_key(origin, batch, batch.body);
    EXPECT_EQ(key, idempotency_key(origin, batch, batch.body));
    EXPECT_NE(key, idempotency_key(origin, batch, batch.body + " "));
    EXPECT_THAT(key, testing::StartsWith("gw-s1-e7a1-sales-8-9-"));
}

}  // namespace
}  // namespace touchpoint::uplink
