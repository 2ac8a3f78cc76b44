// From a real store to a real server: what arrives, what is acknowledged, and what happens in between.

#include "uplink/pusher.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <algorithm>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <future>
#include <thread>

#include "store/cache.hpp"
#include "store/sealed_box.hpp"
#include "store/worker.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"
#include "tools/platform/server.hpp"

namespace touchpoint::uplink {
namespace {

using platform::Scripted;
using platform::Server;
using platform::Summary;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

Scripted answers(int status, const std::string& body = "", std::size_t take = 0) {
    Scripted scripted;
    scripted.status = status;
    scripted.body = body;
    scripted.take = take;
    return scripted;
}
Scripted closes(std::size_t take = 0) {
    Scripted scripted;
    scripted.take = take;
    scripted.no_answer = true;
    return scripted;
}

class PusherTest : public testing::Test {
  protected:
    void SetUp() override {
        platform_ = serve();
        options_.name = "platform";
        options_.retry_first = milliseconds(5);
        options_.retry_max = milliseconds(20);
        options_.probe = milliseconds(20);
        options_.url = platform_->url();
    }
    void TearDown() override {
        if (!store_) return;
        for (auto& pusher : pushers_) boost::asio::post(loop_, [&pusher] { pusher->stop(); });
        EXPECT_TRUE(tests::wait_for([this] { return ended_ == static_cast<int>(pushers_.size()); }));
        store_->stop();
        boost::asio::post(loop_, [this] { pushers_.clear(), guard_.reset(); });
        thread_.join();
    }

    static std::unique_ptr<Server> serve() {
        Server::Options options;
        options.keep_events = true;
        auto started = Server::start(options);
        return std::move(*started);
    }

    // Opens the store with a consumer for each destination and starts their pushers.
    void start(const std::vector<PushOptions>& destinations) {
        cache_ = std::move(*store::Cache::open({folder_.path() / "cache", 16u << 20}));
        store::EventStore::Options options;
        options.folder = folder_.path() / "events";
        options.bytes_max = 256u << 20;
        options.boot_id = "00000000000000000000000000000001";
        for (const PushOptions& each : destinations) options.consumers.push_back(Pusher::consumer(each));
        auto opened = store::EventStore::open(options, *cache_, clock_);
        ASSERT_TRUE(opened) << opened.error().context;
        store_ = std::move(*opened);
        for (const PushOptions& each : destinations)
            pushers_.push_back(
                std::make_unique<Pusher>(each, "gw-s1", "s1",
                                         Pusher::Parts{loop_, *store_, reader_, clock_, cache_.get(), &box_,
                                                       [this] { return random_ += 977; }}));
        store_->start(
            {std::string(32, '0'), options.boot_id, 0},
            [this](store::HorizonNote) {
                boost::asio::post(loop_, [this] {
                    for (auto& pusher : pushers_) pusher->notify();
                });
            },
            [](const Error& error) { ADD_FAILURE() << error.context; });
        for (auto& pusher : pushers_)
            pusher->start([this](std::exception_ptr failure) {
                EXPECT_EQ(failure, nullptr);
                ++ended_;
            });
        thread_ = std::thread([this] { loop_.run(); });
    }
    void start() { start({options_}); }

