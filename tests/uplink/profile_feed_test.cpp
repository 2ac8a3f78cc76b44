// From a real server's change feed into a real cache: what is followed, kept, dropped, and what happens in
// between.
#include "uplink/profile_feed.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <map>
#include <thread>

#include "gateway/core/json_slice.hpp"
#include "store/cache.hpp"
#include "store/feed_place.hpp"
#include "store/keys.hpp"
#include "store/profiles.hpp"
#include "store/sealed_box.hpp"
#include "store/worker.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"
#include "tests/uplink/feed_platform.hpp"
#include "uplink/feed_page.hpp"
#include "uplink/wanted_fetch.hpp"

namespace touchpoint::uplink {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using tests::FeedPlatform;

class ProfileFeedTest : public testing::Test {
  protected:
    ~ProfileFeedTest() override {
        finish();
        guard_.reset();
        thread_.join();
    }
    void serve(FeedPlatform::Respond respond) {
        platform_ = std::make_unique<FeedPlatform>(std::move(respond));
        options_.connection.name = "profiles.feed";
        if (options_.connection.url.empty()) options_.connection.url = platform_->url("/changes?tenant=1");
        options_.connection.retry_first = options_.connection.retry_max = options_.connection.probe =
            std::chrono::milliseconds(5);
        options_.wait = std::chrono::seconds(1);
    }
    void begin_feed() {
        on_loop([&] {
            feed_ = std::make_unique<ProfileFeed>(
                options_, "gw 1",
                ProfileFeed::Parts{
                    loop_, clock_, *writer_, *cache_, *profiles_, mapping_,
                    [this](auto lines, UtcTime not_before) { return write(lines, not_before); },
                    [] { return 1; }});
            feed_->start([](const std::exception_ptr& failure) { EXPECT_FALSE(failure); });
        });
    }
    // Before what the platform's answers refer to is gone.
    void finish() {
        end_feed();
        platform_.reset();
    }
    void end_feed() {
        if (!feed_) return;
        on_loop([&] { feed_->stop(); });
        EXPECT_TRUE(tests::wait_for([&] { return on_loop_get([&] { return feed_->ended(); }); }));
        feed_.reset();
    }
    // What the gateway's own lines are, as far as these tests need them; on the writer.
    LinesWritten write(std::span<const std::string_view> lines, UtcTime not_before) {
        if (disk_full_) return {};
        LinesWritten out{true, 0};
        for (const std::string_view line : lines) {
            if (validate_json(line)) {
                ++out.refused;
                continue;
            }
            const auto members = json_members(line);
            store::ProfilePut put;
            put.id = json_unescape(*json_find(members, "id"));
            put.version = std::stoull(std::string(*json_find(members, "version")));
            put.json = "{}";
            put.heard = true;
            const store::ProfileChange change = put;
            const auto done = profiles_->apply({&change, 1}, std::max(clock_.utc(), not_before));
            if (!done) return {};
            if (done->front().refused()) ++out.refused;
        }
        return out;
    }
    bool held(const std::string& id) {
        const auto look = profiles_->by_id(id, clock_.utc());
        return look && look->kind == store::ProfileLook::Kind::found;
    }
    FeedStats stats() {
        return on_loop_get([&] { return feed_->stats(); });
    }
    bool comes(const std::function<bool()>& condition) {
        return tests::wait_for([&] {
            on_loop([&] { feed_->retry_now(); });
            return condition();
        });
    }
    void on_loop(const std::function<void()>& step) {
        on_loop_get([&] {
            step();
            return 0;
        });
    }
    template <class Ask>
    auto on_loop_get(Ask ask) -> decltype(ask()) {
        // Shared: the loop may still be inside of set_value() when the answer is here.
        const auto got = std::make_shared<std::promise<decltype(ask())>>();
        boost::asio::post(loop_, [&ask, got] { got->set_value(ask()); });
        return got->get_future().get();
    }

