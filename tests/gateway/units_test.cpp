// The units, judged by systemd itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace touchpoint {
namespace {

struct Unit {
    const char* file;
    const char* exposure_most;  // of `systemd-analyze security`, in tenths: systemd/README.md
};

class UnitsTest : public testing::TestWithParam<Unit> {
  protected:
    void SetUp() override {
        if (tests::Process({"sh", "-c", "command -v systemd-analyze"}, folder_.path() / "which").wait() != 0)
            GTEST_SKIP() << "SKIPPED: systemd-analyze (package systemd) is not installed";
    }
    std::string unit() const { return std::string(BINARY_DIR) + "/systemd/" + GetParam().file; }
    tests::TempFolder folder_;
};

TEST_P(UnitsTest, IsAsClosedAsWeSay) {
    const auto out = folder_.path() / "out";
    const std::string most = std::string("--threshold=") + GetParam().exposure_most;
    tests::Process judge({"systemd-analyze", "security", "--offline=true", most, unit()}, out);
    EXPECT_EQ(judge.wait(), 0) << tests::read_file(out);
}

TEST_P(UnitsTest, HoldsNoKeyThatSystemdDoesNotKnow) {
    const auto out = folder_.path() / "out";
    // The exit status speaks of programs that are not installed here; unknown keys are only in the text.
    tests::Process judge({"systemd-analyze", "verify", "--man=no", unit()}, out);
    ASSERT_TRUE(judge.wait());
    const std::string text = tests::read_file(out);
    EXPECT_THAT(text, testing::Not(testing::HasSubstr("Unknown")));
    EXPECT_THAT(text, testing::Not(testing::HasSubstr("ignoring")));
}

INSTANTIATE_TEST_SUITE_P(Both, UnitsTest,
                         testing::Values(Unit{"touchpoint.service", "16"},
                                         Unit{"touchpoint-broker.service", "15"}));

TEST(UnitTest, TheJournalOutlivesTheServiceAndABadConfigurationEndsIt) {
    const std::string text = tests::read_file(std::string(BINARY_DIR) + "/systemd/touchpoint.service");
    for (const char* line : {"RuntimeDirectoryPreserve=yes\n", "RestartPreventExitStatus=78\n",
                             "Restart=always\n", "WatchdogSec=", "Type=notify\n"})
        EXPECT_THAT(text, testing::HasSubstr(line));
}

// Where the sandbox refuses it, it does so in silence: a drain then takes a till's core.
TEST(UnitTest, ThreadsMayGiveWay) {
    const std::string text = tests::read_file(std::string(BINARY_DIR) + "/systemd/touchpoint.service");
    const auto forbidden = text.find("SystemCallFilter=~@privileged @resources");
    const auto allowed = text.find("SystemCallFilter=setpriority\n");
    ASSERT_NE(forbidden, std::string::npos);
    ASSERT_NE(allowed, std::string::npos);
    EXPECT_LT(forbidden, allowed);  // the later line counts
}

}  // namespace
}  // namespace touchpoint
