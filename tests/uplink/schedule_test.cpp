#include "uplink/schedule.hpp"

#include <gtest/gtest.h>

namespace touchpoint::uplink {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr SteadyTime start{};

PushOptions all_enabled() {
    PushOptions options;
    options.streams = {{true, true, true, true, true}};
    return options;
}

TEST(ScheduleTest, HigherStreamsComeFirst) {
    Schedule schedule;
    EXPECT_EQ(schedule.choose({{0, 5, 5, 0, 5}}, all_enabled(), start).stream, Stream::sales);
    EXPECT_EQ(schedule.choose({{1, 5, 5, 0, 5}}, all_enabled(), start).stream, Stream::customer);
}

TEST(ScheduleTest, NothingWaitingIsNothingChosen) {
    Schedule schedule;
    const auto choice = schedule.choose({}, all_enabled(), start);
    EXPECT_FALSE(choice.stream);
    EXPECT_FALSE(choice.look_again);
}

TEST(ScheduleTest, AStreamThatTheDestinationDoesNotTakeIsNeverChosen) {
    Schedule schedule;
    for (int i = 0; i < 100; ++i) {
        const auto choice = schedule.choose({{0, 0, 0, 1, 1000}}, PushOptions{}, start);
        EXPECT_EQ(choice.stream, Stream::telemetry);
    }
}

TEST(ScheduleTest, NoStreamStarvesWhileHigherOnesAlwaysWait) {
    Schedule schedule;
    PerStream<int> chosen;
    PerStream<int> since;
    const int bound = static_cast<int>(Schedule::passes_max + stream_count - 1);
    for (int i = 0; i < 1000; ++i) {
        const auto choice = schedule.choose({{9, 9, 9, 9, 9}}, all_enabled(), start);
        ASSERT_TRUE(choice.stream);
        for (const Stream stream : all_streams) {
            since[stream] = stream == *choice.stream ? 0 : since[stream] + 1;
            ASSERT_LE(since[stream], bound) << name(stream);
        }
        ++chosen[*choice.stream];
    }
    EXPECT_GT(chosen[Stream::customer], 500) << "the highest still has the most";
    EXPECT_GE(chosen[Stream::quarantine], 1000 / (bound + 1));
}

TEST(ScheduleTest, AFewOfALowStreamWaitForCompanyUntilLinger) {
    Schedule schedule;
    PushOptions options;
    options.linger = milliseconds(500);
    const auto first = schedule.choose({{0, 0, 3, 0, 0}}, options, start);
    EXPECT_FALSE(first.stream);
    EXPECT_EQ(first.look_again, start + milliseconds(500));
    EXPECT_FALSE(schedule.choose({{0, 0, 4, 0, 0}}, options, start + milliseconds(499)).stream);
    EXPECT_EQ(schedule.choose({{0, 0, 4, 0, 0}}, options, start + milliseconds(500)).stream,
              Stream::interactions);
    EXPECT_FALSE(schedule.choose({{0, 0, 1, 0, 0}}, options, start + milliseconds(501)).stream)
        << "begins anew";
}

TEST(ScheduleTest, AFullBatchAndHighStreamsDoNotLinger) {
    PushOptions options;
    options.linger = seconds(10);
    Schedule schedule;
    EXPECT_EQ(schedule.choose({{0, 0, 0, options.batch_events_max, 0}}, options, start).stream,
              Stream::telemetry);
    EXPECT_EQ(schedule.choose({{0, 1, 1, 0, 0}}, options, start).stream, Stream::sales);
    EXPECT_EQ(schedule.choose({{1, 0, 1, 0, 0}}, options, start).stream, Stream::customer);
}

}  // namespace
}  // namespace touchpoint::uplink
