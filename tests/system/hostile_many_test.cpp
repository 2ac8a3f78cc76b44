// Many of what is harmless once: devices, and messages in quarantine. What is held in memory has a bound, and
// the technician's command still answers.
//
// TOUCHPOINT_HOSTILE_QUARANTINE=1000000 makes the second one as large as the contract says.
#include <gmock/gmock.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "tests/support/wait.hpp"
#include "tests/system/hostile_shop.hpp"

namespace touchpoint::tests {
namespace {

using std::chrono::seconds;

constexpr std::size_t memory_grows_max = 64u << 20;

class HostileManyTest : public HostileShop {
  protected:
    void status_answers() {
        const auto began = std::chrono::steady_clock::now();
        std::optional<int> ended;
        const std::string text = command({"status"}, &ended);
        took_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
        EXPECT_FALSE(text.empty());
        EXPECT_TRUE(ended);
        EXPECT_LT(took_, 30) << "seconds, also on a busy machine";
    }
    double took_ = 0;
};

TEST_F(HostileManyTest, TenThousandDevicesAndMoreAreServedAndTheRegistryHasABound) {
    constexpr int devices = 12'000;  // two thousand more than are kept by name
    const std::size_t before = anonymous_bytes();
    const double sensors = horizon("telemetry");
    MqttWire wire(broker_port(), "many");
    ASSERT_TRUE(wire.connected());
    std::vector<std::string> topics;
    for (int i = 0; i < devices; ++i)
        topics.push_back("touchpoint/v1/sensor/many-" + std::to_string(i) + "/event/reading");
    ASSERT_TRUE(wire.publish_all(topics, "{}"));
    ASSERT_TRUE(wait_for([&] { return horizon("telemetry") >= sensors + devices; }, seconds(300)));
    EXPECT_EQ(metric("touchpoint_devices"), 10'000);
    status_answers();
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
    EXPECT_LT(anonymous_bytes(), before + memory_grows_max);
#endif
    std::cout << devices << " devices: RssAnon " << before / 1024 << " to " << anonymous_bytes() / 1024
              << " KiB, status in " << took_ << " s\n";
    a_sale_goes_through();
}

TEST_F(HostileManyTest, AFullQuarantineIsListedAndKeepsNothingInMemory) {
    const char* wanted = std::getenv("TOUCHPOINT_HOSTILE_QUARANTINE");
    const int thousands = (wanted != nullptr ? std::stoi(wanted) : 10'000) / 1'000;
    std::string bad = "[1";
    for (int i = 1; i < 1'000; ++i) bad += ",1";
    bad += "]";
    const std::size_t before = anonymous_bytes();
    const double had = horizon("quarantine");
    MqttWire wire(broker_port(), "bad");
    const std::vector<std::string> topics(static_cast<std::size_t>(thousands),
                                          "touchpoint/v1/kiosk/k7/event/search");
    ASSERT_TRUE(wire.publish_all(topics, bad));
    ASSERT_TRUE(wait_for([&] { return horizon("quarantine") >= had + thousands * 1'000; }, seconds(600)))
        << horizon("quarantine");
    status_answers();
    EXPECT_THAT(newest_in_quarantine(), testing::HasSubstr("not-an-object"));
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
    EXPECT_LT(anonymous_bytes(), before + memory_grows_max);
#endif
    std::cout << thousands * 1'000 << " in quarantine: RssAnon " << before / 1024 << " to "
              << anonymous_bytes() / 1024 << " KiB, status in " << took_ << " s\n";
    a_sale_goes_through();
}

}  // namespace
}  // namespace touchpoint::tests
