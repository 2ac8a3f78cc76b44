// More than the journal's bounds, as fast as a broker can give it: the link closes and opens, and the gateway
// lives (docs/decisions/0006: it once ended in the abort behind the hard bound, again and again).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/broker.hpp"
#include "tests/support/gateway_process.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"
#include "tools/platform/server.hpp"

namespace touchpoint::tests {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using testing::_;
using testing::Each;
using testing::Pair;
using testing::SizeIs;

constexpr std::uint64_t soft_bytes = 1u << 20;   // the smallest that the configuration takes
constexpr std::uint64_t hard_bytes = 16u << 20;  // a slow machine may close the link late
constexpr int messages = 200;
constexpr int items = 100;                 // in each
constexpr std::size_t item_bytes = 1'000;  // together 20 MB
constexpr int events = messages * items;

std::string id_of(int message, int item) { return std::to_string(message) + "-" + std::to_string(item); }

std::string burst() {
    const std::string filler(item_bytes - 50, 'x');
    std::string lines;
    for (int message = 0; message < messages; ++message) {
        for (int item = 0; item < items; ++item)
            lines += (item == 0 ? "[" : ",") + std::string(R"({"event_id":")") + id_of(message, item) +
                     R"(","filler":")" + filler + "\"}";
        lines += "]\n";
    }
    return lines;
}

// `journal_bytes` of each line that says that the link was closed for room.
std::vector<std::uint64_t> closed_at(const std::string& log) {
    std::vector<std::uint64_t> found;
    std::istringstream lines(log);
    for (std::string line; std::getline(lines, line);) {
        if (line.find("closed until there is room") == std::string::npos) continue;
        const std::size_t at = line.find("journal_bytes=");
        if (at != std::string::npos) found.push_back(std::stoull(line.substr(at + 14)));
    }
    return found;
}

TEST(BurstTest, ABurstFarBeyondTheJournalClosesTheLinkInTimeAndNothingIsLost) {
    TempFolder folder;
    Broker broker(folder.path() / "broker");
    broker.start();
    platform::Server::Options options;
    options.keep_events = true;
    auto server = platform::Server::start(options);
    ASSERT_TRUE(server);
    GatewayProcess gateway(fs::path(BINARY_DIR), folder.path() / "gateway", broker.url(),
                           "[[uplink.push]]\nname = \"platform\"\nurl = \"" + (*server)->url() +
                               "\"\nretry_first_ms = 50\nretry_max_ms = 500\n");
    fs::create_directories(gateway.config().parent_path() / "conf.d");
    write_file(gateway.config().parent_path() / "conf.d" / "journal.toml",
               "[store]\njournal_soft_bytes = " + std::to_string(soft_bytes) +
                   "\njournal_hard_bytes = " + std::to_string(hard_bytes) + "\n");
    gateway.start();
    gateway.stop();  // the broker has its session now, and keeps what comes for it

    write_file(folder.path() / "lines", burst());
    Process pub({"sh", "-c",
                 "exec mosquitto_pub -h 127.0.0.1 -p " + std::to_string(broker.port()) +
                     " -q 1 -l -t touchpoint/v1/kiosk/k7/event/view <" + (folder.path() / "lines").string()},
                folder.path() / "pub.log");
    ASSERT_EQ(pub.wait(), 0) << read_file(folder.path() / "pub.log");

    gateway.start();
    ASSERT_TRUE(wait_for(
        [&] {
            return !gateway.process().running() ||
                   gateway.metric("touchpoint_store_horizon_sequence{stream=\"interactions\"}") >= events;
        },
        seconds(120)));
    ASSERT_TRUE(gateway.process().running()) << gateway.log();
    ASSERT_TRUE((*server)->wait_until(
        [](const platform::Summary& summary) { return summary.events_in("interactions") >= events; },
        seconds(60)));
    gateway.stop();

    std::map<std::string, int> copies;
    for (const std::string& event : (*server)->events()) {
        const std::size_t at = event.find("\"id\":\"");
        if (at == std::string::npos || event.find("\"filler\"") == std::string::npos) continue;
        const std::size_t begin = at + 6;
        ++copies[event.substr(begin, event.find('"', begin) - begin)];
    }
    EXPECT_THAT(copies, SizeIs(events));
    EXPECT_THAT(copies, Each(Pair(_, 1)));
    EXPECT_EQ((*server)->summary().error_count(), 0u) << (*server)->summary().to_json();

    const auto closings = closed_at(gateway.log());
    ASSERT_FALSE(closings.empty()) << "nothing was shown: the journal never reached its bound\n"
                                   << gateway.log();
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
    // Measured: the first look behind the bound finds 0.1 to 0.6 MB above it, on a machine with much else to
    // do, and who looks four times a second only finds 6 MB. A sanitizer makes every look late.
    EXPECT_LT(*std::min_element(closings.begin(), closings.end()), soft_bytes + (2u << 20)) << gateway.log();
#endif
}

}  // namespace
}  // namespace touchpoint::tests
