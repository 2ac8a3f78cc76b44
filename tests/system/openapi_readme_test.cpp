// The curl lines of the READMEs as they are printed, against a running gateway: only ports, the socket's
// place and the name of the box are others. Those of uplink/README.md, "Pull":
// tests/gateway/platform_readme_test.cpp; of docs/operating.md, which need certificates:
// tests/gateway/server_tls_test.cpp asks the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/broker.hpp"
#include "tests/support/gateway_process.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"

namespace touchpoint::tests {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;

std::string with(std::string text, const std::string& printed, const std::string& ours) {
    for (auto at = text.find(printed); at != std::string::npos; at = text.find(printed, at + ours.size()))
        text.replace(at, printed.size(), ours);
    return text;
}

class ReadmeCurlTest : public testing::Test {
  protected:
    void SetUp() override {
        broker_.start();
        platform_port_ = free_port();
        gateway_ = std::make_unique<GatewayProcess>(
            fs::path(BINARY_DIR), folder_.path() / "gateway", broker_.url(),
            "[http.platform]\nlisten = \"127.0.0.1:" + std::to_string(platform_port_) +
                "\"\n[profiles]\nmappings = \"" SOURCE_DIR "/config/mappings\"\n");
        gateway_->start();
    }
    // The indented curl commands between two texts of a file, each on one line.
    std::vector<std::string> commands(const std::string& file, const std::string& from,
                                      const std::string& to) {
        const std::string whole = read_file(fs::path(SOURCE_DIR) / file);
        const std::size_t begin = whole.find(from);
        EXPECT_NE(begin, std::string::npos) << file << " has no '" << from << "'";
        if (begin == std::string::npos) return {};
        const std::string section = with(whole.substr(begin, whole.find(to, begin + 1) - begin), "\\\n", " ");
        std::vector<std::string> found;
        std::istringstream lines(section);
        for (std::string line; std::getline(lines, line);)
            if (line.starts_with("    curl ")) found.push_back(line.substr(4));
        return found;
    }
    std::string run(std::string command) {
        command = with(command, "127.0.0.1:8080", "127.0.0.1:" + std::to_string(gateway_->port()));
        command = with(command, "127.0.0.1:8443", "127.0.0.1:" + std::to_string(platform_port_));
        command = with(command, "/run/touchpoint/control.sock", gateway_->control_socket().string());
        const fs::path output = folder_.path() / ("output-" + std::to_string(++runs_));
        Process shell({"sh", "-c", command + " 2>/dev/null"}, output);
        EXPECT_EQ(shell.wait(), 0) << command;
        return read_file(output);
    }

    TempFolder folder_;
    Broker broker_{folder_.path() / "broker"};
    std::unique_ptr<GatewayProcess> gateway_;
    int platform_port_ = 0;
    int runs_ = 0;
};

TEST_F(ReadmeCurlTest, ADeviceWithoutMqttGetsTheAnswerThatIsPrinted) {
    const auto found = commands("devices/README.md", "## Without MQTT", "## Reading a profile");
    ASSERT_THAT(found, SizeIs(1));
    const std::string said = run(found[0]);
    EXPECT_THAT(said, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(said, EndsWith("\r\n\r\n{\"stored\":[\"a1\"],\"duplicate\":[],\"rejected\":[]}\n"));
    EXPECT_THAT(
        read_file(SOURCE_DIR "/devices/README.md"),
        HasSubstr("    HTTP/1.1 200 OK\n    {\"stored\":[\"a1\"],\"duplicate\":[],\"rejected\":[]}\n"));
}

TEST_F(ReadmeCurlTest, ThePlatformPullsAndAcknowledges) {
    const auto found = commands("README.md", "## Receive as a platform", "## Know the customer");
    ASSERT_THAT(found, SizeIs(3));
    EXPECT_THAT(run(found[0]), HasSubstr(R"("name":"crm")"));
    const std::string read = run(found[1]);  // the gateway tells of its own start at least
    EXPECT_THAT(read, StartsWith("HTTP/1.1 200 OK\r\n"));
    const std::string header = "Touchpoint-Next-Cursor: ";
    const std::size_t begin = read.find(header);
    ASSERT_NE(begin, std::string::npos) << read;
    const std::size_t end = read.find("\r\n", begin);
    const std::string cursor = read.substr(begin + header.size(), end - begin - header.size());
    EXPECT_THAT(run(with(found[2], "\"...\"", "\"" + cursor + "\"")),
                HasSubstr(R"("telemetry":{"acknowledged":1)"));
}

TEST_F(ReadmeCurlTest, ProfilesAreWrittenAndRead) {
    const auto first = commands("README.md", "## Know the customer", "## Who may do what");
    ASSERT_THAT(first, SizeIs(3));
    EXPECT_THAT(run(first[0]), HasSubstr(R"("outcome":"created")"));
    EXPECT_THAT(run(first[1]), HasSubstr(R"("tier":"gold")"));
    EXPECT_THAT(run(first[2]), HasSubstr(R"("withheld":["aliases","traits"])"));
    const auto written = commands("uplink/README.md", "## Profiles down", "## Inside");
    ASSERT_THAT(written, SizeIs(5));
    EXPECT_EQ(run(written[0]), "{\"id\":\"c-17850\",\"outcome\":\"created\",\"version\":41}\n");
    EXPECT_THAT(read_file(SOURCE_DIR "/uplink/README.md"),
                HasSubstr("    {\"id\":\"c-17850\",\"outcome\":\"created\",\"version\":41}\n"));
    std::ofstream(folder_.path() / "profiles.ndjson")
        << R"({"op":"put","id":"c-2","version":1,"aliases":["card:2"]})"
           "\n"
           R"({"op":"delete","id":"c-3","version":4})"
           "\n";
    EXPECT_THAT(run("cd " + folder_.path().string() + " && " + written[1]),
                AllOf(HasSubstr(R"("index":0,"status":201)"), HasSubstr(R"("index":1,"status":200)")));
    EXPECT_THAT(run(written[2]), StartsWith("{\"wanted\":["));
    EXPECT_THAT(run(written[3]), AllOf(StartsWith("{\"erasures\":["), HasSubstr("\"version\":4")));
    EXPECT_THAT(run(written[4]),
                AllOf(HasSubstr(R"("index":0,"item":0)"), HasSubstr(R"("outcome":"created")")));
    const auto read = commands("devices/README.md", "## Reading a profile", "## Limits");
    ASSERT_THAT(read, SizeIs(3));
    EXPECT_THAT(run(read[0]), StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(run(read[1]), HasSubstr(R"("id":"c-17850")"));
    // It goes on until somebody ends it.
    EXPECT_THAT(run("timeout 5 " + read[2] + " || true"),
                AllOf(HasSubstr("event: profile"), HasSubstr(R"("id":"c-17850")")));
}

TEST_F(ReadmeCurlTest, TheControlSocketAnswers) {
    const auto found = commands("gateway/README.md", "## Control socket", "## Conditions");
    ASSERT_THAT(found, SizeIs(1));
    EXPECT_THAT(run(found[0]), HasSubstr(R"("gateway":"gw-test")"));
}

}  // namespace
}  // namespace touchpoint::tests
