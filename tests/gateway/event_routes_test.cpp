// POST /v1/events over a real socket into a real store.
#include "gateway/event_routes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "gateway/http_door.hpp"
#include "gateway/http_server.hpp"
#include "gateway/tokens.hpp"
#include "store/cache.hpp"
#include "store/event_reader.hpp"
#include "tests/gateway/http_client.hpp"
#include "tests/gateway/loop_thread.hpp"
#include "tests/support/temp_folder.hpp"

namespace touchpoint::gateway {
namespace {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;
using tests::HttpClient;

class EventRoutesTest : public testing::Test {
  protected:
    void SetUp() override {
        cache_ = std::move(*store::Cache::open({folder_.path() / "cache"}));
        store::EventStore::Options options;
        options.folder = folder_.path() / "events";
        options.bytes_max = bytes_max_;
        options.boot_id = "boot";
        // Nobody waits for company: a request starts its own commit.
        options.commit_interval = std::chrono::hours(1);
        store_ = std::move(*store::EventStore::open(options, *cache_, clock_));
        admission_.emplace(devices::AdmissionOptions{"s1", "gw-s1"},
                           devices::Pseudonymiser(std::string(32, 'k'), "p1"), box_,
                           [this] { return ++chance_; });
        reception_.emplace(*admission_, registry_);
        direct_.emplace(devices::DirectIntake::Parts{*store_, clock_, *reception_});
        store_->start(
            {std::string(32, 'a'), "boot", 0},
            [this](const store::HorizonNote& note) {
                boost::asio::post(loop_.loop(), [this, settled = note.settled] {
                    if (direct_) direct_->settle(settled);
                });
            },
            [](const Error& error) { ADD_FAILURE() << error.context; });
        loop_.on_loop([&] {
            server_ = std::make_unique<HttpServer>(loop_.loop(), limits_, event_routes(*direct_));
            port_ = server_->listen_tcp("127.0.0.1", 0).value();
        });
    }
    void TearDown() override {
        store_->stop();
        loop_.on_loop([&] {
            server_.reset();
            direct_.reset();
        });
    }
    std::string post(const std::string& query, const std::string& body, const std::string& fields = {}) {
        HttpClient client = HttpClient::tcp(port_);
        client.send("POST /v1/events" + query + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + fields +
                    "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
        return client.read_all();
    }
    std::vector<std::string> stored(Stream stream) {
        std::vector<std::string> lines;
        const auto slice = store_->make_reader()->read(stream, 0, "", {});
        if (!slice) return lines;
        for (const auto& event : slice->events) lines.emplace_back(event.members);
        return lines;
    }

    static constexpr std::uint64_t bytes_max_ = 4u << 20;

    HttpLimits limits_{.body_bytes_max = 4u << 20};
    tests::TempFolder folder_;
    ManualClock clock_;
    store::SealedBox box_{std::string(32, 'b')};
    std::uint64_t chance_ = 0;
    std::unique_ptr<store::Cache> cache_;
    std::unique_ptr<store::EventStore> store_;
    devices::Registry registry_;
    std::optional<devices::Admission> admission_;
    std::optional<devices::Reception> reception_;
    std::optional<devices::DirectIntake> direct_;
    std::unique_ptr<HttpServer> server_;
    std::uint16_t port_ = 0;
    tests::LoopThread loop_;  // dies first: its handlers know all of the above
};

TEST_F(EventRoutesTest, AnEventIsAnsweredWhenItIsDurable) {
    const std::string answer =
        post("?device=kiosk/k7&event=search", R"({"event_id":"a1","query":"oat milk"})");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
    EXPECT_EQ(tests::body_of(answer), R"({"stored":["a1"],"duplicate":[],"rejected":[]})"
                                      "\n");
    EXPECT_EQ(store_->horizon(Stream::interactions), 1u);
    EXPECT_THAT(stored(Stream::interactions).at(0),
                AllOf(HasSubstr(R"("source":"/stores/s1/kiosk/k7")"), HasSubstr(R"({"query":"oat milk"})"),
                      HasSubstr(R"("type":"store.kiosk.search.v1")")));
    EXPECT_EQ(registry_.count(), 1u);
}

TEST_F(EventRoutesTest, ARepeatIsADuplicateAndAnotherContentIsBoth) {
    post("?device=pos/t1&event=sale", R"({"event_id":"r1","total":"1.00"})");
    EXPECT_THAT(tests::body_of(post("?device=pos/t1&event=sale", R"({"event_id":"r1","total":"1.00"})")),
                StartsWith(R"({"stored":[],"duplicate":["r1"],"rejected")"));
    EXPECT_THAT(tests::body_of(post("?device=pos/t1&event=sale", R"({"event_id":"r1","total":"2.00"})")),
                StartsWith(R"({"stored":["r1"],"duplicate":[],"idreused":["r1"],"rejected")"));
    EXPECT_THAT(stored(Stream::sales), SizeIs(2));
}

TEST_F(EventRoutesTest, OneBadItemOfAnArrayIsToldByItsIndexAndTheRestIsStored) {
    const std::string answer =
        post("?device=kiosk/k7&event=scan", R"([{"event_id":"a"},{"event_id":"b","event_time":"x"},7])");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
    EXPECT_THAT(answer, AllOf(HasSubstr(R"("stored":["a"])"),
                              HasSubstr(R"({"index":1,"id":"b","error":{"type":"bad-event-time")"),
                              HasSubstr(R"({"index":2,"id":null,"error":{"type":"not-an-object")")));
    EXPECT_THAT(stored(Stream::interactions), SizeIs(1));
    EXPECT_THAT(stored(Stream::quarantine), SizeIs(2));
}

TEST_F(EventRoutesTest, WhenNothingCouldBeTakenTheAnswerIs422AndItIsInQuarantineByThen) {
    const std::string answer = post("?device=kiosk/k7&event=scan", "{\"half\":");
    EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 422"), HasSubstr("not-json")));
    EXPECT_EQ(store_->horizon(Stream::quarantine), 1u);
}

TEST_F(EventRoutesTest, WhatIsLargerThanAMessageMayBeIsAnswered413AndKept) {
    const std::string answer =
        post("?device=kiosk/k7&event=scan", R"({"text":")" + std::string(300'000, 'x') + "\"}");
    EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 413"), HasSubstr("too-large")));
    EXPECT_THAT(stored(Stream::quarantine), SizeIs(1));
}

TEST_F(EventRoutesTest, CloudEventsComeStructuredAndAsHeaders) {
    EXPECT_THAT(
        post("?device=kiosk/k7",
             R"({"specversion":"1.0","id":"c1","source":"kiosk/k7","type":"com.example.x","data":{}})",
             "Content-Type: application/cloudevents+json\r\n"),
        HasSubstr(R"("stored":["c1"])"));
    EXPECT_THAT(post("?device=kiosk/k7", R"({"a":1})",
                     "ce-specversion: 1.0\r\nce-id: c%202\r\nce-source: k7\r\nce-type: com.example.y\r\n"
                     "Content-Type: application/json\r\n"),
                HasSubstr(R"("stored":["c 2"])"));
    EXPECT_THAT(post("?device=kiosk/k7", R"({"specversion":"1.0","id":"c3","source":"kiosk/k8","type":"x"})",
                     "Content-Type: application/cloudevents+json\r\n"),
                AllOf(StartsWith("HTTP/1.1 422"), HasSubstr("foreign-source")));
}

TEST_F(EventRoutesTest, WhoSendsAndWhatHappenedMustBeSaid) {
    EXPECT_THAT(post("?event=search", "{}"), AllOf(StartsWith("HTTP/1.1 400"), HasSubstr("bad-device")));
    EXPECT_THAT(post("?device=kiosk&event=search", "{}"), StartsWith("HTTP/1.1 400"));
    EXPECT_THAT(post("?device=system/x&event=search", "{}"), StartsWith("HTTP/1.1 400"));
    EXPECT_THAT(post("?device=kiosk/k7", "{}"),
                AllOf(StartsWith("HTTP/1.1 400"), HasSubstr("bad-event-name")));
    EXPECT_THAT(post("?device=kiosk/k7&event=a/b", "{}"), StartsWith("HTTP/1.1 400"));
    EXPECT_THAT(post("?device=kiosk/%2e%2e&event=a", "{}"), StartsWith("HTTP/1.1 400"));
}

TEST_F(EventRoutesTest, ACustomerLeavesOnlyAsAPseudonymAndIsInTheVaultByTheAnswer) {
    post("?device=kiosk/k7&event=identify", R"({"customer":"card:2900000012345"})");
    const auto lines = stored(Stream::customer);
    ASSERT_THAT(lines, SizeIs(1));
    EXPECT_THAT(lines,
                Each(AllOf(Not(HasSubstr("2900000012345")), HasSubstr("\"subject\":\"pseudonym/p1_"))));
    const std::size_t at = lines[0].find("pseudonym/") + 10;
    const auto sealed = cache_->sealed_identity(lines[0].substr(at, lines[0].find('"', at) - at));
    ASSERT_TRUE(sealed && sealed->has_value());
}

TEST_F(EventRoutesTest, WhenTheStoreTakesNothingTheAnswerIs503AndNothingIsKept) {
    store_->stop();
    const std::string answer = post("?device=kiosk/k7&event=identify", R"({"customer":"card:1"})");
    EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("Retry-After: 1")));
    EXPECT_THAT(stored(Stream::customer), SizeIs(0));
    // Its person counts as unknown again: the next time the vault gets its row.
    devices::Report report;
    report.customer = "card:1";
    report.data = "{}";
    const auto again =
        admission_->admit({"kiosk", "k7"}, "identify", report, {}, devices::Now::of(clock_), 0);
    EXPECT_EQ(again.identities.size(), 1u);
}

