// A gateway whose data lies on a small disk of its own (ext4 on a loop device), filled up while the platform
// is away: by the bound of its configuration, and by a disk that has no more room. What goes and what stays,
// that every missing number is explained in its place, and that nobody has to help.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/support/broker.hpp"
#include "tests/support/gateway_process.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"
#include "tests/system/hostile_mqtt.hpp"
#include "tools/platform/puller.hpp"

namespace touchpoint::tests {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::uint64_t mib = 1u << 20;
constexpr std::size_t event_bytes = 200'000;
constexpr int sales_max = 2'000;  // it must be full long before

struct Fill {
    const char* name;
    std::uint64_t disk_bytes;
    std::uint64_t store_bytes;
    int messages;  // of each stream that is filled before the sales
    std::vector<std::string> order;
};

void PrintTo(const Fill& fill, std::ostream* out) { *out << fill.name; }

class FullDiskTest : public ::testing::TestWithParam<Fill> {
  protected:
    void SetUp() override {
        const fs::path image = folder_.path() / "disk.img";
        write_file(image, "");
        fs::resize_file(image, GetParam().disk_bytes);
        fs::create_directories(disk());
        const bool made = run({"mkfs.ext4", "-q", "-F", "-m", "0", image.string()}) == "0";
        mounted_ = made && run({"mount", "-o", "loop", image.string(), disk().string()}) == "0";
        if (!mounted_)
            GTEST_SKIP() << "no loop device can be mounted here: " << read_file(folder_.path() / "run.log");
        broker_.start();
        gateway_ = std::make_unique<GatewayProcess>(
            fs::path(BINARY_DIR), folder_.path() / "gateway", broker_.url(),
            "[http.platform]\nlisten = \"127.0.0.1:" + std::to_string(platform_port_) + "\"\n");
        fs::create_directories(gateway_->config().parent_path() / "conf.d");
        write_file(
            gateway_->config().parent_path() / "conf.d" / "small.toml",
            "[store]\nbytes = " + std::to_string(GetParam().store_bytes) +
                "\ncommit_interval_ms = 20\njournal_soft_bytes = 1048576\njournal_hard_bytes = 4194304\n");
        gateway_->start();
        device_ = std::make_unique<MqttWire>(broker_.port(), "device");
        ASSERT_TRUE(device_->subscribe("touchpoint/v1/pos/t1/receipt"));
    }
    void TearDown() override {
        puller_.reset();
        if (gateway_) gateway_->stop();
        gateway_.reset();
        if (mounted_) {
            EXPECT_EQ(run({"umount", "-d", disk().string()}), "0");
        }
    }
    fs::path disk() const { return folder_.path() / "gateway" / "data"; }

    // The exit status, as text: what it said is in run.log.
    std::string run(const std::vector<std::string>& arguments) {
        Process process(arguments, folder_.path() / "run.log");
        const auto status = process.wait(seconds(60));
        return status ? std::to_string(*status) : "it did not end";
    }
    // Status code and Retry-After.
    std::string http(const std::string& method, int port, const std::string& target,
                     const std::string& body = "") {
        const fs::path out = folder_.path() / "http.out";
        fs::remove(out);
        Process process({"curl", "-s", "-m", "30", "-o", "/dev/null", "-w",
                         "%{http_code} retry-after=%header{retry-after}", "-X", method, "-d", body,
                         "http://127.0.0.1:" + std::to_string(port) + target},
                        out);
        process.wait(seconds(60));
        return read_file(out);
    }

    double of(const std::string& metric, const std::string& stream) const {
        return gateway_->metric("touchpoint_store_" + metric + "{stream=\"" + stream + "\"}").value_or(-1);
    }
    bool stopped() const { return gateway_->metric("touchpoint_mqtt_closed_for_room").value_or(0) == 1; }

    void publish(const std::string& stream) {
        static const std::map<std::string, std::string> topics{{"customer", "kiosk/k7/event/identify"},
                                                               {"sales", "pos/t1/event/sale"},
                                                               {"interactions", "kiosk/k7/event/view"},
                                                               {"telemetry", "beacon/b1/event/seen"},
                                                               {"quarantine", "kiosk/k7/event/view"}};
        std::string noise;
        while (noise.size() < event_bytes) noise += std::to_string(random_());
        const std::string id = stream + "-" + std::to_string(++sent_[stream]);
        const std::string event = R"({"event_id":")" + id + R"(","note":"x)" + noise + "\"";
        ASSERT_EQ(device_->publish("touchpoint/v1/" + topics.at(stream),
                                   stream == "quarantine" ? event : event + "}"),
                  0);
    }
    // One after the other, each safe before the next is sent, as long as intake is open.
    void fill(
        const std::string& stream, int count, const std::function<void()>& look = [] {}) {
        for (int i = 0; i < count && !stopped(); ++i) {
            publish(stream);
            if (HasFatalFailure()) return;
            ASSERT_TRUE(wait_for([&] { return of("horizon_sequence", stream) >= sent_[stream] || stopped(); },
                                 seconds(60)))
                << stream << " " << gateway_->log();
            look();
            if (HasFatalFailure()) return;
        }
    }
    // Lower streams are given up before higher ones; the gateway itself writes a line of telemetry now and
    // then.
    void expect_order() const {
        constexpr double own = 5;
        if (of("shed_total", "telemetry") > 0) {
            EXPECT_LE(of("events", "quarantine"), 0);
        }
        if (of("shed_total", "interactions") > 0) {
            EXPECT_LE(of("events", "telemetry"), own);
        }
        EXPECT_EQ(of("shed_total", "sales"), 0);
        EXPECT_EQ(of("shed_total", "customer"), 0);
    }

