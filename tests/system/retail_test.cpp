// Real invoices and real beacon readings through the whole house: tills and beacons over MQTT, Mosquitto, the
// gateway, the uplink, a platform. On the way the uplink is away for a third of the run, the gateway is
// killed five times and Mosquitto restarted once. What arrives is compared with the file, not with our
// counters.
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>

#include "tests/support/broker.hpp"
#include "tests/support/gateway_process.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"
#include "tools/platform/server.hpp"

namespace touchpoint::tests {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

constexpr double invoice_runs = 12'796;  // of the file; one invoice comes back later
constexpr int beacon_readings = 6'000;

std::string push_to(const platform::Server& platform) {
    return "[[uplink.push]]\nname = \"platform\"\nurl = \"" + platform.url() +
           "\"\nretry_first_ms = 100\nretry_max_ms = 1000\n";
}

// Runs a program of the project to its end.
int run(const std::vector<std::string>& arguments, const fs::path& output, seconds deadline = seconds(120)) {
    Process process(arguments, output);
    return process.wait(deadline).value_or(-1);
}

// True when the platform has every number that the gateway has given.
bool platform_has_all(const GatewayProcess& gateway, const platform::Server& platform) {
    const auto summary = platform.summary();
    for (const std::string stream : {"customer", "sales", "interactions", "telemetry"}) {
        const auto horizon = gateway.metric("touchpoint_store_horizon_sequence{stream=\"" + stream + "\"}");
        if (!horizon) return false;
        std::uint64_t last = 0;
        for (const auto& s : summary.streams)
            if (s.stream == stream) last = s.last;
        if (static_cast<double>(last) < *horizon) return false;
    }
    return true;
}

class RetailTest : public ::testing::Test {
  protected:
    void SetUp() override {
        const char* data = std::getenv("TOUCHPOINT_DATA");
        if (data == nullptr) GTEST_SKIP() << "SKIPPED: TOUCHPOINT_DATA is not set, the real data is not here";
        retail_ = fs::path(data) / "retail" / "online-retail-2010-12_2011-06.csv.gz";
        beacons_ = fs::path(data) / "ble" / "tetam-tracks-a.csv.gz";
        if (!fs::exists(retail_) || !fs::exists(beacons_))
            GTEST_SKIP() << "SKIPPED: " << retail_ << " or " << beacons_ << " is not here";
    }
    fs::path retail_;
    fs::path beacons_;
};

TEST_F(RetailTest, EverySaleOfTheFileArrivesThroughKillsAndOutages) {
    const fs::path build = BINARY_DIR;
    TempFolder folder;
    const fs::path events = folder.path() / "events.ndjson";
    platform::Server::Options options;
    options.out = events;
    auto platform = platform::Server::start(options);
    ASSERT_TRUE(platform);
    Broker broker(folder.path() / "broker");
    broker.start();
    GatewayProcess gateway(build, folder.path() / "gateway", broker.url(), push_to(**platform));
    gateway.start();

    const fs::path ledger = folder.path() / "ledger.ndjson";
    Process shop(
        {(build / "gateway" / "command" / "touchpoint").string(), "simulate", "--url", broker.url(),
         "--replay", retail_.string(), "--tills", "10", "--beacons-csv", beacons_.string(), "--beacon-rate",
         "150", "--beacon-events", std::to_string(beacon_readings), "--ledger", ledger.string(), "--quiet"},
        folder.path() / "shop.log");

    struct Step {
        double progress;
        std::function<void()> action;
    };
    const auto kill_and_start = [&] {
        gateway.kill();
        gateway.start();
    };
    std::vector<Step> steps = {
        {0.10, kill_and_start},
        {0.25, kill_and_start},
        {0.33, [&] { (*platform)->control(R"({"mode":"down"})"); }},
        {0.45, kill_and_start},
        {0.55, [&] { broker.stop(), broker.start(); }},
        {0.60, kill_and_start},
        {0.67, [&] { (*platform)->control(R"({"mode":"up"})"); }},
        {0.85, kill_and_start},
    };
    for (const Step& step : steps) {
        ASSERT_TRUE(wait_for(
            [&] {
                const auto sales = gateway.metric("touchpoint_store_horizon_sequence{stream=\"sales\"}");
                return !shop.running() || (sales && *sales >= step.progress * invoice_runs);
            },
            seconds(300)))
            << gateway.log() << read_file(folder.path() / "shop.log");
        ASSERT_TRUE(shop.running()) << "the shop was through before everything had happened to it: "
                                    << read_file(folder.path() / "shop.log");
        step.action();
        if (HasFatalFailure()) return;
    }
    ASSERT_EQ(shop.wait(seconds(600)), 0) << read_file(folder.path() / "shop.log");
    ASSERT_TRUE(wait_for([&] { return platform_has_all(gateway, **platform); }, seconds(120)))
        << gateway.log() << (*platform)->summary().to_json();
    EXPECT_LT(gateway.stop(), seconds(2));
    const auto summary = (*platform)->summary();
    (*platform)->stop();

    EXPECT_EQ(summary.error_count(), 0u) << summary.to_json();
    EXPECT_EQ(summary.gaps, 0u);
    const fs::path verdict = folder.path() / "verdict.log";
    EXPECT_EQ(
        run({"python3", SOURCE_DIR "/tests/system/compare_retail.py", retail_.string(), events.string()},
            verdict),
        0);
    EXPECT_EQ(run({"python3", SOURCE_DIR "/tools/verify-ledger", "--ledger", ledger.string(), "--events",
                   events.string()},
                  verdict),
              0);
    std::cout << read_file(verdict);
}

}  // namespace
}  // namespace touchpoint::tests