// Behind the bound there is room for what the journal took over from the broker: not for a sender who can
// wait.
TEST_F(EventRoutesTest, AtItsBoundTheStoreTakesNothingMoreFromRequests) {
    std::uint64_t noise = 88172645463325252u;
    std::string answer;
    for (int sale = 0; sale < 100 && !answer.starts_with("HTTP/1.1 503"); ++sale) {
        std::string text;
        for (int i = 0; i < 15'000; ++i) {  // does not compress
            noise ^= noise << 13, noise ^= noise >> 7, noise ^= noise << 17;
            text += std::to_string(noise % 10'000'000'000'000u);
        }
        answer = post("?device=pos/t1&event=sale", R"({"note":")" + text + "\"}");
    }
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 503"));
    EXPECT_LT(store_->stats().live_bytes, bytes_max_ + (1u << 20));
}

// It once ended the program: as base64 it is larger than an event can be.
TEST_F(EventRoutesTest, OfABodyFarTooLargeTheBeginningIsInQuarantineAndTheGatewayGoesOn) {
    const std::string answer = post("?device=kiosk/k7&event=search",
                                    R"({"query":")" + std::string(limits_.body_bytes_max - 100, 'x') + "\"}");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 413"));
    EXPECT_THAT(answer, HasSubstr("at most 262144 are allowed; only the beginning was kept"));
    ASSERT_THAT(stored(Stream::quarantine), SizeIs(1));
    EXPECT_THAT(stored(Stream::quarantine)[0].size(), testing::Gt(devices::quarantined_bytes_max / 3 * 4));
    EXPECT_THAT(stored(Stream::quarantine)[0].size(), testing::Lt(devices::quarantined_bytes_max / 2 * 3));
    EXPECT_THAT(post("?device=kiosk/k7&event=search", "{}"), StartsWith("HTTP/1.1 200"));
}

