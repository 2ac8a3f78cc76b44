// A customer as a till reads him: what the platform said, with what happened in this store since.
#include <gmock/gmock.h>

#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "gateway/gateway_events.hpp"
#include "tests/gateway/persons_fixture.hpp"

namespace touchpoint::tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST_F(PersonsTest, WhatHappenedInTheStoreIsReadAtOnce) {
    put("c-1", 1, "card:1");
    viewed("card:1", "oat milk");
    EXPECT_THAT(read("card:1"), AllOf(HasSubstr("\"id\":\"c-1\""), HasSubstr("view: oat milk"),
                                      HasSubstr(R"("counts":{"store.kiosk.view.v1":1})")));
    EXPECT_THAT(read("card:1", "operation"), AllOf(Not(HasSubstr("oat milk")), HasSubstr("\"recent\"")));
    EXPECT_THAT(read("c-1"), HasSubstr("view: oat milk"));
}

TEST_F(PersonsTest, SomebodyOfWhomOnlyEventsAreKnownIsAProvisionalProfileUntilThePlatformClaimsHim) {
    told(Stream::interactions, "store.kiosk.cart.v1", "card:7", "", R"({"action":"add","item":"tea"})");
    EXPECT_THAT(read("card:7", "operation"),
                AllOf(HasSubstr("\"provisional\":true"), HasSubstr("\"id\":\"local.p1_"),
                      HasSubstr(R"("item":"tea")")));
    EXPECT_THAT(ask("GET", "/v1/profiles/wanted").body, HasSubstr("card:7"));
    put("c-7", 1, "card:7");
    EXPECT_THAT(read("card:7"), AllOf(HasSubstr("\"id\":\"c-7\""), HasSubstr(R"("item":"tea")"),
                                      Not(HasSubstr("provisional"))));
    EXPECT_EQ(ask_as(till, "/v1/profiles/card:8", "pos/t1").status, 404u);
}

TEST_F(PersonsTest, AProvisionalProfileIsMergedByItsIdAndTheMergeIsUndone) {
    put("c-1", 1, "card:1");
    viewed("card:7", "tea");
    const std::string local = "local." + names_.pseudonym(devices::normalise("card:7"));
    EXPECT_THAT(read(local, "operation"), HasSubstr("\"provisional\":true"));
    EXPECT_EQ(ask("POST", "/v1/profiles/c-1/merge", R"({"from":[")" + local + R"("]})").status, 200u);
    for (const std::string& name : {std::string("card:7"), local, std::string("card:1")})
        EXPECT_THAT(read(name), AllOf(HasSubstr("\"id\":\"c-1\""), HasSubstr("view: tea"))) << name;
    EXPECT_EQ(ask("POST", "/v1/profiles/c-1/unmerge", R"({"ids":[")" + local + R"("]})").status, 200u);
    EXPECT_THAT(read("card:7", "operation"), HasSubstr("\"provisional\":true"));
    EXPECT_THAT(read("card:1"), Not(HasSubstr("tea")));
}

TEST_F(PersonsTest, WhoSaysHisNameInARunningSessionIsWhoDidAllOfIt) {
    put("c-1", 1, "card:1");
    viewed("", "shoes", "s-1");
    viewed("", "socks", "s-2");
    told(Stream::customer, "store.kiosk.identify.v1", "card:1", "s-1", "{}");
    viewed("", "laces", "s-1");
    EXPECT_THAT(read("card:1"), AllOf(HasSubstr("shoes"), HasSubstr("laces"), Not(HasSubstr("socks")),
                                      HasSubstr(R"("store.kiosk.view.v1":2)")));
    told(Stream::customer, "store.kiosk.session.v1", "", "s-1", R"({"state":"end"})");
    clock_.advance(std::chrono::milliseconds(1));  // another commit
    viewed("", "gloves", "s-1");
    EXPECT_THAT(read("card:1"), Not(HasSubstr("gloves")));
}

TEST_F(PersonsTest, ASessionThatStoodStillBelongsToNobodyAnyMore) {
    told(Stream::customer, "store.kiosk.identify.v1", "card:1", "s-1", "{}");
    clock_.advance(gateway::LivePictures::session_idle + std::chrono::minutes(1));
    viewed("", "gloves", "s-1");
    EXPECT_THAT(read("card:1"), Not(HasSubstr("gloves")));
}

