// The change feed of a platform into the cache, and from there to a till: real sockets on both sides.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cstdint>
#include <future>

#include "config/mappings.hpp"
#include "gateway/profiles/profile_batch.hpp"
#include "store/environment.hpp"
#include "tests/gateway/profile_shop.hpp"
#include "tests/support/broken_file.hpp"
#include "tests/support/wait.hpp"
#include "tests/uplink/feed_platform.hpp"
#include "uplink/profile_feed.hpp"
#include "uplink/wanted_fetch.hpp"

namespace touchpoint::tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class ProfileFeedShopTest : public ProfileShop {
  protected:
    gateway::ProfileParts parts() {
        return {loop_.loop(),
                *writer_,
                *profiles_,
                names_,
                clock_,
                pace_,
                [] { return std::uint64_t{0}; },
                [this](const std::string& id, const std::vector<std::string>& keys) {
                    reads_->arrived(id, keys);
                },
                [](const std::vector<std::string>&) {},
                [](const std::string&) {},
                [](const std::vector<std::string>&) { return std::vector<std::vector<std::string>>(); },
                [] { return Result<void>(); },
                [this](std::vector<std::string> keys, std::function<void(Result<void>)> done) {
                    erased_.insert(erased_.end(), keys.begin(), keys.end());
                    done(events_erased_);
                },
                [](std::vector<std::string> keys) { return keys; },
                [](const std::vector<std::string>&) {},
                [](const std::vector<std::string>&, const std::vector<std::string>&) {},
                [](const std::vector<std::string>&) {},
                nullptr};
    }
    uplink::WriteLines writes() {
        return [parts = parts()](std::span<const std::string_view> lines, UtcTime not_before) {
            return gateway::write_feed_lines(parts, lines, not_before);
        };
    }
    template <class Loop>
    void until(Loop& loop, const std::function<bool()>& condition) {
        EXPECT_TRUE(wait_for([&] {
            loop_.on_loop([&] { loop.retry_now(); });
            return condition();
        }));
    }
    template <class Loop>
    void end(Loop& loop) {
        loop_.on_loop([&] { loop.stop(); });
        EXPECT_TRUE(wait_for([&] {
            bool ended = false;
            loop_.on_loop([&] { ended = loop.ended(); });
            return ended;
        }));
    }
};

TEST_F(ProfileFeedShopTest, WhatTheFeedSaysIsReadAtTheTillInThePlatformsOwnShape) {
    std::vector<config::Problem> problems;
    const auto mappings = config::read_mappings(SOURCE_DIR "/config/mappings", problems);
    const auto unomi = std::find_if(mappings.begin(), mappings.end(),
                                    [](const auto& mapping) { return mapping.name == "unomi"; });
    ASSERT_NE(unomi, mappings.end());
    const FeedPlatform platform([](const std::string& request) {
        if (request.find("after=") != std::string::npos) return FeedPlatform::answer(204, "");
        return FeedPlatform::page(
            R"({"itemType":"profile","itemId":"p-1","properties":{"email":"jane@example.com",)"
            R"("points":1.50},"segments":["vip"]})"
            "\nnonsense\n",
            "t1");
    });
    uplink::FeedOptions options;
    options.connection.name = "profiles.feed";
    options.connection.url = platform.url("/changes");
    std::unique_ptr<uplink::ProfileFeed> feed;
    loop_.on_loop([&] {
        feed = std::make_unique<uplink::ProfileFeed>(
            options, "gw-1",
            uplink::ProfileFeed::Parts{loop_.loop(), clock_, *writer_, *cache_, *profiles_, &*unomi, writes(),
                                       [] { return 1; }});
        feed->start([](const std::exception_ptr& failure) { EXPECT_FALSE(failure); });
    });
    until(*feed, [&] { return ask("GET", "/v1/profiles/email:jane@example.com").status == 200; });
    EXPECT_THAT(ask("GET", "/v1/profiles/email:jane@example.com").body,
                AllOf(HasSubstr(R"("id":"p-1")"), HasSubstr("\"points\":1.50")));
    end(*feed);
    EXPECT_EQ(feed->stats().refused, 1u);
}

