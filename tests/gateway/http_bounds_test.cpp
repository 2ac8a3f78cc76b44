// What a hostile or broken client may send, byte by byte: a clear answer to it, and everybody else is served.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "gateway/http_server.hpp"
#include "tests/gateway/http_client.hpp"
#include "tests/gateway/loop_thread.hpp"
#include "tests/support/wait.hpp"

namespace touchpoint::gateway {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using tests::HttpClient;

class HttpBoundsTest : public testing::Test {
  protected:
    void start(HttpLimits limits = {}) {
        std::vector<Route> routes;
        routes.push_back(get("/hello", [](const HttpRequest& request) {
            return text_response("hello " + std::string(request.query_value("name")) + "\n");
        }));
        routes.push_back({"POST", "/echo", [this](const HttpRequest& request, const Reply& reply) {
                              ++posts_;
                              HttpResponse response = text_response(request.body);
                              response.headers.emplace_back("X-Trailer",
                                                            std::string(request.header("x-late")));
                              reply(std::move(response));
                          }});
        loop_.on_loop([&] {
            server_ = std::make_unique<HttpServer>(loop_.loop(), limits, std::move(routes));
            port_ = server_->listen_tcp("127.0.0.1", 0).value();
        });
    }
    void TearDown() override {
        loop_.on_loop([&] { server_.reset(); });
    }
    HttpClient client() { return HttpClient::tcp(port_); }
    std::string say(const std::string& bytes) {
        HttpClient one = client();
        one.send(bytes);
        return one.read_all();
    }
    HttpStats stats() {
        HttpStats now;
        loop_.on_loop([&] { now = server_->stats(); });
        return now;
    }

    tests::LoopThread loop_;
    std::unique_ptr<HttpServer> server_;
    std::atomic<int> posts_{0};
    int port_ = 0;
};

struct Hostile {
    const char* name;
    std::string bytes;
    int status;
};
void PrintTo(const Hostile& hostile, std::ostream* out) { *out << hostile.name; }

class HostileRequestTest : public HttpBoundsTest, public testing::WithParamInterface<Hostile> {};

// Behind each stands a second request: a server that lost count would answer it.
TEST_P(HostileRequestTest, IsRefusedAndTheConnectionClosed) {
    HttpLimits limits;
    limits.body_bytes_max = 1000;
    start(limits);
    const std::string smuggled = "GET /hello?name=smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    const std::string answer = say(GetParam().bytes + smuggled);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 " + std::to_string(GetParam().status)));
    EXPECT_THAT(answer, AllOf(HasSubstr("Connection: close"), HasSubstr("application/problem+json"),
                              Not(HasSubstr("smuggled"))));
    EXPECT_EQ(posts_.load(), 0);
    EXPECT_EQ(stats().malformed, 1u);
    EXPECT_THAT(client().get("/hello?name=next"), HasSubstr("hello next"));
}

const std::string post = "POST /echo HTTP/1.1\r\nHost: x\r\n";

std::string many_fields() {
    std::string out = "GET /hello HTTP/1.1\r\nHost: x\r\n";
    for (int i = 0; i < 64; ++i) out += "X: y\r\n";
    return out + "\r\n";
}