    static Event event(Stream stream, const std::string& data, const std::string& more = "") {
        static std::atomic<int> number{0};
        Event event;
        event.stream = stream;
        event.id = "t" + std::to_string(++number);
        event.source = "/stores/s1/pos/t1";
        event.members = "\"id\":\"" + event.id + "\",\"source\":\"" + event.source +
                        R"(","type":"store.pos.sale.v1","time":"2026-09-21T14:13:20.000Z",)" + more +
                        "\"data\":" + data;
        event.urgent = true;
        return event;
    }
    void submit(Stream stream, int count, const std::string& data = R"({"n":1})") {
        std::vector<std::string> all(static_cast<std::size_t>(count), data);
        submit(stream, all);
    }
    void submit(Stream stream, const std::vector<std::string>& data) {
        store::Submission submission;
        for (const std::string& each : data) submission.events.push_back(event(stream, each));
        ASSERT_TRUE(store_->submit(std::move(submission)));
    }
    bool acknowledged(Stream stream, Sequence last, const std::string& consumer = "platform") {
        return tests::wait_for([&] { return store_->acknowledged(consumer, stream) == last; });
    }
    PushStats stats(std::size_t index = 0) {
        std::promise<PushStats> promise;
        boost::asio::post(loop_, [&] { promise.set_value(pushers_[index]->stats()); });
        return promise.get_future().get();
    }
    bool state_becomes(PushState state) {
        return tests::wait_for([&] { return stats().state == state; });
    }
    void expect_clean(const Summary& summary) {
        EXPECT_EQ(summary.error_count(), 0u) << testing::PrintToString(summary.errors);
    }

