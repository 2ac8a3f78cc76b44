#include "devices/registry.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace touchpoint::devices {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

struct RegistryTest : testing::Test {
    const Device& device(const DeviceAddress& address) { return registry.devices().at(address.key()); }
    const DeviceAddress k7{"kiosk", "k7"};
    const DeviceAddress b1{"beacon", "b1"};
    UtcTime now{1'790'000'000'000};
    SteadyTime steady{std::chrono::hours(1)};
    Registry registry;
};

TEST_F(RegistryTest, StatusIsReadAsJsonAndAsABareWord) {
    EXPECT_TRUE(registry.status(k7, R"({"state":"online","session":17,"sw":"1.2.3"})", now));
    EXPECT_TRUE(registry.status(b1, "online", now));
    EXPECT_EQ(device(k7).state, DeviceState::online);
    EXPECT_EQ(device(k7).session, 17u);
    EXPECT_EQ(device(k7).sw, "1.2.3");
    EXPECT_EQ(registry.online(), 2u);
    EXPECT_TRUE(registry.status(b1, "\"offline\"", now));
    EXPECT_EQ(registry.online(), 1u);
    EXPECT_FALSE(registry.status(b1, "{\"state\":\"dancing\"}", now));
    EXPECT_FALSE(registry.status(b1, "{broken", now));
    EXPECT_EQ(device(b1).state, DeviceState::offline);
    EXPECT_TRUE(registry.status(b1, "", now));
    EXPECT_EQ(device(b1).state, DeviceState::unknown);
}

TEST_F(RegistryTest, TheWillOfAnOlderSessionDoesNotOverrideANewerBirth) {
    registry.status(k7, R"({"state":"online","session":18})", now);
    registry.status(k7, R"({"state":"offline","session":17})", now);
    EXPECT_EQ(device(k7).state, DeviceState::online);
    registry.status(k7, R"({"state":"offline","session":18})", now);
    EXPECT_EQ(device(k7).state, DeviceState::offline);
    // A device that was reset counts from 1 again, and it does live.
    registry.status(k7, R"({"state":"online","session":1})", now);
    EXPECT_EQ(device(k7).state, DeviceState::online);
    EXPECT_EQ(device(k7).session, 1u);
}

TEST_F(RegistryTest, ChangedRowsAreGivenOnceAMinuteAndComeBackAfterARestart) {
    registry.status(k7, R"({"state":"online","session":17,"sw":"a\"b"})", now);
    const auto rows = registry.take_changed_rows(steady);
    ASSERT_THAT(rows, SizeIs(1));
    EXPECT_EQ(rows[0].first, "kiosk/k7");
    registry.seen(b1, now);
    EXPECT_THAT(registry.take_changed_rows(steady + std::chrono::seconds(59)), IsEmpty());
    EXPECT_THAT(registry.take_changed_rows(steady + std::chrono::seconds(60)), SizeIs(1));

    Registry next;
    next.load(rows);
    next.load({{"kiosk/broken", "{"}, {"kiosk/odd", "[]"}});
    ASSERT_EQ(next.count(), 1u);
    EXPECT_EQ(next.online(), 1u);
    EXPECT_EQ(next.devices().at("kiosk/k7").session, 17u);
    EXPECT_EQ(next.devices().at("kiosk/k7").sw, "a\"b");
    EXPECT_EQ(next.devices().at("kiosk/k7").first_seen, now);
    EXPECT_THAT(next.take_changed_rows(steady), IsEmpty());
}

TEST_F(RegistryTest, TrafficAloneIsWrittenRarely) {
    registry.seen(k7, now);
    registry.take_changed_rows(steady);
    registry.seen(k7, now + std::chrono::minutes(14));
    EXPECT_THAT(registry.take_changed_rows(steady + std::chrono::minutes(14)), IsEmpty());
    registry.seen(k7, now + std::chrono::minutes(15));
    EXPECT_THAT(registry.take_changed_rows(steady + std::chrono::minutes(15)), SizeIs(1));
}

TEST_F(RegistryTest, RowsThatCouldNotBeWrittenAreGivenAgain) {
    registry.seen(k7, now);
    const auto rows = registry.take_changed_rows(steady);
    registry.not_written(rows);
    EXPECT_EQ(registry.take_changed_rows(steady + Registry::write_interval), rows);
}

TEST_F(RegistryTest, DevicesBeyondTheBoundAreCountedAndNotKept) {
    for (std::size_t i = 0; i <= Registry::devices_max; ++i)
        registry.seen({"sensor", "s" + std::to_string(i)}, now);
    EXPECT_EQ(registry.count(), Registry::devices_max);
    EXPECT_EQ(registry.unregistered(), 1u);
    EXPECT_THAT(registry.take_changed_rows(steady), SizeIs(Registry::rows_max));
}

}  // namespace
}  // namespace touchpoint::devices