INSTANTIATE_TEST_SUITE_P(
    Bytes, HostileRequestTest,
    testing::Values(
        Hostile{"TwoContentLengths", post + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400},
        Hostile{"TwoDifferentContentLengths", post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
                400},
        Hostile{"AListOfContentLengths", post + "Content-Length: 3, 3\r\n\r\nabc", 400},
        Hostile{"ContentLengthAndChunks",
                post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        Hostile{"ChunksAndContentLength",
                post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400},
        Hostile{"TwoTransferEncodings",
                post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        Hostile{"AnotherTransferEncoding", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
        Hostile{"ChunksOfHttp10",
                "POST /echo HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        Hostile{"ANegativeContentLength", post + "Content-Length: -1\r\n\r\n", 400},
        Hostile{"AContentLengthWithASign", post + "Content-Length: +3\r\n\r\nabc", 400},
        Hostile{"AContentLengthBeyondNumbers", post + "Content-Length: 99999999999999999999999\r\n\r\n", 400},
        Hostile{"ABodyTooLarge", post + "Content-Length: 1001\r\n\r\n", 413},
        Hostile{"ChunksTooLarge",
                post + "Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + std::string(1001, 'x') + "\r\n0\r\n\r\n",
                413},
        Hostile{"AChunkThatSaysItIsHuge", post + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
                413},
        Hostile{"AChunkSizeThatIsNoNumber", post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
        Hostile{"AnEndlessChunkExtension",
                post + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(20'000, 'e'), 400},
        Hostile{"ASpaceBeforeTheColon", post + "Content-Length : 3\r\n\r\nabc", 400},
        Hostile{"AFoldedLine", "GET /hello HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n 2\r\n\r\n", 400},
        Hostile{"AFoldedLineByTab", "GET /hello HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n\tb: 2\r\n\r\n", 400},
        Hostile{"BareLineFeeds", "GET /hello HTTP/1.1\nHost: x\n\n", 400},
        Hostile{"ABareLineFeedInAValue", "GET /hello HTTP/1.1\r\nHost: x\r\nX-A: 1\nX-B: 2\r\n\r\n", 400},
        Hostile{"ABareCarriageReturn", "GET /hello HTTP/1.1\r\nHost: x\r\nX-A: 1\rX-B: 2\r\n\r\n", 400},
        Hostile{"ANulInAValue",
                "GET /hello HTTP/1.1\r\nHost: x\r\nX-A: 1" + std::string(1, '\0') + "\r\n\r\n", 400},
        Hostile{"NoHost", "GET /hello HTTP/1.1\r\n\r\n", 400},
        Hostile{"TwoHosts", "GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
        Hostile{
            "TwoAuthorizations",
            "GET /hello HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
            400},
        Hostile{"AnotherVersion", "GET /hello HTTP/3.0\r\nHost: x\r\n\r\n", 400},
        Hostile{"TheBeginningOfHttp2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
        Hostile{"TheBeginningOfTls", std::string("\x16\x03\x01\x02\x00\x01\x00", 7) + "\r\n\r\n", 400},
        Hostile{"AnAddressAsTarget", "GET http://elsewhere/hello HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        Hostile{"ABrokenEscape", "GET /hello?name=%f HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        Hostile{"AnEscapeThatIsNoUtf8", "GET /hello?name=%c3%28 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        Hostile{"APathThatIsNoUtf8", "GET /%ff HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        Hostile{"AnEscapedNul", "GET /hello%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        Hostile{"ATargetTooLong", "GET /" + std::string(4096, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n", 414},
        Hostile{"ATargetWithoutEnd", "GET /" + std::string(20'000, 'a'), 414},
        Hostile{"TooManyFields", many_fields(), 431},
        Hostile{"AHeaderTooLarge",
                "GET /hello HTTP/1.1\r\nHost: x\r\nX: " + std::string(9000, 'x') + "\r\n\r\n", 431},
        Hostile{"ACompressedBody", post + "Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", 415},
        Hostile{"ABodyCompressedTwice",
                post + "Content-Encoding: identity\r\nContent-Encoding: br\r\nContent-Length: 3\r\n\r\nabc",
                415},
        Hostile{"AnotherExpectation", post + "Expect: miracles\r\nContent-Length: 3\r\n\r\nabc", 417}),
    [](const auto& one) { return std::string(one.param.name); });

TEST_F(HttpBoundsTest, AnUnknownMethodIsToldWhatThePathTakes) {
    start();
    EXPECT_THAT(say(tests::request_of("/hello", "", "BREW")),
                AllOf(StartsWith("HTTP/1.1 405"), HasSubstr("Allow: GET, HEAD\r\n")));
    EXPECT_THAT(say(tests::request_of("/echo", "", "DELETE")),
                AllOf(StartsWith("HTTP/1.1 405"), HasSubstr("Allow: POST\r\n")));
}

TEST_F(HttpBoundsTest, PipelinedRequestsAreAnsweredInTheirOrder) {
    start();
    HttpClient one = client();
    std::string all;
    for (int i = 0; i < 20; ++i) {
        const std::string body = "body " + std::to_string(i);
        all += "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) +
               "\r\n\r\n" + body;
        all += "GET /hello?name=" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n";
    }
    one.send(all + "GET /hello?name=last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const std::string answers = one.read_all();
    std::size_t at = 0;
    for (int i = 0; i < 20; ++i) {
        for (const std::string& expected :
             {"body " + std::to_string(i), "hello " + std::to_string(i) + "\n"}) {
            const std::size_t found = answers.find(expected, at);
            ASSERT_NE(found, std::string::npos) << expected;
            at = found;
        }
    }
    EXPECT_NE(answers.find("hello last", at), std::string::npos);
    EXPECT_EQ(stats().accepted, 1u);
}

TEST_F(HttpBoundsTest, ChunksAreOneBodyAndTrailersAreNoHeader) {
    start();
    const std::string answer = say(post +
                                   "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                                   "3\r\nabc\r\n4;name=value\r\ndefg\r\n0\r\nX-Late: secret\r\n\r\n");
    EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("X-Trailer: \r\n")));
    EXPECT_EQ(tests::body_of(answer), "abcdefg");
}

// One byte at a time, the way a bad network cuts them.
TEST_F(HttpBoundsTest, ARequestMayComeInPiecesOfAnySize) {
    start();
    HttpClient one = client();
    const std::string request = post +
                                "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                                "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
    for (const char c : request) one.send(std::string(1, c));
    EXPECT_EQ(tests::body_of(one.read_all()), "abcdefg");
}

TEST_F(HttpBoundsTest, TheBodyIsNotReadForAClientThatIsRefused) {
    start();
    HttpClient one = client();
    // No permission to send comes: the path is not there.
    one.send("POST /nowhere HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n");
    EXPECT_THAT(one.read_all(), AllOf(StartsWith("HTTP/1.1 404"), HasSubstr("Connection: close")));
}

// A socket that is closed over unread bytes takes the answer with it.
TEST_F(HttpBoundsTest, AClientThatIsStillSendingReadsWhyItWasRefused) {
    HttpLimits limits;
    limits.body_bytes_max = 1000;
    start(limits);
    HttpClient one = client();
    one.send(post + "Content-Length: 100000\r\n\r\n" + std::string(100'000, 'x'));
    EXPECT_THAT(one.read_all(), StartsWith("HTTP/1.1 413"));
}

// Slowloris: each of them sends a byte now and then and never an end. They lose their places by the deadline
// from the first byte, which no further byte moves, and a good client gets one.
TEST_F(HttpBoundsTest, ManySlowClientsLoseTheirPlaces) {
    HttpLimits limits;
    limits.connections_max = 8;
    limits.read =
        std::chrono::milliseconds(3000);  // all of them are there before the first has lost its place
    start(limits);
    std::vector<HttpClient> slow;
    for (std::size_t i = 0; i < limits.connections_max; ++i) {
        slow.push_back(client());
        slow.back().send("GET /hello HTTP/1.1\r\nX-Slow: ");
    }
    ASSERT_TRUE(tests::wait_for([&] { return stats().connections == limits.connections_max; }));
    EXPECT_THAT(client().read_all(), StartsWith("HTTP/1.1 503"));
    EXPECT_TRUE(tests::wait_for([&] {
        for (HttpClient& one : slow) one.send("x");
        return stats().connections == 0;
    }));
    EXPECT_THAT(client().get("/hello?name=me"), HasSubstr("hello me"));
}

// The same with a body: the deadline is the request's, not each piece's.
TEST_F(HttpBoundsTest, ASlowBodyIsCutOffByTheSameDeadline) {
    HttpLimits limits;
    limits.read = std::chrono::milliseconds(300);
    start(limits);
    HttpClient one = client();
    one.send(post + "Content-Length: 1000000\r\n\r\n");
    EXPECT_TRUE(tests::wait_for([&] {
        one.send("x");
        return stats().accepted == 1 && stats().connections == 0;
    }));
    EXPECT_EQ(posts_.load(), 0);
}

TEST_F(HttpBoundsTest, AClientThatDoesNotReadItsAnswerIsCutOff) {
    HttpLimits limits;
    limits.body_bytes_max = 32u << 20;
    limits.write = std::chrono::milliseconds(100);
    start(limits);
    // As much longer as a reader of 16 KiB/s needs; nothing at all is read here, and the sockets hold some
    // MB.
    HttpClient one = client();
    std::string all;
    for (int i = 0; i < 4000; ++i)
        all += "GET /hello?name=" + std::string(2000, 'n') + " HTTP/1.1\r\nHost: x\r\n\r\n";
    one.send(all);
    EXPECT_TRUE(tests::wait_for([&] { return stats().connections == 0; }));
    EXPECT_LT(stats().requests, 4000u);
}

TEST_F(HttpBoundsTest, EveryAnswerCarriesTheHeadersOfCaution) {
    start();
    for (const std::string& answer :
         {client().get("/hello"), client().get("/nowhere"), say("nonsense\r\n\r\n")}) {
        EXPECT_THAT(answer, AllOf(HasSubstr("\r\nX-Content-Type-Options: nosniff\r\n"),
                                  HasSubstr("\r\nCache-Control: no-store\r\n"),
                                  HasSubstr("\r\nReferrer-Policy: no-referrer\r\n"),
                                  HasSubstr("\r\nContent-Security-Policy: default-src 'none'")));
        EXPECT_THAT(answer, Not(HasSubstr("\r\nServer:")));
    }
}

TEST_F(HttpBoundsTest, ARouteCannotBreakTheHeaderOfItsAnswer) {
    start();
    EXPECT_THAT(say(tests::request_of("/echo", "X-Late: a\tb\r\n", "POST", "b")),
                HasSubstr("X-Trailer: a b\r\n"));
}

}  // namespace
}  // namespace touchpoint::gateway
