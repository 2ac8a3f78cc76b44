// A person is planted everywhere, then erased while the platform is away: what is left of him, through the
// whole program, on the disk, in the log and at the platform.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>

#include "devices/pseudonym.hpp"
#include "store/keys.hpp"
#include "tests/support/broker.hpp"
#include "tests/support/gateway_process.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"
#include "tools/platform/server.hpp"

namespace touchpoint::tests {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class ErasureTest : public testing::Test {
  protected:
    void SetUp() override {
        platform::Server::Options options;
        options.keep_events = true;
        auto started = platform::Server::start(options);
        ASSERT_TRUE(started);
        destination_ = std::move(*started);
        destination_->rule([this](const std::vector<std::string_view>&) -> std::optional<platform::Scripted> {
            if (!away_) return std::nullopt;
            platform::Scripted busy;
            busy.status = 503;
            return busy;
        });
        broker_.start();
        gateway_ = std::make_unique<GatewayProcess>(
            fs::path(BINARY_DIR), folder_.path() / "gateway", broker_.url(),
            "[http.platform]\nlisten = \"127.0.0.1:" + std::to_string(platform_port_) +
                "\"\n[[uplink.push]]\nname = \"platform\"\nurl = \"" + destination_->url() +
                "\"\nstreams = [\"customer\", \"sales\", \"interactions\", \"quarantine\"]\n"
                "retry_first_ms = 20\nretry_max_ms = 100\n");
    }
    // Body and status, as curl prints them.
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
    std::string report(const std::string& event, const std::string& body) {
        return ask(gateway_->port(), "POST", "/v1/events?device=pos/t1&event=" + event, body);
    }
    bool publish(const std::string& topic, const std::string& payload) {
        Process pub({"mosquitto_pub", "-h", "127.0.0.1", "-p", std::to_string(broker_.port()), "-q", "1",
                     "-t", topic, "-m", payload},
                    folder_.path() / "pub.log");
        return pub.wait() == 0;
    }
    std::string pulled() {
        return platform("GET", "/v1/events?from=oldest&streams=customer,sales,interactions,quarantine");
    }
    std::string delivered() {
        std::string all;
        for (const std::string& event : destination_->events()) all += event + '\n';
        return all;
    }
    void expect_nowhere_on_disk(const std::vector<std::string>& planted) {
        std::size_t files = 0;
        for (const auto& file : fs::recursive_directory_iterator(folder_.path() / "gateway")) {
            if (!file.is_regular_file()) continue;
            const std::string name = file.path().filename();
            if (name == "journal") continue;  // in memory, and only until it is cut and written over
            ++files;
            const std::string bytes = read_file(file.path());
            for (const std::string& text : planted)
                EXPECT_EQ(bytes.find(text), std::string::npos) << file.path() << ": " << text;
        }
        EXPECT_GT(files, 3u);
    }

    TempFolder folder_;
    int asked_ = 0;
    std::atomic<bool> away_{true};
    const int platform_port_ = free_port();
    Broker broker_{folder_.path() / "broker"};
    std::unique_ptr<platform::Server> destination_;
    std::unique_ptr<GatewayProcess> gateway_;
};

TEST_F(ErasureTest, OfAnErasedPersonNothingIsLeftOnDiskInTheLogOrForThePlatform) {
    const std::string card = "2900000012345";
    const std::string mail = "jane.planted@example.com";
    const std::string full_name = "Jane Planted-Doe";
    gateway_->start();
    ASSERT_THAT(report("sale", R"({"n":1,"customer":"card:)" + card + "\"}"), HasSubstr("200"));
    ASSERT_THAT(report("sale", R"({"n":2,"customer":"card:stays"})"), HasSubstr("200"));
    ASSERT_THAT(report("identify", R"({"n":3,"customer":"email:)" + mail + "\"}"), HasSubstr("200"));
    ASSERT_TRUE(publish("touchpoint/v1/kiosk/k7/event/view", R"({"n":4,"customer":"card:)" + card + "\"}"));
    // Broken, so it is kept as it is, sealed.
    ASSERT_TRUE(publish("touchpoint/v1/kiosk/k7/event/form",
                        R"({"n":5,"customer":"email:)" + mail + R"(","name":")" + full_name + '"'));
    ASSERT_TRUE(wait_for([&] {
        const std::string page = pulled();
        return page.find("\"n\":4") != std::string::npos && page.find("\"sealed\"") != std::string::npos;
    }));
    const auto keys = store::open_keys(gateway_->data() / "keys");
    ASSERT_TRUE(keys);
    const devices::Pseudonymiser names(keys->pseudonym, keys->pseudonym_id);
    const std::string by_card = names.pseudonym({"card", card});
    const std::string by_mail = names.pseudonym({"email", mail});
    ASSERT_THAT(pulled(), AllOf(HasSubstr(by_card), HasSubstr(by_mail)));
    ASSERT_THAT(platform("PUT", "/v1/profiles/c-1",
                         R"({"version":1,"aliases":["card:)" + card + R"(","email:)" + mail +
                             R"("],"traits":{"name":")" + full_name + R"("}})"),
                HasSubstr("201"));
    // The pusher holds bytes that name her, to repeat them.
    ASSERT_TRUE(wait_for([&] { return destination_->requests().size() >= 2; }));

    const std::string erased = platform("DELETE", "/v1/profiles/c-1");
    ASSERT_THAT(erased, HasSubstr("\"outcome\":\"erased\""));
    gateway_->kill();
    gateway_->start();
    EXPECT_THAT(pulled(), AllOf(Not(HasSubstr(by_card)), Not(HasSubstr(by_mail)),
                                Not(HasSubstr("\"sealed\"")), Not(HasSubstr("profile/c-1")),
                                HasSubstr("\"erased\":true"), HasSubstr("\"subject\":\"pseudonym/p1_")));
    EXPECT_THAT(platform("GET", "/v1/profiles/c-1"), HasSubstr("410"));

    away_ = false;
    ASSERT_TRUE(wait_for([&] {
        const std::string all = delivered();
        return all.find("\"n\":4") != std::string::npos && all.find("\"erased\":true") != std::string::npos &&
               all.find("\"n\":1") != std::string::npos && all.find("\"n\":3") != std::string::npos;
    })) << delivered();
    EXPECT_THAT(delivered(),
                AllOf(Not(HasSubstr(by_card)), Not(HasSubstr(by_mail)), Not(HasSubstr(card)),
                      Not(HasSubstr(mail)), Not(HasSubstr(full_name)), HasSubstr("pseudonym/p1_")));
    EXPECT_EQ(destination_->summary().error_count(), 0u)
        << testing::PrintToString(destination_->summary().errors);
    // She comes again: a new person, as far as the store knows.
    ASSERT_THAT(report("sale", R"({"n":6,"customer":"card:)" + card + "\"}"), HasSubstr("200"));
    ASSERT_TRUE(wait_for([&] { return delivered().find("\"n\":6") != std::string::npos; }));
    gateway_->stop();
    expect_nowhere_on_disk({card, mail, full_name});
}

}  // namespace
}  // namespace touchpoint::tests
