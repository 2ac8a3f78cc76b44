// The listeners as the daemon opens them: TLS with certificates of the test's own authority, tokens that
// change under way, a platform's listener only where it is configured.
#include "gateway/listeners.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "gateway/tokens.hpp"
#include "tests/gateway/certificates.hpp"
#include "tests/gateway/http_client.hpp"
#include "tests/gateway/loop_thread.hpp"
#include "tests/gateway/tls_client.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"

namespace touchpoint::gateway {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;
using tests::HttpClient;
using tests::request_of;
using tests::TlsClient;

class ListenersTest : public testing::Test {
  protected:
    ListenersTest() {
        settings_.http_local.listen.port = 0;
        settings_.control.socket = folder_.path() / "control.sock";
        settings_.control.group = "";
    }
    void with_tls(config::HttpSettings& http) {
        authority_.issue(folder_.path(), "server", "first");
        http.tls_cert = path("server.pem");
        http.tls_key = path("server.key");
    }
    std::string with_token(Role role = Role::technician) {
        settings_.auth.tokens_file = folder_.path() / "tokens.toml";
        return create_token(settings_.auth.tokens_file, {role, "", ""}, clock_.utc(), "").value();
    }
    void with_platform() {
        settings_.http_platform = config::platform_defaults();
        settings_.http_platform->listen.port = 0;
    }
    Result<void> open() {
        Result<void> opened;
        loop_.on_loop([&] {
            listeners_ = std::make_unique<Listeners>(Listeners::Parts{loop_.loop(), reader_, clock_});
            Listeners::RouteSets sets;
            sets.local = {of("local")};
            sets.platform = {of("platform")};
            sets.control = {of("control")};
            opened = listeners_->open(settings_, std::move(sets));
        });
        return opened;
    }
    static Route of(const std::string& name) {
        Route route = get("/who", [name](const HttpRequest& request) {
            return text_response(name + " [" + words(request.caller.roles) + "] " +
                                 request.caller.certificate + "\n" + request.peer + "\n");
        });
        route.roles = {Role::technician, Role::platform};
        return route;
    }
    void TearDown() override {
        loop_.on_loop([&] { listeners_.reset(); });
    }
    int port(const std::string& name = "local") {
        int port = 0;
        loop_.on_loop([&] { port = listeners_->port(name); });
        return port;
    }
    std::string ask(const std::string& token, int at) {
        HttpClient one = HttpClient::tcp(at);
        one.send(request_of("/who", token.empty() ? "" : "Authorization: Bearer " + token + "\r\n"));
        return one.read_all();
    }
    // Time goes on for the watch of the tokens file.
    void tick() {
        clock_.advance(Listeners::look_at_tokens_every);
        loop_.on_loop([&] { listeners_->tick(clock_.steady()); });
    }
    bool reload() {
        bool taken = false;
        loop_.on_loop([&] { taken = listeners_->reload(); });
        return taken;
    }
    HttpPicture picture() {
        HttpPicture now;
        loop_.on_loop([&] { now = listeners_->picture(); });
        return now;
    }
    // At once, as an editor does: somebody may be looking.
    void write_tokens(const std::string& text) {
        tests::write_file(path("new"), text);
        std::filesystem::permissions(path("new"), std::filesystem::perms::owner_read);
        std::filesystem::rename(path("new"), settings_.auth.tokens_file);
    }
    std::string path(const char* name) const { return (folder_.path() / name).string(); }

    tests::TempFolder folder_;
    ManualClock clock_;
    tests::Authority authority_{"The shop's authority"};
    store::Worker reader_{"reader"};
    tests::LoopThread loop_;
    config::Settings settings_;
    std::unique_ptr<Listeners> listeners_;
};

TEST_F(ListenersTest, ThePlatformsListenerIsThereOnlyWhenItIsConfigured) {
    ASSERT_TRUE(open());
    EXPECT_EQ(port("platform"), 0);
    EXPECT_THAT(ask("", port()), HasSubstr("local [device or app or platform or technician]"));
    loop_.on_loop([&] { listeners_.reset(); });
    with_platform();
    ASSERT_TRUE(open());
    EXPECT_THAT(ask("", port("platform")), HasSubstr("platform ["));
    EXPECT_THAT(HttpClient::unix_socket(settings_.control.socket).get("/who"), HasSubstr("control ["));
}

TEST_F(ListenersTest, AnAddressInUseIsNamedWithItsListener) {
    ASSERT_TRUE(open());
    with_platform();
    settings_.http_platform->listen.port = static_cast<std::uint16_t>(port());
    std::unique_ptr<Listeners> first = std::move(listeners_);
    const auto refused = open();
    loop_.on_loop([&] { first.reset(); });
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().context, AllOf(HasSubstr("http.platform"), HasSubstr("127.0.0.1 port")));
}

