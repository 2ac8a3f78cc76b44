// The link against a real Mosquitto; devices are mosquitto_pub and mosquitto_sub.
#include "devices/mqtt_link.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>

#include "tests/support/broker.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"

namespace touchpoint::devices {
namespace {

using testing::ElementsAre;
using testing::SizeIs;
using tests::wait_for;

// Ends our own TCP connections to a port as a broken cable would: without a DISCONNECT. How many there were.
int cut_connections_to(int port) {
    int cut = 0;
    for (int fd = 3; fd < 1024; ++fd) {
        sockaddr_in peer{};
        socklen_t size = sizeof peer;
        if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0 && peer.sin_family == AF_INET &&
            ntohs(peer.sin_port) == port && shutdown(fd, SHUT_RDWR) == 0)
            ++cut;
    }
    return cut;
}

struct MqttLinkTest : testing::Test {
    void SetUp() override {
        broker.start();
        store::Journal::Options options;
        options.folder = folder.path() / "journal";
        options.boot_id = "boot";
        journal = std::move(*store::Journal::open(options, std::nullopt, 1));
        open();
    }
    void open() {
        LinkOptions options;
        options.url = broker.url();
        options.client_id = "gw-s1";
        link = std::move(*MqttLink::open(
            options, *journal, clock,
            {[this](bool present) {
                 session_present = present;
                 ++connects;
             },
             [this](const std::string& reason) {
                 const std::lock_guard lock(mutex);
                 losses.push_back(reason);
             },
             [this] { ++wakes; }, [this](bool granted) { ++(granted ? grants : refusals); }}));
    }
    // And subscribed: what is published before that has nobody to go to.
    void connect() {
        const int before = connects;
        const int answered = grants + refusals;
        ASSERT_TRUE(link->connect());
        ASSERT_TRUE(wait_for([&] { return connects > before && grants + refusals > answered; }));
    }
    std::size_t lost() {
        const std::lock_guard lock(mutex);
        return losses.size();
    }
    // Publishes as a device would; fails the test when mosquitto_pub does.
    void publish(const std::string& topic, const std::string& payload, std::vector<std::string> more = {}) {
        std::vector<std::string> arguments = {"mosquitto_pub",
                                              "-h",
                                              "127.0.0.1",
                                              "-p",
                                              std::to_string(broker.port()),
                                              "-V",
                                              "5",
                                              "-q",
                                              "1",
                                              "-t",
                                              topic,
                                              "-m",
                                              payload};
        arguments.insert(arguments.end(), more.begin(), more.end());
        tests::Process pub(arguments, folder.path() / "pub.log");
        ASSERT_EQ(pub.wait(), 0) << tests::read_file(folder.path() / "pub.log");
    }
    // Everything that is in the journal, in order; waits for `count` messages.
    std::vector<store::Incoming> received(std::size_t count) {
        std::vector<store::Incoming> out;
        wait_for([&] {
            const auto frames = journal->read(1 << 20);
            if (frames)
                for (const auto& frame : *frames) out.push_back(frame.message);
            return out.size() >= count;
        });
        return out;
    }

