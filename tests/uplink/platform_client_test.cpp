// One exchange at a time against a real server on a real socket, plain and TLS, direct and through a proxy.

#include "uplink/platform_client.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"
#include "tools/platform/server.hpp"

namespace touchpoint::uplink {
namespace {

using platform::Scripted;
using platform::Server;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class PlatformClientTest : public testing::Test {
  protected:
    static std::unique_ptr<Server> server(Server::Options options = {}) {
        auto started = Server::start(std::move(options));
        EXPECT_TRUE(started);
        return std::move(*started);
    }
    static PushOptions to(const std::string& url) {
        PushOptions options;
        options.url = url;
        options.timeout = seconds(10);
        return options;
    }
    Answer post(PlatformClient& client, const std::string& body = "\n") {
        Exchange exchange;
        exchange.headers = {{"Content-Type", "application/x-ndjson"}};
        exchange.body = std::make_shared<const std::string>(body);
        Answer got;
        client.exchange(std::move(exchange), [&got](Answer answer) { got = std::move(answer); });
        loop_.restart();
        loop_.run();
        return got;
    }
    Answer post_once(const PushOptions& options) {
        PlatformClient client(loop_, options);
        return post(client);
    }

    boost::asio::io_context loop_;
    tests::TempFolder folder_;
};

TEST_F(PlatformClientTest, SendsBodyAndHeadersAndReadsTheAnswer) {
    auto platform = server();
    platform->script({{202, R"({"taken":0})", {{"Retry-After", "7"}}}});
    PushOptions options = to(platform->url() + "?shop=1");
    options.headers = {{"X-Shop", "s1"}};
    const Answer answer = post_once(options);
    EXPECT_EQ(answer.status, 202) << answer.error;
    EXPECT_EQ(answer.body, R"({"taken":0})");
    EXPECT_EQ(answer.retry_after, "7");
    const auto seen = platform->requests().at(0);
    EXPECT_EQ(seen.method, "POST");
    EXPECT_EQ(seen.target, "/events?shop=1");
    EXPECT_EQ(seen.headers.at("host"), "127.0.0.1:" + std::to_string(platform->port()));
    EXPECT_EQ(seen.headers.at("x-shop"), "s1");
    EXPECT_EQ(seen.headers.at("content-type"), "application/x-ndjson");
    EXPECT_THAT(seen.headers.at("user-agent"), StartsWith("touchpoint/"));
    EXPECT_EQ(seen.headers.count("authorization"), 0u);
}

TEST_F(PlatformClientTest, UsesOneConnectionForManyExchanges) {
    auto platform = server();
    PlatformClient client(loop_, to(platform->url()));
    for (int i = 0; i < 5; ++i) EXPECT_EQ(post(client).status, 200);
    for (const auto& request : platform->requests()) EXPECT_EQ(request.connection, 1u);
    client.disconnect();
    EXPECT_EQ(post(client).status, 200);
    EXPECT_EQ(platform->requests().back().connection, 2u);
}

TEST_F(PlatformClientTest, ReplacesAnIdleConnectionThatTheServerClosed) {
    auto platform = server();
    Server::Options same_port;
    same_port.port = platform->port();
    PlatformClient client(loop_, to(platform->url()));
    EXPECT_EQ(post(client).status, 200);
    platform.reset();
    platform = server(same_port);
    EXPECT_EQ(post(client).status, 200) << "nobody is told";
    platform.reset();
    EXPECT_EQ(post(client).error, "connect: Connection refused");
}

TEST_F(PlatformClientTest, NoAnswerIsAnErrorAndNotRepeatedOnAFreshConnection) {
    auto platform = server();
    Scripted closes;
    closes.no_answer = true;
    platform->script({closes});
    const Answer answer = post_once(to(platform->url()));
    EXPECT_EQ(answer.status, 0);
    EXPECT_THAT(answer.error, StartsWith("answer: "));
    EXPECT_EQ(platform->requests().size(), 1u);
}

TEST_F(PlatformClientTest, TheDeadlineEndsAnExchangeThatHangs) {
    auto platform = server();
    Scripted slow;
    slow.delay = seconds(20);
    platform->script({slow});
    PushOptions options = to(platform->url());
    options.timeout = milliseconds(100);
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(post_once(options).error, "timed out: answer");
    EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(15));
}

TEST_F(PlatformClientTest, CancelEndsAnExchangeAtOnceAndTheNextOneWorks) {
    auto platform = server();
    Scripted slow;
    slow.delay = seconds(20);
    platform->script({slow});
    PlatformClient client(loop_, to(platform->url()));
    Answer got;
    Exchange exchange;
    exchange.headers = {{"Content-Type", "application/x-ndjson"}};
    client.exchange(std::move(exchange), [&got](Answer answer) { got = std::move(answer); });
    loop_.restart();
    ASSERT_TRUE(tests::wait_for([&] { return loop_.poll(), platform->requests().size() == 1; }));
    client.cancel();
    loop_.run();
    EXPECT_EQ(got.error, "stopped: answer");
    EXPECT_EQ(post(client).status, 200);
}

TEST_F(PlatformClientTest, AnAnswerBeyondItsBoundIsNotTaken) {
    auto platform = server();
    platform->script({{200, std::string(PlatformClient::answer_bytes_max + 1, 'x')}});
    const Answer answer = post_once(to(platform->url()));
    EXPECT_EQ(answer.status, 0);
    EXPECT_THAT(answer.error, StartsWith("answer: "));
}

TEST_F(PlatformClientTest, AMissingNameIsSaid) {
    PushOptions nowhere = to("http://touchpoint.invalid/");
    nowhere.timeout = seconds(2);
    EXPECT_THAT(post_once(nowhere).error, HasSubstr("name lookup"));
}

TEST_F(PlatformClientTest, ANameIsLookedUp) {
    addrinfo* found = nullptr;
    if (getaddrinfo("localhost", nullptr, nullptr, &found) != 0)
        GTEST_SKIP() << "this machine does not know the name localhost: it has no /etc/hosts";
    freeaddrinfo(found);
    auto platform = server();
    EXPECT_EQ(post_once(to("http://localhost:" + std::to_string(platform->port()) + "/events")).status, 200);
}

TEST_F(PlatformClientTest, ReadsTheBearerTokenAtEveryConnect) {
    auto platform = server();
    const auto file = folder_.path() / "token";
    PushOptions options = to(platform->url());
    options.bearer_token_file = file.string();
    PlatformClient client(loop_, options);
    EXPECT_EQ(post(client).error, "cannot read bearer_token_file");
    tests::write_file(file, "first\n");
    EXPECT_EQ(post(client).status, 200);
    tests::write_file(file, "second\r\n");
    client.disconnect();
    EXPECT_EQ(post(client).status, 200);
    EXPECT_EQ(platform->requests().at(0).headers.at("authorization"), "Bearer first");
    EXPECT_EQ(platform->requests().at(1).headers.at("authorization"), "Bearer second");
}

TEST_F(PlatformClientTest, SendsBasicFromUserAndPasswordFile) {
    auto platform = server();
    tests::write_file(folder_.path() / "password", "open sesame\n");
    PushOptions options = to(platform->url());
    options.username = "Aladdin";
    options.password_file = (folder_.path() / "password").string();
    EXPECT_EQ(post_once(options).status, 200);
    EXPECT_EQ(platform->requests().at(0).headers.at("authorization"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
}

TEST_F(PlatformClientTest, RefusesAUrlWithAPasswordWithoutShowingIt) {
    const Answer answer = post_once(to("http://user:geheim@127.0.0.1:1/"));
    EXPECT_EQ(answer.error, "url: user or password in the URL");
}

// A peer that says what the test wants, once for each connection. With `upstream` it is a CONNECT proxy: it
// answers, then passes bytes to that port and back.
class RawPeer {
  public:
    RawPeer(std::string answer, int upstream = 0) : answer_(std::move(answer)), upstream_(upstream) {
        listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
        EXPECT_EQ(::listen(listener_, 4), 0);
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
        port_ = ntohs(address.sin_port);
        thread_ = std::thread([this] {
            for (int client; (client = ::accept(listener_, nullptr, nullptr)) >= 0; ::close(client))
                serve(client);
        });
    }
    ~RawPeer() {
        ::shutdown(listener_, SHUT_RDWR);
        thread_.join();
        ::close(listener_);
    }
    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
    std::string head;  // of the last request; read it after the exchange

  private:
    void serve(int client) {
        head.clear();
        std::array<char, 16384> piece{};
        while (head.find("\r\n\r\n") == std::string::npos) {
            const ssize_t got = ::recv(client, piece.data(), 1, 0);
            if (got <= 0) return;
            head += piece[0];
        }
        ::send(client, answer_.data(), answer_.size(), MSG_NOSIGNAL);
        if (upstream_ == 0) {
            // Closing with unread bytes would reset the connection under the answer.
            ::shutdown(client, SHUT_WR);
            while (::recv(client, piece.data(), piece.size(), 0) > 0) continue;
            return;
        }
        const int server = ::socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(static_cast<std::uint16_t>(upstream_));
        std::array<pollfd, 2> ends{{{client, POLLIN, 0}, {server, POLLIN, 0}}};
        bool open = ::connect(server, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
        while (open && ::poll(ends.data(), 2, 10'000) > 0) {
            for (std::size_t i = 0; i < 2 && open; ++i) {
                if (ends[i].revents == 0) continue;
                const ssize_t got = ::recv(ends[i].fd, piece.data(), piece.size(), 0);
                open = got > 0 && ::send(ends[1 - i].fd, piece.data(), static_cast<std::size_t>(got),
                                         MSG_NOSIGNAL) == got;
            }
        }
        ::close(server);
    }

    std::string answer_;
    int upstream_;
    int listener_ = -1;
    int port_ = 0;
    std::thread thread_;
};

TEST_F(PlatformClientTest, UnderstandsContinueAndChunkedAnswers) {
    const RawPeer peer(
        "HTTP/1.1 100 Continue\r\n\r\n"
        "HTTP/1.1 207 Multi-Status\r\nTransfer-Encoding: chunked\r\n\r\n"
        "8\r\n{\"taken\"\r\n3\r\n:1}\r\n0\r\n\r\n");
    const Answer answer = post_once(to(peer.url()));
    EXPECT_EQ(answer.status, 207) << answer.error;
    EXPECT_EQ(answer.body, R"({"taken":1})");
}

TEST_F(PlatformClientTest, ABodyThatEndsEarlyIsNotAnAnswer) {
    const RawPeer peer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
    EXPECT_EQ(post_once(to(peer.url())).status, 0);
    const RawPeer garbage("SSH-2.0-OpenSSH_9.2\r\n");
    EXPECT_EQ(post_once(to(garbage.url())).status, 0);
}

TEST_F(PlatformClientTest, AnHttpProxyIsGivenTheWholeUrl) {
    const RawPeer proxy("HTTP/1.1 204 No Content\r\n\r\n");
    PushOptions options = to("http://platform.example/events?a=1");
    options.proxy = proxy.url();
    EXPECT_EQ(post_once(options).status, 204);
    EXPECT_THAT(proxy.head,
                StartsWith("POST http://platform.example/events?a=1 HTTP/1.1\r\nHost: platform.example\r\n"));
}

// Certificates of a private CA, made once by the openssl command.
class PlatformClientTlsTest : public PlatformClientTest {
  protected:
    static void SetUpTestSuite() {
        files_ = std::make_unique<tests::TempFolder>();
        const std::string script = "cd " + files_->path().string() + R"( && {
            ca() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" -keyout "$1.key" -out "$1.pem"; }
            leaf() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$1.key" -out "$1.csr" &&
                     printf 'subjectAltName=%s\n' "$2" >"$1.ext" &&
                     openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile "$1.ext" -out "$1.pem"; }
            ca ca && ca other && leaf server IP:127.0.0.1,DNS:localhost && leaf elsewhere DNS:elsewhere.example && leaf gateway DNS:gw-s1
        } 2>openssl.log)";
        ASSERT_EQ(std::system(script.c_str()), 0) << tests::read_file(files_->path() / "openssl.log");
    }
    static void TearDownTestSuite() { files_.reset(); }
    static std::string file(const std::string& name) { return (files_->path() / name).string(); }
    static std::unique_ptr<Server> tls_server(const std::string& leaf = "server",
                                              const std::string& client_ca = "") {
        Server::Options options;
        options.cert_file = file(leaf + ".pem");
        options.key_file = file(leaf + ".key");
        if (!client_ca.empty()) options.client_ca_file = file(client_ca);
        return server(options);
    }
    static PushOptions trusting(const Server& platform, const std::string& ca = "ca.pem") {
        PushOptions options = to(platform.url());
        if (!ca.empty()) options.ca_file = file(ca);
        return options;
    }
    static inline std::unique_ptr<tests::TempFolder> files_;
};

TEST_F(PlatformClientTlsTest, TrustsThePrivateCaThatIsConfigured) {
    auto platform = tls_server();
    PlatformClient client(loop_, trusting(*platform));
    EXPECT_EQ(post(client).error, "");
    EXPECT_EQ(post(client, std::string(3'000'000, '\n')).status, 200) << "large bodies, too";
    EXPECT_EQ(platform->requests().at(1).connection, 1u);
    EXPECT_EQ(post_once(to("https://localhost:" + std::to_string(platform->port()))).status, 0);
}

TEST_F(PlatformClientTlsTest, RefusesAnotherCaAndSaysWhy) {
    auto platform = tls_server();
    for (const std::string& ca : {std::string("other.pem"), std::string()}) {
        const Answer answer = post_once(trusting(*platform, ca));
        EXPECT_EQ(answer.status, 0);
        EXPECT_THAT(answer.error, StartsWith("tls: "));
        EXPECT_THAT(answer.error, HasSubstr("unable to get local issuer certificate"));
    }
    EXPECT_THAT(platform->requests(), IsEmpty()) << "not a byte of an event";
    EXPECT_THAT(post_once(trusting(*platform, "missing.pem")).error, StartsWith("cannot use ca_file"));
}

TEST_F(PlatformClientTlsTest, RefusesACertificateForAnotherName) {
    auto platform = tls_server("elsewhere");
    EXPECT_THAT(post_once(trusting(*platform)).error, StartsWith("tls: "));
    EXPECT_THAT(platform->requests(), IsEmpty());
}

TEST_F(PlatformClientTlsTest, ShowsItsClientCertificateWhereItIsDemanded) {
    auto platform = tls_server("server", "ca.pem");
    PushOptions options = trusting(*platform);
    EXPECT_EQ(post_once(options).status, 0) << "without";
    options.cert_file = file("gateway.pem");
    options.key_file = file("gateway.key");
    EXPECT_EQ(post_once(options).status, 200);
    options.key_file = file("server.key");
    EXPECT_THAT(post_once(options).error, StartsWith("cannot use key_file"));
}

TEST_F(PlatformClientTlsTest, GoesThroughAProxyByConnect) {
    auto platform = tls_server();
    const RawPeer proxy("HTTP/1.1 200 Connection established\r\n\r\n", platform->port());
    PushOptions options = trusting(*platform);
    options.proxy = proxy.url();
    EXPECT_EQ(post_once(options).error, "");
    EXPECT_EQ(platform->requests().size(), 1u);
    EXPECT_THAT(proxy.head,
                StartsWith("CONNECT 127.0.0.1:" + std::to_string(platform->port()) + " HTTP/1.1\r\n"));
    EXPECT_EQ(platform->requests().at(0).target, "/events");
}

TEST_F(PlatformClientTlsTest, SaysWhatTheProxyRefused) {
    const RawPeer proxy("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    PushOptions options = to("https://127.0.0.1:1/");
    options.proxy = proxy.url();
    EXPECT_EQ(post_once(options).error, "proxy: answered 407");
}

}  // namespace
}  // namespace touchpoint::uplink
