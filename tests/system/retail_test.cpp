// Real invoices and real beacon readings through the whole house: tills and beacons over MQTT, Mosquitto, the
// gateway, the uplink, a platform that is pushed to or pulls. On the way the platform is away for a third of
// the run, the gateway is killed five times and Mosquitto restarted once. What arrives is compared with the
// file, not with our counters.
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/broker.hpp"
#include "tests/support/gateway_process.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"
#include "tools/platform/puller.hpp"
#include "tools/platform/server.hpp"

namespace touchpoint::tests {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

constexpr double invoice_runs = 12'796;  // of the file; one invoice comes back later
constexpr int beacon_readings = 6'000;

// How the platform comes to its events; what it has is in the file `out`.
class Way {
  public:
    virtual ~Way() = default;
    virtual std::string configuration() const = 0;
    virtual void begin() = 0;  // the gateway is there, the shop not yet
    virtual void set_away(bool away) = 0;
    virtual platform::Summary summary() const = 0;
    virtual void stop() = 0;
};

class Pushed final : public Way {
  public:
    explicit Pushed(const fs::path& out) {
        platform::Server::Options options;
        options.out = out;
        auto started = platform::Server::start(options);
        EXPECT_TRUE(started);
        if (started) server_ = std::move(*started);
    }
    std::string configuration() const override {
        return "[[uplink.push]]\nname = \"platform\"\nurl = \"" + server_->url() +
               "\"\nretry_first_ms = 100\nretry_max_ms = 1000\n";
    }
    void begin() override {}
    void set_away(bool away) override { server_->control(away ? R"({"mode":"down"})" : R"({"mode":"up"})"); }
    platform::Summary summary() const override { return server_->summary(); }
    void stop() override { server_->stop(); }

  private:
    std::unique_ptr<platform::Server> server_;
};

class Pulled final : public Way {
  public:
    explicit Pulled(fs::path out) : out_(std::move(out)) {}
    std::string configuration() const override {
        return "[http.platform]\nlisten = \"127.0.0.1:" + std::to_string(port_) + "\"\n";
    }
    void begin() override {
        platform::Puller::Options options;
        options.port = port_;
        options.encoding = "gzip";
        options.out = out_;
        puller_ = std::make_unique<platform::Puller>(options);
        EXPECT_TRUE(wait_for([&] { return puller_->made(); })) << puller_->summary().to_json();
    }
    void set_away(bool away) override { puller_->set_away(away); }
    platform::Summary summary() const override { return puller_->summary(); }
    void stop() override { puller_->stop(); }

  private:
    const fs::path out_;
    const int port_ = free_port();
    std::unique_ptr<platform::Puller> puller_;
};

struct Variant {
    std::string name;
    std::unique_ptr<Way> (*make)(const fs::path& out);
    int beacon_rate;  // readings a second
};
void PrintTo(const Variant& variant, std::ostream* out) { *out << variant.name; }

// Runs a program of the project to its end.
int run(const std::vector<std::string>& arguments, const fs::path& output, seconds deadline = seconds(120)) {
    Process process(arguments, output);
    return process.wait(deadline).value_or(-1);
}

// True when the platform has every number that the gateway has given.
bool platform_has_all(const GatewayProcess& gateway, const platform::Summary& summary) {
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

class RetailTest : public ::testing::TestWithParam<Variant> {
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

TEST_P(RetailTest, EverySaleOfTheFileArrivesThroughKillsAndOutages) {
    const fs::path build = BINARY_DIR;
    TempFolder folder;
    const fs::path events = folder.path() / "events.ndjson";
    const auto platform = GetParam().make(events);
    Broker broker(folder.path() / "broker");
    broker.start();
    GatewayProcess gateway(build, folder.path() / "gateway", broker.url(), platform->configuration());
    gateway.start();
    platform->begin();
    if (HasFailure()) return;

    const fs::path ledger = folder.path() / "ledger.ndjson";
    Process shop({(build / "gateway" / "command" / "touchpoint").string(), "simulate", "--url", broker.url(),
                  "--replay", retail_.string(), "--tills", "10", "--beacons-csv", beacons_.string(),
                  "--beacon-rate", std::to_string(GetParam().beacon_rate), "--beacon-events",
                  std::to_string(beacon_readings), "--ledger", ledger.string(), "--quiet"},
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
        {0.33, [&] { platform->set_away(true); }},
        {0.45, kill_and_start},
        {0.55, [&] { broker.stop(), broker.start(); }},
        {0.60, kill_and_start},
        {0.67, [&] { platform->set_away(false); }},
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
    ASSERT_TRUE(wait_for([&] { return platform_has_all(gateway, platform->summary()); }, seconds(120)))
        << gateway.log() << platform->summary().to_json();
    EXPECT_LT(gateway.stop(), seconds(20));
    const auto summary = platform->summary();
    platform->stop();

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

// The pull runs beside the push where tests run side by side: its beacons are quicker, so that it is the
// shorter.
INSTANTIATE_TEST_SUITE_P(Platform, RetailTest,
                         ::testing::Values(Variant{"push",
                                                   [](const fs::path& out) -> std::unique_ptr<Way> {
                                                       return std::make_unique<Pushed>(out);
                                                   },
                                                   150},
                                           Variant{"pull",
                                                   [](const fs::path& out) -> std::unique_ptr<Way> {
                                                       return std::make_unique<Pulled>(out);
                                                   },
                                                   600}),
                         [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace touchpoint::tests
