// What a customer has allowed or forbidden, here or at the platform: which of it counts, for reads and for
// events that leave.
#include <gmock/gmock.h>

#include "tests/gateway/persons_fixture.hpp"

namespace touchpoint::tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST_F(PersonsTest, AConsentIsObeyedByTheNextReadAndByEventsThatLeave) {
    put("c-1", 1, "card:1", R"(,"traits":{"tier":"gold"})");
    viewed("card:1", "oat milk");
    EXPECT_EQ(leaving("card:1", Stream::interactions).subject, "profile/c-1");
    told(Stream::customer, "store.kiosk.consent.v1", "card:1", "",
         R"({"purpose":["personalisation","analytics"],"state":"revoked"})");
    EXPECT_THAT(read("card:1"),
                AllOf(Not(HasSubstr("gold")), Not(HasSubstr("oat milk")), HasSubstr("\"traits\""),
                      HasSubstr(R"("personalisation":{"state":"revoked")")));
    EXPECT_THAT(leaving("card:1", Stream::interactions).subject, HasSubstr("pseudonym/p1_"));
    EXPECT_FALSE(leaving("card:1", Stream::interactions).raw);
    EXPECT_EQ(leaving("card:1", Stream::sales).subject, "profile/c-1");  // operation
    told(Stream::customer, "store.kiosk.consent.v1", "card:1", "",
         R"({"purpose":"analytics","state":"granted"})");
    EXPECT_EQ(leaving("card:1", Stream::interactions).subject, "profile/c-1");
}

TEST_F(PersonsTest, ARefusalStaysUntilThePlatformHasItOrTellsOfALaterDecision) {
    put("c-1", 1, "card:1");
    told(Stream::customer, "store.kiosk.consent.v1", "card:1", "",
         R"({"purpose":"personalisation","state":"revoked"})");
    viewed("card:1", "tea");
    EXPECT_THAT(read("card:1"), Not(HasSubstr("tea")));
    clock_.advance(std::chrono::hours(1));
    put("c-1", 2, "card:1", R"(,"updated":")" + to_rfc3339(clock_.utc()) + "\"");
    clock_.advance(std::chrono::seconds(1));
    viewed("card:1", "milk");
    EXPECT_THAT(read("card:1"), Not(HasSubstr("milk"))) << "its updated says nothing of that event";
    EXPECT_EQ(leaving("card:1", Stream::sales).subject, "profile/c-1")
        << "nobody has to consent to operation";
    const auto decided = ask("PATCH", "/v1/profiles/c-1",
                             R"({"version":3,"consents":{"personalisation":{"state":"granted","since":")" +
                                 to_rfc3339(clock_.utc()) + "\"}}}");
    ASSERT_EQ(decided.status, 200u) << decided.body;
    EXPECT_THAT(read("card:1"), HasSubstr("milk"));
}

TEST_F(PersonsTest, WhatThePlatformRefusesWithoutATimeIsLaterThanWhatWasGrantedBefore) {
    put("c-1", 1, "card:1", R"(,"traits":{"tier":"gold"})");
    clock_.advance(std::chrono::seconds(1));
    told(Stream::customer, "store.kiosk.consent.v1", "card:1", "",
         R"({"purpose":"personalisation","state":"granted"})");
    EXPECT_THAT(read("card:1"), HasSubstr("gold"));
    clock_.advance(std::chrono::seconds(1));
    ASSERT_EQ(ask("PATCH", "/v1/profiles/c-1",
                  R"({"version":2,"consents":{"personalisation":{"state":"revoked"}}})")
                  .status,
              200u);
    EXPECT_THAT(read("card:1"), Not(HasSubstr("gold")));
    clock_.advance(std::chrono::seconds(1));
    told(Stream::customer, "store.kiosk.consent.v1", "card:1", "",
         R"({"purpose":"personalisation","state":"granted"})");
    EXPECT_THAT(read("card:1"), HasSubstr("gold")) << "asked again, he said yes";
}