TEST_F(PersonsTest, TheLivePictureGivesWayToTheVersionThatHasSeenIt) {
    put("c-1", 1, "card:1");
    viewed("card:1", "one");
    viewed("card:1", "two");
    const std::string seen = R"(,"seen":{"gw-1":{"epoch":")" + store_->epoch() + R"(","interactions":)" +
                             std::to_string(last(Stream::interactions) - 1) + "}}";
    put("c-1", 2, "card:1", seen);
    EXPECT_THAT(read("card:1"), AllOf(HasSubstr("view: two"), Not(HasSubstr("view: one")),
                                      HasSubstr(R"("store.kiosk.view.v1":1)"), Not(HasSubstr("\"seen\""))));
}

// Touches beyond those that are kept one by one are a number: it must not take along what was seen before.
TEST_F(PersonsTest, OfManyTouchesOnlyThoseCountThatThePlatformHasNotSeen) {
    put("c-1", 1, "card:1");
    for (int i = 0; i < 150; ++i) viewed("card:1", "one");
    EXPECT_THAT(read("card:1"), HasSubstr(R"("store.kiosk.view.v1":150)"));
    const auto seen = [&] {
        return R"(,"seen":{"gw-1":{"epoch":")" + store_->epoch() + R"(","interactions":)" +
               std::to_string(last(Stream::interactions)) + "}}";
    };
    put("c-1", 2, "card:1", seen());
    EXPECT_THAT(read("card:1"), Not(HasSubstr("counts")));
    for (int i = 0; i < 140; ++i) viewed("card:1", "two");
    EXPECT_THAT(read("card:1"), HasSubstr(R"("store.kiosk.view.v1":140)"));
}

TEST_F(PersonsTest, NamesThatAreFoundToBeOnePersonLeadToOneProfileAndPartAgain) {
    put("c-1", 1, "card:1");
    put("c-2", 1, "email:a@b.example");
    viewed("email:a@b.example", "tea");
    told(Stream::customer, "store.kiosk.identify.v1", "card:1", "", "{}", "email:a@b.example");
    for (const char* name : {"card:1", "email:a@b.example", "c-1", "c-2"})
        EXPECT_THAT(read(name), AllOf(HasSubstr("\"id\":\"c-1\""), HasSubstr("view: tea"),
                                      HasSubstr(R"("merged_from":["c-2"])")))
            << name;
    EXPECT_EQ(pictures_->take_joined().size(), 1u);
    EXPECT_EQ(leaving("email:a@b.example", Stream::sales).subject, "profile/c-1");
    EXPECT_EQ(ask("POST", "/v1/profiles/c-1/unmerge", R"({"ids":["c-2"]})").status, 200u);
    EXPECT_THAT(read("email:a@b.example"), AllOf(HasSubstr("\"id\":\"c-2\""), HasSubstr("view: tea")));
    EXPECT_THAT(read("card:1"), AllOf(HasSubstr("\"id\":\"c-1\""), Not(HasSubstr("view: tea"))));
}

// Nobody had read it yet when the platform spoke: it comes before that all the same.
// A row of a name under which nobody has touched anything yet once counted as from 1970: too old.
TEST_F(PersonsTest, ANameThatWasOnlyMentionedKeepsItsLinkForAsLongAsThePersonComes) {
    told(Stream::customer, "store.kiosk.identify.v1", "card:1", "", "{}", "email:a@example.com");
    for (int day = 0; day < 40; ++day) {
        clock_.advance(std::chrono::hours(24));
        viewed("card:1", "tea");
        ASSERT_TRUE(pictures_->catch_up(100));
        ASSERT_TRUE(pictures_->checkpoint());
    }
    close();
    open();
    const std::string id = "\"id\":\"local." + names_.pseudonym(devices::normalise("card:1")) + "\"";
    EXPECT_THAT(read("card:1", "operation"), HasSubstr(id));
    EXPECT_THAT(read("email:a@example.com", "operation"), HasSubstr(id));
}

