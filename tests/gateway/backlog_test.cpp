// Rates and forecasts from numbers given; what a person reads of them.
#include "gateway/backlog.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/command/commands.hpp"
#include "gateway/snapshot.hpp"

namespace touchpoint::gateway {
namespace {

using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;

constexpr SteadyTime start{std::chrono::hours(5)};

store::StoreStats shop() {
    store::StoreStats stats;
    stats.epoch = "e1";
    stats.horizon[Stream::sales] = 100;
    stats.horizon[Stream::telemetry] = 1000;
    stats.events[Stream::telemetry] = 1000;
    stats.oldest[Stream::telemetry] = UtcTime{1'790'000'000'000};
    stats.live_bytes = 100u << 20;
    stats.shed_bytes = 900u << 20;
    stats.limit_bytes = 1000u << 20;
    store::ConsumerState platform;
    platform.name = "platform";
    platform.streams[Stream::sales] = platform.streams[Stream::telemetry] = true;
    platform.acknowledged[Stream::sales] = 100;
    stats.consumers.push_back(platform);
    return stats;
}

// A hundred seconds later: 1,000 more readings, 3,000 taken by the platform, 10 MiB more on the disk.
store::StoreStats later(std::uint64_t taken) {
    store::StoreStats stats = shop();
    stats.horizon[Stream::telemetry] = 5000;
    stats.consumers[0].acknowledged[Stream::telemetry] = taken;
    stats.live_bytes += 10u << 20;
    return stats;
}

TEST(Backlog, BeforeThereIsASampleNothingIsForecast) {
    const std::string body = backlog_json(shop(), {}, start, UtcTime{1'790'000'000'000});
    EXPECT_THAT(body, AllOf(HasSubstr(R"("bytes_per_h":null)"), HasSubstr(R"("minutes_until_full":null)"),
                            HasSubstr(R"("waiting":{"sales":0,"telemetry":1000},"waiting_events":1000)"),
                            HasSubstr(R"("drain_s":null)")));
}

TEST(Backlog, TheOldestOfAConsumerIsItsOwnAndNotThatOfWhoeverHoldsMore) {
    store::StoreStats stats = shop();
    stats.waiting_since["platform"][Stream::telemetry] = UtcTime{1'790'000'097'000};
    const std::string body = backlog_json(stats, {}, start, UtcTime{1'790'000'100'000});
    EXPECT_THAT(body, AllOf(HasSubstr(R"("oldest":"2026-09-21T14:13:20.000Z")"),
                            HasSubstr(R"("waiting_oldest":"2026-09-21T14:14:57.000Z")")));
    EXPECT_EQ(backlog(stats, "platform").oldest, UtcTime{1'790'000'097'000});
}

TEST(Backlog, RatesSayWhenTheDiskIsFullAndWhenAConsumerHasCaughtUp) {
    BacklogHistory history;
    history.sample(start, shop());
    const std::string body =
        backlog_json(later(4400), history, start + seconds(100), UtcTime{1'790'000'100'000});
    // 44 a second leave, 40 come: 600 that wait take 150 s. 0.1 MiB a second, 890 MiB to the bound.
    EXPECT_THAT(body, AllOf(HasSubstr(R"("events_per_h":158400)"), HasSubstr(R"("drain_s":150)"),
                            HasSubstr(R"("rates_over_s":100)")));
    EXPECT_EQ(command::backlog_text(body),
              "disk: 110.0 MiB of 1000.0 MiB used; at this rate the oldest are shed in 2 h; full in 2 h\n"
              "  customer      0 held, 0.0/s come\n"
              "  sales         0 held, 0.0/s come\n"
              "  interactions  0 held, 0.0/s come\n"
              "  telemetry     1,000 held, 40.0/s come, oldest from 2026-09-21T14:13:20.000Z\n"
              "  quarantine    0 held, 0.0/s come\n"
              "\nplatform (push): 600 wait, 44.0/s, done in 2 min; oldest from 2026-09-21T14:13:20.000Z\n"
              "  telemetry     600\n");
}

TEST(Backlog, AConsumerThatIsSlowerThanTheShopIsSaidNotToCatchUp) {
    BacklogHistory history;
    history.sample(start, shop());
    const std::string body = backlog_json(later(100), history, start + seconds(100), UtcTime{0});
    EXPECT_THAT(body, HasSubstr(R"("drain_s":null)"));
    EXPECT_THAT(command::backlog_text(body), HasSubstr("4,900 wait, 1.0/s, does not catch up"));
}

TEST(Backlog, NumbersOfAnotherEpochAreNotComparedAndOldSamplesAreForgotten) {
    BacklogHistory history;
    history.sample(start, shop());
    store::StoreStats other = later(4400);
    other.epoch = "e2";
    EXPECT_THAT(backlog_json(other, history, start + seconds(100), UtcTime{0}),
                HasSubstr(R"("rates_over_s":0)"));
    EXPECT_FALSE(history.due(start + seconds(59)));
    EXPECT_TRUE(history.due(start + seconds(60)));
    for (int minute = 1; minute <= 20; ++minute) history.sample(start + seconds(60 * minute), shop());
    EXPECT_EQ(history.oldest("e1")->time, start + seconds(600));
}

}  // namespace
}  // namespace touchpoint::gateway
