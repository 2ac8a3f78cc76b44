// What the log and the status say of a destination.
#include "uplink/push_record.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace touchpoint::uplink {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(PushRecordTest, AnAnswerThatIsWellAndTakesNothingIsSaidToTakeNothing) {
    const ManualClock clock;
    PushRecord record("platform", clock);
    testing::internal::CaptureStderr();
    record.failed({200, {}, R"({"taken":0})", {}}, PushState::retrying, std::chrono::seconds(1), 7);
    EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("reason=\"it took nothing (HTTP 200)\""));
    record.failed({503, {}, {}, {}}, PushState::retrying, std::chrono::seconds(1), 7);
    EXPECT_EQ(record.stats().last_error, "HTTP 503");
}

TEST(PushRecordTest, AGapIsPromisedOnlyWhereOneIsSent) {
    const ManualClock clock;
    const auto said = [&](bool named) {
        PushRecord record("platform", clock);
        testing::internal::CaptureStderr();
        record.parked(Stream::sales, 4, 4, 422, named);
        return testing::internal::GetCapturedStderr();
    };
    EXPECT_THAT(said(true), Not(HasSubstr("gap")));
    EXPECT_THAT(said(true), HasSubstr("refused for good by the platform, which named it"));
    EXPECT_THAT(said(false), HasSubstr("which gets a gap in its place"));
}

}  // namespace
}  // namespace touchpoint::uplink
