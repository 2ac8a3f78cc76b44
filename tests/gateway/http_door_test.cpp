// Who is let in, over real sockets: tokens, roles, origins, floods.
#include "gateway/http_door.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "gateway/http_server.hpp"
#include "tests/gateway/http_client.hpp"
#include "tests/gateway/loop_thread.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"

namespace touchpoint::gateway {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using tests::HttpClient;
using tests::request_of;

class HttpDoorTest : public testing::Test {
  protected:
    void start(DoorOptions options) {
        const auto file = folder_.path() / "tokens.toml";
        const auto make = [&](Role role, const std::string& device = {}) {
            return create_token(file, {role, device, ""}, clock_.utc(), "").value();
        };
        technician_ = make(Role::technician);
        till_ = make(Role::device, "pos/t1");
        std::vector<Route> routes;
        Route open = get("/open", [](const HttpRequest& r) {
            return text_response("open " + words(r.caller.roles) + "\n");
        });
        open.roles = {};
        Route inside = get("/inside", [](const HttpRequest&) { return text_response("inside\n"); });
        inside.roles = {Role::technician, Role::platform};
        Route who;
        who.method = "POST";
        who.path = "/who";
        who.roles = {Role::device, Role::app};
        who.handler = [this](const HttpRequest& request, const Reply& reply) {
            ++asked_;
            reply(text_response(words(request.caller.roles) + " " + request.caller.device + "\n"));
        };
        Route stream = get("/stream", [this](const HttpRequest&) {
            HttpResponse response;
            response.stream = stream_;
            return response;
        });
        stream.roles = {Role::technician};
        routes.push_back(std::move(stream));
        routes.push_back(std::move(open));
        routes.push_back(std::move(inside));
        routes.push_back(std::move(who));
        loop_.on_loop([&] {
            door_ = std::make_unique<HttpDoor>(std::move(options), clock_);
            door_->set_tokens(std::make_shared<const TokenSet>(read_tokens(file).value()));
            server_ = std::make_unique<HttpServer>(loop_.loop(), HttpLimits{}, std::move(routes),
                                                   HttpServer::Guards{door_.get(), nullptr});
            port_ = server_->listen_tcp("127.0.0.1", 0).value();
        });
    }
    static DoorOptions with_tokens() {
        DoorOptions out;
        out.tokens = true;
        out.clients.loopback = true;
        return out;
    }
    void TearDown() override {
        loop_.on_loop([&] {
            server_.reset();
            door_.reset();
        });
    }
    std::string say(const std::string& request, const std::string& from = "127.0.0.1") {
        HttpClient one = HttpClient::tcp(port_, from);
        one.send(request);
        return one.read_all();
    }
    static std::string bearer(const std::string& token) { return "Authorization: Bearer " + token + "\r\n"; }
    HttpStats stats() {
        HttpStats now;
        loop_.on_loop([&] { now = server_->stats(); });
        return now;
    }
    std::uint64_t hashed() {
        std::uint64_t now = 0;
        loop_.on_loop([&] { now = door_->stats().tokens_checked; });
        return now;
    }

    tests::TempFolder folder_;
    ManualClock clock_;
    tests::LoopThread loop_;
    std::unique_ptr<HttpDoor> door_;
    std::unique_ptr<HttpServer> server_;
    std::string technician_, till_;
    const std::shared_ptr<BodyStream> stream_ =
        std::make_shared<BodyStream>([](std::uint64_t) { return std::string("left out\n"); });
    std::atomic<int> asked_{0};
    int port_ = 0;
};

TEST_F(HttpDoorTest, ARouteForEverybodyNeedsNoToken) {
    start(with_tokens());
    EXPECT_THAT(say(request_of("/open")), AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("open \n")));
    // Nor is one tried out there.
    EXPECT_THAT(say(request_of("/open", bearer("tp_x_y"))), StartsWith("HTTP/1.1 200"));
    EXPECT_EQ(hashed(), 0u);
}