// A platform that has not heard of it yet makes a new version every now and then.
// Rows leave one by one: the one that is left still says no.
// Nor after another refusal, which was made before and comes late, too: of the two the later one counts.
TEST_F(PersonsTest, TheEndOfASessionTakesNothingThatHappenedBeforeIt) {
    put("c-1", 1, "card:1");
    told(Stream::customer, "store.kiosk.identify.v1", "card:1", "s-1", "{}");
    clock_.advance(std::chrono::milliseconds(5));
    viewed("", "gloves", "s-1");
    told(Stream::customer, "store.kiosk.session.v1", "", "s-1", R"({"state":"end"})");
    clock_.advance(std::chrono::milliseconds(5));
    viewed("", "socks", "s-1");
    told(Stream::customer, "store.kiosk.identify.v1", "card:9", "s-1", "{}");
    // All of it is read at once, as after a start.
    EXPECT_THAT(read("card:1"), AllOf(HasSubstr("gloves"), Not(HasSubstr("socks"))));
    told(Stream::customer, "store.kiosk.consent.v1", "card:9", "",
         R"({"purpose":"personalisation","state":"granted"})");
    EXPECT_THAT(read("card:9"), AllOf(HasSubstr("socks"), Not(HasSubstr("gloves"))));
}

TEST_F(PersonsTest, ASessionOfSomebodyWhoWasErasedIsNobodysAlsoAfterARestart) {
    put("c-1", 1, "card:1");
    told(Stream::customer, "store.kiosk.identify.v1", "card:1", "s-1", "{}");
    ASSERT_TRUE(pictures_->catch_up(100));
    ASSERT_TRUE(pictures_->checkpoint());
    close();
    open();
    ASSERT_EQ(ask("DELETE", "/v1/profiles/c-1?version=2").status, 200u);
    ASSERT_TRUE(pictures_->checkpoint());
    clock_.advance(std::chrono::milliseconds(5));
    viewed("", "socks", "s-1");
    ASSERT_TRUE(pictures_->catch_up(100));
    const std::vector<std::string> names = {names_.pseudonym(devices::normalise("card:1"))};
    EXPECT_TRUE(pictures_->of(names).touches.empty());
}

TEST_F(PersonsTest, WhoIsForgottenDoesNotComeBackWithWhatWasReadAhead) {
    const std::vector<std::string> names = {names_.pseudonym(devices::normalise("card:1"))};
    for (const char* item : {"tea", "salt", "socks"}) viewed("card:1", item);
    ASSERT_TRUE(pictures_->catch_up(1));
    ASSERT_EQ(pictures_->of(names).touches.size(), 1u);
    store::Submission erasure;
    erasure.erased = names;
    ASSERT_TRUE(store_->submit(std::move(erasure)));
    std::promise<bool> durable;
    store_->when_durable([&](const Result<void>& written) { durable.set_value(bool(written)); });
    ASSERT_TRUE(durable.get_future().get());
    pictures_->forget(names);
    const auto all = pictures_->catch_up(100);
    ASSERT_TRUE(all && *all);
    EXPECT_TRUE(pictures_->of(names).empty());
}

// What was written down of a link is not found in the log again: who is still to be told is written beside
// it.
TEST_F(PersonsTest, ALinkIsNewsUntilItsMessageIsInTheLog) {
    told(Stream::customer, "store.kiosk.identify.v1", "card:1", "", "{}", "email:a@example.com");
    told(Stream::customer, "store.kiosk.identify.v1", "card:2", "", "{}", "email:b@example.com");
    const auto start_anew = [this] {
        ASSERT_TRUE(pictures_->checkpoint());
        close();
        open();
        ASSERT_TRUE(pictures_->catch_up(100));
    };
    ASSERT_TRUE(pictures_->catch_up(100));
    start_anew();
    const std::vector<gateway::Joined> joined = pictures_->take_joined();  // not taken before
    ASSERT_EQ(joined.size(), 2u);
    EXPECT_EQ(joined[0].names.size(), 2u);
    start_anew();
    EXPECT_EQ(pictures_->take_joined(), joined) << "taken, and no message in the log";

    gateway::GatewayEvents events("gw-s1", "s1", UlidMaker([] { return std::uint64_t{7}; }));
    store::Submission message;
    message.events.push_back(events.joined(clock_.utc(), joined[0].epoch, joined[0].names,
                                           joined[0].mark.stream, joined[0].mark.sequence));
    ASSERT_TRUE(store_->submit(std::move(message)));
    std::promise<bool> durable;
    store_->when_durable([&](const Result<void>& written) { durable.set_value(bool(written)); });
    ASSERT_TRUE(durable.get_future().get());
    ASSERT_TRUE(pictures_->catch_up(100));
    start_anew();
    const auto left = pictures_->take_joined();
    ASSERT_EQ(left.size(), 1u);
    EXPECT_EQ(left[0], joined[1]);
    pictures_->forget(std::vector<std::string>{left[0].names[1]});
    start_anew();
    EXPECT_TRUE(pictures_->take_joined().empty()) << "somebody who was erased is told of";
}

