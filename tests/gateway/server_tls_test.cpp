// The server's side of TLS below the listeners: deadlines, large answers, clients that leave.
#include "gateway/server_tls.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "gateway/http_server.hpp"
#include "tests/gateway/certificates.hpp"
#include "tests/gateway/http_client.hpp"
#include "tests/gateway/loop_thread.hpp"
#include "tests/gateway/tls_client.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"

namespace touchpoint::gateway {
namespace {

using testing::StartsWith;
using tests::HttpClient;
using tests::TlsClient;

class ServerTlsTest : public testing::Test {
  protected:
    void start(HttpLimits limits = {}) {
        authority_.issue(folder_.path(), "server", "server", 10);
        tls_ = ServerTls::open({path("server.pem"), path("server.key"), ""}).value();
        std::vector<Route> routes;
        routes.push_back({"POST", "/echo", [](const HttpRequest& request, const Reply& reply) {
                              reply(text_response(request.body));
                          }});
        routes.push_back({"GET", "/long-poll",
                          [this](const HttpRequest& request, const Reply&) {
                              ++polls_;
                              request.client->on_gone([this] { ++gone_; });
                          },
                          std::chrono::minutes(2)});
        loop_.on_loop([&] {
            server_ = std::make_unique<HttpServer>(loop_.loop(), limits, std::move(routes),
                                                   HttpServer::Guards{nullptr, tls_.get()});
            port_ = server_->listen_tcp("127.0.0.1", 0).value();
        });
    }
    void TearDown() override {
        loop_.on_loop([&] { server_.reset(); });
    }
    HttpStats stats() {
        HttpStats now;
        loop_.on_loop([&] { now = server_->stats(); });
        return now;
    }
    std::string path(const char* name) const { return (folder_.path() / name).string(); }

    tests::TempFolder folder_;
    tests::Authority authority_{"authority"};
    tests::LoopThread loop_;
    std::unique_ptr<ServerTls> tls_;
    std::unique_ptr<HttpServer> server_;
    std::atomic<int> polls_{0};
    std::atomic<int> gone_{0};
    int port_ = 0;
};

TEST_F(ServerTlsTest, ASlowHandshakeIsCutOff) {
    HttpLimits limits;
    limits.handshake = std::chrono::milliseconds(200);
    start(limits);
    HttpClient silent = HttpClient::tcp(port_);
    EXPECT_EQ(silent.read_all(), "");
    EXPECT_TRUE(tests::wait_for([&] { return stats().handshakes_failed == 1 && stats().connections == 0; }));
}

TEST_F(ServerTlsTest, LargeBodiesGoBothWays) {
    HttpLimits limits;
    limits.body_bytes_max = 4u << 20;
    start(limits);
    TlsClient one(port_, {.ca_pem = authority_.pem()});
    std::string body(3'000'000, 'x');
    for (std::size_t i = 0; i < body.size(); i += 1000) body[i] = static_cast<char>('a' + i / 1000 % 26);
    one.send(tests::request_of("/echo", "", "POST", body));
    EXPECT_EQ(tests::body_of(one.read_all()), body);
}

TEST_F(ServerTlsTest, ARouteLearnsThatItsClientHasLeft) {
    start();
    {
        TlsClient one(port_, {.ca_pem = authority_.pem()});
        one.send(tests::request_of("/long-poll"));
        ASSERT_TRUE(tests::wait_for([&] { return polls_.load() == 1; }));
        EXPECT_EQ(gone_.load(), 0);
    }
    EXPECT_TRUE(tests::wait_for([&] { return gone_.load() == 1 && stats().connections == 0; }));
}

TEST_F(ServerTlsTest, TheCertificatesEndIsKnown) {
    start();
    const std::int64_t day_ms = 86'400'000;
    const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count();
    EXPECT_NEAR(static_cast<double>(tls_->not_after().ms), static_cast<double>(now + 10 * day_ms),
                static_cast<double>(day_ms));
}

TEST_F(ServerTlsTest, WhatCannotBeUsedIsNamedByItsKeyAndFile) {
    start();
    tests::write_file(folder_.path() / "none.pem", "nothing");
    const auto why = [&](const char* cert, const char* key, const std::string& ca = {}) {
        const auto opened = ServerTls::open({path(cert), path(key), ca});
        return opened ? std::string() : opened.error().context;
    };
    EXPECT_THAT(why("none.pem", "server.key"), StartsWith("cannot use tls_cert " + path("none.pem")));
    EXPECT_THAT(why("server.pem", "none.pem"), StartsWith("cannot use tls_key " + path("none.pem")));
    EXPECT_THAT(why("server.pem", "missing.key"), StartsWith("cannot use tls_key"));
    EXPECT_THAT(why("server.pem", "server.key", path("none.pem")), StartsWith("cannot use client_ca_file"));
}

}  // namespace
}  // namespace touchpoint::gateway