// As for DELETE: the events first, the cache second, and neither when the events cannot be changed.
TEST_F(ProfileFeedShopTest, AnErasureInTheFeedReachesTheEventsThatWait) {
    const auto write = writes();
    const std::vector<std::string_view> lines = {
        R"({"op":"put","id":"c-1","version":1,"aliases":["card:1"]})", R"({"op":"delete","id":"c-1"})"};
    events_erased_ = fail(Errc::timed_out, "not now");
    EXPECT_FALSE(write(lines, {}).stored);
    EXPECT_EQ(ask("GET", "/v1/profiles/card:1").status, 200);
    events_erased_ = {};
    EXPECT_TRUE(write(lines, {}).stored);
    EXPECT_THAT(erased_, testing::Each(names_.pseudonym(devices::normalise("card:1"))));
    EXPECT_EQ(ask("GET", "/v1/profiles/card:1").status, 410);
}

TEST_F(ProfileFeedShopTest, AnErasureWithAnAliasThatCannotBeReadIsDoneAllTheSame) {
    const auto write = writes();
    const std::vector<std::string_view> lines = {
        R"({"op":"put","id":"c-1","version":1,"aliases":["card:1"]})",
        R"({"op":"put","id":"c-2","version":1,"aliases":["card:2"]})",
        R"({"op":"delete","id":"c-1","aliases":["nonsense","card:9",7]})",
        R"({"op":"delete","id":"c-2","version":"soon","aliases":"card:2"})",
    };
    const auto written = write(lines, {});
    EXPECT_TRUE(written.stored);
    EXPECT_EQ(written.refused, 4u) << "parts of two lines";
    for (const char* name : {"c-1", "card:1", "card:9", "c-2", "card:2"})
        EXPECT_EQ(ask("GET", std::string("/v1/profiles/") + name).status, 410) << name;
    EXPECT_EQ(ask("POST", "/v1/profiles/batch", std::string(lines[2]) + "\n").body.find("\"erased\""),
              std::string::npos)
        << "whoever is answered is told what is wrong";
}

TEST_F(ProfileFeedShopTest, WhatIsRefusedIsLoggedOnceAPageAndNamesNobody) {
    const std::vector<std::string_view> lines = {R"({"op":"patch","id":"c-1","version":1})",
                                                 R"({"op":"put","id":"c-2","aliases":["card:2"]})", "jane"};
    testing::internal::CaptureStderr();
    EXPECT_EQ(uplink::write_mapped(nullptr, lines, clock_.utc(), {}, writes()).refused, 3u);
    const std::string logged = testing::internal::GetCapturedStderr();
    EXPECT_THAT(logged,
                AllOf(HasSubstr("lines about profiles are refused, whole or a part of an erasure refused=3"),
                      Not(HasSubstr("c-1")), Not(HasSubstr("card")), Not(HasSubstr("jane"))));
    EXPECT_EQ(std::count(logged.begin(), logged.end(), '\n'), 1);
}

// The survivor is not here: those whom it is made of are not what they were, and the platform is asked.
TEST_F(ProfileFeedShopTest, AMergeIntoSomebodyWhoIsNotHereLeavesNoStranger) {
    const auto write = writes();
    const std::vector<std::string_view> lines = {
        R"({"op":"put","id":"c-1","version":1,"aliases":["card:1"]})",
        R"({"op":"merge","id":"c-9","from":["c-1","c-8"]})"};
    const auto written = write(lines, {});
    EXPECT_TRUE(written.stored);
    EXPECT_EQ(written.refused, 1u);
    EXPECT_EQ(ask("GET", "/v1/profiles/c-1").status, 404);
    EXPECT_EQ(ask("GET", "/v1/profiles/card:1").status, 404);
    EXPECT_THAT(ask("GET", "/v1/profiles/wanted").body, HasSubstr("card:1"));
    EXPECT_EQ(profiles_->stats().profiles, 0u);
}

