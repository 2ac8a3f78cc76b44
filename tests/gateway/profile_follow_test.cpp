// Changes of a profile over real sockets: who has asked with text/event-stream is told.
#include <gmock/gmock.h>

#include "tests/gateway/profile_shop.hpp"
#include "tests/support/wait.hpp"

namespace touchpoint::tests {
namespace {

using gateway::ProfileFollowers;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class ProfileFollowTest : public ProfileShop {
  protected:
    static std::string version(int number, const std::string& more = "") {
        return R"({"version":)" + std::to_string(number) + R"(,"aliases":["card:2900000012345"])" + more +
               "}";
    }
    HttpClient follow(const std::string& target, const std::string& fields = "") {
        HttpClient client = HttpClient::tcp(port_);
        client.send("GET " + target +
                    " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept: text/event-stream\r\n" + fields +
                    "\r\n");
        return client;
    }
    std::size_t followers() {
        std::size_t size = 0;
        loop_.on_loop([&] { size = followers_->size(); });
        return size;
    }
    // As the daemon's loop does, some time later.
    void tick(std::chrono::milliseconds later = std::chrono::milliseconds(250)) {
        clock_.advance(later);
        loop_.on_loop([&] { followers_->tick(clock_.steady()); });
    }
};

TEST_F(ProfileFollowTest, WhoFollowsIsToldAtOnceAndAtEachChange) {
    ask("PUT", "/v1/profiles/c-1", version(1));
    HttpClient screen = follow("/v1/profiles/card:2900000012345");
    EXPECT_THAT(screen.read_until("\n\n\r\n"),
                AllOf(HasSubstr("200 OK"), HasSubstr("Content-Type: text/event-stream"),
                      HasSubstr("event: profile\nid: W/\"1-"), HasSubstr("data: {\"id\":\"c-1\"")));
    clock_.advance(ProfileFollowers::ask_every);
    ask("PUT", "/v1/profiles/c-1", version(2));
    EXPECT_THAT(screen.read_until("\n\n\r\n"), HasSubstr("event: profile\nid: W/\"2-"));
    clock_.advance(ProfileFollowers::ask_every);
    ask("DELETE", "/v1/profiles/c-1");
    EXPECT_THAT(screen.read_until("\n\n\r\n"),
                AllOf(HasSubstr("event: gone\nid:\ndata: {\"type\":\"erased\""), HasSubstr("410")));
    clock_.advance(ProfileFollowers::ask_every);
    ask("PUT", "/v1/profiles/c-2", version(1));
    EXPECT_THAT(screen.read_until("\n\n\r\n"), HasSubstr("data: {\"id\":\"c-2\""));
}

TEST_F(ProfileFollowTest, AnAliasThatAPatchBringsAndAMergeAreToldToo) {
    ask("PUT", "/v1/profiles/c-1", R"({"version":1})");
    ask("PUT", "/v1/profiles/c-2", R"({"version":1,"aliases":["card:2"]})");
    HttpClient stranger = follow("/v1/profiles/email:jane@example.com");
    EXPECT_THAT(stranger.read_until("\n\n\r\n"), HasSubstr("event: gone"));
    HttpClient other = follow("/v1/profiles/c-2");
    EXPECT_THAT(other.read_until("\n\n\r\n"), HasSubstr("\"id\":\"c-2\""));
    clock_.advance(ProfileFollowers::ask_every);
    ask("PATCH", "/v1/profiles/c-1", R"({"version":2,"aliases":["email:jane@example.com"]})");
    EXPECT_THAT(stranger.read_until("\n\n\r\n"), HasSubstr("data: {\"id\":\"c-1\""));
    ask("POST", "/v1/profiles/c-1/merge", R"({"from":["c-2"]})");
    EXPECT_THAT(other.read_until("\n\n\r\n"), AllOf(HasSubstr("\"id\":\"c-1\""), HasSubstr("merged_from")));
}

// Who was unknown when he was asked for is followed under the id that he is given, and from there on.
TEST_F(ProfileFollowTest, WhatAnAnswerDependsOnChangesWithIt) {
    HttpClient screen = follow("/v1/profiles/card:2900000012345");
    EXPECT_THAT(screen.read_until("\n\n\r\n"), HasSubstr("event: gone"));
    clock_.advance(ProfileFollowers::ask_every);
    ask("PUT", "/v1/profiles/c-1", version(1));
    EXPECT_THAT(screen.read_until("\n\n\r\n"), HasSubstr("\"id\":\"c-1\""));
    ask("PUT", "/v1/profiles/c-2", R"({"version":1})");
    clock_.advance(ProfileFollowers::ask_every);
    ask("POST", "/v1/profiles/c-2/merge", R"({"from":["c-1"]})");
    EXPECT_THAT(screen.read_until("\n\n\r\n"), HasSubstr("\"id\":\"c-2\""));
    clock_.advance(ProfileFollowers::ask_every);
    ask("PUT", "/v1/profiles/c-2", R"({"version":2})");
    EXPECT_THAT(screen.read_until("\n\n\r\n"), HasSubstr("\"version\":2"));
}

// Else whoever follows a stranger would be told again and again what he knows.
TEST_F(ProfileFollowTest, OneWhomOnlyEventsKnowIsTheSameAnswerUntilSomethingHappens) {
    const std::string cart = R"({"action":"add","item":"tea"})";
    told(Stream::interactions, "store.kiosk.cart.v1", "card:7", "", cart);
    const std::string first = ask("GET", "/v1/profiles/card:7").headers.at("etag");
    clock_.advance(std::chrono::minutes(5));
    EXPECT_EQ(ask("GET", "/v1/profiles/card:7").headers.at("etag"), first);
    told(Stream::interactions, "store.kiosk.cart.v1", "card:7", "", cart);
    EXPECT_NE(ask("GET", "/v1/profiles/card:7").headers.at("etag"), first);
}

TEST_F(ProfileFollowTest, OneThatKnowsTheStateIsToldOnlyTheNextOne) {
    ask("PUT", "/v1/profiles/c-1", version(1));
    const HttpAnswer known = ask("GET", "/v1/profiles/c-1");
    const std::string tag = known.headers.at("etag");
    HttpClient screen = follow("/v1/profiles/c-1", "Last-Event-ID: " + tag + "\r\n");
    EXPECT_THAT(screen.read_until("\n\n\r\n"), AllOf(HasSubstr("200 OK"), Not(HasSubstr("event:"))));
    HttpClient behind = follow("/v1/profiles/c-1", "Last-Event-ID: \"0-00000000\"\r\n");
    EXPECT_THAT(behind.read_until("\n\n\r\n"), HasSubstr("event: profile"));
    clock_.advance(ProfileFollowers::ask_every);
    ask("PUT", "/v1/profiles/c-1", version(1));  // said again, later: no other state
    clock_.advance(ProfileFollowers::ask_every);
    ask("PUT", "/v1/profiles/c-1", version(2));
    EXPECT_THAT(screen.read_until("\n\n\r\n"), HasSubstr("id: W/\"2-"));
}

// A till that may not see the offers is not told that they changed.
TEST_F(ProfileFollowTest, AChangeThatAPurposeMayNotSeeIsNotTold) {
    const std::string consent = R"(,"consents":{"marketing":{"state":"denied"}},"traits":{"tier":)";
    ask("PUT", "/v1/profiles/c-1", version(1, consent + "\"gold\"}"));
    std::vector<std::string> told;
    loop_.on_loop([&] {
        gateway::ProfileQuestion question{{"c-1"}, "marketing", {gateway::Role::device}, "pos/t1", true};
        const auto answer = reads_->ask(question);
        ProfileFollowers::Follower follower;
        follower.question = question;
        follower.state = "only the consents, of an earlier version";
        follower.keys = answer.keys;
        follower.tell = [&](const gateway::ProfileAnswer& given) {
            told.push_back(given.body);
            return ProfileFollowers::Told::taken;
        };
        ASSERT_TRUE(followers_->follow(std::move(follower), clock_.steady(), false));
        clock_.advance(ProfileFollowers::ask_every);
        followers_->changed(answer.keys, clock_.steady());
        ASSERT_EQ(told.size(), 1u);
        clock_.advance(ProfileFollowers::ask_every);
        followers_->changed(answer.keys, clock_.steady());
    });
    EXPECT_EQ(told.size(), 1u);
    EXPECT_THAT(told[0], Not(HasSubstr("gold")));
}

TEST_F(ProfileFollowTest, ManyChangesAtOnceAreOneAndTheLastOneIsTold) {
    ask("PUT", "/v1/profiles/c-1", version(1));
    HttpClient screen = follow("/v1/profiles/c-1");
    screen.read_until("\n\n\r\n");
    for (int number = 2; number < 12; ++number) ask("PUT", "/v1/profiles/c-1", version(number));
    std::uint64_t told = 1;
    loop_.on_loop([&] { told = followers_->told(); });
    EXPECT_EQ(told, 0u);  // he was answered in this very moment
    tick();
    EXPECT_THAT(screen.read_until("\n\n\r\n"), HasSubstr("id: W/\"11-"));
    loop_.on_loop([&] { told = followers_->told(); });
    EXPECT_EQ(told, 1u);
}

TEST_F(ProfileFollowTest, WhatTimeChangesIsToldWithinAMinute) {
    options_.stale_after = std::chrono::hours(1);
    close();
    open();
    ask("PUT", "/v1/profiles/c-1", version(1));
    HttpClient screen = follow("/v1/profiles/c-1");
    EXPECT_THAT(screen.read_until("\n\n\r\n"), HasSubstr("\"stale\":false"));
    tick(std::chrono::hours(2));
    EXPECT_THAT(screen.read_until("\n\n\r\n"), HasSubstr("\"stale\":true"));
}

TEST_F(ProfileFollowTest, FollowersTakeNobodysPlace) {
    limits_.connections_max = 2;
    limits_.stream_pulse = std::chrono::milliseconds(50);  // so often it looks who has left
    close();
    open();
    ask("PUT", "/v1/profiles/c-1", version(1));
    std::vector<HttpClient> tills;
    for (int i = 0; i < 5; ++i) {
        tills.push_back(follow("/v1/profiles/c-1"));
        EXPECT_THAT(tills.back().read_until("\n\n\r\n"), HasSubstr("event: profile"));
    }
    EXPECT_EQ(ask("GET", "/v1/profiles/c-1").status, 200);
    gateway::HttpStats stats;
    loop_.on_loop([&] { stats = server_->stats(); });
    EXPECT_EQ(stats.streams, 5u);
    EXPECT_EQ(followers(), 5u);
    tills.clear();
    EXPECT_TRUE(wait_for([&] {
        tick();
        return followers() == 0;
    }));
    loop_.on_loop([&] { stats = server_->stats(); });
    EXPECT_EQ(stats.streams, 0u);
}

TEST_F(ProfileFollowTest, OneMachineFollowsSoManyAndNoMore) {
    limits_.stream_pulse = std::chrono::milliseconds(50);
    close();
    open();
    ask("PUT", "/v1/profiles/c-1", version(1));
    std::vector<HttpClient> tills;
    for (std::size_t i = 0; i < ProfileFollowers::of_one_max; ++i) {
        tills.push_back(follow("/v1/profiles/c-1"));
        ASSERT_THAT(tills.back().read_until("\n\n\r\n"), HasSubstr("event: profile")) << i;
    }
    const HttpAnswer refused = ask("GET", "/v1/profiles/c-1", "", "Accept: text/event-stream\r\n");
    EXPECT_EQ(refused.status, 503);
    EXPECT_THAT(refused.body, HasSubstr("too-many-followers"));
    EXPECT_EQ(ask("GET", "/v1/profiles/c-1").status, 200);
    tills.pop_back();
    // Its place is free as soon as its end is noticed.
    EXPECT_TRUE(wait_for([&] {
        tills.push_back(follow("/v1/profiles/c-1"));
        return tills.back().read_until("\n\n\r\n").find("200 OK") != std::string::npos;
    }));
}

TEST_F(ProfileFollowTest, ATableThatIsFullTakesNobody) {
    loop_.on_loop([&] {
        const auto follower = [](std::size_t number) {
            ProfileFollowers::Follower one;
            one.name = "n" + std::to_string(number);
            one.question = {
                {"c-1"}, "operation", {gateway::Role::device}, "pos/t" + std::to_string(number), true};
            one.tell = [](const gateway::ProfileAnswer&) { return ProfileFollowers::Told::taken; };
            return one;
        };
        for (std::size_t i = 0; i < ProfileFollowers::followers_max; ++i)
            ASSERT_TRUE(followers_->follow(follower(i), clock_.steady(), true));
        EXPECT_FALSE(followers_->follow(follower(9999), clock_.steady(), true));
        EXPECT_TRUE(followers_->follow(follower(7), clock_.steady(), true));  // once more is no more
        EXPECT_TRUE(followers_->end("n8"));
        EXPECT_FALSE(followers_->end("n8"));
        EXPECT_TRUE(followers_->follow(follower(9999), clock_.steady(), true));
        EXPECT_EQ(followers_->size(), ProfileFollowers::followers_max);
    });
}

TEST_F(ProfileFollowTest, AReaderThatIsSlowIsToldTheNewestStateLater) {
    bool takes = false;
    std::vector<std::string> told;
    ask("PUT", "/v1/profiles/c-1", version(1));
    const auto put = [&](int number) {
        clock_.advance(ProfileFollowers::ask_every);
        ask("PUT", "/v1/profiles/c-1", version(number));
    };
    loop_.on_loop([&] {
        ProfileFollowers::Follower one;
        one.question = {{"c-1"}, "operation", {gateway::Role::device}, "pos/t1", true};
        one.keys = reads_->ask(one.question).keys;
        one.tell = [&](const gateway::ProfileAnswer& answer) {
            if (!takes) return ProfileFollowers::Told::not_yet;
            told.push_back(answer.etag.substr(2, 3));
            return ProfileFollowers::Told::taken;
        };
        ASSERT_TRUE(followers_->follow(std::move(one), clock_.steady(), false));
    });
    put(2);
    put(3);
    loop_.on_loop([&] { takes = true; });
    tick();
    loop_.on_loop([&] { EXPECT_THAT(told, testing::ElementsAre("\"3-")); });
}

// The sockets hold some MB; then nothing leaves any more.
TEST_F(ProfileFollowTest, AReaderThatDoesNotReadIsCutOff) {
    limits_.write = std::chrono::milliseconds(100);
    close();
    open();
    HttpClient screen = follow("/v1/profiles/c-1");
    const std::string traits = R"(,"traits":{"note":")" + std::string(15'000, 'n') + "\"}";
    int number = 0;
    EXPECT_TRUE(wait_for([&] {
        clock_.advance(ProfileFollowers::ask_every);
        ask("PUT", "/v1/profiles/c-1", version(++number, traits));
        tick();
        return number > 10 && followers() == 0;
    }));
    gateway::HttpStats stats;
    EXPECT_TRUE(wait_for([&] {
        loop_.on_loop([&] { stats = server_->stats(); });
        return stats.streams == 0;
    }));
    EXPECT_EQ(screen.read_until("\n\n\r\n").substr(0, 15), "HTTP/1.1 200 OK");
}

TEST_F(ProfileFollowTest, AServerThatStopsEndsItsStreamsAtOnce) {
    HttpClient screen = follow("/v1/profiles/c-1");
    screen.read_until("\n\n\r\n");
    loop_.on_loop([&] { server_->stop(); });
    EXPECT_EQ(screen.read_all(), "");
}

TEST_F(ProfileFollowTest, AStreamWithNothingToSaySendsComments) {
    limits_.stream_pulse = std::chrono::milliseconds(20);
    close();
    open();
    HttpClient screen = follow("/v1/profiles/c-1");
    screen.read_until("event: gone");
    EXPECT_THAT(screen.read_until("\r\n:\n\n\r\n"), HasSubstr(":\n\n"));
}

TEST_F(ProfileFollowTest, AQuestionThatIsWrongGetsAProblemAndNoStream) {
    const HttpAnswer wrong = ask("GET", "/v1/profiles/c-1?purpose=fun", "", "Accept: text/event-stream\r\n");
    EXPECT_EQ(wrong.status, 400);
    EXPECT_THAT(wrong.body, HasSubstr("purpose must be"));
    EXPECT_EQ(followers(), 0u);
}

TEST_F(ProfileFollowTest, ALoopThatIsBehindSaysNotNowToTills) {
    ask("PUT", "/v1/profiles/c-1", version(1));
    late_ = true;
    const HttpAnswer answer = ask("GET", "/v1/profiles/c-1");
    EXPECT_EQ(answer.status, 503);
    EXPECT_EQ(answer.headers.at("retry-after"), "1");
    EXPECT_THAT(answer.body, HasSubstr("not-now"));
    EXPECT_EQ(ask("POST", "/v1/profiles/lookup", R"({"any":["card:1"]})").status, 503);
    late_ = false;
    EXPECT_EQ(ask("GET", "/v1/profiles/c-1").status, 200);
    loop_.on_loop([&] { EXPECT_EQ(reads_->stats().not_now, 2u); });
}

}  // namespace
}  // namespace touchpoint::tests