    const tests::TempFolder folder_{std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : "/tmp"};
    ManualClock clock_;
    const store::SealedBox box_{std::string(32, 'b')};
    std::unique_ptr<store::Cache> cache_ =
        std::move(*store::Cache::open({.folder = folder_.path() / "cache", .profiles_bytes = 4u << 20}));
    std::unique_ptr<store::Profiles> profiles_ = std::make_unique<store::Profiles>(
        *cache_, box_, store::keyed_hash("box", "profiles"), store::Profiles::Options{.bytes_max = 4u << 20});
    std::unique_ptr<store::Worker> writer_ = std::make_unique<store::Worker>("profiles");
    boost::asio::io_context loop_;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_{loop_.get_executor()};
    std::thread thread_{[this] { loop_.run(); }};
    std::unique_ptr<FeedPlatform> platform_;
    FeedOptions options_;
    const ProfileMapping* mapping_ = nullptr;
    std::atomic<bool> disk_full_{false};
    std::unique_ptr<ProfileFeed> feed_;
};

std::string put_line(const std::string& id, int version = 1) {
    return "{\"op\":\"put\",\"id\":\"" + id + "\",\"version\":" + std::to_string(version) + "}\n";
}
bool asks_after(const std::string& request, const std::string& token) {
    return request.find("after=" + token + "&") != std::string::npos;
}

TEST_F(ProfileFeedTest, FollowsFromPlaceToPlaceAndGoesOnThereAfterARestart) {
    serve([](const std::string& request) {
        if (request.find("after=") == std::string::npos)
            return FeedPlatform::page(put_line("c-1") + put_line("c-2"), "a/1");
        if (asks_after(request, "a%2F1"))
            return FeedPlatform::answer(200, put_line("c-3") + "nonsense\n{\"next\":\"a2\"}\n");
        return FeedPlatform::answer(204, "");
    });
    begin_feed();
    ASSERT_TRUE(comes([&] { return stats().behind_since.ms == 0; }));
    EXPECT_TRUE(held("c-1") && held("c-2") && held("c-3"));
    EXPECT_EQ(stats().lines, 4u);
    EXPECT_EQ(stats().refused, 1u) << "a bad line does not hinder the others";
    EXPECT_EQ(stats().state, PushState::idle);
    EXPECT_THAT(platform_->requests().front(),
                HasSubstr("GET /changes?tenant=1&wait=1&gateway=gw%201 HTTP/1.1"));
    end_feed();
    EXPECT_EQ(store::read_feed_place(*cache_)->token, "a2");
    const std::size_t before = platform_->requests().size();
    begin_feed();
    ASSERT_TRUE(comes([&] { return platform_->requests().size() > before; }));
    EXPECT_TRUE(asks_after(platform_->requests()[before], "a2")) << platform_->requests()[before];
    finish();
}

TEST_F(ProfileFeedTest, AResyncTakesNobodyAwayBeforeItsEndAndThenWhoItDidNotName) {
    std::atomic<int> phase{0};  // 1: the place is forgotten; 2: the resync may end
    serve([&](const std::string& request) {
        const bool first = request.find("after=") == std::string::npos;
        if (phase == 0)
            return first ? FeedPlatform::page(put_line("c-1", 5) + put_line("c-2", 5), "a1")
                         : FeedPlatform::answer(204, "");
        if (asks_after(request, "a1")) return FeedPlatform::answer(410, "");
        if (first) return FeedPlatform::page(put_line("c-2", 4) + put_line("c-9"), "b1");
        return phase == 2 ? FeedPlatform::answer(204, "") : FeedPlatform::answer(503, "");
    });
    begin_feed();
    ASSERT_TRUE(comes([&] { return stats().behind_since.ms == 0; }));
    clock_.advance(std::chrono::seconds(5));
    phase = 1;
    ASSERT_TRUE(comes([&] { return held("c-9") && stats().failures > 0; }));
    EXPECT_TRUE(held("c-1")) << "the resync has not ended";
    EXPECT_NE(store::read_feed_place(*cache_)->resync_since.ms, 0);
    end_feed();
    begin_feed();  // a restart in the middle of it
    phase = 2;
    ASSERT_TRUE(comes([&] { return stats().dropped == 1; }));
    EXPECT_FALSE(held("c-1"));
    EXPECT_TRUE(held("c-2")) << "named with an older version than the one that is held";
    EXPECT_TRUE(held("c-9"));
    EXPECT_EQ(store::read_feed_place(*cache_)->resync_since.ms, 0);
    finish();
}

TEST_F(ProfileFeedTest, AFeedInWhichNothingStandsTakesNobodyAway) {
    const store::ProfileChange change = store::ProfilePut{"c-1", 5, {}, {}, "{}", {}};
    ASSERT_TRUE(profiles_->apply({&change, 1}, clock_.utc()));
    clock_.advance(std::chrono::seconds(5));
    serve([](const std::string&) { return FeedPlatform::answer(204, ""); });
    begin_feed();
    ASSERT_TRUE(comes([&] { return stats().behind_since.ms == 0; }));
    EXPECT_TRUE(held("c-1"));
    finish();
}

TEST_F(ProfileFeedTest, TheFeedMayAskForAResyncItself) {
    std::atomic<bool> told{false};
    serve([&](const std::string& request) {
        if (request.find("after=") == std::string::npos) return FeedPlatform::page(put_line("c-1"), "a1");
        if (!told.exchange(true)) return FeedPlatform::answer(200, put_line("c-2") + "{\"op\":\"resync\"}\n");
        return FeedPlatform::answer(204, "");
    });
    begin_feed();
    ASSERT_TRUE(comes([&] { return stats().resyncs == 2 && stats().behind_since.ms == 0; }));
    EXPECT_TRUE(held("c-1"));
    finish();
}

TEST_F(ProfileFeedTest, ThePlaceMovesOnlyWhenTheLinesAreWritten) {
    serve([](const std::string& request) {
        return request.find("after=") == std::string::npos ? FeedPlatform::page(put_line("c-1"), "a1")
                                                           : FeedPlatform::answer(204, "");
    });
    disk_full_ = true;
    begin_feed();
    ASSERT_TRUE(comes([&] { return stats().failures > 1; }));
    EXPECT_EQ(store::read_feed_place(*cache_)->token, "");
    EXPECT_EQ(stats().last_error, "the cache cannot be written");
    disk_full_ = false;
    ASSERT_TRUE(comes([&] { return stats().behind_since.ms == 0; }));
    EXPECT_TRUE(held("c-1"));
    finish();
}

TEST_F(ProfileFeedTest, ARefusedCredentialPausesAndAnAnswerWithoutAPlaceIsTriedAgain) {
    std::atomic<int> status{401};
    serve([&](const std::string&) { return FeedPlatform::answer(status, "{\"op\":\"put\"}\n"); });
    begin_feed();
    ASSERT_TRUE(comes([&] { return stats().state == PushState::paused; }));
    EXPECT_EQ(stats().last_heard.ms, 0) << "never heard";
    EXPECT_EQ(stats().last_status, 401);
    status = 200;
    ASSERT_TRUE(comes([&] { return stats().last_error == "no continuation token"; }));
    EXPECT_EQ(stats().lines, 0u);
    finish();
}

TEST_F(ProfileFeedTest, WantedOnesAreAskedForInOneQuestionAndTheLinesOfItsAnswerAreWritten) {
    std::atomic<int> status{503};
    serve([&](const std::string&) { return FeedPlatform::answer(status, put_line("c-7")); });
    options_.wanted_url = platform_->url("/wanted");
    std::vector<std::string> list = {"card:1", "card:2"};
    std::atomic<int> unanswered{0};
    std::unique_ptr<WantedFetch> fetch;
    on_loop([&] {
        fetch = std::make_unique<WantedFetch>(
            options_, "gw-1",
            WantedFetch::Parts{loop_, clock_, *writer_, nullptr,
                               [this](auto lines, UtcTime not_before) { return write(lines, not_before); },
                               [] { return 1; }, [&](std::size_t) { return std::exchange(list, {}); },
                               [&] {
                                   ++unanswered;
                                   list = {"card:1"};
                                   status = 200;
                               }});
        fetch->start([](const std::exception_ptr& failure) { EXPECT_FALSE(failure); });
    });
    EXPECT_TRUE(tests::wait_for([&] {
        on_loop([&] { fetch->retry_now(); });
        return held("c-7");
    }));
    on_loop([&] { fetch->stop(); });
    EXPECT_TRUE(tests::wait_for([&] { return on_loop_get([&] { return fetch->ended(); }); }));
    EXPECT_EQ(unanswered, 1);
    const auto requests = platform_->requests();
    ASSERT_EQ(requests.size(), 2u);
    EXPECT_THAT(requests[0], AllOf(HasSubstr("POST /wanted "),
                                   HasSubstr(R"({"gateway":"gw-1","wanted":["card:1","card:2"]})")));
}

TEST(FeedPageTest, AnAnswerIsBoundedAndItsOwnLinesAreNoProfiles) {
    Answer answer;
    answer.status = 200;
    answer.body = "{\"a\":1}\r\n\n {\"next\" : \"t\\u0031\"} \n";
    FeedPage page = feed_page(answer);
    EXPECT_THAT(page.lines, ElementsAre("{\"a\":1}"));
    EXPECT_EQ(page.next, "t1");
    answer.body.clear();
    for (std::size_t i = 0; i <= feed_lines_max; ++i) answer.body += "1\n";
    EXPECT_THAT(feed_page(answer).problem, HasSubstr("more than 10000 lines"));
    answer.body = "{}\n";
    answer.next_cursor = std::string(feed_token_bytes_max + 1, 'x');
    EXPECT_THAT(feed_page(answer).problem, HasSubstr("too long"));
}

TEST(FeedPageTest, WhatTheFeedIsTroubledByDecidesHowItWaits) {
    PushOptions options;
    Answer answer;
    for (const int status : {0, 408, 429, 500, 503}) {
        answer.status = status;
        EXPECT_EQ(feed_trouble(answer, 1, options, {}, 1).state, PushState::retrying) << status;
    }
    for (const int status : {301, 400, 401, 403, 404, 410}) {
        answer.status = status;
        EXPECT_EQ(feed_trouble(answer, 1, options, {}, 1).state, PushState::paused) << status;
        EXPECT_EQ(feed_trouble(answer, 1, options, {}, 1).wait, options.probe);
    }
    answer.retry_after = "7";
    EXPECT_EQ(feed_trouble(answer, 1, options, {}, 1).wait, std::chrono::seconds(7));
}

}  // namespace
}  // namespace touchpoint::uplink