TEST_F(ProfileFeedShopTest, ErasuresThatFollowOnEachOtherGoTogether) {
    auto own = parts();
    int erasures = 0;
    own.erase_events = [&](const std::vector<std::string>&, const std::function<void(Result<void>)>& done) {
        ++erasures;
        done({});
    };
    std::vector<std::string> texts;
    for (int i = 0; i < 100; ++i)
        texts.push_back(R"({"op":"delete","id":"c-)" + std::to_string(i) + R"(","aliases":["card:)" +
                        std::to_string(i) + "\"]}");
    const std::vector<std::string_view> lines(texts.begin(), texts.end());
    EXPECT_TRUE(gateway::write_feed_lines(own, lines, {}).stored);
    constexpr int together = static_cast<int>(gateway::LoadPace::changes_alone);
    EXPECT_EQ(erasures, (100 + together - 1) / together);
    EXPECT_EQ(profiles_->stats().erasures, 100u);
}

// Whoever is told counts on it; what comes before that is flushed once a transaction and not twice.
TEST_F(ProfileFeedShopTest, ManyChangesAreDurableWhenTheyAreToldAndNotEachByItself) {
    auto own = parts();
    int transactions = 0, durable = 0;
    own.came = [&](const std::vector<std::string>&) {
        ++transactions;
        if (cache_->environment().settled()) ++durable;
    };
    std::string body;
    for (int i = 0; i < 40; ++i)
        body += R"({"op":"put","id":"c-)" + std::to_string(i) + "\",\"version\":1}\n";
    body += "no line\n";  // the last one is not written
    std::vector<std::string_view> lines;
    for (std::size_t at = 0, end = 0; (end = body.find('\n', at)) != std::string::npos; at = end + 1)
        lines.push_back(std::string_view(body).substr(at, end - at));
    EXPECT_TRUE(gateway::write_feed_lines(own, lines, {}).stored);
    EXPECT_TRUE(cache_->environment().settled());
    EXPECT_GE(transactions, 3);
    EXPECT_EQ(durable, 0);

    gateway::HttpRequest request;
    request.method = "POST";
    request.path = "/v1/profiles/batch";
    for (std::size_t at = 0; (at = body.find(":1}", at)) != std::string::npos;) body[at + 1] = '2';
    request.body = body;
    transactions = 0;
    std::promise<std::pair<unsigned, bool>> told;
    const auto routes = gateway::profile_routes(own);
    loop_.on_loop([&] {
        routes.front().handler(request, [&](const gateway::HttpResponse& r) {
            told.set_value({r.status, cache_->environment().settled()});
        });
    });
    EXPECT_EQ(told.get_future().get(), std::pair(200u, true));
    EXPECT_GE(transactions, 3);
    EXPECT_EQ(durable, 0);
}

TEST_F(ProfileFeedShopTest, WhatIsNotDurableIsNotToldToBeWritten) {
    auto own = parts();
    own.came = [&](const std::vector<std::string>&) {
        break_file(folder_.path() / "cache" / "data.mdb", Descriptors::others);
    };
    const std::string line = R"({"op":"put","id":"c-1","version":1})";
    gateway::HttpRequest request;
    request.method = "POST";
    request.path = "/v1/profiles/batch";
    request.body = line + "\n";
    std::promise<unsigned> told;
    const auto routes = gateway::profile_routes(own);
    loop_.on_loop([&] {
        routes.front().handler(request, [&](const gateway::HttpResponse& r) { told.set_value(r.status); });
    });
    EXPECT_EQ(told.get_future().get(), 503u);
    EXPECT_TRUE(cache_->failed());
    own.came = [](const std::vector<std::string>&) {};
    const std::string_view same = line;
    EXPECT_FALSE(gateway::write_feed_lines(own, {&same, 1}, {}).stored);
}

// Loop has devices and tills to answer.
TEST_F(ProfileFeedShopTest, LoopHearsOfManyChangesAFewAtATime) {
    auto own = parts();
    std::size_t at_once = 0, most = 0, all = 0;
    own.arrived = [&](const std::string&, const std::vector<std::string>&) {
        ++all;
        most = std::max(most, ++at_once);
    };
    std::vector<std::string> texts;
    for (int i = 0; i < 500; ++i)
        texts.push_back(R"({"op":"put","id":"c-)" + std::to_string(i) + R"(","version":1})");
    const std::vector<std::string_view> lines(texts.begin(), texts.end());
    std::promise<void> done;
    const std::function<void()> turn = [&] {
        at_once = 0;
        if (all == texts.size()) return done.set_value();
        boost::asio::post(loop_.loop(), turn);
    };
    boost::asio::post(loop_.loop(), turn);
    EXPECT_TRUE(gateway::write_feed_lines(own, lines, {}).stored);
    done.get_future().get();
    EXPECT_LE(most, 64u);
}

