// Profiles over real sockets: the platform writes, touchpoints read.
#include "gateway/profiles/profile_routes.hpp"

#include <gmock/gmock.h>

#include "tests/gateway/profile_shop.hpp"

namespace touchpoint::tests {
namespace {

using gateway::HttpResponse;
using gateway::Role;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class ProfileRoutesTest : public ProfileShop {
  protected:
    static constexpr const char* jane =
        R"({"version":41,"updated":"2026-09-21T08:00:00Z","aliases":["card:2900000012345","email:jane@example.com"],)"
        R"("traits":{"tier":"gold"},"offers":[{"id":"o-1"}],"loyalty":{"points":1.50}})";
    static std::string header(const HttpResponse& response, std::string_view name) {
        for (const auto& [key, value] : response.headers)
            if (key == name) return value;
        return "";
    }
};

TEST_F(ProfileRoutesTest, WhatThePlatformPutsATillReadsAlsoAfterARestart) {
    const HttpAnswer put = ask("PUT", "/v1/profiles/c-1", jane);
    EXPECT_EQ(put.status, 201) << put.body;
    EXPECT_EQ(put.body, R"({"id":"c-1","outcome":"created","version":41})"
                        "\n");
    close();
    open();
    for (const char* target : {"/v1/profiles/c-1", "/v1/profiles/card:2900000012345",
                               "/v1/profiles/card%3A2900000012345", "/v1/profiles/email:Jane@Example.com"}) {
        const HttpAnswer read = ask("GET", target);
        EXPECT_EQ(read.status, 200) << target << read.body;
        EXPECT_THAT(read.body, AllOf(HasSubstr(R"("traits":{"tier":"gold"})"), HasSubstr(R"("points":1.50)"),
                                     HasSubstr(R"("version":41,"updated":"2026-09-21T08:00:00.000Z")"),
                                     HasSubstr(R"("stale":false)"), HasSubstr(R"("withheld":["offers"])")));
    }
    EXPECT_EQ(ask("POST", "/v1/profiles/lookup", R"({"any":["card:1","email:jane@example.com"]})").status,
              200);
}

TEST_F(ProfileRoutesTest, VersionsDecideWhatIsAnswered) {
    ask("PUT", "/v1/profiles/c-1", jane);
    const HttpAnswer same = ask("PUT", "/v1/profiles/c-1", jane);
    EXPECT_EQ(same.status, 200);
    EXPECT_THAT(same.body, HasSubstr("unchanged"));
    const HttpAnswer older = ask("PUT", "/v1/profiles/c-1", R"({"version":40})");
    EXPECT_EQ(older.status, 409);
    EXPECT_THAT(older.body, AllOf(HasSubstr("older-version"), HasSubstr("version 41 is here")));
    EXPECT_THAT(ask("PUT", "/v1/profiles/c-1", R"({"version":42})").body, HasSubstr("replaced"));
    EXPECT_EQ(ask("PUT", "/v1/profiles/c-1", R"({"version":44})", "If-Match: \"43\"\r\n").status, 412);
    EXPECT_EQ(ask("PUT", "/v1/profiles/c-1", R"({"version":44})", "If-Match: W/\"42-0a1b2c3d\"\r\n").status,
              200);
    EXPECT_EQ(ask("PUT", "/v1/profiles/c-1", R"({"version":45})", "If-Match: 43\r\n").status, 400);
}

TEST_F(ProfileRoutesTest, APatchChangesAPart) {
    EXPECT_EQ(ask("PATCH", "/v1/profiles/c-1", R"({"version":42})").status, 404);
    ask("PUT", "/v1/profiles/c-1", jane);
    EXPECT_EQ(
        ask("PATCH", "/v1/profiles/c-1", R"({"version":42,"traits":{"tier":"platinum"},"loyalty":null})")
            .status,
        200);
    EXPECT_THAT(ask("GET", "/v1/profiles/card:2900000012345").body,
                AllOf(HasSubstr(R"("traits":{"tier":"platinum"})"), Not(HasSubstr("points")),
                      HasSubstr("\"version\":42")));
    EXPECT_EQ(ask("PATCH", "/v1/profiles/c-1", R"({"version":43,"traits":7})").status, 400);
}

TEST_F(ProfileRoutesTest, APatchMakesAProfileWhereItIsToldTo) {
    EXPECT_EQ(ask("PATCH", "/v1/profiles/c-1", R"({"version":1,"create":false})").status, 404);
    EXPECT_EQ(
        ask("PATCH", "/v1/profiles/c-1", R"({"version":1,"create":true,"add_aliases":["card:1"],"x":1})")
            .status,
        201);
    EXPECT_THAT(ask("GET", "/v1/profiles/card:1").body,
                AllOf(HasSubstr("\"x\":1"), Not(HasSubstr("create"))));
    EXPECT_THAT(ask("POST", "/v1/profiles/batch",
                    R"({"op":"patch","id":"c-2","version":1,"create":true})"
                    "\n"
                    R"({"op":"patch","id":"c-3","version":1})")
                    .body,
                AllOf(HasSubstr(R"({"index":0,"status":201,)"), HasSubstr(R"({"index":1,"status":404,)")));
}

TEST_F(ProfileRoutesTest, AnErasedProfileIs410AndItsReferenceIsListed) {
    ask("PUT", "/v1/profiles/c-1", jane);
    const HttpAnswer erased = ask("DELETE", "/v1/profiles/c-1");
    EXPECT_EQ(erased.status, 200);
    const std::string reference = profiles_->reference("c-1");
    EXPECT_THAT(erased.body, AllOf(HasSubstr("\"outcome\":\"erased\""), HasSubstr(reference)));
    std::vector<std::string> forgotten;
    loop_.on_loop([&] { forgotten = forgotten_; });
    EXPECT_THAT(forgotten, testing::UnorderedElementsAre(names_.pseudonym({"card", "2900000012345"}),
                                                         names_.pseudonym({"email", "jane@example.com"})));
    EXPECT_EQ(ask("GET", "/v1/profiles/c-1").status, 410);
    EXPECT_EQ(ask("GET", "/v1/profiles/card:2900000012345").status, 410) << "his card says so, too";
    EXPECT_EQ(ask("POST", "/v1/profiles/lookup", R"({"any":["card:1","email:jane@example.com"]})").status,
              410);
    EXPECT_THAT(ask("GET", "/v1/profiles/wanted").body, Not(HasSubstr("2900000012345")));
    EXPECT_EQ(ask("PUT", "/v1/profiles/c-1", jane).status, 410) << "a late one";
    EXPECT_EQ(ask("PATCH", "/v1/profiles/c-1", R"({"version":50})").status, 410);
    EXPECT_THAT(ask("DELETE", "/v1/profiles/c-9").body, HasSubstr("\"version\":null"));
    EXPECT_THAT(ask("PUT", "/v1/profiles/c-9", jane).body,
                AllOf(HasSubstr("\"status\":410"), HasSubstr("none brings it back")));
    EXPECT_EQ(ask("DELETE", "/v1/profiles/c-9", R"({"aliases":["card:9"]})").status, 200);
    loop_.on_loop([&] { forgotten = forgotten_; });
    EXPECT_EQ(forgotten.back(), names_.pseudonym({"card", "9"}));
    EXPECT_EQ(ask("DELETE", "/v1/profiles/c-9", R"({"aliases":["9"]})").status, 400);
    EXPECT_EQ(ask("PUT", "/v1/profiles/c-5", R"({"version":1,"aliases":["card:9"]})").status, 201);
    EXPECT_THAT(ask("GET", "/v1/profiles/card:9").body, StartsWith(R"({"id":"c-5")")) << "another has it now";
    const HttpAnswer list = ask("GET", "/v1/erasures");
    EXPECT_THAT(list.body,
                AllOf(HasSubstr("{\"reference\":\"" + reference + "\",\"version\":41,\"time\":\"2026-"),
                      HasSubstr("\"next\":null"), Not(HasSubstr("c-1"))));
    const HttpAnswer page = ask("GET", "/v1/erasures?max=1");
    const std::size_t next = page.body.find("\"next\":\"") + 8;
    EXPECT_EQ(
        ask("GET", "/v1/erasures?after=" + page.body.substr(next, page.body.find('"', next) - next)).status,
        200);
    EXPECT_EQ(ask("GET", "/v1/erasures?after=x").status, 400);
    EXPECT_EQ(ask("GET", "/v1/erasures?max=0").status, 400);
}

// Feeds and batches come more than once: an erasure of before must not take who has come again since.
TEST_F(ProfileRoutesTest, AnErasureThatComesOnceMoreLeavesANewerVersionAlone) {
    const auto put = [&](int version) {
        return ask("PUT", "/v1/profiles/c-1",
                   R"({"aliases":["card:1"],"version":)" + std::to_string(version) + "}")
            .status;
    };
    EXPECT_EQ(put(5), 201);
    EXPECT_EQ(ask("DELETE", "/v1/profiles/c-1?version=5").status, 200);
    EXPECT_EQ(put(6), 201);
    erased_.clear();
    const HttpAnswer again = ask("DELETE", "/v1/profiles/c-1?version=5", R"({"aliases":["card:1"]})");
    EXPECT_EQ(again.status, 409);
    EXPECT_THAT(again.body, HasSubstr("older-version"));
    EXPECT_THAT(erased_, testing::IsEmpty()) << "nor is anything of his taken out of events";
    EXPECT_EQ(ask("GET", "/v1/profiles/card:1").status, 200);
    const std::string local = "local." + names_.pseudonym(devices::normalise("card:1"));
    EXPECT_EQ(ask("DELETE", "/v1/profiles/" + local + "?version=5").status, 200) << "whose version was that?";
    EXPECT_EQ(ask("GET", "/v1/profiles/card:1").status, 410);
    EXPECT_EQ(put(7), 201);
    EXPECT_EQ(ask("DELETE", "/v1/profiles/c-1").status, 200);
    EXPECT_EQ(ask("GET", "/v1/profiles/card:1").status, 410);
}

TEST_F(ProfileRoutesTest, WhatAPatchMakesOfAProfileIsLookedAtAsAPutIs) {
    close();
    too_far_ = [](std::string_view document) {
        return document.find("\"customer\":99") != std::string_view::npos;
    };
    open();
    ask("PUT", "/v1/profiles/c-1", R"({"version":1,"seen":{"gw-1":{"epoch":"e","customer":7}}})");
    EXPECT_EQ(ask("PATCH", "/v1/profiles/c-1", R"({"version":2,"seen":{"gw-1":{"customer":99}}})").status,
              400);
    EXPECT_EQ(ask("PATCH", "/v1/profiles/c-1", R"({"version":2,"seen":{"gw-1":{"sales":3}}})").status, 200);
    close();
    const auto all_too_far = [](std::string_view document) {
        return document.find("\"seen\"") != std::string_view::npos;
    };
    too_far_ = all_too_far;  // a power cut took numbers back
    open();
    EXPECT_EQ(ask("PATCH", "/v1/profiles/c-1", R"({"version":3,"note":1})").status, 200)
        << "says nothing of it";
    EXPECT_EQ(ask("PATCH", "/v1/profiles/c-1", R"({"version":4,"seen":{"gw-1":{"sales":3}}})").status, 400);
    EXPECT_EQ(ask("PATCH", "/v1/profiles/c-1",
                  R"({"version":5,"consents":{"marketing":{"state":"denied","state":"granted"}}})")
                  .status,
              400);
}

TEST_F(ProfileRoutesTest, AnErasureTakesThePersonOutOfTheEventsBeforeTheCacheForgetsHim) {
    ask("PUT", "/v1/profiles/c-1", jane);
    events_erased_ = fail(Errc::full, "events of 100000 erased persons wait");
    const HttpAnswer refused = ask("DELETE", "/v1/profiles/c-1", R"({"aliases":["card:7"]})");
    EXPECT_EQ(refused.status, 503);
    EXPECT_THAT(refused.body,
                AllOf(HasSubstr("erasure-waits"), HasSubstr("events of 100000 erased persons wait")));
    EXPECT_EQ(ask("GET", "/v1/profiles/c-1").status, 200) << "as it was";
    events_erased_ = {};
    bool there = false;
    on_erase_events_ = [&] {
        there = profiles_->by_id("c-1", clock_.utc())->kind == store::ProfileLook::Kind::found;
    };
    erased_.clear();
    EXPECT_EQ(ask("DELETE", "/v1/profiles/c-1", R"({"aliases":["card:7"]})").status, 200);
    EXPECT_TRUE(there);
    EXPECT_THAT(erased_, testing::UnorderedElementsAre(names_.pseudonym({"card", "2900000012345"}),
                                                       names_.pseudonym({"email", "jane@example.com"}),
                                                       names_.pseudonym({"card", "7"})));
}

TEST_F(ProfileRoutesTest, NobodyIsErasedWhoseNamesCannotBeReadAndNoAnswerComesBeforeThePictureIsGone) {
    ask("PUT", "/v1/profiles/c-1", jane);
    log_read_ = fail(Errc::io, "broken");
    EXPECT_THAT(ask("DELETE", "/v1/profiles/c-1").body,
                AllOf(HasSubstr("\"status\":503"), HasSubstr("store-io"), HasSubstr("nothing of this was")));
    EXPECT_EQ(ask("GET", "/v1/profiles/c-1").status, 200);
    EXPECT_THAT(erased_, testing::IsEmpty());
    log_read_ = {};
    picture_rows_written_ = fail(Errc::io, "broken");
    EXPECT_THAT(ask("DELETE", "/v1/profiles/c-1").body,
                AllOf(HasSubstr("\"status\":503"), HasSubstr("send the same again")));
    EXPECT_EQ(ask("DELETE", "/v1/profiles/c-1").status, 503) << "not done by being said again";
    picture_rows_written_ = {};
    EXPECT_EQ(ask("DELETE", "/v1/profiles/c-1").status, 200);
    EXPECT_EQ(ask("GET", "/v1/profiles/c-1").status, 410);
}

TEST_F(ProfileRoutesTest, ANameThatComesToAProfileWhileItIsErasedIsErasedWithIt) {
    ask("PUT", "/v1/profiles/c-1", jane);
    on_erase_events_ = [&] {
        on_erase_events_ = {};
        store::ProfilePut put;
        put.id = "c-1";
        put.version = 42;
        put.aliases = {{names_.pseudonym({"card", "8"}), "card:8"}};
        put.json = "{}";
        const store::ProfileChange change = std::move(put);
        EXPECT_TRUE(profiles_->apply({&change, 1}, clock_.utc()));
    };
    EXPECT_EQ(ask("DELETE", "/v1/profiles/c-1").status, 200);
    EXPECT_THAT(erased_, testing::Contains(names_.pseudonym({"card", "8"})));
    EXPECT_EQ(ask("GET", "/v1/profiles/card:8").status, 410);
}

TEST_F(ProfileRoutesTest, AnErasureInABatchKnowsTheNamesOfTheLinesBeforeIt) {
    const std::string lines = R"({"op":"put","id":"c-1","version":1,"aliases":["card:1"]})"
                              "\n"
                              R"({"op":"delete","id":"c-1"})"
                              "\n"
                              R"({"op":"put","id":"c-2","version":1,"aliases":["card:2"]})"
                              "\n"
                              R"({"op":"delete","id":"c-3","aliases":["card:3"]})"
                              "\n";
    const HttpAnswer answer = ask("POST", "/v1/profiles/batch", lines);
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_THAT(erased_, ElementsAre(names_.pseudonym({"card", "1"}), names_.pseudonym({"card", "3"})));
    events_erased_ = fail(Errc::timed_out, "not now");
    const HttpAnswer refused = ask("POST", "/v1/profiles/batch",
                                   R"({"op":"delete","id":"c-2"})"
                                   "\n");
    EXPECT_EQ(refused.status, 503) << refused.body;
    EXPECT_EQ(ask("GET", "/v1/profiles/card:2").status, 200);
}

TEST_F(ProfileRoutesTest, AMergedIdIsAnsweredWithTheSurvivor) {
    ask("PUT", "/v1/profiles/c-1", jane);
    ask("PUT", "/v1/profiles/c-2", R"({"version":1,"aliases":["card:2"]})");
    EXPECT_EQ(ask("POST", "/v1/profiles/c-2/merge", R"({"from":["c-1"]})").status, 200);
    const HttpAnswer read = ask("GET", "/v1/profiles/c-1");
    EXPECT_EQ(read.status, 200);
    EXPECT_EQ(read.header("content-location"), "/v1/profiles/c-2");
    EXPECT_THAT(read.body, AllOf(StartsWith(R"({"id":"c-2")"), HasSubstr(R"("merged_from":["c-1"])")));
    EXPECT_EQ(ask("GET", "/v1/profiles/card:2900000012345").header("content-location"), "");
    EXPECT_EQ(ask("PUT", "/v1/profiles/c-1", R"({"version":50})").status, 409);
    EXPECT_EQ(ask("POST", "/v1/profiles/c-1/merge", R"({"from":["c-2"]})").status, 409);
    EXPECT_EQ(ask("POST", "/v1/profiles/c-9/merge", R"({"from":["c-2"]})").status, 404);
    EXPECT_EQ(ask("POST", "/v1/profiles/c-2/merge", R"({"from":"c-1"})").status, 400);
}

TEST_F(ProfileRoutesTest, AMergeIsUndone) {
    ask("PUT", "/v1/profiles/c-1", jane);
    ask("PUT", "/v1/profiles/c-2", R"({"version":1,"aliases":["card:2"]})");
    ask("POST", "/v1/profiles/c-2/merge", R"({"from":["c-1"]})");
    const HttpAnswer undone = ask("POST", "/v1/profiles/c-2/unmerge", R"({"ids":["c-1"]})");
    EXPECT_EQ(undone.status, 200);
    EXPECT_EQ(undone.body, R"({"id":"c-2","outcome":"unmerged","version":1})"
                           "\n");
    for (const char* target : {"/v1/profiles/c-1", "/v1/profiles/card:2900000012345"})
        EXPECT_THAT(ask("GET", target).body,
                    AllOf(StartsWith(R"({"id":"c-1")"), HasSubstr(R"("traits":{"tier":"gold"})"),
                          HasSubstr("\"version\":41,"), Not(HasSubstr("merged_from"))));
    EXPECT_THAT(ask("GET", "/v1/profiles/card:2").body, StartsWith(R"({"id":"c-2")"));
    EXPECT_THAT(ask("POST", "/v1/profiles/c-2/unmerge", R"({"ids":["c-1"]})").body, HasSubstr("unchanged"))
        << "its answer was lost, it is sent again";
    ask("POST", "/v1/profiles/c-2/merge", R"({"from":["c-1"]})");
    ask("PUT", "/v1/profiles/c-3", R"({"version":1})");
    const HttpAnswer other = ask("POST", "/v1/profiles/c-3/unmerge", R"({"ids":["c-1"]})");
    EXPECT_EQ(other.status, 409);
    EXPECT_THAT(other.body, AllOf(HasSubstr("not-merged"), HasSubstr("c-1 is merged into another profile")));
    EXPECT_EQ(ask("POST", "/v1/profiles/c-1/unmerge", R"({"ids":["c-2"]})").status, 409) << "it is merged";
    EXPECT_EQ(ask("POST", "/v1/profiles/c-9/unmerge", R"({"ids":["c-1"]})").status, 404);
    EXPECT_EQ(ask("POST", "/v1/profiles/c-2/unmerge", R"({"from":["c-1"]})").status, 400);
    EXPECT_THAT(ask("POST", "/v1/profiles/batch", R"({"op":"unmerge","id":"c-2","ids":["c-1"]})").body,
                HasSubstr(R"({"index":0,"status":200,"id":"c-2","outcome":"unmerged","version":1})"));
    EXPECT_EQ(ask("PUT", "/v1/profiles/c-1", R"({"version":42})").status, 200);
}

TEST_F(ProfileRoutesTest, ABatchIsAnsweredLineByLine) {
    std::string lines;
    lines += R"({"op":"put","id":"c-1","version":1,"aliases":["card:1"]})"
             "\n";
    lines += R"({"op":"patch","id":"c-1","version":2,"traits":{"a":1}})"
             "\r\n\n";
    lines += "nonsense\n";
    lines += R"({"op":"put","id":"c-1","version":1})"
             "\n";
    lines += R"({"op":"put","id":"c-2","version":1})"
             "\n";
    lines += R"({"op":"merge","id":"c-2","from":["c-1"]})"
             "\n";
    lines += R"({"op":"delete","id":"c-3","version":7})";
    const HttpAnswer answer = ask("POST", "/v1/profiles/batch", lines);
    EXPECT_EQ(answer.status, 200);
    EXPECT_THAT(answer.body,
                AllOf(HasSubstr(R"({"index":0,"status":201,"id":"c-1","outcome":"created","version":1})"),
                      HasSubstr(R"({"index":1,"status":200,"id":"c-1","outcome":"replaced","version":2})"),
                      HasSubstr(R"({"index":2,"status":400,"error":{"type":"bad-request")"),
                      HasSubstr(R"({"index":3,"status":409,"error":{"type":"older-version")"),
                      HasSubstr(R"({"index":5,"status":200,"id":"c-2","outcome":"merged","version":1})"),
                      HasSubstr(R"({"index":6,"status":200,"id":"c-3","outcome":"erased","version":7,)")));
    EXPECT_THAT(ask("GET", "/v1/profiles/card:1").body, StartsWith(R"({"id":"c-2")"));
    EXPECT_EQ(ask("POST", "/v1/profiles/batch", "").status, 400);
}

// Every change refers to `line` of `seen`: an erasure does not wait for a platform to mend its numbers.
TEST_F(ProfileRoutesTest, WhoIsToBeForgottenIsWhateverTheLineSaysThePlatformHasSeen) {
    close();
    too_far_ = [](std::string_view document) { return document.find("\"seen\"") != std::string_view::npos; };
    open();
    ask("PUT", "/v1/profiles/c-1", jane);
    const HttpAnswer answer = ask("POST", "/v1/profiles/batch",
                                  R"({"op":"put","id":"c-2","version":1,"seen":{}})"
                                  "\n"
                                  R"({"op":"delete","id":"c-1","seen":{}})");
    EXPECT_THAT(answer.body,
                AllOf(HasSubstr(R"({"index":0,"status":400)"), HasSubstr("\"outcome\":\"erased\"")));
    EXPECT_EQ(ask("GET", "/v1/profiles/c-1").status, 410);
}

TEST_F(ProfileRoutesTest, AThousandProfilesComeInOneBatch) {
    std::string lines;
    for (int i = 0; i < 1000; ++i)
        lines += R"({"op":"put","id":"c-)" + std::to_string(i) + R"(","version":1,"aliases":["card:)" +
                 std::to_string(i) + "\"]}\n";
    const HttpAnswer answer = ask("POST", "/v1/profiles/batch", lines);
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(profiles_->stats().profiles, 1000u);
    EXPECT_EQ(ask("GET", "/v1/profiles/card:777").status, 200);
}

TEST_F(ProfileRoutesTest, AReaderWhoHasItAlreadyIsTold304UntilItChanges) {
    ask("PUT", "/v1/profiles/c-1", jane);
    const HttpAnswer first = ask("GET", "/v1/profiles/c-1");
    const std::string tag = first.header("etag");
    EXPECT_THAT(tag, StartsWith("W/\"41-"));
    const HttpAnswer again = ask("GET", "/v1/profiles/c-1", "", "If-None-Match: W/\"x\", " + tag + "\r\n");
    EXPECT_EQ(again.status, 304);
    EXPECT_EQ(again.body, "");
    EXPECT_EQ(again.header("etag"), tag);
    EXPECT_EQ(ask("GET", "/v1/profiles/c-1?purpose=marketing", "", "If-None-Match: " + tag + "\r\n").status,
              200);
    EXPECT_EQ(ask("GET", "/v1/profiles/c-1", "", "If-None-Match: " + tag.substr(2) + "\r\n").status, 304)
        << "compared as weak ones are";
    clock_.advance(std::chrono::hours(1));
    ask("PUT", "/v1/profiles/c-1", jane);
    const HttpAnswer same = ask("GET", "/v1/profiles/c-1", "", "If-None-Match: " + tag + "\r\n");
    EXPECT_EQ(same.status, 304) << "the platform said the same again";
    EXPECT_EQ(same.header("age"), "0");
    ask("PUT", "/v1/profiles/c-1", R"({"version":42})");
    EXPECT_EQ(ask("GET", "/v1/profiles/c-1", "", "If-None-Match: " + tag + "\r\n").status, 200);
}

TEST_F(ProfileRoutesTest, AgeGrowsAndAnOldOneIsStaleUntilThePlatformSaysItAgain) {
    ask("PUT", "/v1/profiles/c-1", jane);
    clock_.advance(std::chrono::hours(25));
    const HttpAnswer old = ask("GET", "/v1/profiles/c-1");
    EXPECT_EQ(old.header("age"), "90000");
    EXPECT_THAT(old.body, HasSubstr(R"("stale":true)"));
    ask("PUT", "/v1/profiles/c-1", jane);
    const HttpAnswer fresh = ask("GET", "/v1/profiles/c-1");
    EXPECT_EQ(fresh.header("age"), "0");
    EXPECT_THAT(fresh.body, HasSubstr(R"("stale":false)"));
}

TEST_F(ProfileRoutesTest, AMissIsToldAtOnceAndThePlatformReadsWhoIsWanted) {
    EXPECT_EQ(ask("GET", "/v1/profiles/card:2900000012345").status, 404);
    EXPECT_EQ(ask("GET", "/v1/profiles/card:2900000012345").status, 404);
    EXPECT_EQ(ask("GET", "/v1/profiles/c-7").status, 404);
    EXPECT_THAT(ask("GET", "/v1/profiles/wanted").body,
                AllOf(HasSubstr(R"("identifier":"c-7","asked":1)"),
                      HasSubstr(R"("key":")" + names_.pseudonym({"card", "2900000012345"}) +
                                R"(","identifier":"card:2900000012345","asked":2)")));
    ask("PUT", "/v1/profiles/c-1", jane);
    EXPECT_THAT(ask("GET", "/v1/profiles/wanted").body,
                AllOf(HasSubstr("c-7"), Not(HasSubstr("2900000012345"))));
}

TEST_F(ProfileRoutesTest, NobodyIsWantedAnyMoreWhoComesByAPatchOrIsErased) {
    ask("PUT", "/v1/profiles/c-1", jane);
    for (const char* name : {"card:8", "card:9", "c-9"}) ask("GET", std::string("/v1/profiles/") + name);
    ask("PATCH", "/v1/profiles/c-1", R"({"version":42,"add_aliases":["card:8"]})");
    EXPECT_THAT(ask("GET", "/v1/profiles/wanted").body, AllOf(Not(HasSubstr("card:8")), HasSubstr("card:9")));
    EXPECT_EQ(ask("DELETE", "/v1/profiles/c-9", R"({"aliases":["card:9"]})").status, 200);
    EXPECT_THAT(ask("GET", "/v1/profiles/wanted").body, StartsWith(R"({"wanted":[],)"));
}

// Nothing is lost, and nothing of what the gateway adds to an answer becomes the platform's word.
TEST_F(ProfileRoutesTest, AProfileThatWasReadCanBePutBack) {
    ask("PUT", "/v1/profiles/c-1",
        R"({"version":41,"aliases":["card:2900000012345"],"x":[1],"consents":{"personalisation":{"state":"granted"}}})");
    told(Stream::interactions, "store.kiosk.cart.v1", "card:2900000012345", "",
         R"({"action":"add","item":"tea"})");
    EXPECT_EQ(ask("PUT", "/v1/profiles/c-1",
                  R"({"version":42,"withheld":["segments"],"aliases":["card:2900000012345"]})")
                  .status,
              400)
        << "what that read did not see would be lost";
    const std::string read = ask("GET", "/v1/profiles/c-1?purpose=personalisation").body;
    ASSERT_THAT(read, AllOf(HasSubstr("\"cart\""), HasSubstr("\"recent\""), HasSubstr("\"counts\"")));
    std::string changed = read;
    changed.replace(changed.find("\"version\":41"), 12, "\"version\":42");
    EXPECT_EQ(ask("PUT", "/v1/profiles/c-1", changed).status, 200);
    told(Stream::sales, "store.pos.sale.v1", "card:2900000012345", "", "{}");
    EXPECT_THAT(ask("GET", "/v1/profiles/card:2900000012345?purpose=personalisation").body,
                AllOf(HasSubstr("\"version\":42"), Not(HasSubstr("\"item\":\"tea\""))));
    const auto look = profiles_->by_id("c-1", clock_.utc());
    ASSERT_TRUE(look);
    for (const char* ours : {"cart", "recent", "counts", "provisional", "withheld", "received"})
        EXPECT_THAT(look->profile.json, Not(HasSubstr("\"" + std::string(ours) + "\"")))
            << look->profile.json;
}

TEST_F(ProfileRoutesTest, AliasesAreMaskedForEverybodyButThePlatformAndATechnicianSeesNoPerson) {
    ask("PUT", "/v1/profiles/c-1", jane);
    EXPECT_THAT(ask_as({Role::device}, "/v1/profiles/c-1").body,
                AllOf(HasSubstr("..2345"), HasSubstr("gold"), Not(HasSubstr("2900000012345"))));
    EXPECT_THAT(ask_as({Role::platform}, "/v1/profiles/c-1").body, HasSubstr("2900000012345"));
    EXPECT_THAT(ask_as({Role::technician}, "/v1/profiles/c-1").body,
                AllOf(HasSubstr("\"version\":41"), Not(HasSubstr("gold")), Not(HasSubstr("2345"))));
}

TEST_F(ProfileRoutesTest, WhoAsksForManyUnknownOnesIsNotAnsweredForAWhileHitsIncluded) {
    ask("PUT", "/v1/profiles/c-1", jane);
    HttpResponse last;
    int answered = 0;
    do {
        last = ask_as({Role::device}, "/v1/profiles/card:" + std::to_string(answered), "kiosk/k7");
    } while (last.status == 404 && ++answered < 1000);
    EXPECT_EQ(answered, 60);
    EXPECT_EQ(last.status, 429u);
    EXPECT_EQ(header(last, "Retry-After"), "1");
    EXPECT_EQ(ask_as({Role::device}, "/v1/profiles/c-1", "kiosk/k7").status, 429u);
    EXPECT_EQ(ask_as({Role::device}, "/v1/profiles/c-1", "pos/t1").status, 200u) << "another one";
    EXPECT_EQ(ask_as({Role::platform}, "/v1/profiles/c-9").status, 404u);
    clock_.advance(std::chrono::seconds(2));
    EXPECT_EQ(ask_as({Role::device}, "/v1/profiles/c-1", "kiosk/k7").status, 200u);
    EXPECT_EQ(
        ask_as({Role::device}, "/v1/profiles/lookup", "kiosk/k7", R"({"any":["card:a","card:b"]})").status,
        404u);
    EXPECT_EQ(ask_as({Role::device}, "/v1/profiles/c-1", "kiosk/k7").status, 429u)
        << "each of them was a miss";
}

// A list that ends in somebody known is answered, and is no way to try names for nothing.
TEST_F(ProfileRoutesTest, NamesThatNobodyKnowsCountAlsoInAListThatIsAnswered) {
    ask("PUT", "/v1/profiles/c-1", jane);
    const auto guess = [&](int number) {
        const std::string n = std::to_string(number);
        return ask_as({Role::device}, "/v1/profiles/lookup", "kiosk/k7",
                      R"({"any":["card:a)" + n + R"(","card:b)" + n + R"(","card:c)" + n +
                          R"(","card:2900000012345"]})")
            .status;
    };
    for (int i = 0; i < 100; ++i) EXPECT_EQ(guess(0), 200u) << "the same ones count once in a while";
    int answered = 1;
    while (answered < 100 && guess(answered) == 200) ++answered;
    EXPECT_EQ(answered, 20);
    EXPECT_EQ(guess(0), 429u);
}

