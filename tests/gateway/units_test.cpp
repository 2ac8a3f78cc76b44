// The units, judged by systemd itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace touchpoint {
namespace {

class UnitsTest : public testing::TestWithParam<const char*> {
  protected:
    void SetUp() override {
        if (tests::Process({"sh", "-c", "command -v systemd-analyze"}, folder_.path() / "which").wait() != 0)
            GTEST_SKIP() << "SKIPPED: systemd-analyze (package systemd) is not installed";
    }
    std::string unit() const { return std::string(BINARY_DIR) + "/systemd/" + GetParam(); }
    tests::TempFolder folder_;
};

TEST_P(UnitsTest, IsAsClosedAsWeSay) {
    const auto out = folder_.path() / "out";
    tests::Process judge({"systemd-analyze", "security", "--offline=true", "--threshold=15", unit()}, out);
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

INSTANTIATE_TEST_SUITE_P(Both, UnitsTest, testing::Values("touchpoint.service", "touchpoint-broker.service"));

TEST(UnitTest, TheJournalOutlivesTheServiceAndABadConfigurationEndsIt) {
    const std::string text = tests::read_file(std::string(BINARY_DIR) + "/systemd/touchpoint.service");
    for (const char* line : {"RuntimeDirectoryPreserve=yes\n", "RestartPreventExitStatus=78\n",
                             "Restart=always\n", "WatchdogSec=", "Type=notify\n"})
        EXPECT_THAT(text, testing::HasSubstr(line));
}

}  // namespace
}  // namespace touchpoint