// Each erasure of somebody of whom nothing is here once stood on the stack of the one before.
TEST_F(ProfileFeedShopTest, ABatchOfManyErasuresTakesNoStack) {
    auto own = parts();
    std::uintptr_t lowest = UINTPTR_MAX, highest = 0;
    own.joined = [&](std::vector<std::string> keys) {
        const char here = 0;
        lowest = std::min(lowest, reinterpret_cast<std::uintptr_t>(&here));
        highest = std::max(highest, reinterpret_cast<std::uintptr_t>(&here));
        return keys;
    };
    gateway::HttpRequest request;
    request.method = "POST";
    request.path = "/v1/profiles/batch";
    for (int i = 0; i < 50; ++i) {
        const std::string n = std::to_string(i);
        request.body += R"({"op":"put","id":"c-)" + n + "\",\"version\":1}\n" + R"({"op":"delete","id":"d-)" +
                        n + "\"}\n";
    }
    std::promise<unsigned> status;
    const auto routes = gateway::profile_routes(own);
    loop_.on_loop([&] {
        routes.front().handler(request, [&](const gateway::HttpResponse& r) { status.set_value(r.status); });
    });
    EXPECT_EQ(status.get_future().get(), 200u);
    EXPECT_EQ(profiles_->stats().erasures, 50u);
    EXPECT_LT(highest - lowest, 4096u);
}

TEST_F(ProfileFeedShopTest, WhoWasShownAtATillAndIsNotHereIsFetchedAndAStrangerIsAskedForOnce) {
    const FeedPlatform platform([](const std::string& request) {
        return request.find("card:1") == std::string::npos
                   ? FeedPlatform::answer(204, "")
                   : FeedPlatform::answer(
                         200,
                         R"({"op":"put","id":"c-1","version":1,"aliases":["card:1"],"traits":{"tier":"gold"}})");
    });
    uplink::FeedOptions options;
    options.connection.name = "profiles.feed";
    options.wanted_url = platform.url("/wanted");
    EXPECT_EQ(ask("GET", "/v1/profiles/card:1").status, 404);
    EXPECT_EQ(ask("GET", "/v1/profiles/card:2").status, 404);
    std::unique_ptr<uplink::WantedFetch> fetch;
    int questions = 0;
    loop_.on_loop([&] {
        fetch = std::make_unique<uplink::WantedFetch>(
            options, "gw-1",
            uplink::WantedFetch::Parts{loop_.loop(), clock_, *writer_, nullptr, writes(), [] { return 1; },
                                       [&](std::size_t max) {
                                           ++questions;
                                           return reads_->wanted().to_ask(max, true, clock_.steady());
                                       },
                                       [&] { reads_->wanted().not_answered(); }});
        fetch->start([](const std::exception_ptr& failure) { EXPECT_FALSE(failure); });
    });
    until(*fetch, [&] { return ask("GET", "/v1/profiles/card:1").status == 200; });
    EXPECT_EQ(ask("GET", "/v1/profiles/card:2").status, 404);
    int before = 0;
    loop_.on_loop([&] { before = questions; });
    until(*fetch, [&] {
        int now = 0;
        loop_.on_loop([&] { now = questions; });
        return now > before + 2;
    });
    end(*fetch);
    ASSERT_EQ(platform.requests().size(), 1u) << "the stranger is not asked for again at once";
    EXPECT_THAT(platform.requests()[0], HasSubstr(R"("wanted":["card:2","card:1"])"));
    EXPECT_THAT(ask("GET", "/v1/profiles/wanted").body,
                AllOf(HasSubstr("card:2"), Not(HasSubstr("\"card:1\""))));
}

}  // namespace
}  // namespace touchpoint::tests