TEST_F(PersonsTest, OfALinkThatIsCutOrOfSomebodyWhoIsBeingErasedNobodyIsTold) {
    const std::vector<std::string> card = {names_.pseudonym(devices::normalise("card:1"))};
    const std::vector<std::string> mail = {names_.pseudonym(devices::normalise("email:a@example.com"))};
    told(Stream::customer, "store.kiosk.identify.v1", "card:1", "", "{}", "email:a@example.com");
    ASSERT_TRUE(pictures_->catch_up(100));
    EXPECT_EQ(pictures_->names_to_tell().size(), 2u);
    ASSERT_TRUE(pictures_->part(card, mail));
    EXPECT_TRUE(pictures_->take_joined().empty()) << "the platform has said that they are two";
    told(Stream::customer, "store.kiosk.identify.v1", "card:1", "", "{}", "email:a@example.com");
    ASSERT_TRUE(pictures_->catch_up(100));
    pictures_->forget_links(mail);
    EXPECT_TRUE(pictures_->take_joined().empty());
}

TEST_F(PersonsTest, OfALinkThatIsFoundWhileSomebodyLeavesTheEventsNobodyIsTold) {
    const std::vector<std::string> mail = {names_.pseudonym(devices::normalise("email:a@example.com"))};
    const auto identify = [&](const std::string& card) {
        told(Stream::customer, "store.kiosk.identify.v1", card, "", "{}", "email:a@example.com");
    };
    identify("card:1");
    told(Stream::customer, "store.kiosk.identify.v1", "card:8", "", "{}", "email:b@example.com");
    pictures_->erasing(mail);
    ASSERT_TRUE(pictures_->catch_up(100));
    EXPECT_EQ(pictures_->take_joined().size(), 1u) << "others do not wait";
    EXPECT_EQ(pictures_->names_to_tell().size(), 2u);
    pictures_->erased(mail);
    EXPECT_TRUE(pictures_->take_joined().empty());

    identify("card:2");  // he is here again
    ASSERT_TRUE(pictures_->catch_up(100));
    EXPECT_EQ(pictures_->take_joined().size(), 1u);
}

TEST_F(PersonsTest, WhatWasReadAheadOfSomebodyWhoHasLeftTheEventsIsReadAnew) {
    const std::vector<std::string> mail = {names_.pseudonym(devices::normalise("email:a@example.com"))};
    for (int i = 0; i < 60; ++i)  // more than are folded at once
        told(Stream::customer, "store.kiosk.identify.v1", "card:" + std::to_string(100 + i), "", "{}", "");
    told(Stream::customer, "store.kiosk.identify.v1", "card:1", "", "{}", "email:a@example.com");
    ASSERT_TRUE(pictures_->catch_up(1));
    ASSERT_GT(pictures_->behind(), 0u) << "else this test shows nothing";
    pictures_->erasing(mail);
    store::Submission erasure;
    erasure.erased = mail;
    ASSERT_TRUE(store_->submit(std::move(erasure)));
    std::promise<bool> durable;
    store_->when_durable([&](const Result<void>& written) { durable.set_value(bool(written)); });
    ASSERT_TRUE(durable.get_future().get());
    pictures_->erased(mail);
    ASSERT_TRUE(pictures_->catch_up(1000));
    EXPECT_EQ(pictures_->behind(), 0u);
    EXPECT_TRUE(pictures_->take_joined().empty());
}