TEST_F(PersonsTest, ARefusalIsNotHiddenByWhatThePlatformHasSeenOfTheOtherProfile) {
    put("c-1", 1, "card:1", R"(,"traits":{"tier":"gold"})");
    put("c-2", 1, "email:jane@example.com");
    told(Stream::customer, "store.kiosk.identify.v1", "card:1", "", "{}", "email:jane@example.com");
    told(Stream::customer, "store.kiosk.consent.v1", "email:jane@example.com", "",
         R"({"purpose":"personalisation","state":"revoked"})");
    EXPECT_THAT(read("card:1"), Not(HasSubstr("gold")));
    const std::string seen = R"(,"seen":{"gw-1":{"epoch":")" + store_->epoch() + R"(","customer":)" +
                             std::to_string(last(Stream::customer)) + "}}";
    put("c-1", 2, "card:1", R"(,"traits":{"tier":"gold"})" + seen);
    EXPECT_THAT(read("card:1"), Not(HasSubstr("gold"))) << "c-2, whose name said it, is not seen so far";
    put("c-2", 2, "email:jane@example.com", seen);
    EXPECT_THAT(read("card:1"), HasSubstr("gold")) << "now both tell it, and grant it";
}

TEST_F(PersonsTest, ARepeatedVersionIsNoNewWord) {
    const std::string body =
        R"({"version":1,"aliases":["card:1"],"consents":{"personalisation":{"state":"denied"}},)"
        R"("traits":{"tier":"gold"},"updated":")" +
        to_rfc3339(clock_.utc() + std::chrono::hours(24)) + "\"}";
    ASSERT_EQ(ask("PUT", "/v1/profiles/c-1", body).status, 201u);
    clock_.advance(std::chrono::seconds(1));
    told(Stream::customer, "store.kiosk.consent.v1", "card:1", "",
         R"({"purpose":"personalisation","state":"granted"})");
    viewed("card:1", "tea");
    EXPECT_THAT(read("card:1"), AllOf(HasSubstr("gold"), HasSubstr("tea")));
    clock_.advance(std::chrono::seconds(1));
    ASSERT_EQ(ask("PUT", "/v1/profiles/c-1", body).status, 200u);
    close();
    open();
    EXPECT_THAT(read("card:1"), AllOf(HasSubstr("gold"), HasSubstr("tea")))
        << "neither is the refusal of before a new one, nor has the platform seen more";
}

TEST_F(PersonsTest, WhatANewVersionSaysAsBeforeIsNotDecidedAnew) {
    put("c-1", 1, "card:1");
    ASSERT_EQ(
        ask("PATCH", "/v1/profiles/c-1",
            R"({"version":2,"consents":{"personalisation":{"state":"denied"}},"traits":{"tier":"gold"}})")
            .status,
        200u);
    clock_.advance(std::chrono::seconds(1));
    told(Stream::customer, "store.kiosk.consent.v1", "card:1", "",
         R"({"purpose":"personalisation","state":"granted"})");
    for (int version = 3; version < 6; ++version) {
        clock_.advance(std::chrono::seconds(1));
        const std::string patch = "{\"version\":" + std::to_string(version) + ",\"note\":1}";
        ASSERT_EQ(ask("PATCH", "/v1/profiles/c-1", patch).status, 200u);
        EXPECT_THAT(read("card:1"), HasSubstr("gold"));
    }
    ASSERT_EQ(ask("PATCH", "/v1/profiles/c-1",
                  R"({"version":9,"consents":{"personalisation":{"state":"revoked"}}})")
                  .status,
              200u);
    EXPECT_THAT(read("card:1"), Not(HasSubstr("gold")));
}

