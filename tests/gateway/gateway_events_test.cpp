// What a start is told of the run before it.
#include "gateway/gateway_events.hpp"

#include <gtest/gtest.h>

#include "tests/support/temp_folder.hpp"

namespace touchpoint::gateway {
namespace {

TEST(RunMarkTest, ARunThatDidNotEndLeavesItsMark) {
    const tests::TempFolder folder;
    const std::string path = (folder.path() / "running").string();
    RunMark mark(path);
    EXPECT_EQ(mark.last_end("boot-1", true), LastEnd::first_start);
    EXPECT_EQ(mark.last_end("boot-1", false), LastEnd::orderly);
    mark.begin("boot-1");
    EXPECT_EQ(RunMark(path).last_end("boot-1", false), LastEnd::killed);
    EXPECT_EQ(RunMark(path).last_end("boot-2", false), LastEnd::power_cut);
    mark.end();
    EXPECT_EQ(RunMark(path).last_end("boot-1", false), LastEnd::orderly);
}

// A start that ended with 78 was once told as a run that was killed.
TEST(RunMarkTest, AStartThatFailedChangesNothingOfWhatIsToldOfTheLastRun) {
    const tests::TempFolder folder;
    const std::string path = (folder.path() / "running").string();
    RunMark failed(path);
    failed.begin("boot-1");
    failed.put_back();
    EXPECT_EQ(RunMark(path).last_end("boot-1", false), LastEnd::orderly);
    RunMark(path).begin("boot-1");  // dies with the machine
    RunMark after(path);
    after.begin("boot-2");
    after.put_back();
    EXPECT_EQ(RunMark(path).last_end("boot-2", false), LastEnd::power_cut);
}

}  // namespace
}  // namespace touchpoint::gateway