// A token of a device: the server puts it into the request; here the route is asked itself.
TEST_F(EventRoutesTest, ADevicesTokenSendsAsItsDeviceOnlyAndNeedNotNameIt) {
    const std::vector<Route> routes = event_routes(*direct_);
    HttpRequest request;
    request.method = "POST";
    request.body = R"({"event_id":"own"})";
    request.caller.device = "kiosk/k7";
    request.query = {{"event", "search"}};
    std::promise<HttpResponse> own;
    loop_.on_loop([&] { routes[0].handler(request, [&](HttpResponse r) { own.set_value(std::move(r)); }); });
    EXPECT_EQ(own.get_future().get().status, 200u);
    EXPECT_THAT(stored(Stream::interactions).at(0), HasSubstr("/stores/s1/kiosk/k7"));
    request.query = {{"event", "search"}, {"device", "kiosk/k8"}};
    unsigned status = 0;
    loop_.on_loop([&] { routes[0].handler(request, [&](const HttpResponse& r) { status = r.status; }); });
    EXPECT_EQ(status, 403u);
}

TEST_F(EventRoutesTest, ATokenThatWatchesSendsNothingAndWithoutTokensEverybodyMay) {
    const auto routes = event_routes(*direct_);
    const auto file = folder_.path() / "tokens.toml";
    const auto admitted = [&](HttpDoor& door, const std::string& token) {
        HttpRequest request;
        request.method = "POST";
        request.path = "/v1/events";
        request.headers = {{"host", "localhost"}, {"authorization", "Bearer " + token}};
        HttpResponse answer;
        return door.admit({}, request, &routes[0], routes, answer) ? 200u : answer.status;
    };
    DoorOptions options;
    HttpDoor open(options, clock_);
    EXPECT_EQ(admitted(open, "none"), 200u);
    options.tokens = true;
    HttpDoor door(options, clock_);
    const std::string technician = *create_token(file, {Role::technician, "", ""}, clock_.utc(), "");
    const std::string platform = *create_token(file, {Role::platform, "", ""}, clock_.utc(), "");
    const std::string app = *create_token(file, {Role::app, "", ""}, clock_.utc(), "");
    const std::string till = *create_token(file, {Role::device, "pos/t1", ""}, clock_.utc(), "");
    door.set_tokens(std::make_shared<const TokenSet>(*read_tokens(file)));
    EXPECT_EQ(admitted(door, technician), 403u);
    EXPECT_EQ(admitted(door, platform), 403u);
    EXPECT_EQ(admitted(door, app), 200u);
    EXPECT_EQ(admitted(door, till), 200u);
}

}  // namespace
}  // namespace touchpoint::gateway
