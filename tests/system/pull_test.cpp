// Three platforms of different speed pull what a shop sends, while a fourth is pushed to, and the gateway is
// killed again and again. What each got is compared with what was sent, not with the gateway's counters.
//
// TOUCHPOINT_PULL_EVENTS: how many events (default 60000, a tenth of it under a sanitizer; 1000000 takes
// minutes).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/broker.hpp"
#include "tests/support/gateway_process.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"
#include "tools/platform/json_scan.hpp"
#include "tools/platform/puller.hpp"
#include "tools/platform/server.hpp"

namespace touchpoint::tests {
namespace {

namespace fs = std::filesystem;
using platform::for_each_member;
using platform::text_of;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr std::uint32_t events_default = 6'000;
#else
constexpr std::uint32_t events_default = 60'000;
#endif
constexpr std::uint32_t items = 100;  // in each message
constexpr std::uint32_t events_least = 10 * items;

std::uint32_t events_wanted() {
    const char* text = std::getenv("TOUCHPOINT_PULL_EVENTS");
    const unsigned long wanted = text == nullptr ? events_default : std::strtoul(text, nullptr, 10);
    return std::max(static_cast<std::uint32_t>(wanted) / events_least * events_least, events_least);
}

std::uint64_t number(std::string_view text) { return std::strtoull(std::string(text).c_str(), nullptr, 10); }

// What one kind of device sends: ids `first` to `last`, in messages of `items`.
struct Share {
    std::string topic;
    std::uint32_t first;
    std::uint32_t last;

    std::string lines() const {
        std::string lines;
        for (std::uint32_t id = first; id <= last; ++id) {
            lines += ((id - first) % items == 0 ? R"([{"event_id":")" : R"(,{"event_id":")") +
                     std::to_string(id) + "\"}";
            if ((id - first) % items == items - 1) lines += "]\n";
        }
        return lines;
    }
};

// What one platform holds: of each id, how many events, and the number of the last one. 5 bytes for each id.
class Holds {
  public:
    explicit Holds(std::uint32_t last) : copies_(last + 1), sequences_(last + 1) {}
    void take(std::string_view event) {
        std::string_view id, sequence;
        for_each_member(event, [&](std::string_view key, std::string_view value) {
            if (key == "id") id = text_of(value);
            if (key == "sequence") sequence = text_of(value);
        });
        // Those of the gateway itself, and of the quarantine, are ULIDs.
        const bool of_the_shop = id.find_first_not_of("0123456789") == std::string_view::npos;
        const std::uint64_t which = of_the_shop ? number(id) : 0;
        if (which == 0 || which >= copies_.size()) return;
        ++copies_[which];
        sequences_[which] = static_cast<std::uint32_t>(number(sequence));
    }
    // How many ids of the share are not here exactly `copies` times.
    std::uint32_t not_there(const Share& share, int copies) const {
        std::uint32_t count = 0;
        for (std::uint32_t id = share.first; id <= share.last; ++id) count += copies_[id] != copies ? 1 : 0;
        return count;
    }
    // How many ids of the share have another number than there.
    std::uint32_t numbered_otherwise(const Share& share, const Holds& other) const {
        std::uint32_t count = 0;
        for (std::uint32_t id = share.first; id <= share.last; ++id)
            count += sequences_[id] != other.sequences_[id] ? 1 : 0;
        return count;
    }