    tests::TempFolder folder_;
    ManualClock clock_;
    store::SealedBox box_{std::string(32, 'k')};
    PushOptions options_;
    std::unique_ptr<Server> platform_;
    std::unique_ptr<store::Cache> cache_;
    std::unique_ptr<store::EventStore> store_;
    store::Worker reader_{"reader"};
    boost::asio::io_context loop_;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_{loop_.get_executor()};
    std::vector<std::unique_ptr<Pusher>> pushers_;
    std::uint64_t random_ = 0;
    std::atomic<int> ended_{0};
    std::thread thread_;
};

TEST_F(PusherTest, EveryEventOfEveryStreamArrivesInOrderAndIsAcknowledged) {
    options_.batch_events_max = 400;
    start();
    submit(Stream::sales, 2500);
    submit(Stream::customer, 3);
    submit(Stream::telemetry, 900);
    EXPECT_TRUE(acknowledged(Stream::sales, 2500));
    EXPECT_TRUE(acknowledged(Stream::customer, 3));
    EXPECT_TRUE(acknowledged(Stream::telemetry, 900));
    const Summary summary = platform_->summary();
    expect_clean(summary);
    EXPECT_EQ(summary.events, 3403u);
    EXPECT_EQ(summary.repeats, 0u);
    EXPECT_TRUE(state_becomes(PushState::idle));
    EXPECT_EQ(stats().delivered[Stream::sales], 2500u);
    const auto request = platform_->requests().at(0);
    EXPECT_EQ(request.headers.at("content-encoding"), "zstd");
    EXPECT_EQ(request.headers.at("touchpoint-sent-at"), to_rfc3339(clock_.utc()));
    EXPECT_THAT(request.headers.at("idempotency-key"), HasSubstr("gw-s1-" + store_->epoch() + "-"));
}

TEST_F(PusherTest, BothFormatsAndAllCompressionsAreUnderstood) {
    std::vector<PushOptions> destinations;
    for (const auto format : {Format::cloudevents_batch, Format::ndjson})
        for (const auto compression : {Compression::none, Compression::gzip, Compression::zstd}) {
            options_.name = "d" + std::to_string(destinations.size());
            options_.format = format;
            options_.compression = compression;
            destinations.push_back(options_);
        }
    start(destinations);
    submit(Stream::sales, 20);
    for (const PushOptions& each : destinations) EXPECT_TRUE(acknowledged(Stream::sales, 20, each.name));
    // Six destinations are one server here: the first copy is new, the others are equal repeats.
    expect_clean(platform_->summary());
    EXPECT_EQ(platform_->summary().events, 20u);
    EXPECT_EQ(platform_->summary().repeats, 100u);
}

TEST_F(PusherTest, AnOutageRepeatsTheSameBytesUnderTheSameKey) {
    platform_->script({answers(503), closes(), answers(429), answers(408), answers(500)});
    start();
    submit(Stream::sales, 10);
    EXPECT_TRUE(acknowledged(Stream::sales, 10));
    const auto requests = platform_->requests();
    ASSERT_EQ(requests.size(), 6u);
    for (const auto& request : requests) {
        EXPECT_EQ(request.headers.at("idempotency-key"), requests[0].headers.at("idempotency-key"));
        EXPECT_EQ(request.body_hash, requests[0].body_hash);
    }
    expect_clean(platform_->summary());
    // The closed connection was an idle one being used again: the client repeats that once by itself.
    EXPECT_EQ(stats().failures, 4u);
}

TEST_F(PusherTest, ARepeatAfterAnErasureHasNewBytesANewKeyAndNoSubject) {
    // 503 until the person is erased: the pusher holds the bytes of its first try.
    std::atomic<bool> down{true};
    platform_->rule([&down](const std::vector<std::string_view>&) {
        return down ? std::optional(answers(503)) : std::nullopt;
    });
    start();
    store::Submission submission;
    submission.events = {event(Stream::sales, R"({"n":1})", R"("subject":"pseudonym/p1_gone",)"),
                         event(Stream::sales, R"({"n":2})", R"("subject":"pseudonym/p1_stays",)")};
    ASSERT_TRUE(store_->submit(std::move(submission)));
    ASSERT_TRUE(tests::wait_for([this] { return platform_->requests().size() >= 2; }));
    store::Submission erasure;
    erasure.erased = {"p1_gone"};
    ASSERT_TRUE(store_->submit(std::move(erasure)));
    std::promise<bool> durable;
    store_->when_durable(
        [&durable](const Result<void>& done) { durable.set_value(static_cast<bool>(done)); });
    ASSERT_TRUE(durable.get_future().get());
    const auto key_of = [](const auto& request) { return request.headers.at("idempotency-key"); };
    const std::string first = key_of(platform_->requests()[0]);
    EXPECT_EQ(key_of(platform_->requests()[1]), first);
    ASSERT_TRUE(tests::wait_for([&] { return key_of(platform_->requests().back()) != first; }));
    down = false;
    ASSERT_TRUE(acknowledged(Stream::sales, 2));
    expect_clean(platform_->summary());
    const auto kept = platform_->events();
    ASSERT_EQ(kept.size(), 2u);
    EXPECT_THAT(kept[0], testing::Not(HasSubstr("p1_gone")));
    EXPECT_THAT(kept[0], testing::Not(HasSubstr("subject")));
    EXPECT_THAT(kept[1], HasSubstr("pseudonym/p1_stays"));
}

TEST_F(PusherTest, ALostAnswerGivesEqualRepeatsOnly) {
    platform_->script({closes(Scripted::all)});
    start();
    submit(Stream::sales, 10);
    EXPECT_TRUE(acknowledged(Stream::sales, 10));
    expect_clean(platform_->summary());
    EXPECT_EQ(platform_->summary().events, 10u);
    EXPECT_EQ(platform_->summary().repeats, 10u);
}

TEST_F(PusherTest, RetryAfterWinsOverTheBackOff) {
    options_.retry_first = options_.retry_max = std::chrono::hours(1);
    Scripted busy = answers(503);
    busy.headers = {{"Retry-After", "0"}};
    platform_->script({busy});
    start();
    submit(Stream::sales, 1);
    EXPECT_TRUE(acknowledged(Stream::sales, 1));
}

TEST_F(PusherTest, OneGuiltyEventIsFoundParkedAndExplainedInItsPlace) {
    platform_->rule([](const std::vector<std::string_view>& events) -> std::optional<Scripted> {
        for (const auto event : events)
            if (event.find("guilty") != std::string_view::npos) return answers(422);
        return std::nullopt;
    });
    start();
    std::vector<std::string> data(300, R"({"n":1})");
    data[136] = R"({"guilty":true})";
    submit(Stream::sales, data);
    EXPECT_TRUE(acknowledged(Stream::sales, 300));
    const Summary summary = platform_->summary();
    expect_clean(summary);
    EXPECT_EQ(summary.events, 299u);
    EXPECT_EQ(summary.gaps, 1u);
    EXPECT_EQ(stats().parked, 1u);
    EXPECT_LE(summary.requests, 30u);
    const auto events = platform_->events();
    const auto gap = std::find_if(events.begin(), events.end(), [](const std::string& each) {
        return each.find("store.system.gap.v1") != std::string::npos;
    });
    ASSERT_NE(gap, events.end());
    EXPECT_THAT(*gap,
                HasSubstr(R"("first":137,"last":137,"count":1,"reason":"rejected","consumer":"platform")"));
}

TEST_F(PusherTest, ABodyThatIsTooLargeIsSentInPartsAndAnEventThatIsParked) {
    platform_->rule([](const std::vector<std::string_view>& events) -> std::optional<Scripted> {
        std::size_t bytes = 0;
        for (const auto event : events) bytes += event.size();
        if (bytes > 30'000) return answers(413);
        return std::nullopt;
    });
    start();
    std::vector<std::string> data(200, "{\"text\":\"" + std::string(400, 'x') + "\"}");
    data[50] = "{\"text\":\"" + std::string(40'000, 'y') + "\"}";
    submit(Stream::interactions, data);
    EXPECT_TRUE(acknowledged(Stream::interactions, 200));
    expect_clean(platform_->summary());
    EXPECT_EQ(platform_->summary().events, 199u);
    EXPECT_EQ(stats().parked, 1u);
}

TEST_F(PusherTest, APartialAnswerStopsBeforeTheFirstNotTaken) {
    platform_->script({answers(207, R"({"taken":3})", 3), answers(207, R"({"taken":0})", 0)});
    start();
    submit(Stream::sales, 10);
    EXPECT_TRUE(acknowledged(Stream::sales, 10));
    expect_clean(platform_->summary());
    EXPECT_EQ(platform_->summary().repeats, 0u);
    const auto requests = platform_->requests();
    ASSERT_EQ(requests.size(), 3u);
    EXPECT_EQ(requests[1].events, 7u);
}

TEST_F(PusherTest, AnEventThatThePlatformRefusesByNameDoesNotComeBack) {
    Scripted partial = answers(200, R"({"rejected":[{"index":4,"status":422}]})", Scripted::all);
    partial.refuse = {4};
    platform_->script({partial});
    start();
    submit(Stream::sales, 10);
    EXPECT_TRUE(acknowledged(Stream::sales, 10));
    submit(Stream::sales, 1);
    EXPECT_TRUE(acknowledged(Stream::sales, 11));
    expect_clean(platform_->summary());
    EXPECT_EQ(platform_->summary().events, 10u);
    EXPECT_EQ(platform_->summary().repeats, 0u);
    EXPECT_EQ(stats().parked, 1u);
    EXPECT_EQ(stats().delivered[Stream::sales], 10u);
}

TEST_F(PusherTest, ARefusedCredentialPausesUntilTheNewOneIsThere) {
    tests::write_file(folder_.path() / "token", "old\n");
    options_.bearer_token_file = (folder_.path() / "token").string();
    ASSERT_TRUE(platform_->control(R"({"mode":"status","status":401})"));
    start();
    submit(Stream::sales, 5);
    EXPECT_TRUE(state_becomes(PushState::paused));
    EXPECT_EQ(stats().last_status, 401);
    tests::write_file(folder_.path() / "token", "new\n");
    ASSERT_TRUE(platform_->control(R"({"mode":"up"})"));
    EXPECT_TRUE(acknowledged(Stream::sales, 5));
    EXPECT_EQ(platform_->requests().front().headers.at("authorization"), "Bearer old");
    EXPECT_EQ(platform_->requests().back().headers.at("authorization"), "Bearer new");
    EXPECT_TRUE(state_becomes(PushState::idle));
}

TEST_F(PusherTest, APlatformThatRefusesEverythingIsNotGivenTheWholeBacklogToRefuse) {
    options_.probe = std::chrono::hours(1);
    ASSERT_TRUE(platform_->control(R"({"mode":"status","status":400})"));
    start();
    submit(Stream::sales, 200);
    EXPECT_TRUE(state_becomes(PushState::paused));
    EXPECT_LE(stats().parked, Pusher::parked_in_row_max);
    EXPECT_LE(store_->acknowledged("platform", Stream::sales), Sequence(Pusher::parked_in_row_max));
}

TEST_F(PusherTest, StopEndsItInsideAnExchange) {
    Scripted slow;
    slow.delay = seconds(30);
    platform_->script({slow});
    start();
    submit(Stream::sales, 5);
    ASSERT_TRUE(tests::wait_for([&] { return platform_->requests().size() == 1; }));
    boost::asio::post(loop_, [this] { pushers_[0]->stop(); });
    EXPECT_TRUE(tests::wait_for([this] { return ended_ == 1; }, seconds(20)));
    EXPECT_EQ(store_->acknowledged("platform", Stream::sales), 0u);
    platform_->stop();
}

TEST_F(PusherTest, EachDestinationHasItsOwnPosition) {
    auto second = serve();
    ASSERT_TRUE(platform_->control(R"({"mode":"down"})"));
    PushOptions other = options_;
    other.name = "other";
    other.url = second->url();
    other.streams = {{false, true, false, false, true}};
    start({options_, other});
    submit(Stream::sales, 7);
    submit(Stream::interactions, 7);
    submit(Stream::quarantine, 7);
    EXPECT_TRUE(acknowledged(Stream::sales, 7, "other"));
    EXPECT_TRUE(acknowledged(Stream::quarantine, 7, "other"));
    EXPECT_EQ(second->summary().events_in("interactions"), 0u);
    EXPECT_EQ(store_->acknowledged("platform", Stream::sales), 0u);
    ASSERT_TRUE(platform_->control(R"({"mode":"up"})"));
    EXPECT_TRUE(acknowledged(Stream::sales, 7));
    EXPECT_TRUE(acknowledged(Stream::interactions, 7));
    EXPECT_EQ(platform_->summary().events_in("quarantine"), 0u) << "only where it is asked for";
    expect_clean(platform_->summary());
    expect_clean(second->summary());
}

TEST_F(PusherTest, RawIdentifiersAreJoinedForADestinationThatAsksForThem) {
    options_.identifiers = Identifiers::raw;
    start();
    const std::vector<Identity> known = {{"p1_known", box_.seal("card:2900000012345", "identity")}};
    ASSERT_TRUE(cache_->put_identities(known));
    store::Submission submission;
    submission.events.push_back(event(Stream::sales, "{}", R"("subject":"pseudonym/p1_known",)"));
    submission.events.push_back(event(Stream::sales, "{}", R"("subject":"pseudonym/p1_erased",)"));
    ASSERT_TRUE(store_->submit(std::move(submission)));
    EXPECT_TRUE(acknowledged(Stream::sales, 2));
    const auto events = platform_->events();
    ASSERT_EQ(events.size(), 2u);
    EXPECT_THAT(events[0], HasSubstr(R"("customer":"card:2900000012345")"));
    EXPECT_THAT(events[1], testing::Not(HasSubstr("customer")));
}

TEST_F(PusherTest, AFewEventsOfALowStreamLingerForCompany) {
    options_.linger = std::chrono::hours(1);
    start();
    submit(Stream::telemetry, 5);
    submit(Stream::sales, 5);
    EXPECT_TRUE(acknowledged(Stream::sales, 5));
    EXPECT_EQ(platform_->summary().events_in("telemetry"), 0u);
    clock_.advance(std::chrono::hours(2));
    submit(Stream::sales, 1);  // something wakes it
    EXPECT_TRUE(acknowledged(Stream::telemetry, 5));
    expect_clean(platform_->summary());
}

}  // namespace
}  // namespace touchpoint::uplink
