// What an answer holds: which types, in which order the streams fill it, where it ends.
#include "uplink/pull_page.hpp"
#include "gateway/core/event_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

namespace touchpoint::uplink {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TypeFilter filter(const std::string& text) { return TypeFilter::parse(text).value_or(TypeFilter{}); }

TEST(TypeFilter, TakesNamesAndBeginnings) {
    const TypeFilter some = filter("store.pos.sale.v1,store.kiosk.*");
    EXPECT_TRUE(some.wants("store.pos.sale.v1"));
    EXPECT_TRUE(some.wants("store.kiosk.search.v1"));
    EXPECT_FALSE(some.wants("store.pos.sale.v10"));
    EXPECT_FALSE(some.wants("store.beacon.seen.v1"));
    EXPECT_TRUE(filter("").wants("anything"));
    EXPECT_TRUE(filter("*").wants("anything"));
    EXPECT_FALSE(filter("store.pos.sale.v1").wants(""));
}

TEST(TypeFilter, SaysWhatItDoesNotUnderstand) {
    for (const std::string text : {",", "a,", ",a", "a,,b", "sto*re", "**"})
        EXPECT_FALSE(TypeFilter::parse(text)) << text;
    EXPECT_FALSE(TypeFilter::parse(std::string(TypeFilter::pattern_bytes_max + 1, 'a')));
    std::string many = "a";
    for (std::size_t i = 1; i < TypeFilter::patterns_max; ++i) many += ",a";
    EXPECT_TRUE(TypeFilter::parse(many));
    EXPECT_FALSE(TypeFilter::parse(many + ",a"));
}

TEST(OuterText, IsNotMisledByWhatADeviceWrites) {
    EXPECT_EQ(outer_text(R"("id":"1","data":{"type":"inner"},"type":"store.pos.sale.v1")", "type"),
              "store.pos.sale.v1");
    EXPECT_EQ(outer_text(R"("id":"\"type\":\"x\"","type":"right")", "type"), "right");
    EXPECT_EQ(outer_text(R"("type":7,"data":{"type":"inner"})", "type"), "");
    EXPECT_EQ(outer_text(R"("id":"type")", "type"), "");
}

TEST(FillingOrder, BeginsWithTheHighestAndLetsEachOtherLeadOnce) {
    PerStream<std::uint64_t> all{{5, 5, 5, 5, 5}};
    PerStream<int> led;
    for (unsigned turn = 0; turn < turns; ++turn) {
        const auto order = filling_order(all, turn);
        ASSERT_EQ(order.size(), stream_count);
        ++led[order.front()];
    }
    EXPECT_EQ(led, (PerStream<int>{{8, 1, 1, 1, 1}}));
    EXPECT_THAT(filling_order(all, 10), ElementsAre(Stream::telemetry, Stream::customer, Stream::sales,
                                                    Stream::interactions, Stream::quarantine));
    PerStream<std::uint64_t> two{{0, 7, 0, 3, 0}};
    EXPECT_THAT(filling_order(two, 0), ElementsAre(Stream::sales, Stream::telemetry));
    EXPECT_THAT(filling_order(two, 8), ElementsAre(Stream::telemetry, Stream::sales));
    EXPECT_THAT(filling_order(two, 9), ElementsAre(Stream::sales, Stream::telemetry));
    EXPECT_THAT(filling_order({}, 3), IsEmpty());
}

class PullPageTest : public testing::Test {
  protected:
    static store::StoredEvent event(Sequence sequence, std::string_view members) {
        return {sequence, UtcTime{1'790'000'000'000 + static_cast<std::int64_t>(sequence)}, members, -1};
    }
    static store::Slice slice(Stream stream, Sequence first, Sequence last) {
        store::Slice made;
        made.stream = stream;
        for (Sequence n = first; n <= last; ++n)
            made.events.push_back(
                event(n, n % 2 == 0 ? R"("type":"even","data":1)" : R"("type":"odd","data":1)"));
        return made;
    }
    const Formatter formatter_{{"gw", "s1", "e1"}, Format::ndjson};
};

TEST_F(PullPageTest, HoldsSeveralStreamsEachInOrder) {
    const TypeFilter all;
    for (const Format format : {Format::ndjson, Format::cloudevents_batch}) {
        PullPage page(formatter_, format, {}, all);
        Sequence sales = 4;
        Sequence telemetry = 0;
        EXPECT_TRUE(page.add(slice(Stream::sales, 5, 6), sales));
        EXPECT_TRUE(page.add(slice(Stream::telemetry, 1, 1), telemetry));
        EXPECT_EQ(sales, 6u);
        EXPECT_EQ(telemetry, 1u);
        EXPECT_EQ(page.items(), 3u);
        EXPECT_EQ(page.oldest().ms, 1'790'000'000'001);
        const std::string body = page.finish();
        EXPECT_LT(body.find(R"("stream":"sales","sequence":"00000000000000000005")"),
                  body.find(R"("stream":"sales","sequence":"00000000000000000006")"));
        EXPECT_THAT(body, HasSubstr(R"("stream":"telemetry","sequence":"00000000000000000001")"));
        EXPECT_EQ(body.back(), format == Format::ndjson ? '\n' : ']');
    }
}

TEST_F(PullPageTest, StopsBeforeWhatDoesNotFitAndThePositionWithIt) {
    const TypeFilter all;
    PullPage page(formatter_, Format::ndjson, {1u << 20, 2}, all);
    Sequence position = 0;
    EXPECT_FALSE(page.add(slice(Stream::sales, 1, 3), position));
    EXPECT_EQ(position, 2u);
    PullPage small(formatter_, Format::ndjson, {1, 10}, all);
    position = 0;
    EXPECT_FALSE(small.add(slice(Stream::sales, 1, 3), position));
    EXPECT_EQ(position, 1u);  // one is always given
}

TEST_F(PullPageTest, PassesOverTypesThatAreNotWantedButNeverOverAGap) {
    const TypeFilter even = filter("even");
    store::Slice given = slice(Stream::sales, 1, 3);
    given.gaps.push_back({Stream::sales, "", 4, 6, "shed", "", {}});
    given.events.push_back({6, {}, {}, 0});
    given.events.push_back(event(7, R"("type":"odd")"));
    PullPage page(formatter_, Format::ndjson, {}, even);
    Sequence position = 0;
    EXPECT_TRUE(page.add(given, position));
    EXPECT_EQ(position, 7u);
    EXPECT_EQ(page.items(), 2u);
    EXPECT_THAT(page.finish(), AllOf(HasSubstr("00000000000000000002"), HasSubstr("store.system.gap.v1"),
                                     Not(HasSubstr("\"odd\""))));
}

}  // namespace
}  // namespace touchpoint::uplink
