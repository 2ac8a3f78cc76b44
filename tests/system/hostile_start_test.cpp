// Starts that cannot be: the technician reads one sentence, systemd reads 78 and does not try again, and what
// stands in the folder stays as it is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/gateway_process.hpp"
#include "tests/support/temp_folder.hpp"

namespace touchpoint::tests {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr int bad_start = 78;  // EX_CONFIG

class HostileStartTest : public ::testing::Test {
  protected:
    // No broker is needed: none is there yet in many shops.
    std::optional<int> start(std::vector<std::string> as = {}) {
        as.insert(as.end(), {(fs::path(BINARY_DIR) / "gateway" / "touchpointd").string(), "--config",
                             gateway_.config().string(), "--boot-id", std::string(32, '1')});
        Process process(as, log_);
        return process.wait();
    }
    std::string log() const { return read_file(log_); }

    TempFolder folder_;
    fs::path log_ = folder_.path() / "second.log";
    GatewayProcess gateway_{fs::path(BINARY_DIR), folder_.path() / "gateway", "mqtt://127.0.0.1:1", ""};
};

TEST_F(HostileStartTest, BesideAnotherGatewayItEndsAndTheOtherGoesOn) {
    gateway_.start(false);
    EXPECT_EQ(start(), bad_start);
    EXPECT_THAT(log(), HasSubstr("cannot start reason=locked"));
    EXPECT_TRUE(http_get(gateway_.port(), "/healthz"));
    gateway_.stop();
}

TEST_F(HostileStartTest, OnAFileOfAnotherMachineItEndsAndLeavesItAlone) {
    fs::create_directories(gateway_.data() / "events");
    std::string page(16'384, '\0');
    page.replace(sizeof(void*) == 8 ? 12 : 16, 4,
                 "\xde\xc0\xef\xbe");  // LMDB's magic at the other size's place
    write_file(gateway_.data() / "events" / "data.mdb", page);
    EXPECT_EQ(start(), bad_start);
    EXPECT_THAT(log(), HasSubstr("reason=wrong_machine"));
    EXPECT_EQ(read_file(gateway_.data() / "events" / "data.mdb"), page);
}

// Somebody has restored it as root, say. It once ended in an exception that systemd took for a crash.
TEST_F(HostileStartTest, WithoutPermissionItNamesTheFolder) {
    const std::vector<std::string> nobody = {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"};
    std::vector<std::string> version = nobody;
    version.insert(version.end(), {(fs::path(BINARY_DIR) / "gateway" / "touchpointd").string(), "--version"});
    if (geteuid() != 0 || Process(version, log_).wait() != 0)
        GTEST_SKIP() << "SKIPPED: only root can become somebody else, and that one must reach the program";
    gateway_.start(false);
    gateway_.stop();
    // Everything belongs to somebody else by now, but for one folder.
    for (const auto& entry : fs::recursive_directory_iterator(folder_.path()))
        ASSERT_EQ(chown(entry.path().c_str(), 65534, 65534), 0);
    fs::permissions(folder_.path(), fs::perms::all);
    const fs::path data = gateway_.data();
    for (const fs::path& closed : {data, data / "events", data / "keys", data / "cache"}) {
        ASSERT_EQ(chown(closed.c_str(), 0, 0), 0);
        fs::permissions(closed, fs::perms::owner_all);
        write_file(log_, "");
        EXPECT_EQ(start(nobody), bad_start) << closed;
        EXPECT_THAT(log(), HasSubstr("cannot start"));
        EXPECT_THAT(log(), HasSubstr(closed.string()));
        EXPECT_THAT(log(), HasSubstr("ermission denied"));
        ASSERT_EQ(chown(closed.c_str(), 65534, 65534), 0);
        EXPECT_FALSE(fs::exists(data / "events.damaged-1"));
    }
}

TEST_F(HostileStartTest, WithMistakesInItsFileItNamesEachWithItsPlace) {
    write_file(gateway_.config(), "[gateway]\nid = \"GW\"\n[stroe]\npath = 1\n");
    EXPECT_EQ(start(), bad_start);
    EXPECT_THAT(log(), HasSubstr("gateway.id"));
    EXPECT_THAT(log(), HasSubstr("did you mean store?"));
}

}  // namespace
}  // namespace touchpoint::tests