TEST_F(ListenersTest, ATokenThatIsMadeWhileTheGatewayRunsIsGoodSoonAndOneRevokedBad) {
    const std::string first = with_token();
    ASSERT_TRUE(open());
    ASSERT_THAT(ask(first, port()), HasSubstr("local [technician]"));
    const std::string second =
        create_token(settings_.auth.tokens_file, {Role::platform, "", ""}, clock_.utc(), "").value();
    EXPECT_TRUE(tests::wait_for([&] {
        tick();
        return picture().tokens == 2;
    }));
    EXPECT_THAT(ask(second, port()), HasSubstr("local [platform]"));
    ASSERT_TRUE(
        revoke_token(settings_.auth.tokens_file, read_tokens(settings_.auth.tokens_file)->find(first)->id));
    EXPECT_TRUE(tests::wait_for([&] {
        tick();
        return picture().tokens == 1;
    }));
    EXPECT_THAT(ask(first, port()), StartsWith("HTTP/1.1 401"));
    EXPECT_THAT(ask(second, port()), HasSubstr("local [platform]"));
}

TEST_F(ListenersTest, ABrokenTokensFileKeepsTheOldTokensAndIsSaid) {
    const std::string token = with_token();
    ASSERT_TRUE(open());
    const std::string good = tests::read_file(settings_.auth.tokens_file);
    write_tokens("[[token]]\nid = 7\n");
    EXPECT_TRUE(tests::wait_for([&] {
        tick();
        return !picture().tokens_trouble.empty();
    }));
    EXPECT_THAT(picture().tokens_trouble, HasSubstr(":2:6: every value of a token is a text"));
    EXPECT_THAT(ask(token, port()), StartsWith("HTTP/1.1 200"));
    write_tokens(good);
    EXPECT_TRUE(tests::wait_for([&] {
        tick();
        return picture().tokens_trouble.empty();
    }));
    std::filesystem::remove(settings_.auth.tokens_file);
    EXPECT_TRUE(tests::wait_for([&] {
        tick();
        return !picture().tokens_trouble.empty();
    }));
    EXPECT_THAT(ask(token, port()), StartsWith("HTTP/1.1 200"));
}

TEST_F(ListenersTest, WithoutAReadableTokensFileNobodyIsLetInUntilThereIsOne) {
    settings_.auth.tokens_file = folder_.path() / "tokens.toml";
    testing::internal::CaptureStderr();
    ASSERT_TRUE(open());
    // There are none from before.
    EXPECT_THAT(testing::internal::GetCapturedStderr(),
                StartsWith("<3>gateway: access tokens cannot be used, nobody is let in who needs one"));
    EXPECT_THAT(ask("tp_a_b", port()), StartsWith("HTTP/1.1 401"));
    EXPECT_THAT(ask("", port()), StartsWith("HTTP/1.1 401"));
    EXPECT_THAT(picture().tokens_trouble, HasSubstr("No such file"));
    const std::string token = with_token();
    reload();
    EXPECT_TRUE(tests::wait_for([&] { return picture().tokens == 1; }));
    EXPECT_THAT(ask(token, port()), StartsWith("HTTP/1.1 200"));
}

TEST_F(ListenersTest, TlsIsSpokenFromVersion12On) {
    with_tls(settings_.http_local);
    ASSERT_TRUE(open());
    TlsClient one(port(), {.ca_pem = authority_.pem()});
    ASSERT_TRUE(one.connected());
    EXPECT_EQ(one.version(), "TLSv1.3");
    one.send(request_of("/who"));
    EXPECT_THAT(one.read_all(), AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("local [")));
    TlsClient two(port(), {.ca_pem = authority_.pem(), .version_max = TLS1_2_VERSION});
    EXPECT_TRUE(two.connected());
    TlsClient old(port(), {.version_max = TLS1_1_VERSION});
    EXPECT_FALSE(old.connected());
    EXPECT_TRUE(tests::wait_for([&] { return picture().listeners[0].stats.handshakes_failed == 1; }));
}

TEST_F(ListenersTest, KeptAndPipelinedRequestsWorkThroughTlsToo) {
    with_tls(settings_.http_local);
    ASSERT_TRUE(open());
    TlsClient one(port(), {.ca_pem = authority_.pem()});
    const std::string ask = "GET /who HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    one.send(ask + ask);
    one.send(request_of("/who"));
    const std::string answers = one.read_all();
    std::size_t count = 0;
    for (auto at = answers.find("local ["); at != std::string::npos; at = answers.find("local [", at + 1))
        ++count;
    EXPECT_EQ(count, 3u);
}