TEST_F(PersonsTest, AReadSeesWhatIsDurableWhileAnotherThreadFollowsTheLog) {
    const std::vector<std::string> names = {names_.pseudonym(devices::normalise("card:1"))};
    std::atomic<bool> done{false};
    std::thread follower([&] {
        for (int job = 0; !done; ++job) {
            EXPECT_TRUE(pictures_->catch_up(2));
            if (job % 8 == 0) {
                EXPECT_TRUE(pictures_->checkpoint());
            }
        }
    });
    for (int i = 0; i < 100; ++i) {
        for (int other = 0; other < 5; ++other) viewed("card:" + std::to_string(2 + i + other), "tea");
        const std::string item = "item-" + std::to_string(i);
        viewed("card:1", item);
        const auto all = pictures_->catch_up(gateway::LivePictures::read_waits_events_max);
        EXPECT_TRUE(all && *all);
        const std::vector<gateway::Touch> touches = pictures_->of(names).touches;
        EXPECT_EQ(touches.size(), static_cast<std::size_t>(i) + 1);
        if (!touches.empty()) {
            EXPECT_THAT(touches.back().line, HasSubstr(item));
        }
    }
    done = true;
    follower.join();
}

TEST_F(PersonsTest, WhileEventsAreNotLookedAtNobodyReliesOnWhatWasGranted) {
    put("c-1", 1, "card:1");
    EXPECT_EQ(leaving("card:1", Stream::interactions).subject, "profile/c-1");
    told_many(gateway::LivePictures::read_waits_events_max + 1, "card:1");
    told(Stream::customer, "store.kiosk.consent.v1", "card:1", "",
         R"({"purpose":"analytics","state":"revoked"})");
    EXPECT_THAT(read("card:1"), Not(HasSubstr("\"recent\":"))) << "only operation sees him meanwhile";
    EXPECT_THAT(leaving("card:1", Stream::interactions).subject, HasSubstr("pseudonym/"));
    EXPECT_THAT(read("card:1"), HasSubstr("\"recent\":"));
}

TEST_F(PersonsTest, ALinkThatWasStoredBeforeAnUnmergeIsCutByIt) {
    put("c-1", 1, "card:1");
    put("c-2", 1, "card:2");
    told(Stream::customer, "store.kiosk.identify.v1", "card:1", "", "{}", "card:2");
    EXPECT_EQ(ask("POST", "/v1/profiles/c-1/unmerge", R"({"ids":["c-2"]})").status, 200u);
    EXPECT_THAT(read("card:2"), HasSubstr("\"id\":\"c-2\""));
    EXPECT_THAT(read("card:1"), Not(HasSubstr("merged_from")));
}

TEST_F(PersonsTest, GroupsThatMeetLeadToOneProfileWhereverTheSearchBegins) {
    put("c-3", 1, "card:1");
    EXPECT_EQ(ask("PUT", "/v1/profiles/c-2", R"({"version":1,"aliases":["card:2","card:3"]})").status, 201u);
    put("c-1", 1, "card:4");
    told(Stream::customer, "store.kiosk.identify.v1", "card:1", "", "{}", "card:2");
    told(Stream::customer, "store.kiosk.identify.v1", "card:3", "", "{}", "card:4");
    for (const char* name : {"card:1", "card:2", "card:3", "card:4", "c-1", "c-2", "c-3"})
        EXPECT_THAT(read(name, "operation"), HasSubstr("\"id\":\"c-2\"")) << name;
}

TEST_F(PersonsTest, AnErasureTakesTheNamesAlongThatOnlyEventsKnow) {
    put("c-1", 1, "card:1");
    put("c-3", 1, "card:3");
    told(Stream::customer, "store.kiosk.identify.v1", "card:1", "", "{}", "email:a@b.example");
    told(Stream::customer, "store.kiosk.identify.v1", "card:1", "", "{}", "card:3");
    viewed("email:a@b.example", "tea");
    EXPECT_THAT(read("card:1"), HasSubstr("view: tea"));
    EXPECT_EQ(ask("DELETE", "/v1/profiles/c-1").status, 200u);
    EXPECT_THAT(erased_,
                testing::UnorderedElementsAre(names_.pseudonym(devices::normalise("card:1")),
                                              names_.pseudonym(devices::normalise("email:a@b.example"))));
    EXPECT_NE(ask_as(till, "/v1/profiles/email:a@b.example", "pos/t1").status, 200u);
    EXPECT_THAT(read("card:3"), AllOf(HasSubstr("\"id\":\"c-3\""), Not(HasSubstr("tea"))));
}

