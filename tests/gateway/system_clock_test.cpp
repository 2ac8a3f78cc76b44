#include "gateway/system_clock.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/timex.h>

#include <chrono>

namespace touchpoint::gateway {
namespace {

TEST(SystemClockTest, TheKernelIsAskedFirstAndTheFileOnlyWhenItMayNotBe) {
    EXPECT_TRUE(clock_is_trusted(TIME_OK, 0, false));
    EXPECT_FALSE(clock_is_trusted(TIME_ERROR, STA_UNSYNC, true));
    EXPECT_FALSE(clock_is_trusted(TIME_OK, STA_UNSYNC, true));
    EXPECT_TRUE(clock_is_trusted(-1, 0, true));
    EXPECT_FALSE(clock_is_trusted(-1, 0, false));
}

TEST(SystemClockTest, TimesGoForwardTogether) {
    const SystemClock clock;
    const UtcTime utc = clock.utc();
    const auto boot = clock.since_boot();
    const auto wall = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::system_clock::now().time_since_epoch());
    EXPECT_NEAR(static_cast<double>(utc.ms), static_cast<double>(wall.count()), 5000.0);
    EXPECT_GE(clock.since_boot(), boot);
    EXPECT_EQ(clock.trusted(), clock.trusted());
}

TEST(SystemClockTest, TheBootHasOneNameAndChanceHasMany) {
    const auto boot = read_boot_id();
    ASSERT_TRUE(boot);
    EXPECT_THAT(*boot, testing::MatchesRegex("[0-9a-f]+"));
    EXPECT_EQ(boot->size(), 32u);
    EXPECT_EQ(*boot, *read_boot_id());
    EXPECT_NE(random_bits(), random_bits());
}

}  // namespace
}  // namespace touchpoint::gateway