TEST_F(HttpDoorTest, WithoutATokenTheAnswerSaysHowToShowOne) {
    start(with_tokens());
    EXPECT_THAT(
        say(request_of("/inside")),
        AllOf(StartsWith("HTTP/1.1 401"), HasSubstr("WWW-Authenticate: Bearer realm=\"touchpoint\"\r\n"),
              HasSubstr("\"type\":\"unauthorized\"")));
    EXPECT_EQ(stats().wrong_tokens, 0u);
}

TEST_F(HttpDoorTest, AWrongTokenIsRefusedAndCountedAndNotRepeated) {
    start(with_tokens());
    for (const std::string& wrong : {std::string("nonsense"), std::string("tp_nobody_secret"), till_ + "x",
                                     technician_.substr(0, technician_.size() - 1)})
        EXPECT_THAT(
            say(request_of("/inside", bearer(wrong))),
            AllOf(StartsWith("HTTP/1.1 401"), HasSubstr("error=\"invalid_token\""), Not(HasSubstr(wrong))));
    EXPECT_THAT(say(request_of("/inside", "Authorization: Basic dTpw\r\n")), StartsWith("HTTP/1.1 401"));
    EXPECT_EQ(stats().wrong_tokens, 5u);
}

TEST_F(HttpDoorTest, TheWrongRoleIsToldWhichOneIsNeeded) {
    start(with_tokens());
    EXPECT_THAT(say(request_of("/inside", bearer(technician_))), HasSubstr("inside\n"));
    EXPECT_THAT(say(request_of("/inside", bearer(till_))),
                AllOf(StartsWith("HTTP/1.1 403"), HasSubstr("\"type\":\"forbidden\""),
                      HasSubstr("for the role platform or technician"), HasSubstr("has the role device")));
    EXPECT_EQ(stats().forbidden, 1u);
}

TEST_F(HttpDoorTest, ARouteLearnsTheRoleAndTheDeviceOfTheToken) {
    start(with_tokens());
    EXPECT_EQ(tests::body_of(say(request_of("/who", bearer(till_), "POST", "{}"))), "device pos/t1\n");
}

TEST_F(HttpDoorTest, ARefusedClientsBodyIsNeverAskedFor) {
    start(with_tokens());
    const std::string answer =
        say("POST /who HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 401"), HasSubstr("Connection: close")));
    EXPECT_EQ(asked_.load(), 0);
}

TEST_F(HttpDoorTest, TokensMayChangeWhileAConnectionIsOpen) {
    start(with_tokens());
    HttpClient one = HttpClient::tcp(port_);
    const std::string ask = "GET /inside HTTP/1.1\r\nHost: x\r\n" + bearer(technician_) + "\r\n";
    one.send(ask);
    EXPECT_THAT(one.read_until("inside\n"), StartsWith("HTTP/1.1 200"));
    loop_.on_loop([&] { door_->set_tokens(std::make_shared<const TokenSet>()); });
    one.send(ask);
    EXPECT_THAT(one.read_until("not known"), StartsWith("HTTP/1.1 401"));
}

// Who was let in once must not be told for ever.
TEST_F(HttpDoorTest, AStreamEndsWhenItsTokenIsRevokedAndThoseOfOthersGoOn) {
    start(with_tokens());
    const auto file = folder_.path() / "tokens.toml";
    HttpClient one = HttpClient::tcp(port_);
    one.send("GET /stream HTTP/1.1\r\nHost: x\r\n" + bearer(technician_) + "\r\n");
    loop_.on_loop([&] { stream_->push("first\n"); });
    EXPECT_THAT(one.read_until("first\n\r\n"), StartsWith("HTTP/1.1 200"));
    // Another one's token goes: nothing happens to this one.
    const auto revoke = [&](const std::string& token) {
        ASSERT_TRUE(revoke_token(file, token.substr(3, token.find('_', 3) - 3)));
        loop_.on_loop(
            [&] { door_->set_tokens(std::make_shared<const TokenSet>(read_tokens(file).value())); });
    };
    revoke(till_);
    loop_.on_loop([&] { stream_->push("second\n"); });
    EXPECT_THAT(one.read_until("second\n\r\n"), HasSubstr("second"));
    revoke(technician_);
    loop_.on_loop([&] { stream_->push("third\n"); });
    EXPECT_THAT(one.read_all(), AllOf(testing::EndsWith("0\r\n\r\n"), testing::Not(HasSubstr("third"))));
    loop_.on_loop([&] { EXPECT_TRUE(stream_->closed()); });
}

