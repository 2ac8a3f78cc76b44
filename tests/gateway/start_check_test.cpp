// What --check-config finds without a start, with certificates of the test's own authority.
#include "gateway/start_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <string>
#include <vector>

#include "gateway/tokens.hpp"
#include "tests/gateway/certificates.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace touchpoint::gateway {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class StartCheckTest : public testing::Test {
  protected:
    std::vector<std::string> findings() {
        std::vector<std::string> out;
        for (const StartFinding& found : check_start(settings_, now()))
            out.push_back((found.error ? "error: " : "warning: ") + found.words);
        return out;
    }
    // The certificates are made by the real clock.
    static UtcTime now() {
        return {std::chrono::duration_cast<std::chrono::milliseconds>(
                    std::chrono::system_clock::now().time_since_epoch())
                    .count()};
    }
    void with_tls(int valid_days = 30) {
        authority_.issue(folder_.path(), "server", "server", valid_days);
        settings_.http_local.tls_cert = path("server.pem");
        settings_.http_local.tls_key = path("server.key");
    }
    std::string path(const char* name) const { return (folder_.path() / name).string(); }

    tests::TempFolder folder_;
    tests::Authority authority_{"authority"};
    config::Settings settings_;
};

TEST_F(StartCheckTest, NothingIsFoundWhereAStartSucceeds) {
    EXPECT_THAT(findings(), IsEmpty());
    with_tls();
    settings_.http_platform = config::platform_defaults();
    settings_.auth.tokens_file = path("tokens.toml");
    ASSERT_TRUE(create_token(settings_.auth.tokens_file, {Role::app, "", ""}, now(), ""));
    EXPECT_THAT(findings(), IsEmpty());
}

TEST_F(StartCheckTest, AKeyOfAnotherCertificateIsAnErrorInTheWordsOfTheStart) {
    with_tls();
    authority_.issue(folder_.path(), "other", "other");
    settings_.http_local.tls_key = path("other.key");
    EXPECT_THAT(findings(),
                ElementsAre(AllOf(StartsWith("error: http.local: cannot use tls_key " + path("other.key")),
                                  HasSubstr("key values mismatch"))));
}

TEST_F(StartCheckTest, AnAuthorityThatCannotBeReadIsAnError) {
    with_tls();
    settings_.http_platform = settings_.http_local;
    settings_.http_platform->listen.port = 8443;
    settings_.http_platform->client_ca_file = path("nowhere.pem");
    EXPECT_THAT(findings(), ElementsAre(StartsWith("error: http.platform: cannot use client_ca_file " +
                                                   path("nowhere.pem"))));
}

TEST_F(StartCheckTest, TwoListenersOnOneAddressAreAnError) {
    settings_.http_platform = config::platform_defaults();
    settings_.http_platform->listen = settings_.http_local.listen;
    EXPECT_THAT(findings(), ElementsAre("error: http.platform: 127.0.0.1 port 8080: Address already in use "
                                        "(http.local listens there)"));
    settings_.http_platform->listen.address = "0.0.0.0";
    EXPECT_THAT(findings(), ElementsAre(HasSubstr("0.0.0.0 port 8080")));
    settings_.http_platform->listen.address = "127.0.0.2";
    EXPECT_THAT(findings(), IsEmpty());
    settings_.http_platform->listen = settings_.http_local.listen;
    settings_.http_platform->listen.port = settings_.http_local.listen.port = 0;  // any free one
    EXPECT_THAT(findings(), IsEmpty());
}

TEST_F(StartCheckTest, ATokensFileThatCannotBeUsedAndACertificateThatEndsSoonAreWarnings) {
    with_tls(3);
    settings_.auth.tokens_file = path("tokens.toml");
    ASSERT_TRUE(create_token(settings_.auth.tokens_file, {Role::app, "", ""}, now(), ""));
    ASSERT_EQ(::chmod(settings_.auth.tokens_file.c_str(), 0666), 0);
    EXPECT_THAT(findings(),
                ElementsAre(StartsWith("warning: the certificate of the listener local ends in "),
                            AllOf(StartsWith("warning: the file of access tokens cannot be used: "),
                                  HasSubstr("may be read or written by too many"))));
    tests::write_file(settings_.auth.tokens_file, "[[token]]\nid = \"a\"\nrole = \"king\"\n");
    ASSERT_EQ(::chmod(settings_.auth.tokens_file.c_str(), 0640), 0);
    EXPECT_THAT(findings(), testing::Contains(HasSubstr("role must be device, app, platform or technician")));
}

}  // namespace
}  // namespace touchpoint::gateway
