// A till asks for a profile over a real Mosquitto, with the access rules that we ship; and a gateway that was
// held up says so.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/broker.hpp"
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

const std::string request_topic = "touchpoint/v1/pos/t1/req/profile";
const std::string ask_by_card = R"({"id":"card:2900000012345")";

class AskingTillTest : public ::testing::Test {
  protected:
    void SetUp() override {
        broker_.start();
        gateway_.start();
    }
    void put(int version) {
        const fs::path out = folder_.path() / "put.out";
        Process curl({"curl", "-s", "-X", "PUT", "--data-binary",
                      R"({"version":)" + std::to_string(version) + R"(,"aliases":["card:2900000012345"]})",
                      "http://127.0.0.1:" + std::to_string(platform_port_) + "/v1/profiles/c-1"},
                     out);
        ASSERT_EQ(curl.wait(), 0);
        ASSERT_THAT(read_file(out), HasSubstr("\"outcome\""));
    }
    std::vector<std::string> as(const std::string& program, const std::string& user,
                                const std::vector<std::string>& more) {
        std::vector<std::string> out = {program, "-h", "127.0.0.1", "-p", std::to_string(broker_.port()),
                                        "-u",    user};
        out.insert(out.end(), more.begin(), more.end());
        return out;
    }
    // MQTT 5's request and response, as a client library has them.
    std::string ask(const std::string& payload, const std::string& user = "t1") {
        const fs::path out = folder_.path() / ("answer-" + std::to_string(++asked_));
        Process client(
            as("mosquitto_rr", user,
               {"-V", "5", "-q", "1", "-W", "20", "-t", "touchpoint/v1/pos/" + user + "/req/profile", "-e",
                "touchpoint/v1/pos/" + user + "/res/mine", "-m", payload, "-D", "publish", "correlation-data",
                "c-1"}),
            out);
        EXPECT_EQ(client.wait(), 0) << gateway_.log();
        return read_file(out);
    }
    void publish(const std::string& topic, const std::string& payload,
                 const std::vector<std::string>& more = {}) {
        auto arguments = as("mosquitto_pub", "t1", {"-q", "1", "-t", topic, "-m", payload});
        arguments.insert(arguments.end(), more.begin(), more.end());
        Process pub(arguments, folder_.path() / "pub.log");
        EXPECT_EQ(pub.wait(), 0) << read_file(folder_.path() / "pub.log");
    }

    TempFolder folder_;
    int asked_ = 0;
    Broker broker_{folder_.path() / "broker", "acl_file " SOURCE_DIR "/systemd/broker.acl\n"};
    const int platform_port_ = free_port();
    // The URL ends its line of the configuration, so a second one fits behind it.
    GatewayProcess gateway_{fs::path(BINARY_DIR), folder_.path() / "gateway",
                            broker_.url() + "\"\nusername = \"gateway",
                            "[http.platform]\nlisten = \"127.0.0.1:" + std::to_string(platform_port_) +
                                "\"\n[profiles]\nanswer_within_ms = 1000\n"};
};

TEST_F(AskingTillTest, WithMqtt5TheAnswerComesOnTheResponseTopic) {
    EXPECT_THAT(ask(ask_by_card + "}"), AllOf(HasSubstr("not-cached"), HasSubstr("\"status\":404")));
    put(1);
    EXPECT_THAT(ask(ask_by_card + "}"), AllOf(HasSubstr("\"id\":\"c-1\""), HasSubstr("..2345")));
    EXPECT_THAT(ask(R"({"any":["card:1","card:2900000012345"],"purpose":"operation"})"),
                HasSubstr("\"id\":\"c-1\""));
    EXPECT_THAT(ask("{", "t2"), HasSubstr("\"status\":400"));
    EXPECT_EQ(gateway_.metric("touchpoint_intake_requests_total{result=\"answered\"}"), 4);
    EXPECT_EQ(gateway_.metric("touchpoint_store_horizon_sequence{stream=\"quarantine\"}"), 0);
}

TEST_F(AskingTillTest, WithMqtt311TheAnswerComesBelowResAndAChangeWithinASecond) {
    put(1);
    const fs::path heard = folder_.path() / "heard.log";
    Process listener(as("mosquitto_sub", "t1", {"-V", "mqttv311", "-v", "-t", "touchpoint/v1/pos/t1/res/#"}),
                     heard);
    ASSERT_TRUE(wait_for([&] {  // until the listener hears
        publish(request_topic, ask_by_card + R"(,"req":"r-1","follow":600})", {"-V", "mqttv311"});
        return read_file(heard).find("res/r-1 {\"id\":\"c-1\"") != std::string::npos;
    })) << gateway_.log();
    EXPECT_EQ(gateway_.metric("touchpoint_profile_followers"), 1);
    put(2);
    EXPECT_TRUE(wait_for([&] { return read_file(heard).find("\"version\":2") != std::string::npos; }))
        << read_file(heard);
    publish(request_topic, ask_by_card + R"(,"req":"r-1","follow":0})", {"-V", "mqttv311"});
    EXPECT_TRUE(wait_for([&] { return gateway_.metric("touchpoint_profile_followers") == 0; }));
}