// Nobody has read it yet, and what lies in the journal is followed only after the events were erased.
TEST_F(PersonsTest, AnErasureTakesNamesAlongThatNobodyHasFollowedYet) {
    put("c-1", 1, "card:1");
    const auto say = [&](const std::string& name) {
        told(Stream::customer, "store.kiosk.identify.v1", "card:1", "", "{}", name);
    };
    say("email:a@b.example");
    on_erase_events_ = [&] {
        on_erase_events_ = {};
        say("phone:+491");
    };
    EXPECT_EQ(ask("DELETE", "/v1/profiles/c-1").status, 200u);
    for (const char* name : {"card:1", "email:a@b.example", "phone:+491"})
        EXPECT_THAT(erased_, testing::Contains(names_.pseudonym(devices::normalise(name)))) << name;
}

// The id that a read of him gives.
TEST_F(PersonsTest, WhoOnlyEventsKnowIsErasedByHisId) {
    for (const char* card : {"card:7", "card:8"}) {
        viewed(card, "tea");
        const std::string name = names_.pseudonym(devices::normalise(card));
        const std::string local = "local." + name;
        EXPECT_THAT(read(local, "operation"), HasSubstr("\"provisional\":true"));
        ASSERT_TRUE(pictures_->checkpoint());
        if (card == std::string("card:7"))
            EXPECT_EQ(ask("DELETE", "/v1/profiles/" + local).status, 200u);
        else
            EXPECT_THAT(ask("POST", "/v1/profiles/batch", R"({"op":"delete","id":")" + local + "\"}\n").body,
                        HasSubstr("\"erased\""));
        EXPECT_THAT(erased_, testing::Contains(name));
        EXPECT_EQ(ask("GET", std::string("/v1/profiles/") + card).status, 410u);
        EXPECT_EQ(ask("GET", "/v1/profiles/" + local).status, 410u);
        EXPECT_THAT(ask("GET", "/v1/erasures").body, HasSubstr(profiles_->reference(local)));
        EXPECT_FALSE(picture_rows_->get(name)->has_value());
        EXPECT_EQ(pictures_->dirty(), 0u) << "a power cut after the answer brings nothing back";
    }
}

// He is that one by now, as of one who was merged.
TEST_F(PersonsTest, ThePlatformsProfileGoesWhenItIsErasedByTheIdThatWasProvisional) {
    viewed("card:7", "tea");
    put("c-7", 1, "card:7");
    const std::string local = "local." + names_.pseudonym(devices::normalise("card:7"));
    EXPECT_EQ(ask("DELETE", "/v1/profiles/" + local).status, 200u);
    for (const std::string& name : {std::string("card:7"), std::string("c-7"), local})
        EXPECT_EQ(ask("GET", "/v1/profiles/" + name).status, 410u) << name;
    EXPECT_EQ(ask("DELETE", "/v1/profiles/local.nobody").status, 200u);
    EXPECT_THAT(erased_, Not(testing::Contains("nobody"))) << "no pseudonym";
}

// A link to each of its names would lead whoever gets one of them later back to it.
TEST_F(PersonsTest, WhoIsGivenToAProfileDoesNotTieItsNamesToEachOther) {
    EXPECT_EQ(ask("PUT", "/v1/profiles/c-1", R"({"version":1,"aliases":["card:1","card:2"]})").status, 201u);
    viewed("card:7", "tea");
    const std::string local = "local." + names_.pseudonym(devices::normalise("card:7"));
    EXPECT_EQ(ask("POST", "/v1/profiles/c-1/merge", R"({"from":[")" + local + R"("]})").status, 200u);
    EXPECT_THAT(read("card:7"), HasSubstr("\"id\":\"c-1\""));
    EXPECT_EQ(ask("PUT", "/v1/profiles/c-2", R"({"version":1,"aliases":["card:2"]})").status, 201u);
    EXPECT_THAT(read("card:2"), HasSubstr("\"id\":\"c-2\""));
    EXPECT_THAT(read("card:7"), HasSubstr("\"id\":\"c-1\""));
}