TEST_F(ListenersTest, WhoSpeaksPlainlyToATlsListenerIsCutOff) {
    with_tls(settings_.http_local);
    ASSERT_TRUE(open());
    HttpClient plain = HttpClient::tcp(port());
    plain.send(request_of("/who"));
    EXPECT_EQ(plain.read_all().find("HTTP/1.1 200"), std::string::npos);
    EXPECT_TRUE(tests::wait_for([&] {
        const HttpStats now = picture().listeners[0].stats;
        return now.handshakes_failed == 1 && now.connections == 0;
    }));
}

// One that never begins its handshake holds a place like any connection, and loses it.
TEST_F(ListenersTest, AHandshakeThatDoesNotComeCountsAsAConnection) {
    with_tls(settings_.http_local);
    settings_.http_local.client_connections_max = 1;
    settings_.http_local.limit_loopback = true;
    ASSERT_TRUE(open());
    {
        HttpClient silent = HttpClient::tcp(port());
        ASSERT_TRUE(tests::wait_for([&] { return picture().listeners[0].stats.connections == 1; }));
        TlsClient second(port(), {});
        EXPECT_FALSE(second.connected());
        EXPECT_EQ(picture().listeners[0].stats.refused, 1u);
    }
    EXPECT_TRUE(tests::wait_for([&] { return picture().listeners[0].stats.connections == 0; }));
    TlsClient third(port(), {.ca_pem = authority_.pem()});
    EXPECT_TRUE(third.connected());
}

TEST_F(ListenersTest, ThePlatformNeedsACertificateOfItsAuthorityAndItsNameIsKept) {
    const std::string token = with_token(Role::platform);
    with_platform();
    with_tls(*settings_.http_platform);
    const tests::Authority platforms("The platform's authority");
    tests::write_file(folder_.path() / "clients.pem", platforms.pem());
    settings_.http_platform->client_ca_file = path("clients.pem");
    ASSERT_TRUE(open());
    platforms.issue(folder_.path(), "client", "platform-1");
    authority_.issue(folder_.path(), "stranger", "stranger");

    const std::string ask = request_of("/who", "Authorization: Bearer " + token + "\r\n");
    TlsClient known(
        port("platform"),
        {.ca_pem = authority_.pem(), .cert_file = path("client.pem"), .key_file = path("client.key")});
    known.send(ask);
    EXPECT_THAT(known.read_all(),
                AllOf(HasSubstr("platform [platform] CN=platform-1\n"), HasSubstr(" CN=platform-1\n")));
    // A certificate alone is no token.
    TlsClient silent(
        port("platform"),
        {.ca_pem = authority_.pem(), .cert_file = path("client.pem"), .key_file = path("client.key")});
    silent.send(request_of("/who"));
    EXPECT_THAT(silent.read_all(), StartsWith("HTTP/1.1 401"));
    for (const TlsClient::Wishes& wishes : {TlsClient::Wishes{}, TlsClient::Wishes{.ca_pem = {},
                                                                 .cert_file = path("stranger.pem"),
                                                                 .key_file = path("stranger.key")}}) {
        TlsClient wrong(port("platform"), wishes);
        wrong.send(ask);  // TLS 1.3: the client learns of it only now
        EXPECT_EQ(wrong.read_all(), "");
    }
}

TEST_F(ListenersTest, ANewCertificateIsShownAfterAReloadAndOpenConnectionsGoOn) {
    with_tls(settings_.http_local);
    ASSERT_TRUE(open());
    TlsClient before(port(), {.ca_pem = authority_.pem()});
    EXPECT_EQ(before.server_name(), "first");
    authority_.issue(folder_.path(), "server", "second", 5);
    EXPECT_TRUE(reload());
    TlsClient after(port(), {.ca_pem = authority_.pem()});
    EXPECT_EQ(after.server_name(), "second");
    before.send(request_of("/who"));
    EXPECT_THAT(before.read_all(), StartsWith("HTTP/1.1 200"));
    // And one that cannot be used changes nothing.
    tests::write_file(folder_.path() / "server.pem", "no certificate");
    testing::internal::CaptureStderr();
    EXPECT_FALSE(reload());
    EXPECT_THAT(
        testing::internal::GetCapturedStderr(),
        StartsWith("<3>gateway: certificate not taken over, the one from before stays listener=local"));
    TlsClient still(port(), {.ca_pem = authority_.pem()});
    EXPECT_EQ(still.server_name(), "second");
    EXPECT_THAT(picture().listeners[0].certificate_trouble,
                AllOf(HasSubstr("tls_cert"), HasSubstr("server.pem")));
}

TEST_F(ListenersTest, ACertificateThatCannotBeUsedEndsTheStartAndIsNamed) {
    with_tls(settings_.http_local);
    const tests::Authority other("another");
    other.issue(folder_.path(), "other", "other");
    settings_.http_local.tls_key = path("other.key");
    const auto refused = open();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::invalid_argument);
    EXPECT_THAT(refused.error().context, AllOf(HasSubstr("http.local"), HasSubstr("other.key")));
}

}  // namespace
}  // namespace touchpoint::gateway