TEST_F(PersonsTest, ARefusalCountsAlsoWhereTheRowOfTheOtherNameHasLeft) {
    put("c-2", 1, "card:2", R"(,"traits":{"tier":"gold"})");
    told(Stream::customer, "store.kiosk.identify.v1", "card:1", "", "{}", "card:2");
    told(Stream::customer, "store.kiosk.consent.v1", "card:1", "",
         R"({"purpose":"personalisation","state":"revoked"})");
    EXPECT_THAT(read("card:1"), AllOf(HasSubstr("\"id\":\"c-2\""), Not(HasSubstr("gold"))));
    ASSERT_TRUE(pictures_->checkpoint());
    const auto position = picture_rows_->position();
    ASSERT_TRUE(position);
    const std::string gone = names_.pseudonym(devices::normalise("card:2"));
    ASSERT_TRUE(picture_rows_->write(std::vector<store::PictureRow>{{gone, std::nullopt, clock_.utc()}},
                                     *position, clock_.utc()));
    close();
    open();
    EXPECT_THAT(read("card:1"), AllOf(HasSubstr("\"id\":\"c-2\""), Not(HasSubstr("gold"))));
}

TEST_F(PersonsTest, AGrantThatComesLateDoesNotUndoALaterRefusal) {
    put("c-1", 1, "card:1");
    const UtcTime then = clock_.utc();
    clock_.advance(std::chrono::hours(3));
    told(Stream::customer, "store.kiosk.consent.v1", "card:1", "",
         R"({"purpose":"personalisation","state":"revoked"})");
    clock_.advance(std::chrono::hours(1));
    told_at_ = then;  // a kiosk that was away
    told(Stream::customer, "store.kiosk.consent.v1", "card:1", "",
         R"({"purpose":"personalisation","state":"granted"})");
    told_at_.reset();
    viewed("card:1", "tea");
    EXPECT_THAT(read("card:1"), AllOf(Not(HasSubstr("tea")), HasSubstr("revoked")));
}

TEST_F(PersonsTest, ARefusalThatComesLateDoesNotLetInAGrantOfBeforeTheLaterOne) {
    put("c-1", 1, "card:1");
    const UtcTime then = clock_.utc();
    clock_.advance(std::chrono::hours(3));
    const auto says = [&](const std::string& state) {
        told(Stream::customer, "store.kiosk.consent.v1", "card:1", "",
             R"({"purpose":"personalisation","state":")" + state + "\"}");
    };
    says("revoked");
    clock_.advance(std::chrono::hours(1));
    told_at_ = then;
    says("denied");
    told_at_ = then + std::chrono::hours(1);
    says("granted");
    told_at_.reset();
    viewed("card:1", "tea");
    EXPECT_THAT(read("card:1"), AllOf(Not(HasSubstr("tea")), HasSubstr("denied")));
}

TEST_F(PersonsTest, InventedPurposesDoNotKeepOutThoseThatDecide) {
    put("c-1", 1, "card:1");
    for (int i = 0; i < 20; ++i)
        told(Stream::customer, "store.kiosk.consent.v1", "card:1", "",
             R"({"purpose":"p)" + std::to_string(i) + R"(","state":"granted"})");
    told(Stream::customer, "store.kiosk.consent.v1", "card:1", "",
         R"({"purpose":"personalisation","state":"revoked"})");
    viewed("card:1", "tea");
    EXPECT_THAT(read("card:1"), Not(HasSubstr("tea")));
}

TEST_F(PersonsTest, OfTwoProfilesThatAreOnePersonARefusalOfEitherCounts) {
    put("c-1", 1, "card:1");
    put_saying(R"("state":"denied")", "c-2", "card:2");
    told(Stream::customer, "store.kiosk.identify.v1", "card:1", "", "{}", "card:2");
    viewed("card:1", "tea");
    EXPECT_THAT(read("card:1"), Not(HasSubstr("tea")));
    EXPECT_THAT(read("card:2"), Not(HasSubstr("tea")));
}