  private:
    std::vector<std::uint8_t> copies_;
    std::vector<std::uint32_t> sequences_;
};

struct Memory {
    std::uint64_t least_kb = UINT64_MAX;
    std::uint64_t most_kb = 0;
    std::uint64_t last_kb = 0;
    void look(pid_t pid) {
        std::ifstream status("/proc/" + std::to_string(pid) + "/status");
        for (std::string line; std::getline(status, line);) {
            if (!line.starts_with("RssAnon:")) continue;
            last_kb = number(line.substr(line.find_first_of("0123456789")));
            least_kb = std::min(least_kb, last_kb);
            most_kb = std::max(most_kb, last_kb);
        }
    }
};

class PullersTest : public ::testing::Test {
  protected:
    void SetUp() override {
        auto started = platform::Server::start({});
        ASSERT_TRUE(started);
        pushed_ = std::move(*started);
        broker_.start();
        gateway_ = std::make_unique<GatewayProcess>(
            fs::path(BINARY_DIR), folder_.path() / "gateway", broker_.url(),
            "[[uplink.push]]\nname = \"push\"\nurl = \"" + pushed_->url() +
                "\"\nretry_first_ms = 50\nretry_max_ms = 500\n[http.platform]\nlisten = \"127.0.0.1:" +
                std::to_string(port_) + "\"\n");
        gateway_->start();
    }

    std::unique_ptr<platform::Puller> pull(const std::string& name, Holds& holds,
                                           platform::Puller::Options options) {
        options.port = port_;
        options.consumer = name;
        options.on_event = [&holds](std::string_view event) { holds.take(event); };
        auto puller = std::make_unique<platform::Puller>(std::move(options));
        EXPECT_TRUE(wait_for([&] { return puller->made(); })) << puller->summary().to_json();
        return puller;
    }

    std::unique_ptr<Process> publish(const std::string& topic, const std::string& lines) {
        const fs::path file = folder_.path() / ("lines" + std::to_string(++files_));
        write_file(file, lines);
        return std::make_unique<Process>(
            std::vector<std::string>{"sh", "-c",
                                     "exec mosquitto_pub -h 127.0.0.1 -p " + std::to_string(broker_.port()) +
                                         " -q 1 -l -t " + topic + " <" + file.string()},
            folder_.path() / "pub.log");
    }

    std::string command(std::vector<std::string> arguments) {
        const fs::path out = folder_.path() / "command.out";
        fs::remove(out);
        arguments.insert(arguments.begin(),
                         {(fs::path(BINARY_DIR) / "gateway" / "command" / "touchpoint").string(), "--socket",
                          gateway_->control_socket().string()});
        Process process(arguments, out);
        process.wait();
        return read_file(out);
    }

    // Consumer and stream -> what it has acknowledged, as the gateway tells the platform.
    std::map<std::string, std::uint64_t> positions() const {
        std::map<std::string, std::uint64_t> found;
        const std::string picture = http_get(port_, "/v1/consumers").value_or("");
        for_each_member(picture, [&](std::string_view key, std::string_view value) {
            std::vector<std::string_view> consumers;
            if (key != "consumers" || !platform::split_array(value, consumers)) return;
            for (const std::string_view consumer : consumers) {
                std::string_view name, streams;
                for_each_member(consumer, [&](std::string_view member, std::string_view what) {
                    if (member == "name") name = text_of(what);
                    if (member == "streams") streams = what;
                });
                for_each_member(streams, [&](std::string_view stream, std::string_view state) {
                    for_each_member(state, [&](std::string_view member, std::string_view what) {
                        if (member == "acknowledged")
                            found[std::string(name) + " " + std::string(stream)] = number(what);
                    });
                });
            }
        });
        return found;
    }

    // The answer waits for a flush, and the disk may have other work.
    std::map<std::string, std::uint64_t> positions_when_told() const {
        std::map<std::string, std::uint64_t> found;
        EXPECT_TRUE(wait_for([&] { return !(found = positions()).empty(); }, seconds(60)));
        return found;
    }

    // kill -9 and start; what was shown as acknowledged before is acknowledged after.
    void kill_and_start() {
        const auto before = positions_when_told();
        gateway_->kill();
        gateway_->start();
        const auto after = positions_when_told();
        EXPECT_GE(before.size(), 4u);
        for (const auto& [where, position] : before) {
            ASSERT_TRUE(after.contains(where)) << where;
            EXPECT_GE(after.at(where), position) << where;
        }
    }