TEST_F(ProfileRoutesTest, APatchThatDoesNotSayWhenKeepsTheTimeThatIsThere) {
    ask("PUT", "/v1/profiles/c-1", jane);
    EXPECT_EQ(ask("PATCH", "/v1/profiles/c-1", R"({"version":42,"traits":{"tier":"platinum"}})").status, 200);
    EXPECT_THAT(ask("GET", "/v1/profiles/c-1").body,
                AllOf(HasSubstr("platinum"), HasSubstr(R"("updated":"2026-09-21T08:00:00.000Z")")));
    EXPECT_EQ(ask("PATCH", "/v1/profiles/c-1", R"({"version":43,"updated":"2026-09-22T08:00:00Z"})").status,
              200);
    EXPECT_THAT(ask("GET", "/v1/profiles/c-1").body, HasSubstr(R"("updated":"2026-09-22T08:00:00.000Z")"));
    EXPECT_EQ(ask("PATCH", "/v1/profiles/c-1", R"({"version":44,"updated":null})").status, 200);
    EXPECT_THAT(ask("GET", "/v1/profiles/c-1").body, Not(HasSubstr("updated")));
}

TEST_F(ProfileRoutesTest, WhatIsAskedWronglyIsSaid) {
    EXPECT_EQ(ask("GET", "/v1/profiles/c-1?purpose=fun").status, 400);
    EXPECT_EQ(ask("GET", "/v1/profiles/c-1?fields=x").status, 400);
    EXPECT_EQ(ask("GET", "/v1/profiles/:1").status, 400);
    EXPECT_EQ(ask("POST", "/v1/profiles/lookup", R"({"any":["c 1"]})").status, 400);
    EXPECT_EQ(ask("POST", "/v1/profiles/lookup", R"({"all":[]})").status, 400);
    EXPECT_EQ(ask("PUT", "/v1/profiles/card:1", jane).status, 400);
    EXPECT_EQ(ask("PUT", "/v1/profiles/c-1?force=true", jane).status, 400);
    EXPECT_EQ(ask("DELETE", "/v1/profiles/c-1?version=x").status, 400);
    EXPECT_EQ(ask("PUT", "/v1/profiles/c-1", "[]").status, 400);
    EXPECT_EQ(
        ask("PUT", "/v1/profiles/c-1", R"({"version":1,"x":")" + std::string(200'000, 'x') + "\"}").status,
        413);
    EXPECT_EQ(profiles_->stats().profiles, 0u);
}

}  // namespace
}  // namespace touchpoint::tests
