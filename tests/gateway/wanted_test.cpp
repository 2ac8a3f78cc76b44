#include "gateway/profiles/wanted.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "gateway/profiles/miss_limits.hpp"

namespace touchpoint::gateway {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(WantedTest, WhoWasAskedForIsNotAskedForAgainForAWhileUnlessNobodyAnswered) {
    const store::SealedBox box(std::string(32, 'b'));
    Wanted wanted(box, 10);
    const SteadyTime now{std::chrono::hours(1)};
    wanted.note("p1_a", "card:1", {1});
    wanted.note("p1_b", "card:2", {2});
    wanted.note("ref", "c-17", {3});
    EXPECT_THAT(wanted.to_ask(10, false, now), testing::ElementsAre("p1_b", "p1_a"))
        << "an id has no pseudonym";
    EXPECT_THAT(wanted.to_ask(10, true, now), testing::ElementsAre("c-17"));
    wanted.not_answered();
    EXPECT_THAT(wanted.to_ask(10, true, now), testing::ElementsAre("c-17"));
    wanted.note("p1_a", "card:1", {4});
    EXPECT_THAT(wanted.to_ask(10, true, now + std::chrono::minutes(9)), testing::IsEmpty()) << "shown again";
    wanted.found("p1_b");
    EXPECT_THAT(wanted.to_ask(1, true, now + std::chrono::minutes(10)), testing::ElementsAre("card:1"));
}

TEST(WantedTest, TheOneThatWasAskedForLeastRecentlyLeaves) {
    const store::SealedBox box(std::string(32, 'b'));
    Wanted wanted(box, 2);
    wanted.note("a", "card:1", {1000});
    wanted.note("b", "card:2", {2000});
    wanted.note("a", "card:1", {3000});
    wanted.note("c", "card:3", {4000});
    EXPECT_EQ(wanted.size(), 2u);
    EXPECT_EQ(wanted.dropped(), 1u);
    EXPECT_THAT(
        wanted.json(10),
        AllOf(HasSubstr(R"({"key":"a","identifier":"card:1","asked":2,"first":"1970-01-01T00:00:01.000Z",)"),
              HasSubstr("card:3"), Not(HasSubstr("card:2")), HasSubstr("\"dropped\":1")));
    EXPECT_THAT(wanted.json(1), AllOf(HasSubstr("card:3"), Not(HasSubstr("card:1"))));
    wanted.found("a");
    wanted.found("unknown");
    EXPECT_EQ(wanted.size(), 1u);
}

TEST(WantedTest, AListOfNoneRemembersNobody) {
    const store::SealedBox box(std::string(32, 'b'));
    Wanted wanted(box, 0);
    wanted.note("a", "card:1", {1000});
    EXPECT_EQ(wanted.size(), 0u);
}

TEST(MissLimitsTest, MissesComeBackWithTimeAndTheTableIsBounded) {
    MissLimits limits(60);
    SteadyTime now{std::chrono::hours(1)};
    limits.missed("k7", std::vector<std::string>(60, "a"), false, now);
    EXPECT_EQ(limits.wait("k7", now), std::chrono::seconds(1));
    EXPECT_EQ(limits.wait("t1", now), std::chrono::seconds(0));
    limits.missed("k7", std::vector<std::string>(10, "a"), false, now);
    EXPECT_EQ(limits.wait("k7", now), std::chrono::seconds(11));
    now += std::chrono::seconds(11);
    EXPECT_EQ(limits.wait("k7", now), std::chrono::seconds(0));
    for (std::size_t i = 0; i < 2 * MissLimits::askers_max; ++i)
        limits.missed(std::to_string(i), {"a"}, false, now);
    EXPECT_EQ(limits.size(), MissLimits::askers_max);
}

TEST(MissLimitsTest, ANameThatIsAnsweredAllTheSameCountsOnceInAWhileForEachAskerAndThatTableIsBoundedToo) {
    MissLimits limits(1);
    SteadyTime now{std::chrono::hours(1)};
    const auto free = [&](const std::string& asker) {
        const SteadyTime later = now + MissLimits::counts_again;  // misses are back, and more than these
        return limits.wait(asker, later - std::chrono::seconds(1)) == std::chrono::seconds(0);
    };
    limits.missed("k7", {"a", "a"}, true, now);
    EXPECT_TRUE(free("k7")) << "one";
    for (int i = 0; i < 100; ++i) limits.missed("k7", {"a"}, true, now);
    EXPECT_TRUE(free("k7"));
    limits.missed("t1", std::vector<std::string>(100, "a"), false, now);
    EXPECT_FALSE(free("t1"));
    now += MissLimits::counts_again;
    for (int i = 0; i < 10; ++i) limits.missed("k7", {"a"}, true, now);
    EXPECT_TRUE(free("k7")) << "one again";
    for (std::size_t i = 0; i < MissLimits::counted_max; ++i)
        limits.missed("t2", {std::to_string(i)}, true, now);
    EXPECT_GT(limits.wait("k7", now), std::chrono::seconds(0));
    limits.missed("k7", {"a"}, true, now);
    EXPECT_GT(limits.wait("k7", now), std::chrono::seconds(60)) << "forgotten, and counted anew";
}

}  // namespace
}  // namespace touchpoint::gateway