TEST_F(PersonsTest, OfTwoProfilesThatAreOnePersonALaterRefusalBeatsWhatWasGrantedBefore) {
    const UtcTime before = clock_.utc();
    const auto since = [](UtcTime time) { return R"(,"since":")" + to_rfc3339(time) + "\""; };
    put_saying(R"("state":"granted")" + since(before), "c-1", "card:1");
    put_saying(R"("state":"denied")", "c-2", "card:2");
    told(Stream::customer, "store.kiosk.identify.v1", "card:1", "", "{}", "card:2");
    viewed("card:1", "tea");
    EXPECT_THAT(read("card:1"), Not(HasSubstr("tea"))) << "nobody knows when he refused";
    told(Stream::customer, "store.kiosk.consent.v1", "card:1", "",
         R"({"purpose":"personalisation","state":"granted"})");
    clock_.advance(std::chrono::hours(1));
    put_saying(R"("state":"revoked")" + since(clock_.utc()), "c-2", "card:2");
    EXPECT_THAT(read("card:1"), Not(HasSubstr("tea"))) << "after he granted it here";
    put_saying(R"("state":"revoked")" + since(before), "c-2", "card:2");
    EXPECT_THAT(read("card:1"), HasSubstr("tea")) << "before";
}

TEST_F(PersonsTest, WhatAMergedOneRefusedCountsUntilTheSurvivorIsPutAnew) {
    put_saying(R"("state":"granted")", "c-1", "card:1");
    put_saying(R"("state":"denied")", "c-2", "card:2");
    ASSERT_EQ(ask("POST", "/v1/profiles/c-1/merge", R"({"from":["c-2"]})").status, 200u);
    EXPECT_THAT(read("card:1"), Not(HasSubstr("gold"))) << "nothing happened here, and he said no";
    viewed("card:1", "tea");
    EXPECT_THAT(read("card:2"), Not(HasSubstr("tea")));
    close();
    open();
    EXPECT_THAT(read("card:1"), Not(HasSubstr("gold")));
    const auto patch_with = [&](const std::string& members) {
        return ask("PATCH", "/v1/profiles/c-1",
                   R"({"version":)" + std::to_string(++put_version_) + ',' + members + '}')
            .status;
    };
    for (const char* says_nothing_of_it : {R"("traits":{"size":"M"})", R"("consents":{})",
                                           R"("consents":{"marketing":{"state":"granted"}})"}) {
        ASSERT_LT(patch_with(says_nothing_of_it), 300u);
        EXPECT_THAT(read("card:1"), Not(HasSubstr("gold"))) << says_nothing_of_it;
    }
    ASSERT_EQ(ask("POST", "/v1/profiles/c-1/unmerge", R"({"ids":["c-2"]})").status, 200u);
    EXPECT_THAT(read("card:1"), HasSubstr("gold")) << "it was somebody else";
    EXPECT_THAT(read("card:2"), Not(HasSubstr("gold")));
    ASSERT_EQ(ask("POST", "/v1/profiles/c-1/merge", R"({"from":["c-2"]})").status, 200u);
    put_saying(R"("state":"granted")", "c-1", "card:1");
    EXPECT_THAT(read("card:2"), HasSubstr("gold")) << "the platform knows both, and says what holds";
}

TEST_F(PersonsTest, APatchThatSaysAGrantOnceMoreAnswersForWhatAMergedOneRefused) {
    put("c-1", 1, "card:1", R"(,"traits":{"tier":"gold"})");
    put_saying(R"("state":"denied")", "c-2", "card:2");
    ASSERT_EQ(ask("POST", "/v1/profiles/c-1/merge", R"({"from":["c-2"]})").status, 200u);
    ASSERT_THAT(read("card:2"), Not(HasSubstr("gold")));
    ASSERT_LT(ask("PATCH", "/v1/profiles/c-1",
                  R"({"version":2,"consents":{"personalisation":{"state":"granted"}}})")
                  .status,
              300u);
    EXPECT_THAT(read("card:2"), HasSubstr("gold"));
}