    TempFolder folder_;
    Broker broker_{folder_.path() / "broker"};
    int platform_port_ = free_port();
    bool mounted_ = false;
    std::mt19937_64 random_{1};
    std::map<std::string, int> sent_;
    std::unique_ptr<GatewayProcess> gateway_;
    std::unique_ptr<MqttWire> device_;
    std::unique_ptr<platform::Puller> puller_;
};

TEST_P(FullDiskTest, LowStreamsGoHighOnesStayEveryNumberIsExplainedAndNobodyHelps) {
    platform::Puller::Options options;
    options.port = platform_port_;
    options.streams = {"customer", "sales", "interactions", "telemetry", "quarantine"};
    puller_ = std::make_unique<platform::Puller>(options);
    ASSERT_TRUE(wait_for([&] { return puller_->made(); }));
    puller_->set_away(true);
    ASSERT_THAT(http("PUT", platform_port_, "/v1/consumers/second"), StartsWith("201"));

    for (const std::string& stream : GetParam().order) {
        fill(stream, GetParam().messages);
        if (HasFatalFailure()) return;
        ASSERT_FALSE(stopped()) << "full with " << stream;
    }
    int looked = 0;
    fill("sales", sales_max, [&] {
        if (++looked % 20 == 0) expect_order();
    });
    if (HasFatalFailure()) return;
    ASSERT_TRUE(stopped()) << sent_["sales"] << " sales did not fill it";
    expect_order();
    EXPECT_GT(of("shed_total", "quarantine"), 0);
    EXPECT_GT(of("shed_total", "telemetry"), 0);
    EXPECT_GT(of("shed_total", "interactions"), 0);

    // Devices are told; what they send meanwhile waits in the broker.
    MqttWire screen(broker_.port(), "screen");
    ASSERT_TRUE(screen.subscribe("touchpoint/v1/gateway/status"));
    const auto said = screen.next("touchpoint/v1/gateway/status");
    ASSERT_TRUE(said);
    EXPECT_THAT(said->payload, HasSubstr("\"accepting\":false"));
    EXPECT_THAT(http("POST", gateway_->port(), "/v1/events?device=pos/t1&event=sale", "{}"),
                StartsWith("503 retry-after=1"));
    for (int i = 0; i < 5; ++i) publish("sales");
    // A consumer goes: deletes need room, and there is some for them.
    EXPECT_THAT(http("DELETE", platform_port_, "/v1/consumers/second"), StartsWith("20"));
    gateway_->kill();
    gateway_->start(false);
    EXPECT_TRUE(gateway_->process().running());

    // The platform comes back, and that is all that happens.
    puller_->set_away(false);
    ASSERT_TRUE(wait_for(
        [&] {
            const auto have = puller_->summary();
            return have.events_in("sales") == static_cast<std::uint64_t>(sent_["sales"]) &&
                   have.events_in("customer") == static_cast<std::uint64_t>(sent_["customer"]) &&
                   !stopped() && of("events", "sales") == 0;
        },
        seconds(180)))
        << sent_["sales"] << " " << puller_->summary().to_json() << gateway_->log();
    fill("sales", 1);
    ASSERT_TRUE(wait_for(
        [&] { return puller_->summary().events_in("sales") == static_cast<std::uint64_t>(sent_["sales"]); }));
    const auto have = puller_->summary();
    EXPECT_EQ(have.error_count(), 0u) << have.to_json();  // no hole, no repeat, nothing out of order
    EXPECT_GE(have.gaps, 3u);
    for (const auto& stream : have.streams) {
        // What it had taken before it went away, events of the gateway itself, is shed for the others only.
        EXPECT_LE(static_cast<double>(stream.missing), of("shed_total", stream.stream)) << stream.stream;
        EXPECT_GE(static_cast<double>(stream.missing), of("shed_total", stream.stream) - 5) << stream.stream;
        EXPECT_LE(stream.last, static_cast<std::uint64_t>(of("horizon_sequence", stream.stream)))
            << stream.stream;
        EXPECT_EQ(stream.events + stream.missing, stream.last) << stream.stream;
    }
}

const std::vector<std::string> low_first{"quarantine", "telemetry", "interactions", "customer"};
const std::vector<std::string> high_first{"customer", "interactions", "telemetry", "quarantine"};

INSTANTIATE_TEST_SUITE_P(, FullDiskTest,
                         ::testing::Values(Fill{"BoundLowFirst", 256 * mib, 64 * mib, 30, low_first},
                                           Fill{"BoundHighFirst", 256 * mib, 64 * mib, 30, high_first},
                                           Fill{"NoSpaceLowFirst", 32 * mib, 1024 * mib, 15, low_first},
                                           Fill{"NoSpaceHighFirst", 32 * mib, 1024 * mib, 15, high_first}),
                         [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace touchpoint::tests
