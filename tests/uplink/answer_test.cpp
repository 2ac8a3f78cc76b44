// The answer table of uplink/README.md, row by row.

#include "uplink/answer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <algorithm>

#include "uplink/narrowing.hpp"

namespace touchpoint::uplink {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr UtcTime now{784'111'777'000};  // Sun, 06 Nov 1994 08:49:37 GMT

std::vector<Item> four() { return {{11, 11, false}, {12, 12, false}, {13, 17, true}, {18, 18, false}}; }
Verdict judged(int status, const std::string& body = "", const std::string& retry_after = "") {
    return judge({status, retry_after, body, ""}, four(), now);
}

TEST(AnswerTest, EverySuccessWithoutAWordAboutItemsTakesAll) {
    for (const int status : {200, 201, 202, 204}) {
        EXPECT_EQ(judged(status).action, Action::delivered) << status;
        EXPECT_EQ(judged(status).settled, 4u);
    }
    EXPECT_EQ(judged(200, "OK").action, Action::delivered);
    EXPECT_EQ(judged(200, R"({"status":"stored"})").action, Action::delivered);
    EXPECT_EQ(judged(200, R"({"rejected":[]})").action, Action::delivered);
    EXPECT_EQ(judged(207, R"({"taken":4})").action, Action::delivered);
}

TEST(AnswerTest, APartialAnswerSettlesWhatStandsBeforeTheFirstNotTaken) {
    const Verdict verdict = judged(207, R"({"taken":2})");
    EXPECT_EQ(verdict.action, Action::partial);
    EXPECT_EQ(verdict.settled, 2u);
    EXPECT_THAT(verdict.refused, IsEmpty());
    EXPECT_EQ(judged(207, R"({"taken":0})").action, Action::retry);
    EXPECT_EQ(judged(200, R"({"taken":3})").settled, 3u);
}

TEST(AnswerTest, ItemsRefusedForAWhileStopThePositionAndOthersDoNot) {
    const Verdict verdict = judged(
        207, R"({"rejected":[{"index":3,"status":503},{"index":1,"status":422},{"index":0,"status":400}]})");
    EXPECT_EQ(verdict.action, Action::partial);
    EXPECT_EQ(verdict.settled, 3u);
    EXPECT_THAT(verdict.refused, ElementsAre(0u, 1u));
    for (const int status : {408, 425, 429, 500, 503})
        EXPECT_EQ(judged(207, R"({"rejected":[{"index":0,"status":)" + std::to_string(status) + "}]}").action,
                  Action::retry)
            << status;
}

TEST(AnswerTest, AnItemCanBeNamedByItsSequence) {
    const Verdict verdict = judged(200, R"({"rejected":[{"sequence":"00000000000000000018","status":400}]})");
    EXPECT_EQ(verdict.settled, 4u);
    EXPECT_THAT(verdict.refused, ElementsAre(3u));
}

TEST(AnswerTest, OneRefusedForGoodDirectlyBehindTheTakenOnesIsSettledToo) {
    const Verdict verdict =
        judged(207, R"({"taken":2,"rejected":[{"index":2,"status":400},{"index":3,"status":429}]})");
    EXPECT_EQ(verdict.settled, 3u);
    EXPECT_THAT(verdict.refused, ElementsAre(2u));
}

TEST(AnswerTest, ARefusalOfSomethingThatWasNotSentProvesNothing) {
    EXPECT_EQ(judged(207, R"({"rejected":[{"index":4,"status":400}]})").action, Action::retry);
    EXPECT_EQ(judged(207, R"({"rejected":[{"status":400}]})").action, Action::retry);
    EXPECT_EQ(judged(207, R"({"rejected":["12"]})").action, Action::retry);
    EXPECT_EQ(judged(207, "").action, Action::retry);
    EXPECT_EQ(judged(207, "{").action, Action::retry);
}

TEST(AnswerTest, ContentThatIsNotAcceptableIsNarrowedDown) {
    EXPECT_EQ(judged(400).action, Action::narrow);
    EXPECT_EQ(judged(422).action, Action::narrow);
    EXPECT_EQ(judged(413).action, Action::too_large);
}

TEST(AnswerTest, AMatterForAPersonPauses) {
    for (const int status : {301, 302, 307, 401, 403, 404, 405, 407, 410, 415})
        EXPECT_EQ(judged(status).action, Action::pause) << status;
}

TEST(AnswerTest, WhatPassesIsRepeated) {
    for (const int status : {0, 408, 409, 425, 429, 500, 502, 503, 504, 599})
        EXPECT_EQ(judged(status).action, Action::retry) << status;
}

TEST(AnswerTest, RetryAfterIsSecondsOrAnHttpDate) {
    EXPECT_EQ(judged(503, "", "7").wait, seconds(7));
    EXPECT_EQ(judged(429, "", " 0 ").wait, seconds(0));
    EXPECT_EQ(judged(503, "", "Sun, 06 Nov 1994 08:49:47 GMT").wait, seconds(10));
    EXPECT_EQ(judged(503, "", "Sun, 06 Nov 1994 08:00:00 GMT").wait, seconds(0));
    EXPECT_EQ(judged(503, "", "soon").wait, std::nullopt);
    EXPECT_EQ(judged(503, "", "Sun, 99 Nov 1994 08:49:47 GMT").wait, std::nullopt);
    EXPECT_EQ(judged(503).wait, std::nullopt);
}

TEST(AnswerTest, AMistypedRetryAfterDoesNotStopTheShopForDays) {
    EXPECT_EQ(judged(503, "", "99999999").wait, retry_after_max);
    EXPECT_EQ(judged(503, "", "Sun, 06 Nov 2094 08:49:47 GMT").wait, retry_after_max);
}

TEST(AnswerTest, BackOffDoublesToItsBoundWithFullJitter) {
    const std::vector<std::pair<unsigned, seconds>> bounds = {{1, seconds(1)},
                                                              {2, seconds(2)},
                                                              {5, seconds(16)},
                                                              {9, seconds(256)},
                                                              {10, seconds(300)},
                                                              {11, seconds(300)},
                                                              {4'000'000'000u, seconds(300)}};
    for (const auto& [failures, bound] : bounds) {
        const auto most = static_cast<std::uint64_t>(milliseconds(bound).count());
        EXPECT_EQ(back_off(failures, seconds(1), seconds(300), most - 1), bound) << failures;
        EXPECT_EQ(back_off(failures, seconds(1), seconds(300), most), milliseconds(1))
            << "jitter over all of it";
    }
    EXPECT_LE(back_off(3, seconds(1), milliseconds(500), 12'345'678), milliseconds(500));
}

// A platform that refuses exactly one event of `total`: how many requests until it is alone.
TEST(NarrowingTest, TheGuiltyEventIsAloneAfterAHandfulOfHalves) {
    for (std::size_t guilty = 0; guilty < 1000; guilty += 37) {
        Narrowing narrowing;
        std::size_t position = 0, requests = 0, refusals = 0;
        for (bool parked = false; !parked;) {
            const std::size_t size =
                std::min<std::size_t>(narrowing.limits({1u << 20, 1000}).events_max, 1000 - position);
            ASSERT_LT(++requests, 60u);
            if (guilty >= position + size) {
                narrowing.accepted(size);
                position += size;
            } else if (size == 1) {
                parked = true;
                narrowing.alone();
            } else {
                ++refusals;
                narrowing.refused(size);
            }
        }
        EXPECT_EQ(position, guilty);
        EXPECT_LE(refusals, 11u);
        EXPECT_EQ(narrowing.limits({1u << 20, 1000}).events_max, 1000u) << "whole batches again";
    }
}

TEST(NarrowingTest, ABoundOfThePlatformIsLearnedAndTriedAgainLater) {
    Narrowing narrowing;
    const BatchLimits configured{1'000'000, 1000};
    narrowing.too_large(800, 900'000);
    EXPECT_EQ(narrowing.limits(configured).bytes_max, 450'000u);
    EXPECT_EQ(narrowing.limits(configured).events_max, 400u);
    for (unsigned i = 0; i < Narrowing::accepted_to_grow; ++i) narrowing.accepted(400);
    EXPECT_EQ(narrowing.limits(configured).bytes_max, 900'000u);
    for (int i = 0; i < 20; ++i) narrowing.too_large(2, 20'000);
    EXPECT_EQ(narrowing.limits(configured).bytes_max, Narrowing::body_bytes_min);
}

}  // namespace
}  // namespace touchpoint::uplink