TEST_F(PersonsTest, AnOlderRefusalToldHereDoesNotHideALaterOneOfAMergedProfile) {
    told(Stream::customer, "store.kiosk.consent.v1", "card:1", "",
         R"({"purpose":"personalisation","state":"revoked"})");
    clock_.advance(std::chrono::hours(1));
    const auto decided_now = [&](const std::string& state) {
        return R"("state":")" + state + R"(","since":")" + to_rfc3339(clock_.utc()) + '"';
    };
    put_saying(decided_now("granted"), "c-1", "card:1");
    EXPECT_THAT(read("card:1"), HasSubstr("gold")) << "asked again, he said yes";
    clock_.advance(std::chrono::hours(1));
    put_saying(decided_now("denied"), "c-2", "card:2");
    ASSERT_EQ(ask("POST", "/v1/profiles/c-1/merge", R"({"from":["c-2"]})").status, 200u);
    EXPECT_THAT(read("card:1"), Not(HasSubstr("gold")));
}

TEST_F(PersonsTest, AGrantAfterwardsUndoesWhatAMergedOneRefused) {
    put("c-1", 1, "card:1");
    put_saying(R"("state":"denied")", "c-2", "card:2");
    ASSERT_EQ(ask("POST", "/v1/profiles/c-1/merge", R"({"from":["c-2"]})").status, 200u);
    viewed("card:1", "tea");
    ASSERT_THAT(read("card:1"), Not(HasSubstr("tea")));
    clock_.advance(std::chrono::hours(1));
    told(Stream::customer, "store.kiosk.consent.v1", "card:1", "",
         R"({"purpose":"personalisation","state":"granted"})");
    EXPECT_THAT(read("card:2"), HasSubstr("tea")) << "asked again, he said yes";
}

TEST_F(PersonsTest, OfTwoProfilesThatAreOnePersonARefusalOfOneThatWasMergedCounts) {
    put("c-1", 1, "card:1");
    put("c-2", 1, "card:2");
    put_saying(R"("state":"denied")", "c-3", "card:3");
    ASSERT_EQ(ask("POST", "/v1/profiles/c-2/merge", R"({"from":["c-3"]})").status, 200u);
    told(Stream::customer, "store.kiosk.identify.v1", "card:1", "", "{}", "card:2");
    viewed("card:1", "tea");
    EXPECT_THAT(read("card:1"), Not(HasSubstr("tea")));
}

TEST_F(PersonsTest, ARefusalIsObeyedAlsoFromADeviceWhoseClockIsYearsBehind) {
    ASSERT_LT(ask("PUT", "/v1/profiles/c-1",
                  R"({"version":1,"aliases":["card:1"],"consents":{"personalisation":{"state":"granted",)"
                  R"("since":"2023-01-01T00:00:00Z"}}})")
                  .status,
              300u);
    viewed("card:1", "tea");
    ASSERT_THAT(read("card:1"), HasSubstr("tea"));
    told_at_ = UtcTime{1000};
    told(Stream::customer, "store.kiosk.consent.v1", "card:1", "",
         R"({"purpose":"personalisation","state":"revoked"})");
    told_at_.reset();
    EXPECT_THAT(read("card:1"), Not(HasSubstr("tea")));
}

TEST_F(PersonsTest, WhatAnEventNeedsToLeaveUnderANameIsSaidForEachStream) {
    close();
    person_options_.purposes[Stream::sales] = gateway::Purpose::marketing;
    person_options_.purposes[Stream::interactions] = gateway::Purpose::operation;
    open();
    put("c-1", 1, "card:1");
    EXPECT_THAT(leaving("card:1", Stream::sales).subject, HasSubstr("pseudonym/")) << "nobody asked him";
    EXPECT_EQ(leaving("card:1", Stream::interactions).subject, "profile/c-1");
    EXPECT_EQ(leaving("card:1", Stream::telemetry).subject, "profile/c-1") << "analytics was granted";
}

TEST_F(PersonsTest, ARefusalIsObeyedHoweverItsPurposeIsCapitalised) {
    put("c-1", 1, "card:1", R"(,"traits":{"tier":"gold"})");
    told(Stream::customer, "store.kiosk.consent.v1", "card:1", "",
         R"({"purpose":"Personalisation","state":"revoked"})");
    EXPECT_THAT(read("card:1"), Not(HasSubstr("gold")));
}

}  // namespace
}  // namespace touchpoint::tests