TEST_F(PersonsTest, AProfileWithoutANameCannotBeGivenOneWhomOnlyEventsKnow) {
    EXPECT_EQ(ask("PUT", "/v1/profiles/c-1", R"({"version":1})").status, 201u);
    put("c-2", 1, "card:2");
    viewed("card:7", "tea");
    const std::string local = "local." + names_.pseudonym(devices::normalise("card:7"));
    const auto merge = [&](const std::string& from) {
        return ask("POST", "/v1/profiles/c-1/merge", R"({"from":[)" + from + "]}");
    };
    const auto refused = merge("\"" + local + "\"");
    EXPECT_EQ(refused.status, 409u);
    EXPECT_THAT(refused.body, AllOf(HasSubstr("merge-conflict"), HasSubstr("no alias")));
    EXPECT_THAT(read("card:7", "operation"), HasSubstr("\"provisional\":true"));
    EXPECT_THAT(read(local, "operation"), HasSubstr("\"provisional\":true")) << "nothing is written";
    EXPECT_EQ(merge("\"c-2\",\"" + local + "\"").status, 200u) << "together with somebody who has a name";
    EXPECT_THAT(read("card:7"), HasSubstr("\"id\":\"c-1\""));
    put("c-1", 2, "card:1");
    EXPECT_EQ(merge("\"" + local + "\"").status, 200u) << "said again";
}

// A device can name whomever it likes in an event: what it reads then is its own event, and counts.
TEST_F(PersonsTest, WhomOnlyEventsKnowCountsAsUnknownOnceInAWhile) {
    const auto status = [&](const std::string& name) {
        return ask_as(till, "/v1/profiles/" + name, "pos/t1").status;
    };
    put("c-1", 1, "card:1");
    viewed("card:7", "tea");
    for (int i = 0; i < 200; ++i) EXPECT_EQ(status("card:7"), 200u) << "he stands in the shop";
    told(Stream::customer, "store.kiosk.identify.v1", "card:1", "", "{}", "card:8");
    for (int i = 0; i < 200; ++i) EXPECT_EQ(status("card:8"), 200u) << "only an event says that it is c-1's";
    for (int i = 0; i < 200; ++i) EXPECT_EQ(status("card:1"), 200u);
    int answered = 0;
    for (; answered < 100; ++answered) {
        const std::string guess = "card:guess" + std::to_string(answered);
        viewed(guess, "x");
        if (status(guess) != 200u) break;
    }
    EXPECT_EQ(answered, 58);
    EXPECT_EQ(status("card:1"), 429u);
    clock_.advance(std::chrono::minutes(6));
    for (int i = 0; i < 200; ++i) EXPECT_EQ(status("card:7"), 200u);
}

TEST_F(PersonsTest, AnEventThatLeavesSaysWhichOfItsNamesThePlatformDoesNotKnow) {
    put("c-1", 1, "card:1");
    EXPECT_EQ(leaving("card:1", Stream::sales).other, "");
    told(Stream::customer, "store.kiosk.identify.v1", "card:1", "", "{}", "email:jane@example.com");
    EXPECT_EQ(leaving("email:jane@example.com", Stream::sales).subject, "profile/c-1");
    EXPECT_THAT(leaving("email:jane@example.com", Stream::sales).other, HasSubstr("pseudonym/p1_"));
    EXPECT_EQ(leaving("card:1", Stream::sales).other, "");
    put("c-2", 1, "email:jane@example.com");
    EXPECT_EQ(leaving("email:jane@example.com", Stream::sales).other, "profile/c-2");
    put("c-1", 2, R"(card:1","email:jane@example.com)");
    EXPECT_EQ(leaving("email:jane@example.com", Stream::sales).other, "");
}

