// The server over real sockets: what it answers, what it refuses, and that nobody can hold it up.
#include "gateway/http_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

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

class HttpServerTest : public testing::Test {
  protected:
    void start(HttpLimits limits = {}) {
        std::vector<Route> routes;
        routes.push_back(get("/hello", [](const HttpRequest& request) {
            return text_response("hello " + std::string(request.query_value("name")) + "\n");
        }));
        routes.push_back(get("/v1/things/{thing}", [](const HttpRequest& request) {
            return text_response(std::string(request.parameter("thing")));
        }));
        routes.push_back({"POST", "/echo", [](const HttpRequest& request, const Reply& reply) {
                              reply(text_response(request.body));
                          }});
        // Answers from another thread, as routes over the reader do.
        routes.push_back({"GET", "/later", [this](const HttpRequest&, const Reply& reply) {
                              workers_.emplace_back([reply] { reply(text_response("later")); });
                          }});
        routes.push_back(
            {"GET", "/never", [](const HttpRequest&, const Reply&) {}, std::chrono::milliseconds(50)});
        routes.push_back({"GET", "/stream", [this](const HttpRequest&, const Reply& reply) {
                              stream_ = std::make_shared<BodyStream>(
                                  [](std::uint64_t n) { return "lost " + std::to_string(n) + "\n"; });
                              HttpResponse response;
                              response.content_type = "text/plain";
                              response.stream = stream_;
                              reply(response);
                          }});
        routes.push_back({"GET", "/long-poll",
                          [this](const HttpRequest& request, const Reply&) {
                              ++polls_;
                              request.client->on_gone([this] { ++gone_; });
                          },
                          std::chrono::minutes(2)});
        routes.push_back(
            {"GET", "/answers-and-watches", [this](const HttpRequest& request, const Reply& reply) {
                 const auto thing = std::make_shared<int>(0);
                 watched_ = thing;
                 request.client->on_gone([this, thing] { ++gone_; });
                 reply(text_response("here"));
             }});
        loop_.on_loop([&] {
            server_ = std::make_unique<HttpServer>(loop_.loop(), limits, std::move(routes));
            port_ = server_->listen_tcp("127.0.0.1", 0).value();
        });
    }
    void TearDown() override {
        loop_.on_loop([&] { server_.reset(); });
        for (std::thread& worker : workers_) worker.join();
    }
    HttpClient client() { return HttpClient::tcp(port_); }
    std::string get_once(const std::string& target, const std::string& method = "GET") {
        return client().get(target, method);
    }
    HttpStats stats() {
        HttpStats now;
        loop_.on_loop([&] { now = server_->stats(); });
        return now;
    }

    tests::LoopThread loop_;
    std::unique_ptr<HttpServer> server_;
    std::shared_ptr<BodyStream> stream_;
    std::vector<std::thread> workers_;
    std::atomic<int> polls_{0};
    std::atomic<int> gone_{0};
    std::weak_ptr<int> watched_;
    int port_ = 0;
};

// After a power cut the box is up before its network.
TEST_F(HttpServerTest, AnAddressThatTheMachineDoesNotHaveYetIsListenedOnAndSaidToBeMissing) {
    start();
    loop_.on_loop([&] {
        EXPECT_TRUE(server_->address_is_here());
        for (const char* nobodys : {"192.0.2.1", "2001:db8::1"}) {  // for documentation
            HttpServer early(loop_.loop(), {}, {});
            EXPECT_TRUE(early.listen_tcp(nobodys, 0)) << nobodys;
            EXPECT_FALSE(early.address_is_here()) << nobodys;
        }
        HttpServer second(loop_.loop(), {}, {});
        EXPECT_EQ(second.listen_tcp("127.0.0.1", port_).error().code, Errc::io);
    });
}

