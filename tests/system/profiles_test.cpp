// A profile from the platform to a till through the whole program, with no broker and no destination there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/gateway_process.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"

namespace touchpoint::tests {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class ProfilesTest : public testing::Test {
  protected:
    // Status and body, as curl prints them.
    std::string ask(int port, const std::string& method, const std::string& target,
                    const std::string& body = "") {
        const fs::path out = folder_.path() / ("answer-" + std::to_string(++asked_));
        Process curl({"curl", "-s", "-X", method, "-w", "%{http_code}", "--data-binary", body,
                      "http://127.0.0.1:" + std::to_string(port) + target},
                     out);
        EXPECT_EQ(curl.wait(), 0) << method << ' ' << target;
        return read_file(out);
    }
    std::string platform(const std::string& method, const std::string& target, const std::string& body = "") {
        return ask(platform_port_, method, target, body);
    }
    std::string till(const std::string& target) { return ask(gateway_.port(), "GET", target); }

    TempFolder folder_;
    int asked_ = 0;
    const int platform_port_ = free_port();
    GatewayProcess gateway_{fs::path(BINARY_DIR), folder_.path() / "gateway",
                            "mqtt://127.0.0.1:" + std::to_string(free_port()),
                            "[http.platform]\nlisten = \"127.0.0.1:" + std::to_string(platform_port_) +
                                "\"\n[profiles]\nanswer_within_ms = 1000\n"};
};

TEST_F(ProfilesTest, WhatThePlatformSaysATillReadsAndEventsOfThatCustomerNameTheProfile) {
    const std::string card = "2900000012345";
    const std::string mail = "jane.doe@example.com";
    gateway_.start(false);
    EXPECT_THAT(till("/v1/profiles/card:" + card), HasSubstr("not-cached"));
    EXPECT_THAT(platform("GET", "/v1/profiles/wanted"), HasSubstr("\"identifier\":\"card:" + card + "\""));
    const std::string sale = R"({"total":"1.00","customer":"card:)" + card + "\"}";
    EXPECT_THAT(ask(gateway_.port(), "POST", "/v1/events?device=pos/t1&event=sale", sale), HasSubstr("200"));

    EXPECT_THAT(platform("PUT", "/v1/profiles/c-1",
                         R"({"version":41,"aliases":["card:)" + card + R"(","email:)" + mail +
                             R"("],"traits":{"tier":"gold"}})"),
                HasSubstr("201"));
    gateway_.kill();
    gateway_.start(false);
    EXPECT_THAT(till("/v1/profiles/card:" + card),
                AllOf(HasSubstr("\"id\":\"c-1\""), HasSubstr("\"tier\":\"gold\""), HasSubstr("\n200")));
    EXPECT_THAT(ask(gateway_.port(), "POST", "/v1/events?device=pos/t1&event=sale", sale), HasSubstr("200"));
    EXPECT_THAT(
        platform("GET", "/v1/events?from=oldest&streams=sales"),
        // Also the one that was stored before anybody knew him.
        AllOf(HasSubstr("\"subject\":\"profile/c-1\""), Not(HasSubstr("pseudonym/")), Not(HasSubstr(card))));
    EXPECT_EQ(gateway_.metric("touchpoint_profiles"), 1);
    EXPECT_EQ(gateway_.metric("touchpoint_profile_reads_total{result=\"hit\"}"), 1);

    EXPECT_THAT(platform("DELETE", "/v1/profiles/c-1"), HasSubstr("\"outcome\":\"erased\""));
    EXPECT_THAT(till("/v1/profiles/c-1"), HasSubstr("410"));
    EXPECT_THAT(ask(gateway_.port(), "POST", "/v1/events?device=pos/t1&event=return", sale),
                HasSubstr("200"));
    EXPECT_THAT(platform("GET", "/v1/events?from=oldest&streams=sales&types=store.pos.return.v1"),
                HasSubstr("\"subject\":\"pseudonym/p1_"));
    gateway_.stop();

    for (const auto& file : fs::recursive_directory_iterator(folder_.path() / "gateway")) {
        if (!file.is_regular_file()) continue;
        const std::string bytes = read_file(file.path());
        EXPECT_EQ(bytes.find(card), std::string::npos) << file.path();
        EXPECT_EQ(bytes.find(mail), std::string::npos) << file.path();
    }
}

}  // namespace
}  // namespace touchpoint::tests