// profiles.purpose_interactions and its like.
// One event may name many cards: who reads one of them sees all.
TEST_F(PersonsTest, EveryNameThatOnlyEventsTieToACustomerCountsWhenHeIsRead) {
    put("c-1", 1, "card:1");
    const auto status = [&](const std::string& device) {
        return ask_as(till, "/v1/profiles/card:1", device).status;
    };
    const auto tie = [&](int guess) {
        told(Stream::customer, "store.kiosk.identify.v1", "card:1", "", "{}",
             "card:g" + std::to_string(guess));
    };
    for (int guess = 0; guess < 15; ++guess) tie(guess);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(status("pos/t1"), 200u) << "15 of 60";
    for (int guess = 0; guess < 45; ++guess)
        EXPECT_EQ(ask_as(till, "/v1/profiles/card:x" + std::to_string(guess), "pos/t1").status, 404u);
    EXPECT_EQ(status("pos/t1"), 429u);
    viewed("card:7", "tea");
    told(Stream::customer, "store.kiosk.identify.v1", "card:7", "", "{}", "card:8");
    EXPECT_EQ(ask_as(till, "/v1/profiles/card:7", "pos/t2").status, 200u);
    for (int guess = 0; guess < 58; ++guess)
        EXPECT_EQ(ask_as(till, "/v1/profiles/card:x" + std::to_string(guess), "pos/t2").status, 404u);
    EXPECT_EQ(status("pos/t2"), 429u) << "of one whom only events know too";
}

TEST_F(PersonsTest, APlatformWhoseClockIsAheadHidesNothingThatIsStillToCome) {
    put("c-1", 1, "card:1", R"(,"updated":")" + to_rfc3339(clock_.utc() + std::chrono::hours(24)) + "\"");
    clock_.advance(std::chrono::seconds(1));
    viewed("card:1", "tea");
    EXPECT_THAT(read("card:1"), HasSubstr("tea"));
}

TEST_F(PersonsTest, RecentTouchesStandInTheOrderOfTheirTimes) {
    put("c-1", 1, "card:1");
    viewed("card:1", "tea");
    clock_.advance(std::chrono::minutes(1));
    told_at_ = clock_.utc() - std::chrono::minutes(30);
    viewed("card:1", "told-late");
    told_at_ = clock_.utc() + std::chrono::hours(24 * 365);
    viewed("card:1", "clock-ahead");
    clock_.advance(std::chrono::minutes(1));
    told_at_.reset();
    viewed("card:1", "milk");
    const std::string recent = read("card:1");
    EXPECT_LT(recent.find("milk"), recent.find("clock-ahead")) << recent;
    EXPECT_LT(recent.find("clock-ahead"), recent.find("tea"));
    EXPECT_LT(recent.find("tea"), recent.find("told-late"));
}

TEST_F(PersonsTest, PicturesAreTheSameAfterARestartWhetherWrittenDownOrNot) {
    viewed("card:1", "one");
    EXPECT_THAT(read("card:1", "operation"), HasSubstr("provisional"));
    ASSERT_TRUE(pictures_->checkpoint());
    EXPECT_EQ(pictures_->dirty(), 0u);
    viewed("card:1", "two");
    told(Stream::customer, "store.kiosk.consent.v1", "card:1", "",
         R"({"purpose":"personalisation","state":"granted"})");
    EXPECT_THAT(read("card:1"), HasSubstr(R"("store.kiosk.view.v1":2)"));
    close();
    open();
    EXPECT_THAT(read("card:1"), AllOf(HasSubstr(R"("store.kiosk.view.v1":2)"), HasSubstr("view: one")));
}

TEST_F(PersonsTest, WhoIsForgottenIsForgottenOnTheDiskToo) {
    viewed("card:1", "one");
    EXPECT_THAT(read("card:1", "operation"), HasSubstr("provisional"));
    ASSERT_TRUE(pictures_->checkpoint());
    const std::string name = names_.pseudonym(devices::normalise("card:1"));
    EXPECT_TRUE(picture_rows_->get(name)->has_value());
    pictures_->forget(std::vector{name});
    EXPECT_EQ(ask_as(till, "/v1/profiles/card:1", "pos/t1").status, 404u);
    ASSERT_TRUE(pictures_->checkpoint());
    EXPECT_FALSE(picture_rows_->get(name)->has_value());
}

}  // namespace
}  // namespace touchpoint::tests