TEST_F(AskingTillTest, WhatHappensInTheStoreIsToldToWhoFollows) {
    const fs::path heard = folder_.path() / "heard.log";
    Process listener(as("mosquitto_sub", "t1", {"-v", "-t", "touchpoint/v1/pos/t1/res/#"}), heard);
    ASSERT_TRUE(wait_for([&] {  // until the listener hears
        publish(request_topic, ask_by_card + R"(,"follow":600})");
        return read_file(heard).find("not-cached") != std::string::npos;
    })) << gateway_.log();
    publish("touchpoint/v1/pos/t1/event/view", R"({"item":"tea","customer":"card:2900000012345"})");
    EXPECT_TRUE(wait_for([&] { return read_file(heard).find("\"provisional\":true") != std::string::npos; }))
        << read_file(heard);
    put(1);
    EXPECT_TRUE(wait_for([&] { return read_file(heard).find("\"id\":\"c-1\"") != std::string::npos; }))
        << read_file(heard);
}

// A kiosk that would have a stranger's answers sent elsewhere gets them itself.
TEST_F(AskingTillTest, NobodyElseGetsAnAnswer) {
    put(1);
    const fs::path heard = folder_.path() / "heard.log";
    const fs::path watched = folder_.path() / "watched.log";
    Process listener(as("mosquitto_sub", "gateway", {"-v", "-t", "touchpoint/v1/pos/#"}), heard);
    Process technician(as("mosquitto_sub", "technician", {"-v", "-t", "touchpoint/v1/#"}), watched);
    ASSERT_TRUE(wait_for([&] {
        publish(request_topic, ask_by_card + "}",
                {"-V", "5", "-D", "publish", "response-topic", "touchpoint/v1/pos/t2/res/stolen"});
        return read_file(heard).find("t1/res/profile {\"id\"") != std::string::npos &&
               read_file(watched).find("t1/req/profile") != std::string::npos;
    })) << read_file(heard);
    EXPECT_THAT(read_file(heard), Not(HasSubstr("stolen")));
    EXPECT_THAT(read_file(watched), Not(HasSubstr("/res/")));
}

// What was asked while the gateway was away is nobody's question any more.
TEST_F(AskingTillTest, TheBrokerKeepsNoQuestionsForAGatewayThatIsAway) {
    gateway_.stop();
    publish(request_topic, ask_by_card + "}");
    publish("touchpoint/v1/pos/t1/event/sale", R"({"total":"1.00"})");
    gateway_.start();
    ASSERT_TRUE(wait_for(
        [&] { return gateway_.metric("touchpoint_store_horizon_sequence{stream=\"sales\"}") == 1; }));
    EXPECT_EQ(gateway_.metric("touchpoint_intake_requests_total{result=\"answered\"}"), 0);
    EXPECT_EQ(gateway_.metric("touchpoint_intake_requests_total{result=\"expired\"}"), 0);
}

// A connection that stays, as a till keeps one.
class KeptConnection {
  public:
    explicit KeptConnection(int port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        const timeval patience{20, 0};
        setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<std::uint16_t>(port));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    }
    ~KeptConnection() { close(fd_); }
    void ask(const std::string& target) {
        const std::string request = "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
        EXPECT_EQ(send(fd_, request.data(), request.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(request.size()));
    }
    // Up to the line end behind a body of one line.
    std::string answer() {
        std::string out;
        char one = 0;
        while (!(out.ends_with("}\n") && out.find("\r\n\r\n") != std::string::npos) &&
               recv(fd_, &one, 1, 0) == 1)
            out += one;
        return out;
    }

  private:
    int fd_;
};

TEST(HeldUpGatewayTest, AReadThatWaitedTooLongIsAnsweredNotNowAndTheNextOneIsServed) {
    TempFolder folder;
    GatewayProcess gateway(fs::path(BINARY_DIR), folder.path() / "gateway",
                           "mqtt://127.0.0.1:" + std::to_string(free_port()), "");
    gateway.start(false);
    KeptConnection till(gateway.port());
    // Until one is answered in time: this machine may be busy, too.
    ASSERT_TRUE(wait_for([&] {
        till.ask("/v1/profiles/c-1");
        return till.answer().find("404") != std::string::npos;
    }));
    gateway.process().signal(SIGSTOP);
    till.ask("/v1/profiles/c-1");
    // Longer than the deadline of 50 ms and the beat: so long it must have waited.
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    gateway.process().signal(SIGCONT);
    EXPECT_THAT(till.answer(),
                AllOf(HasSubstr("HTTP/1.1 503"), HasSubstr("Retry-After: 1"), HasSubstr("not-now")));
    EXPECT_TRUE(wait_for([&] {
        till.ask("/v1/profiles/c-1");
        return till.answer().find("404") != std::string::npos;
    }));
    EXPECT_GE(gateway.metric("touchpoint_profile_reads_total{result=\"not_now\"}").value_or(0), 1);
    EXPECT_GE(gateway.metric("touchpoint_loop_lag_max_seconds").value_or(0), 0.2);
}

}  // namespace
}  // namespace touchpoint::tests