    tests::TempFolder folder;
    tests::Broker broker{folder.path() / "broker"};
    ManualClock clock;
    std::unique_ptr<store::Journal> journal;
    std::mutex mutex;
    std::vector<std::string> losses;
    std::atomic<int> connects{0};
    std::atomic<int> wakes{0};
    std::atomic<int> grants{0};
    std::atomic<int> refusals{0};
    std::atomic<bool> session_present{false};
    std::unique_ptr<MqttLink> link;
};

TEST_F(MqttLinkTest, WhatADevicePublishesStandsInTheJournalWithAllItsProperties) {
    connect();
    publish("touchpoint/v1/kiosk/k7/event/search", "{\"n\":1}",
            {"-D", "publish", "content-type", "application/json", "-D", "publish", "response-topic",
             "touchpoint/v1/kiosk/k7/res/1", "-D", "publish", "correlation-data", "42", "-D", "publish",
             "user-property", "event_id", "a1"});
    const auto all = received(1);
    ASSERT_THAT(all, SizeIs(1));
    const store::Incoming& message = all[0];
    EXPECT_EQ(message.topic, "touchpoint/v1/kiosk/k7/event/search");
    EXPECT_EQ(message.payload, "{\"n\":1}");
    EXPECT_EQ(message.content_type, "application/json");
    EXPECT_EQ(message.response_topic, "touchpoint/v1/kiosk/k7/res/1");
    EXPECT_EQ(message.correlation_data, "42");
    EXPECT_THAT(message.user_properties, ElementsAre(std::pair<std::string, std::string>("event_id", "a1")));
    EXPECT_EQ(message.received, clock.utc());
    EXPECT_FALSE(message.dup);
    EXPECT_FALSE(message.retain);
    EXPECT_EQ(link->stats().messages, 1u);
}

TEST_F(MqttLinkTest, TheBrokerKeepsTheSessionAndWhatCameMeanwhile) {
    connect();
    EXPECT_FALSE(session_present);
    ASSERT_TRUE(link->disconnect("{\"state\":\"online\",\"accepting\":false}"));
    ASSERT_TRUE(wait_for([&] { return lost() == 1; }));
    EXPECT_THAT(losses, ElementsAre("closed"));
    publish("touchpoint/v1/kiosk/k7/event/search", "{\"n\":2}");
    connect();
    EXPECT_TRUE(session_present);
    EXPECT_TRUE(link->stats().session_present);
    const auto all = received(1);
    ASSERT_THAT(all, SizeIs(1));
    EXPECT_EQ(all[0].payload, "{\"n\":2}");
}

TEST_F(MqttLinkTest, AnotherProcessUnderTheSameIdFindsTheSession) {
    connect();
    link.reset();
    publish("touchpoint/v1/kiosk/k7/event/search", "{\"n\":3}");
    open();
    connect();
    EXPECT_TRUE(session_present);
    EXPECT_THAT(received(1), SizeIs(1));
}

TEST_F(MqttLinkTest, AfterABrokerThatForgotItItIsSubscribedAgain) {
    connect();
    broker.kill();  // never saved anything: session and subscription are gone
    ASSERT_TRUE(wait_for([&] { return lost() == 1; }));
    EXPECT_FALSE(link->stats().connected);

    ASSERT_TRUE(link->connect());
    EXPECT_FALSE(link->connect());  // one attempt at a time
    ASSERT_TRUE(wait_for([&] { return lost() == 2; }));
    EXPECT_NE(link->stats().last_error, "");

    broker.start();
    connect();
    EXPECT_FALSE(session_present);
    EXPECT_EQ(link->stats().connects, 2u);
    EXPECT_EQ(link->stats().last_error, "");
    ASSERT_TRUE(wait_for([&] {
        publish("touchpoint/v1/kiosk/k7/event/search", "{}");
        return journal->end() > journal->read_position();
    }));
}

TEST_F(MqttLinkTest, WhetherTheBrokerLetsItReadIsToldBehindEachConnect) {
    connect();
    EXPECT_TRUE(wait_for([&] { return grants == 1; }));
    EXPECT_TRUE(link->stats().subscribed);
    ASSERT_TRUE(link->disconnect("{}"));
    ASSERT_TRUE(wait_for([&] { return lost() == 1; }));
    EXPECT_FALSE(link->stats().subscribed);
    connect();
    EXPECT_TRUE(wait_for([&] { return grants == 2; }));
    EXPECT_EQ(refusals, 0);
}

TEST_F(MqttLinkTest, RetainedStatusComesAtOnceAndRetainedEventsNever) {
    publish("touchpoint/v1/kiosk/k7/status", "online", {"-r"});
    publish("touchpoint/v1/kiosk/k7/event/search", "{}", {"-r"});
    connect();
    const auto all = received(1);
    ASSERT_THAT(all, SizeIs(1));
    EXPECT_EQ(all[0].topic, "touchpoint/v1/kiosk/k7/status");
    EXPECT_TRUE(all[0].retain);
    publish("touchpoint/v1/kiosk/k7/event/view", "{}");
    const auto next = received(1);
    ASSERT_THAT(next, SizeIs(1));
    EXPECT_EQ(next[0].topic, "touchpoint/v1/kiosk/k7/event/view");
}

TEST_F(MqttLinkTest, OneWakeUpForManyMessagesUntilItIsRearmed) {
    connect();
    for (int i = 0; i < 5; ++i) publish("touchpoint/v1/kiosk/k7/event/search", "{}");
    EXPECT_THAT(received(5), SizeIs(5));
    EXPECT_EQ(wakes, 1);
    link->rearm();
    publish("touchpoint/v1/kiosk/k7/event/search", "{}");
    ASSERT_TRUE(wait_for([&] { return wakes == 2; }));
}

TEST_F(MqttLinkTest, AnswersReachTheDeviceWithTheirCorrelationData) {
    connect();
    tests::Process sub({"mosquitto_sub", "-h", "127.0.0.1", "-p", std::to_string(broker.port()), "-V", "5",
                        "-C", "1", "-W", "20", "-t", "touchpoint/v1/kiosk/k7/receipt", "-F", "%D %p"},
                       folder.path() / "sub.log");
    std::optional<int> status;
    ASSERT_TRUE(wait_for([&] {
        EXPECT_TRUE(link->publish("touchpoint/v1/kiosk/k7/receipt", "{\"stored\":[]}", 0, false, "42"));
        status = sub.wait(std::chrono::milliseconds(20));
        return status.has_value();
    }));
    EXPECT_EQ(status, 0);
    EXPECT_EQ(tests::read_file(folder.path() / "sub.log"), "42 {\"stored\":[]}\n");
}

TEST_F(MqttLinkTest, WhenItIsGoneWithoutAWordEverybodyReadsItInTheStatus) {
    connect();
    ASSERT_TRUE(link->publish("touchpoint/v1/gateway/status", "{\"state\":\"online\"}", 1, true));
    ASSERT_EQ(cut_connections_to(broker.port()), 1);
    ASSERT_TRUE(wait_for([&] { return lost() == 1; }));
    tests::Process sub({"mosquitto_sub", "-h", "127.0.0.1", "-p", std::to_string(broker.port()), "-C", "1",
                        "-W", "20", "-t", "touchpoint/v1/gateway/status"},
                       folder.path() / "sub.log");
    EXPECT_EQ(sub.wait(), 0);
    EXPECT_EQ(tests::read_file(folder.path() / "sub.log"), "{\"state\":\"offline\"}\n");
}

TEST_F(MqttLinkTest, WithoutAConnectionNothingIsPublishedAndItIsCounted) {
    EXPECT_FALSE(link->publish("touchpoint/v1/kiosk/k7/receipt", "{}", 0, false));
    EXPECT_FALSE(link->disconnect("{}"));
    EXPECT_EQ(link->stats().publishes_failed, 1u);
}

TEST_F(MqttLinkTest, AnUnreadablePasswordFileIsSaidAndNotWaitedFor) {
    LinkOptions options;
    options.url = broker.url();
    options.client_id = "gw-s2";
    options.username = "gw";
    options.password_file = folder.path() / "missing";
    auto other = MqttLink::open(options, *journal, clock,
                                {[](bool) {}, [](const std::string&) {}, [] {}, [](bool) {}});
    ASSERT_TRUE(other);
    EXPECT_FALSE((*other)->connect());
    EXPECT_THAT((*other)->stats().last_error, testing::HasSubstr("missing"));
}

}  // namespace
}  // namespace touchpoint::devices