TEST_F(HttpServerTest, AnswersARouteWithDecodedQueryAndParameters) {
    start();
    const std::string answer = get_once("/hello?name=a%20b+c&x");
    EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("Content-Length: 12\r\n")));
    EXPECT_EQ(tests::body_of(answer), "hello a b c\n");
    EXPECT_EQ(tests::body_of(get_once("/v1/things/k%2F7")).find("not-found") == std::string::npos, false);
    EXPECT_EQ(tests::body_of(get_once("/v1/things/k7")), "k7");
}

TEST_F(HttpServerTest, KeepsAConnectionForSeveralRequestsAlsoPipelined) {
    start();
    HttpClient one = client();
    one.send("GET /hello?name=1 HTTP/1.1\r\nHost: x\r\n\r\nGET /hello?name=2 HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(one.read_until("hello 2\n"), AllOf(HasSubstr("hello 1\n"), HasSubstr("hello 2\n")));
    one.send("GET /hello?name=3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(one.read_all(), AllOf(HasSubstr("hello 3\n"), HasSubstr("Connection: close")));
    EXPECT_EQ(stats().accepted, 1u);
}

TEST_F(HttpServerTest, HeadHasTheHeaderOfGetAndNoBody) {
    start();
    const std::string answer = get_once("/hello", "HEAD");
    EXPECT_THAT(answer, HasSubstr("Content-Length: 7\r\n"));
    EXPECT_EQ(tests::body_of(answer), "");
}

TEST_F(HttpServerTest, UnknownPathsAndMethodsAreProblems) {
    start();
    EXPECT_THAT(get_once("/nowhere"), AllOf(StartsWith("HTTP/1.1 404"), HasSubstr("application/problem+json"),
                                            HasSubstr("\"type\":\"not-found\"")));
    EXPECT_THAT(get_once("/hello", "DELETE"),
                AllOf(StartsWith("HTTP/1.1 405"), HasSubstr("Allow: GET, HEAD\r\n")));
    EXPECT_THAT(get_once("/%zz"), StartsWith("HTTP/1.1 400"));
    EXPECT_THAT(get_once("/hello%00"), StartsWith("HTTP/1.1 400"));
}

TEST_F(HttpServerTest, NonsenseIsAnswered400AndCutOff) {
    start();
    HttpClient one = client();
    one.send("this is not HTTP\r\n\r\n");
    EXPECT_THAT(one.read_all(), StartsWith("HTTP/1.1 400"));
}

TEST_F(HttpServerTest, LargeHeadersAndBodiesAreRefused) {
    HttpLimits limits;
    limits.body_bytes_max = 1000;
    start(limits);
    HttpClient header = client();
    header.send("GET /hello HTTP/1.1\r\nX: " + std::string(9000, 'x') + "\r\n\r\n");
    EXPECT_THAT(header.read_all(), StartsWith("HTTP/1.1 431"));
    HttpClient body = client();
    body.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n");
    EXPECT_THAT(body.read_all(), StartsWith("HTTP/1.1 413"));
    HttpClient fits = client();
    fits.send("POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n" +
              std::string(1000, 'y'));
    EXPECT_EQ(tests::body_of(fits.read_all()), std::string(1000, 'y'));
}

TEST_F(HttpServerTest, AClientThatAsksBeforeItSendsIsToldToContinue) {
    start();
    HttpClient one = client();
    one.send(
        "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: "
        "2\r\n\r\n");
    EXPECT_EQ(one.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    one.send("ok");
    EXPECT_EQ(tests::body_of(one.read_all()), "ok");
}

TEST_F(HttpServerTest, ASlowRequestIsCutOff) {
    HttpLimits limits;
    limits.read = std::chrono::milliseconds(50);
    start(limits);
    HttpClient slow = client();
    slow.send("GET /hel");
    EXPECT_EQ(slow.read_all(), "");
    EXPECT_TRUE(tests::wait_for([&] { return stats().connections == 0; }));
}

TEST_F(HttpServerTest, AnIdleConnectionIsClosedWithoutAWord) {
    HttpLimits limits;
    limits.idle = std::chrono::milliseconds(50);
    start(limits);
    HttpClient idle = client();
    EXPECT_EQ(idle.read_all(), "");
    EXPECT_TRUE(tests::wait_for([&] { return stats().connections == 0; }));
}

TEST_F(HttpServerTest, BeyondTheLastPlaceClientsAreTold503) {
    HttpLimits limits;
    limits.connections_max = 1;
    start(limits);
    HttpClient first = client();
    ASSERT_TRUE(tests::wait_for([&] { return stats().connections == 1; }));
    HttpClient second = client();
    EXPECT_THAT(second.read_all(), AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("\r\nRetry-After: 1\r\n")));
    EXPECT_EQ(stats().refused, 1u);
    EXPECT_THAT(first.get("/hello"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, AnswersMayComeLaterAndFromAnotherThread) {
    start();
    EXPECT_EQ(tests::body_of(get_once("/later")), "later");
    EXPECT_THAT(get_once("/never"), AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("\"type\":\"timeout\""),
                                          HasSubstr("\r\nRetry-After: 5\r\n")));
}

// A long poll that nobody waits for any more must not go on reading from the disk.
TEST_F(HttpServerTest, ARouteLearnsThatItsClientHasLeft) {
    start();
    {
        HttpClient one = client();
        // What the client has sent besides does not hide that it closes.
        one.send("GET /long-poll HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\n");
        ASSERT_TRUE(tests::wait_for([&] { return polls_.load() == 1; }));
        EXPECT_EQ(gone_.load(), 0);
    }
    EXPECT_TRUE(tests::wait_for([&] { return gone_.load() == 1 && stats().connections == 0; }));
}

TEST_F(HttpServerTest, ARouteThatHasAnsweredHearsNoMoreOfItsClient) {
    start();
    EXPECT_EQ(tests::body_of(get_once("/answers-and-watches")), "here");
    EXPECT_TRUE(tests::wait_for([&] { return stats().connections == 0; }));
    EXPECT_EQ(gone_.load(), 0);
    bool held = true;
    loop_.on_loop([&] { held = !watched_.expired(); });
    EXPECT_FALSE(held);
}

TEST_F(HttpServerTest, AStreamIsSentPieceByPieceUntilTheReaderLeaves) {
    HttpLimits limits;
    limits.stream_pulse = std::chrono::milliseconds(10);
    start(limits);
    {
        HttpClient reader = client();
        reader.send("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
        EXPECT_THAT(reader.read_until("\r\n\r\n"), HasSubstr("Transfer-Encoding: chunked"));
        loop_.on_loop([&] { EXPECT_TRUE(stream_->push("one\n")); });
        EXPECT_THAT(reader.read_until("one"), HasSubstr("4\r\none\n"));
    }
    EXPECT_TRUE(tests::wait_for([&] {
        bool gone = false;
        loop_.on_loop([&] { gone = !stream_->push("nobody\n"); });
        return gone;
    }));
}

TEST_F(HttpServerTest, AnOldClientGetsAStreamWithoutFrames) {
    start({});
    HttpClient reader = client();
    reader.send("GET /stream HTTP/1.0\r\n\r\n");
    EXPECT_THAT(
        reader.read_until("\r\n\r\n"),
        AllOf(HasSubstr("Connection: close"), Not(HasSubstr("chunked")), Not(HasSubstr("Content-Length"))));
    loop_.on_loop([&] { EXPECT_TRUE(stream_->push("one\n")); });
    EXPECT_EQ(reader.read_until("one\n"), "one\n");
}

TEST_F(HttpServerTest, ASlowReaderOfAStreamLosesLinesAndIsToldHowMany) {
    start();
    HttpClient reader = client();
    reader.send("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    reader.read_until("\r\n\r\n");
    const std::string line = std::string(10'000, 'z') + "\n";
    std::uint64_t dropped = 0;
    // Sockets hold some MB; what does not fit there nor in the stream is dropped, and push() never waits.
    for (int i = 0; i < 3000 && dropped < 10; ++i)
        loop_.on_loop([&] {
            EXPECT_TRUE(stream_->push(line));
            dropped = stream_->dropped();
        });
    ASSERT_GE(dropped, 10u);
    EXPECT_THAT(reader.read_until("lost "), HasSubstr("lost "));
}

// The tail keeps its streams, a worker its replies: both may be destroyed after the loop that woke them.
TEST_F(HttpServerTest, AStreamAndAReplyMayOutliveTheLoop) {
    std::shared_ptr<BodyStream> stream = std::make_shared<BodyStream>([](std::uint64_t) { return ""; });
    Reply kept;
    bool asked = false;
    {
        tests::LoopThread loop;
        std::unique_ptr<HttpServer> server;
        std::uint16_t port = 0;
        loop.on_loop([&] {
            std::vector<Route> routes;
            routes.push_back({"GET", "/stream", [&](const HttpRequest&, const Reply& reply) {
                                  HttpResponse response;
                                  response.content_type = "text/plain";
                                  response.stream = stream;
                                  reply(response);
                              }});
            routes.push_back({"GET", "/kept", [&](const HttpRequest&, const Reply& reply) {
                                  kept = reply;
                                  asked = true;
                              }});
            server = std::make_unique<HttpServer>(loop.loop(), HttpLimits{}, std::move(routes));
            port = server->listen_tcp("127.0.0.1", 0).value();
        });
        HttpClient reader = HttpClient::tcp(port);
        reader.send("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
        ASSERT_THAT(reader.read_until("\r\n\r\n"), HasSubstr("200"));
        HttpClient waiter = HttpClient::tcp(port);
        waiter.send("GET /kept HTTP/1.1\r\nHost: x\r\n\r\n");
        ASSERT_TRUE(tests::wait_for([&] {
            bool now = false;
            loop.on_loop([&] { now = asked; });
            return now;
        }));
        // Stopped at once, before the sessions could end by themselves.
        loop.on_loop([&] {
            server.reset();
            loop.loop().stop();
        });
    }
    stream.reset();
    kept = nullptr;
}

TEST_F(HttpServerTest, TheUnixSocketIsForItsGroupAndSaysWhoAsks) {
    tests::TempFolder folder;
    const auto path = folder.path() / "run" / "control.sock";
    start();
    loop_.on_loop([&] { ASSERT_TRUE(server_->listen_unix(path, "no-such-group-here")); });
    struct stat info {};
    ASSERT_EQ(stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0660u);
    EXPECT_EQ(tests::body_of(HttpClient::unix_socket(path).get("/hello?name=u")), "hello u\n");
    loop_.on_loop([&] { server_->stop(); });
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(HttpServerTest, AStaleSocketFileIsReplacedAndALiveOneIsNot) {
    tests::TempFolder folder;
    const auto path = folder.path() / "control.sock";
    start();
    {
        // As a killed process leaves it: bound, and nobody there.
        const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.string().copy(address.sun_path, sizeof address.sun_path - 1);
        ASSERT_EQ(::bind(fd, static_cast<sockaddr*>(static_cast<void*>(&address)), sizeof address), 0);
        ::close(fd);
    }
    loop_.on_loop([&] { ASSERT_TRUE(server_->listen_unix(path, "")); });
    HttpServer second(loop_.loop(), {}, {});
    loop_.on_loop([&] {
        const auto refused = second.listen_unix(path, "");
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, Errc::locked);
    });
    EXPECT_EQ(tests::body_of(HttpClient::unix_socket(path).get("/hello?name=u")), "hello u\n");
}

TEST_F(HttpServerTest, AnAddressInUseIsNamed) {
    start();
    loop_.on_loop([&] {
        HttpServer second(loop_.loop(), {}, {});
        const auto refused = second.listen_tcp("127.0.0.1", static_cast<std::uint16_t>(port_));
        ASSERT_FALSE(refused);
        EXPECT_THAT(refused.error().context, HasSubstr("127.0.0.1 port " + std::to_string(port_)));
    });
}

}  // namespace
}  // namespace touchpoint::gateway