// Counted, not timed: an address that has given ten wrong tokens costs no hash any more, and another address
// is answered as if nobody else were there.
TEST_F(HttpDoorTest, AFloodOfWrongTokensShutsItsAddressOutAndNobodyElse) {
    DoorOptions options = with_tokens();
    options.clients.requests_per_s = options.clients.requests_burst = 10'000;
    start(options);
    for (int i = 0; i < 200; ++i) {
        const std::string answer =
            say(request_of("/inside", bearer("tp_guess_" + std::to_string(i))), "127.0.0.2");
        ASSERT_THAT(answer, StartsWith(i < 10 ? "HTTP/1.1 401" : "HTTP/1.1 429")) << i;
        if (i >= 10) {
            ASSERT_THAT(answer, HasSubstr("Retry-After: 60\r\n"));
        }
        if (i % 10 == 0) {
            ASSERT_THAT(say(request_of("/inside", bearer(technician_))), HasSubstr("inside\n"));
        }
    }
    EXPECT_EQ(stats().wrong_tokens, 10u);
    EXPECT_EQ(stats().throttled, 190u);
    EXPECT_EQ(hashed(), 10u + 20u);
    // Also the right token has to wait there, and only there.
    EXPECT_THAT(say(request_of("/inside", bearer(technician_)), "127.0.0.2"), StartsWith("HTTP/1.1 429"));
    clock_.advance(std::chrono::seconds(60));
    EXPECT_THAT(say(request_of("/inside", bearer(technician_)), "127.0.0.2"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpDoorTest, WhoAsksTooOftenIsToldWhenToComeBack) {
    DoorOptions options = with_tokens();
    options.clients.requests_per_s = 1;
    options.clients.requests_burst = 3;
    start(options);
    HttpClient one = HttpClient::tcp(port_);  // counts as the first
    for (int i = 0; i < 3; ++i) one.send("GET /open HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(one.read_all(), AllOf(HasSubstr("HTTP/1.1 200"), HasSubstr("HTTP/1.1 429"),
                                      HasSubstr("Retry-After: 1\r\n"), HasSubstr("Connection: close")));
    EXPECT_EQ(stats().throttled, 1u);
    EXPECT_THAT(say(request_of("/open"), "127.0.0.2"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpDoorTest, AnAddressHasSoManyPlacesAndOthersHaveTheirs) {
    DoorOptions options = with_tokens();
    options.clients.connections_max = 2;
    start(options);
    std::vector<HttpClient> held;
    for (int i = 0; i < 2; ++i) held.push_back(HttpClient::tcp(port_, "127.0.0.2"));
    ASSERT_TRUE(tests::wait_for([&] { return stats().connections == 2; }));
    HttpClient third = HttpClient::tcp(port_, "127.0.0.2");
    EXPECT_THAT(third.read_all(), AllOf(StartsWith("HTTP/1.1 429"), HasSubstr("\r\nRetry-After: 1\r\n")));
    EXPECT_EQ(stats().refused, 1u);
    EXPECT_THAT(say(request_of("/open")), StartsWith("HTTP/1.1 200"));
    held.clear();
    EXPECT_TRUE(tests::wait_for([&] { return stats().connections == 0; }));
    EXPECT_THAT(say(request_of("/open"), "127.0.0.2"), StartsWith("HTTP/1.1 200"));
}

DoorOptions with_a_kiosk(bool tokens = true) {
    DoorOptions out;
    out.tokens = tokens;
    out.allowed_origins = {"https://kiosk.example"};
    return out;
}

TEST_F(HttpDoorTest, AListedPageMayAskAndReadTheAnswer) {
    start(with_a_kiosk());
    const std::string answer =
        say(request_of("/who", "Origin: https://kiosk.example\r\n" + bearer(till_), "POST", "{}"));
    EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("Vary: Origin\r\n"),
                              HasSubstr("Access-Control-Allow-Origin: https://kiosk.example\r\n"),
                              Not(HasSubstr("Allow-Credentials")), Not(HasSubstr("*"))));
    // Also why it was refused.
    EXPECT_THAT(
        say(request_of("/who", "Origin: https://kiosk.example\r\n", "POST", "{}")),
        AllOf(StartsWith("HTTP/1.1 401"), HasSubstr("Access-Control-Allow-Origin: https://kiosk.example")));
}

TEST_F(HttpDoorTest, APreflightOfAListedPageIsAnsweredWithoutAToken) {
    start(with_a_kiosk());
    const std::string ask =
        "Origin: https://kiosk.example\r\nAccess-Control-Request-Method: POST\r\n"
        "Access-Control-Request-Headers: authorization,content-type\r\n";
    EXPECT_THAT(say(request_of("/who", ask, "OPTIONS")),
                AllOf(StartsWith("HTTP/1.1 204"), HasSubstr("Access-Control-Allow-Methods: POST\r\n"),
                      HasSubstr("Access-Control-Allow-Headers: Authorization, Content-Type"),
                      HasSubstr("Access-Control-Allow-Origin: https://kiosk.example\r\n"),
                      HasSubstr("Vary: Origin\r\n"), Not(HasSubstr("Content-Length"))));
    EXPECT_THAT(say(request_of("/nowhere", ask, "OPTIONS")), StartsWith("HTTP/1.1 404"));
    EXPECT_EQ(asked_.load(), 0);
}

TEST_F(HttpDoorTest, APageThatIsNotListedGetsNothing) {
    start(with_a_kiosk());
    for (const char* origin : {"https://evil.example", "https://kiosk.example.evil.example", "null",
                               "http://kiosk.example", "https://kiosk.example:444"}) {
        const std::string header = std::string("Origin: ") + origin + "\r\n";
        const auto refused = AllOf(StartsWith("HTTP/1.1 403"), Not(HasSubstr("Access-Control-Allow-Origin")),
                                   HasSubstr("Vary: Origin"));
        EXPECT_THAT(say(request_of("/who", header + bearer(till_), "POST", "{}")), refused);
        EXPECT_THAT(say(request_of("/who", header + "Access-Control-Request-Method: POST\r\n", "OPTIONS")),
                    refused);
    }
    EXPECT_EQ(asked_.load(), 0);
}

// Without tokens everybody on loopback has every role, and so would any page that a browser there shows.
TEST_F(HttpDoorTest, WithoutTokensEverybodyMayButNoForeignPageAndNoForeignName) {
    start(with_a_kiosk(false));
    EXPECT_EQ(tests::body_of(say(request_of("/open"))), "open device or app or platform or technician\n");
    EXPECT_THAT(say(request_of("/who", "", "POST", "{}")), StartsWith("HTTP/1.1 200"));
    EXPECT_THAT(say(request_of("/who", "Origin: https://evil.example\r\n", "POST", "{}")),
                StartsWith("HTTP/1.1 403"));
    for (const char* host : {"localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080", ""})
        EXPECT_THAT(
            say("GET /inside HTTP/1.1\r\nConnection: close\r\nHost: " + std::string(host) + "\r\n\r\n"),
            StartsWith("HTTP/1.1 200"))
            << host;
    for (const char* host : {"evil.example", "127.0.0.1.evil.example", "evil:8080", "1.2.3.4.5"})
        EXPECT_THAT(
            say("GET /inside HTTP/1.1\r\nConnection: close\r\nHost: " + std::string(host) + "\r\n\r\n"),
            AllOf(StartsWith("HTTP/1.1 403"), HasSubstr("localhost or an IP address")))
            << host;
    // A page that the gateway has served itself.
    EXPECT_THAT(say(request_of("/who", "Origin: http://127.0.0.1\r\n", "POST", "{}")),
                StartsWith("HTTP/1.1 200"));
}

}  // namespace
}  // namespace touchpoint::gateway