    std::uint64_t horizon() const {
        double all = 0;
        for (const char* stream : {"sales", "interactions", "telemetry"})
            all +=
                gateway_->metric("touchpoint_store_horizon_sequence{stream=\"" + std::string(stream) + "\"}")
                    .value_or(0);
        return static_cast<std::uint64_t>(all);
    }

    // From the control socket: events held in all streams, and bytes in use. Empty: it did not answer.
    std::optional<std::pair<std::uint64_t, std::uint64_t>> held() {
        const std::string body = command({"backlog", "--json"});
        std::optional<std::uint64_t> used;
        std::uint64_t events = 0;
        for_each_member(body, [&](std::string_view key, std::string_view value) {
            if (key == "used_bytes") used = number(value);
            std::vector<std::string_view> streams;
            if (key != "streams" || !platform::split_array(value, streams)) return;
            for (const std::string_view stream : streams)
                for_each_member(stream, [&](std::string_view member, std::string_view what) {
                    if (member == "events") events += number(what);
                });
        });
        if (!used) return std::nullopt;
        return std::pair(events, *used);
    }

    TempFolder folder_;
    Broker broker_{folder_.path() / "broker"};
    int port_ = free_port();
    int files_ = 0;
    std::unique_ptr<platform::Server> pushed_;
    std::unique_ptr<GatewayProcess> gateway_;
};

TEST_F(PullersTest, ThreePullersOfDifferentSpeedHaveEveryEventOnceThroughKillsWhilePushRuns) {
    const auto began = std::chrono::steady_clock::now();
    const std::uint32_t events = events_wanted();
    const std::uint32_t tenth = events / 10;
    const Share sales{"touchpoint/v1/pos/t1/event/sale", 1, tenth};
    const Share views{"touchpoint/v1/kiosk/k7/event/view", tenth + 1, 5 * tenth};
    const Share readings{"touchpoint/v1/beacon/b1/event/seen", 5 * tenth + 1, events};

    // A gap on the way of whoever reads the quarantine: the second of three is discarded.
    ASSERT_EQ(publish("touchpoint/v1/kiosk/k7/event/view", "{1\n{2\n{3\n")->wait(), 0);
    ASSERT_TRUE(wait_for(
        [&] { return gateway_->metric("touchpoint_store_horizon_sequence{stream=\"quarantine\"}") == 3; }));
    command({"quarantine", "discard", "2"});

    Holds fast_holds(events), slow_holds(events), choosy_holds(events);
    const auto fast = pull("fast", fast_holds, {});
    platform::Puller::Options options;
    options.streams = {"customer", "sales", "interactions", "telemetry", "quarantine"};
    options.encoding = "zstd";
    options.array = true;
    options.max = 200;
    options.pace = milliseconds(20);
    const auto slow = pull("slow", slow_holds, options);
    options = {};
    options.streams = {"sales", "telemetry"};
    options.types = "store.pos.sale.v1,store.beacon.*";
    options.encoding = "gzip";
    options.ride = true;
    const auto choosy = pull("choosy", choosy_holds, options);
    if (HasFailure()) return;

    Memory memory;
    std::vector<std::unique_ptr<Process>> shop;
    for (const Share& share : {sales, views, readings}) shop.push_back(publish(share.topic, share.lines()));
    const auto step = [&](const std::function<bool()>& reached) {
        ASSERT_TRUE(wait_for(
            [&] {
                memory.look(gateway_->process().pid());
                return reached();
            },
            minutes(20)))
            << gateway_->log();
        kill_and_start();
    };
    for (const std::uint32_t part : {1, 4, 7}) {
        step([&, part] { return horizon() >= part * tenth; });
        if (HasFatalFailure()) return;
    }
    for (const std::uint32_t part : {3, 5, 8}) {
        step([&, part] { return slow->summary().events >= part * tenth; });
        if (HasFatalFailure()) return;
    }
    for (const auto& device : shop)
        ASSERT_EQ(device->wait(seconds(60)), 0) << read_file(folder_.path() / "pub.log");
    Memory last_life;
    std::optional<std::pair<std::uint64_t, std::uint64_t>> left;
    EXPECT_TRUE(wait_for(
        [&] {
            memory.look(gateway_->process().pid());
            last_life.look(gateway_->process().pid());
            // Its own events, such as the one about the last start, are read and deleted as well.
            if (slow->summary().events < events || pushed_->summary().events < events) return false;
            left = held();
            return left && left->first == 0;
        },
        minutes(20)))
        << gateway_->log();
    for (const auto* puller : {&fast, &slow, &choosy}) (*puller)->stop();
    EXPECT_LT(gateway_->stop(), seconds(20));

    for (const auto& [name, puller] :
         {std::pair("fast", &fast), std::pair("slow", &slow), std::pair("choosy", &choosy)}) {
        const auto summary = (*puller)->summary();
        EXPECT_EQ(summary.error_count(), 0u) << name << " " << summary.to_json();
        EXPECT_EQ(summary.gaps, name == std::string_view("slow") ? 1u : 0u)
            << name << " " << summary.to_json();
        std::cout << name << ": " << summary.events << " events, " << summary.repeats << " repeats, "
                  << summary.batches << " answers, " << summary.bytes << " bytes\n";
    }
    EXPECT_EQ(pushed_->summary().error_count(), 0u) << pushed_->summary().to_json();
    for (const Share& share : {sales, views, readings}) {
        EXPECT_EQ(fast_holds.not_there(share, 1), 0u) << share.topic;
        EXPECT_EQ(slow_holds.not_there(share, 1), 0u) << share.topic;
        EXPECT_EQ(choosy_holds.not_there(share, share.topic == views.topic ? 0 : 1), 0u) << share.topic;
        EXPECT_EQ(fast_holds.numbered_otherwise(share, slow_holds), 0u) << share.topic;
    }
    EXPECT_EQ(fast_holds.numbered_otherwise(sales, choosy_holds), 0u);
    EXPECT_EQ(fast_holds.numbered_otherwise(readings, choosy_holds), 0u);

    std::cout << events << " events in "
              << std::chrono::duration_cast<seconds>(std::chrono::steady_clock::now() - began).count()
              << " s; RssAnon " << memory.least_kb << " to " << memory.most_kb << " KB, in the last life "
              << last_life.least_kb << " to " << last_life.most_kb << ", at the end " << last_life.last_kb
              << "; in use on disk at the end " << (left ? left->second : 0) << " bytes\n";
}

// An acknowledgement that rides on a read waits for the next write; who asks meanwhile must not be shown what
// a crash takes back.
TEST_F(PullersTest, WhatIsShownAsAcknowledgedIsStillSoAfterAKill) {
    gateway_->stop();
    fs::create_directories(gateway_->config().parent_path() / "conf.d");
    write_file(gateway_->config().parent_path() / "conf.d" / "slow.toml",
               "[store]\ncommit_interval_ms = 20000\n");
    gateway_->start();
    Holds holds(1);
    platform::Puller::Options options;
    options.ride = true;
    const auto rider = pull("rider", holds, options);
    ASSERT_EQ(publish("touchpoint/v1/pos/t1/event/sale", R"({"event_id":"1"})"
                                                         "\n")
                  ->wait(),
              0);
    // Taken, and acknowledged with the read that waits now.
    ASSERT_TRUE(wait_for([&] { return positions()["rider sales"] == 1; })) << rider->summary().to_json();
    rider->stop();  // else it says it again
    gateway_->kill();
    gateway_->start();
    EXPECT_EQ(positions_when_told()["rider sales"], 1u);
}

}  // namespace
}  // namespace touchpoint::tests
