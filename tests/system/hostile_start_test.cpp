// Starts that cannot be: the technician reads one sentence, and what stands in the folder stays as it is.
// systemd reads 78 and does not try again where only a person can help, else 1, and tries again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/gateway_process.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"

namespace touchpoint::tests {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr int bad_start = 78;  // EX_CONFIG
constexpr int try_again = 1;

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

// The other one may be our predecessor, which hangs in a disk's I/O.
TEST_F(HostileStartTest, BesideAnotherGatewayItEndsAndTheOtherGoesOn) {
    gateway_.start(false);
    EXPECT_EQ(start(), try_again);
    EXPECT_THAT(log(), HasSubstr("cannot start reason=locked"));
    EXPECT_THAT(log(), HasSubstr("systemd tries again"));
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
    EXPECT_THAT(log(), HasSubstr("a person must repair this"));
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
        EXPECT_EQ(start(nobody), try_again) << closed;
        EXPECT_THAT(log(), HasSubstr("cannot start"));
        EXPECT_THAT(log(), HasSubstr(closed.string()));
        EXPECT_THAT(log(), HasSubstr("ermission denied"));
        ASSERT_EQ(chown(closed.c_str(), 65534, 65534), 0);
        EXPECT_FALSE(fs::exists(data / "events.damaged-1"));
    }
}

TEST_F(HostileStartTest, WhereItsPortIsTakenItEndsOnceAndTheNextStartTakesThePort) {
    const int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(gateway_.port()));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(bind(other, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(other, 1), 0);
    EXPECT_EQ(start(), try_again);
    EXPECT_THAT(log(), HasSubstr("in use"));
    const std::string said = log();
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
    close(other);
    gateway_.start(false);
    gateway_.stop();
}

// After a power cut the box is up before its network has an address: intake must not wait for it.
TEST_F(HostileStartTest, ForAnAddressThatTheBoxGetsLaterItStartsAllTheSame) {
    std::string settings = read_file(gateway_.config());
    const std::string here = "127.0.0.1:" + std::to_string(gateway_.port());
    settings.replace(settings.find(here), here.size(), "192.0.2.1:8080");  // TEST-NET-1: nobody has it
    write_file(gateway_.config(),
               settings + "[auth]\ntokens_file = \"" + (folder_.path() / "tokens.toml").string() + "\"\n");
    Process process({(fs::path(BINARY_DIR) / "gateway" / "touchpointd").string(), "--config",
                     gateway_.config().string(), "--boot-id", std::string(32, '1')},
                    log_);
    EXPECT_TRUE(wait_for([&] { return log().find("gateway: started") != std::string::npos; })) << log();
    EXPECT_TRUE(process.running()) << log();
    process.signal(SIGTERM);
    EXPECT_EQ(process.wait(), 0) << log();
}

TEST_F(HostileStartTest, WithAKeyThatIsCutOffItEndsAndSaysWhereABackupGoes) {
    gateway_.start(false);
    gateway_.stop();
    const fs::path key = gateway_.data() / "keys" / "box.key";
    fs::permissions(key, fs::perms::owner_all);
    write_file(key, "short");
    EXPECT_EQ(start(), bad_start);
    EXPECT_THAT(log(), HasSubstr("backup"));
}

TEST_F(HostileStartTest, WithoutTheCredentialThatHeldItsBoxKeyItEndsAndMakesNoNewOne) {
    const fs::path credentials = folder_.path() / "credentials";
    fs::create_directories(credentials);
    const auto refused = [&] { return start({"env", "CREDENTIALS_DIRECTORY=" + credentials.string()}); };
    gateway_.start(false);
    gateway_.stop();
    const fs::path file = gateway_.data() / "keys" / "box.key";
    const std::string key = read_file(file);
    write_file(credentials / "touchpoint-box-key", std::string(32, 'o'));
    EXPECT_EQ(refused(), bad_start);
    EXPECT_THAT(log(), HasSubstr("are different keys"));
    EXPECT_THAT(log(), HasSubstr("make the credential from that file"));

    fs::remove(file);
    EXPECT_EQ(refused(), bad_start);
    EXPECT_THAT(log(), HasSubstr("is not the key under which"));
    EXPECT_EQ(start(), bad_start);
    EXPECT_THAT(log(), HasSubstr("the box key is missing"));
    EXPECT_FALSE(fs::exists(file));

    write_file(credentials / "touchpoint-box-key", key);
    Process process({"env", "CREDENTIALS_DIRECTORY=" + credentials.string(),
                     (fs::path(BINARY_DIR) / "gateway" / "touchpointd").string(), "--config",
                     gateway_.config().string(), "--boot-id", std::string(32, '1')},
                    log_);
    EXPECT_TRUE(wait_for([&] { return log().find("gateway: started") != std::string::npos; })) << log();
    process.signal(SIGTERM);
    EXPECT_EQ(process.wait(), 0) << log();
    EXPECT_FALSE(fs::exists(file));
}

TEST_F(HostileStartTest, WithMistakesInItsFileItNamesEachWithItsPlace) {
    write_file(gateway_.config(), "[gateway]\nid = \"GW\"\n[stroe]\npath = 1\n");
    EXPECT_EQ(start(), bad_start);
    EXPECT_THAT(log(), HasSubstr("gateway.id"));
    EXPECT_THAT(log(), HasSubstr("did you mean store?"));
}

}  // namespace
}  // namespace touchpoint::tests
