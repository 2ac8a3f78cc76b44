#include "gateway/core/clock.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace touchpoint {
namespace {

std::int64_t ms_of(const char* text) {
    const auto time = parse_rfc3339(text);
    return time ? time->ms : -1;
}

TEST(TimeTest, WritesWhatRfc3339Wants) {
    EXPECT_EQ(to_rfc3339({0}), "1970-01-01T00:00:00.000Z");
    EXPECT_EQ(to_rfc3339({1'790'000'000'123}), "2026-09-21T14:13:20.123Z");
    EXPECT_EQ(to_rfc3339({-1}), "1969-12-31T23:59:59.999Z");
    EXPECT_EQ(to_rfc3339({951'782'400'000}), "2000-02-29T00:00:00.000Z");
}

TEST(TimeTest, ClampsWhatHasNoFourDigitYear) {
    EXPECT_EQ(to_rfc3339({std::numeric_limits<std::int64_t>::max()}), "9999-12-31T23:59:59.999Z");
    EXPECT_EQ(to_rfc3339({std::numeric_limits<std::int64_t>::min()}), "0000-01-01T00:00:00.000Z");
}

TEST(TimeTest, ReadsEveryFormOfTheSameMoment) {
    const std::int64_t moment = 1'790'000'000'000;
    EXPECT_EQ(ms_of("2026-09-21T14:13:20Z"), moment);
    EXPECT_EQ(ms_of("2026-09-21t14:13:20z"), moment);
    EXPECT_EQ(ms_of("2026-09-21 16:13:20+02:00"), moment);
    EXPECT_EQ(ms_of("2026-09-21T08:43:20-05:30"), moment);
    EXPECT_EQ(ms_of("2026-09-21T14:13:20.5Z"), moment + 500);
    EXPECT_EQ(ms_of("2026-09-21T14:13:20.123456789Z"), moment + 123);
}

TEST(TimeTest, ReadsBackWhatItWrites) {
    for (std::int64_t ms = -62'000'000'000'000; ms < 253'000'000'000'000; ms += 7'777'777'777'777)
        EXPECT_EQ(parse_rfc3339(to_rfc3339({ms})), UtcTime{ms});
}

TEST(TimeTest, RefusesWhatIsNoMoment) {
    for (const char* text :
         {"", "2026", "2026-09-21", "2026-09-21T14:13:20", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z",
          "2026-09-21T24:00:00Z", "2026-09-21T14:60:00Z", "2026-09-21T14:13:20.Z", "2026-09-21T14:13:20+2:00",
          "2026-09-21T14:13:20Zx", "2026-09-21T14:13:20+24:00", "9999999999999"})
        EXPECT_EQ(parse_rfc3339(text), std::nullopt) << text;
}

TEST(TimeTest, TheManualClockMovesOnlyWhenItIsMoved) {
    ManualClock clock({1000});
    const SteadyTime before = clock.steady();
    clock.advance(std::chrono::seconds(2));
    EXPECT_EQ(clock.utc().ms, 3000);
    EXPECT_EQ(clock.steady() - before, std::chrono::seconds(2));
    clock.step_utc(std::chrono::hours(-1));
    EXPECT_EQ(clock.steady() - before, std::chrono::seconds(2));
    EXPECT_LT(clock.utc().ms, 0);
}

}  // namespace
}  // namespace touchpoint
