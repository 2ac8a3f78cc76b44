// The control socket end to end: a real store, the real server, and the command's own client.
#include "gateway/control.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "devices/admission.hpp"
#include "devices/reception.hpp"
#include "gateway/backlog.hpp"
#include "gateway/command/client.hpp"
#include "gateway/command/commands.hpp"
#include "gateway/command/systemd.hpp"
#include "gateway/core/log.hpp"
#include "gateway/http_server.hpp"
#include "store/event_reader.hpp"
#include "tests/gateway/held_flush.hpp"
#include "tests/gateway/http_client.hpp"
#include "tests/gateway/loop_thread.hpp"
#include "tests/gateway/pictures.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"

namespace touchpoint::gateway {
namespace {

using command::ask;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class ControlTest : public testing::Test {
  protected:
    void SetUp() override {
        cache_ = std::move(*store::Cache::open({folder_.path() / "cache"}));
        store::EventStore::Options options;
        options.folder = folder_.path() / "events";
        options.bytes_max = 64u << 20;
        options.reserve_bytes = 4u << 20;
        options.boot_id = std::string(32, 'b');
        store_ = std::move(*store::EventStore::open(options, *cache_, clock_));
        admission_.emplace(admission_options_, devices::Pseudonymiser(std::string(32, 'k'), "p1"), box_,
                           [this] { return ++chance_; });
        reception_.emplace(*admission_, registry_);
        direct_.emplace(devices::DirectIntake::Parts{*store_, clock_, *reception_});
        store_->start(
            {std::string(32, 'a'), options.boot_id, 0},
            [this](const store::HorizonNote& note) {
                boost::asio::post(loop_.loop(), [this, settled = note.settled] { direct_->settle(settled); });
            },
            [](const Error& error) { ADD_FAILURE() << error.context; });
        loop_.on_loop([&] {
            parts_.emplace(RouteParts{
                [] { return tests::healthy(); },
                [this] { return backlog_json(store_->stats(), {}, clock_.steady(), clock_.utc()); },
                tail_,
                {loop_.loop(), *store_, reader_, box_, *direct_, clock_}});
            server_ = std::make_unique<HttpServer>(loop_.loop(), HttpLimits{}, control_routes(*parts_));
            ASSERT_TRUE(server_->listen_unix(socket_, ""));
        });
    }
    void TearDown() override {
        loop_.on_loop([&] { server_.reset(); });
        store_->stop();
    }

    // As intake does with a message that breaks a rule.
    void quarantine(const std::string& raw, devices::Problem problem = devices::Problem::not_json) {
        store::Incoming message;
        message.topic = "touchpoint/v1/kiosk/k7/event/search";
        message.received = clock_.utc();
        message.clock_trusted = true;
        message.content_type = "text/plain";
        message.user_properties = {{"session", "s:1"}};
        devices::Rejection rejection;
        rejection.type = problem;
        rejection.detail = "this is not JSON";
        rejection.raw = raw;
        store::Submission submission;
        submission.events.push_back(admission_->quarantine(devices::DeviceAddress{"kiosk", "k7"}, rejection,
                                                           message, devices::Now::of(clock_)));
        submission.events.back().urgent = true;
        ++quarantined_;
        ASSERT_TRUE(store_->submit(std::move(submission)));
        ASSERT_TRUE(tests::wait_for([&] { return store_->horizon(Stream::quarantine) == quarantined_; }));
    }

    tests::TempFolder folder_;
    std::filesystem::path socket_ = folder_.path() / "control.sock";
    ManualClock clock_;
    store::SealedBox box_{std::string(32, 'x')};
    std::unique_ptr<store::Cache> cache_;
    std::unique_ptr<store::EventStore> store_;
    store::Worker reader_{"reader"};
    Tail tail_;
    devices::AdmissionOptions admission_options_ = [] {
        devices::AdmissionOptions options;
        options.store_id = "s9";
        options.gateway_id = "gw-9";
        return options;
    }();
    devices::Registry registry_;
    std::optional<devices::Admission> admission_;
    std::optional<devices::Reception> reception_;
    std::optional<devices::DirectIntake> direct_;
    std::optional<RouteParts> parts_;
    std::uint64_t chance_ = 0;
    Sequence quarantined_ = 0;
    tests::LoopThread loop_;
    std::unique_ptr<HttpServer> server_;
};

TEST_F(ControlTest, StatusIsWrittenForAPerson) {
    const auto answer = ask(socket_, "/v1/status");
    ASSERT_TRUE(answer) << answer.error().context;
    EXPECT_EQ(answer->status, 200u);
    EXPECT_EQ(command::status_text(answer->body),
              "gateway gw-9, store s9, version 0.1.0, up 3 h\n"
              "  devices   taking events; 0 of 0 devices online; 0 events since the start\n"
              "  disk      0 events held; 30.0 MiB of 1000.0 MiB used\n"
              "  platform  idle to platform (ingest.example.net): 0 delivered since the start, 0 wait\n"
              "  profiles  0 here, 0 bytes of 256.0 MiB\n"
              "  clock     synchronised\n"
              "  box key   a file on this disk\n"
              "\nAll is well.\n");
}

TEST_F(ControlTest, StatusShowsEachConditionWithWhatToDo) {
    Snapshot s = tests::healthy();
    s.clock_trusted = false;
    EXPECT_THAT(command::status_text(status_json(s)),
                HasSubstr("\nwarning: the clock is not synchronised  [clock-untrusted]\n"
                          "  effect  Events are kept in order; their times may be wrong, and are marked so.\n"
                          "  do      timedatectl set-ntp true"));
}

TEST_F(ControlTest, StatusSaysHowProfilesComeAndWhetherPicturesAreKept) {
    Snapshot s = tests::healthy();
    s.profiles.stats.profiles = 1200;
    s.profiles.reads.wanted = 3;
    s.profiles.live = {1, true};
    uplink::FeedStats feed;
    feed.name = "feed";
    feed.state = uplink::PushState::retrying;
    feed.lines = 1300;
    feed.refused = 2;
    feed.last_error = "connection refused";
    feed.since = s.now - std::chrono::minutes(2);
    s.profiles.feeds.push_back(feed);
    const std::string text = command::status_text(status_json(s));
    EXPECT_THAT(
        text,
        HasSubstr(
            "  profiles  1,200 here, 0 bytes of 256.0 MiB; 3 asked for and not here; 1 event not looked at "
            "yet\n  profiles  feed retrying: 1,300 lines since the start, 2 refused\n"));
    EXPECT_THAT(text, HasSubstr("[pictures-unwritable]"));
    EXPECT_THAT(
        text, HasSubstr("no profiles from the platform for 2 min (connection refused)  [profile-feed-away]"));
}

TEST_F(ControlTest, TheRoutesOfTheLocalListenerAreHereToo) {
    EXPECT_THAT(ask(socket_, "/metrics")->body, HasSubstr("touchpoint_build_info"));
    EXPECT_EQ(ask(socket_, "/healthz")->status, 200u);
    EXPECT_EQ(ask(socket_, "/readyz")->status, 200u);
    EXPECT_EQ(ask(socket_, "/v1/nothing")->status, 404u);
}

// What a card that was taken away tells: where, when and why, not what the message said.
TEST_F(ControlTest, WithoutTheKeyOfTheBoxAQuarantinedMessageDoesNotOpen) {
    quarantine("{\"customer\":\"card:2900000012345\"");
    EXPECT_THAT(ask(socket_, "/v1/quarantine/1")->body, HasSubstr("2900000012345"));
    loop_.on_loop([&] { box_ = store::SealedBox(std::string(32, 'n')); });
    const auto answer = ask(socket_, "/v1/quarantine/1");
    EXPECT_NE(answer->status, 200u);
    EXPECT_THAT(answer->body, testing::Not(HasSubstr("2900000012345")));
    EXPECT_THAT(ask(socket_, "/v1/quarantine")->body,
                AllOf(HasSubstr("not-json"), testing::Not(HasSubstr("2900000012345"))));
}

TEST_F(ControlTest, TailTellsEachMessageAndItsVerdict) {
    std::vector<std::string> lines;
    std::thread listener([&] {
        const auto answer = ask(socket_, "/v1/tail", [&](std::string_view line) {
            lines.push_back(command::tail_text(line));
            return lines.size() < 2;
        });
        EXPECT_TRUE(answer);
    });
    EXPECT_TRUE(tests::wait_for([&] {
        bool there = false;
        loop_.on_loop([&] { there = tail_.anyone(); });
        return there;
    }));
    loop_.on_loop([&] {
        tail_.tell({clock_.utc(), "touchpoint/v1/pos/t1/event/sale", 412, 20, 0, "valid", ""});
        tail_.tell({clock_.utc(), "touchpoint/v1/kiosk/k7/event/x", 7, 0, 1, "rejected", "not-json"});
    });
    listener.join();
    EXPECT_THAT(
        lines, ElementsAre(
                   "14:13:20.000  valid      touchpoint/v1/pos/t1/event/sale  412 bytes, 20 events",
                   "14:13:20.000  rejected   touchpoint/v1/kiosk/k7/event/x  7 bytes, 1 rejected: not-json"));
}

TEST_F(ControlTest, AtDebugTheLogNamesEachMessageAndItsVerdictAndNothingOfItsContent) {
    const devices::Observation seen{"touchpoint/v1/kiosk/k7/event/search", "partly", 20, 1, 1, "not-json"};
    const auto logged = [&](log::Level level) {
        testing::internal::CaptureStderr();
        log::set_level(level);
        loop_.on_loop([&] { tail_.observed(seen, clock_.utc()); });
        log::set_level(log::Level::info);
        return testing::internal::GetCapturedStderr();
    };
    EXPECT_EQ(logged(log::Level::info), "");
    EXPECT_EQ(logged(log::Level::debug),
              "<7>devices: message topic=touchpoint/v1/kiosk/k7/event/search verdict=partly "
              "problem=not-json events=1 rejected=1 payload_bytes=20\n");
}

TEST_F(ControlTest, ListenersOfTailAreBounded) {
    loop_.on_loop([&] {
        for (std::size_t i = 0; i < Tail::listeners_max; ++i) EXPECT_NE(tail_.listen(), nullptr);
        EXPECT_EQ(tail_.listen(), nullptr);
    });
    EXPECT_THAT(tests::HttpClient::unix_socket(socket_).get("/v1/tail"),
                AllOf(testing::StartsWith("HTTP/1.1 503"), HasSubstr("\r\nRetry-After: 1\r\n")));
}

TEST_F(ControlTest, AListenerThatHasGoneLeavesItsPlaceAtOnce) {
    std::vector<tests::HttpClient> listeners;
    for (std::size_t i = 0; i < Tail::listeners_max; ++i) {
        listeners.push_back(tests::HttpClient::unix_socket(socket_));
        listeners.back().send("GET /v1/tail HTTP/1.1\r\nHost: x\r\n\r\n");
        EXPECT_THAT(listeners.back().read_until("\r\n\r\n"), testing::StartsWith("HTTP/1.1 200"));
    }
    listeners.pop_back();
    // Long before the next empty line would have found it.
    EXPECT_TRUE(tests::wait_for(
        [&] {
            std::shared_ptr<BodyStream> place;
            loop_.on_loop([&] { place = tail_.listen(); });
            return place != nullptr;
        },
        std::chrono::seconds(5)));
}

TEST_F(ControlTest, QuarantineListsWithoutPayloadsAndShowsOneWithIt) {
    EXPECT_EQ(command::quarantine_text(ask(socket_, "/v1/quarantine")->body), "Nothing is in quarantine.\n");
    quarantine("card 4111 of Anna");
    quarantine(std::string("\xff\x00 bytes", 8));
    const auto list = ask(socket_, "/v1/quarantine?limit=5");
    ASSERT_TRUE(list);
    EXPECT_THAT(list->body, Not(HasSubstr("Anna")));
    EXPECT_THAT(
        command::quarantine_text(list->body),
        AllOf(HasSubstr("     1  "), HasSubstr("     2  "),
              HasSubstr("not-json  touchpoint/v1/kiosk/k7/event/search\n        this is not JSON\n")));
    const auto shown = ask(socket_, "/v1/quarantine/1");
    ASSERT_TRUE(shown);
    EXPECT_THAT(shown->body, AllOf(HasSubstr("\"payload\":\"card 4111 of Anna\""),
                                   HasSubstr("content-type: text/plain"), Not(HasSubstr("sealed"))));
    EXPECT_THAT(ask(socket_, "/v1/quarantine/2")->body, HasSubstr("\"payload_base64\":\"/wAgYnl0ZXM=\""));
    EXPECT_EQ(ask(socket_, "/v1/quarantine/3")->status, 404u);
    EXPECT_THAT(ask(socket_, "/v1/quarantine?after=1")->body,
                AllOf(HasSubstr("\"sequence\":2"), Not(HasSubstr("\"sequence\":1"))));
    EXPECT_EQ(ask(socket_, "/v1/quarantine?limit=0")->status, 400u);
    EXPECT_EQ(ask(socket_, "/v1/quarantine/x")->status, 400u);
}

TEST_F(ControlTest, ACommandWithoutADaemonKnowsThat) {
    const auto answer = ask(folder_.path() / "nobody.sock", "/v1/status");
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Errc::not_found);
    const command::Target target{folder_.path() / "nobody.sock", folder_.path() / "none.toml"};
    testing::internal::CaptureStderr();
    EXPECT_EQ(command::status(target, false), 3);
    EXPECT_THAT(
        testing::internal::GetCapturedStderr(),
        AllOf(HasSubstr("the gateway does not answer on"), HasSubstr("do      systemctl start touchpoint"),
              HasSubstr("none.toml: error: there is no such file")));
}

// Stands in PATH for a tool of systemd: writes down what it was asked, and says what it was told to.
class FakeTools {
  public:
    explicit FakeTools(std::filesystem::path folder)
        : folder_(std::move(folder)), path_(std::getenv("PATH")) {
        setenv("PATH", (folder_.string() + ":" + path_).c_str(), 1);
    }
    ~FakeTools() { setenv("PATH", path_.c_str(), 1); }
    FakeTools(const FakeTools&) = delete;
    FakeTools& operator=(const FakeTools&) = delete;
    void say(const std::string& tool, const std::string& words) {
        tests::write_file(folder_ / (tool + ".words"), words);
        tests::write_file(folder_ / tool, "#!/bin/sh\necho \"$@\" >> '" + (folder_ / tool).string() +
                                              ".asked'\ncat '" + (folder_ / tool).string() + ".words'\n");
        std::filesystem::permissions(folder_ / tool, std::filesystem::perms::owner_all);
    }
    std::string asked(const std::string& tool) { return tests::read_file(folder_ / (tool + ".asked")); }

  private:
    std::filesystem::path folder_;
    std::string path_;
};

constexpr const char* run_id = "0123456789abcdef0123456789abcdef";

// A start that a person must repair: the reason stands in the log alone.
TEST_F(ControlTest, ACommandWithoutADaemonShowsItsLastError) {
    FakeTools tools(folder_.path());
    const command::Target target{folder_.path() / "nobody.sock", folder_.path() / "none.toml"};
    const auto said = [&](const std::string& words) {
        tools.say("journalctl", words);
        testing::internal::CaptureStderr();
        EXPECT_EQ(command::status(target, false), 3);
        return testing::internal::GetCapturedStderr();
    };
    tools.say("systemctl", "SubState=failed\nInvocationID=" + std::string(run_id) + "\n");
    EXPECT_THAT(
        said("key \x1b[2Jmissing\nanother\n"),
        AllOf(HasSubstr("  log     the last error of touchpoint.service:\n          key  [2Jmissing\n"),
              Not(HasSubstr("another"))));
    EXPECT_THAT(tools.asked("systemctl"), HasSubstr("show touchpoint.service --property="));
    EXPECT_THAT(tools.asked("journalctl"),
                HasSubstr("_SYSTEMD_UNIT=touchpoint.service _SYSTEMD_INVOCATION_ID=" + std::string(run_id) +
                          " --priority=err --lines=1"));
    const std::string cut = said(std::string(100'000, 'x'));
    EXPECT_THAT(cut, HasSubstr(std::string(4000, 'x')));
    EXPECT_LT(cut.size(), 6000u);
    EXPECT_THAT(said(""), Not(HasSubstr("  log  ")));
    // It never ran, or that is no id: then there is nothing of this run.
    for (const char* id : {"", "$(reboot)", "0123"}) {
        tools.say("systemctl", "InvocationID=" + std::string(id) + "\n");
        EXPECT_THAT(said("old\n"), Not(HasSubstr("  log  "))) << id;
    }
}

class BrokerUnitTest : public ControlTest {
  protected:
    void unit(const std::string& state, const std::string& enabled = "enabled", int restarts = 0) {
        tools_.say("systemctl", "SubState=" + state + "\nUnitFileState=" + enabled + "\nNRestarts=" +
                                    std::to_string(restarts) + "\nInvocationID=" + run_id + "\n");
    }
    std::string shown(bool as_json) {
        testing::internal::CaptureStdout();
        const int result = command::status({socket_, folder_.path() / "none.toml"}, as_json);
        return std::to_string(result) + "\n" + testing::internal::GetCapturedStdout();
    }
    FakeTools tools_{folder_.path()};
};

TEST_F(BrokerUnitTest, IsNotSpokenOfWhereItRunsOrNobodyWantsIt) {
    tools_.say("journalctl", "");
    unit("running");
    EXPECT_THAT(shown(false), Not(HasSubstr("broker-unit")));
    unit("start");  // it takes a while with a long queue
    EXPECT_THAT(shown(false), Not(HasSubstr("broker-unit")));
    unit("dead", "disabled");
    EXPECT_THAT(shown(false), Not(HasSubstr("broker-unit")));
    unit("dead", "");  // there is no such unit
    EXPECT_THAT(shown(true), Not(HasSubstr("broker-unit")));
    EXPECT_EQ(tools_.asked("journalctl"), "");
}

TEST_F(BrokerUnitTest, IsAnErrorWhereItShouldRunAndDoesNot) {
    tools_.say("journalctl", "1796100887: Error: Address already in use\n");
    const auto is_told = [&] {
        const std::string text = shown(false);
        EXPECT_THAT(text, testing::StartsWith("1\n"));
        EXPECT_THAT(text, AllOf(HasSubstr("error: touchpoint-broker.service does not run"),
                                HasSubstr(": 1796100887: Error: Address already in use  [broker-unit]\n"),
                                HasSubstr("systemctl disable --now mosquitto")));
        EXPECT_THAT(shown(true), AllOf(testing::StartsWith("1\n"), HasSubstr("\"code\":\"broker-unit\"")));
    };
    for (const char* state : {"auto-restart", "auto-restart-queued", "failed", "dead"}) {
        SCOPED_TRACE(state);
        unit(state);
        is_told();
    }
    unit("start", "enabled", 3);
    is_told();
    EXPECT_THAT(tools_.asked("systemctl"), HasSubstr("show touchpoint-broker.service --property="));
    EXPECT_THAT(tools_.asked("journalctl"),
                HasSubstr("_SYSTEMD_UNIT=touchpoint-broker.service _SYSTEMD_INVOCATION_ID=" +
                          std::string(run_id) + " --grep=Error"));
}

// Debian's own Mosquitto has the port: the gateway sees a broker and all is well with it.
TEST(BrokerUnitConditionTest, AnotherBrokerThatAnswersIsNamedAndOneElsewhereIsNoneOfOurs) {
    const auto told = [](const std::string& connected, const std::string& url, const std::string& why) {
        return command::with_broker_unit(R"({"conditions":[{"code":"x"}],"mqtt":{"connected":)" + connected +
                                             R"(,"broker":")" + url + "\"}}",
                                         {why});
    };
    EXPECT_THAT(told("true", "mqtt://127.0.0.1:1883", ""),
                AllOf(HasSubstr("does not run, and another broker answers on mqtt://127.0.0.1:1883\""),
                      HasSubstr("disable --now mosquitto"), HasSubstr(R"(},{"code":"x"}])")));
    EXPECT_THAT(
        told("false", "mqtt://localhost:1883", "Error: no such file"),
        AllOf(HasSubstr("does not run: Error: no such file\""), Not(HasSubstr("another broker answers")),
              Not(HasSubstr("disable --now")), HasSubstr("journalctl -u touchpoint-broker")));
    EXPECT_THAT(told("true", "mqtts://broker.example:8883", "Error"), Not(HasSubstr("broker-unit")));
    EXPECT_EQ(command::with_broker_unit("no JSON", {}), "no JSON");
}

std::string post(const std::filesystem::path& socket, const std::string& target) {
    const auto answer = ask(socket, target, {}, "POST");
    return answer ? std::to_string(answer->status) + ' ' + answer->body : answer.error().context;
}

TEST_F(ControlTest, BacklogIsServed) {
    const auto answer = ask(socket_, "/v1/backlog");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200u);
    EXPECT_THAT(command::backlog_text(answer->body), HasSubstr("how fast it grows is not known yet"));
}

// One read of the store gives a megabyte; the newest were behind it.
TEST_F(ControlTest, TheNewestInQuarantineAreListedHoweverLargeTheyAre) {
    for (int i = 0; i < 6; ++i) quarantine(std::string(300'000, static_cast<char>('a' + i)));
    const std::string list = ask(socket_, "/v1/quarantine?limit=5")->body;
    for (int sequence = 2; sequence <= 6; ++sequence)
        EXPECT_THAT(list, HasSubstr(R"({"sequence":)" + std::to_string(sequence) + R"(,"time")"));
    EXPECT_THAT(list, testing::EndsWith("],\"last\":6}\n"));
    EXPECT_THAT(list, Not(HasSubstr(R"("sequence":1,)")));
    EXPECT_THAT(ask(socket_, "/v1/quarantine?after=1&limit=5")->body, testing::EndsWith("],\"last\":6}\n"));
}

TEST_F(ControlTest, AQuarantinedMessageOfAnErasedPersonIsShownWithoutItsPayloadAndNotRetried) {
    quarantine(R"({"customer":"card:2900000012345","name":"Jane Planted")");
    quarantine("still no JSON");
    const devices::Pseudonymiser names(std::string(32, 'k'), "p1");
    store::Submission erasure;
    erasure.erased = {names.pseudonym({"card", "2900000012345"})};
    EXPECT_THAT(ask(socket_, "/v1/quarantine/1")->body, AllOf(HasSubstr("Jane"), Not(HasSubstr("p1_"))));
    EXPECT_THAT(ask(socket_, "/v1/quarantine")->body, Not(HasSubstr("p1_")));
    ASSERT_TRUE(store_->submit(std::move(erasure)));
    ASSERT_TRUE(tests::wait_for([&] { return store_->stats().erased_persons == 1; }));
    const auto shown = ask(socket_, "/v1/quarantine/1");
    EXPECT_EQ(shown->status, 200u);
    EXPECT_THAT(shown->body,
                AllOf(HasSubstr("\"erased\":true"), HasSubstr("\"type\":\"not-json\""),
                      Not(HasSubstr("\"payload\"")), Not(HasSubstr("sealed")), Not(HasSubstr("p1_"))));
    EXPECT_THAT(post(socket_, "/v1/quarantine/retry?first=1"),
                HasSubstr(R"("refused":1,"first_refused":[{"sequence":1,"error":{"type":"erased",)"));
    EXPECT_THAT(ask(socket_, "/v1/quarantine/2")->body, HasSubstr("still no JSON"));
}

TEST_F(ControlTest, WhatWasCutIsNotRetried) {
    quarantine(R"({"n":1})" + std::string(" \"customer\":\"card:29"));
    EXPECT_THAT(ask(socket_, "/v1/quarantine/1")->body,
                AllOf(HasSubstr("\"kept_bytes\":8"), Not(HasSubstr("card"))));
    EXPECT_THAT(post(socket_, "/v1/quarantine/retry?first=1"),
                HasSubstr(R"("refused":1,"first_refused":[{"sequence":1,"error":{"type":"cut",)"));
}

TEST_F(ControlTest, RetryMakesEventsOfWhatBreaksNoRuleAnyMoreAndLeavesTheRest) {
    quarantine(R"({"query":"oat milk"})", devices::Problem::too_large);  // the limit has been raised since
    quarantine("still no JSON");
    quarantine(R"([{"n":1},{"n":2}])", devices::Problem::too_many_items);
    EXPECT_EQ(
        post(socket_, "/v1/quarantine/retry?first=1&last=99"),
        R"(200 {"retried":2,"refused":1,"first_refused":[{"sequence":2,"error":{"type":"not-json",)"
        R"("title":"The payload is not JSON","detail":"not JSON at byte 0","pointer":""}}],"next":null})"
        "\n");
    // With its time and its properties, as if it came now.
    const auto events = store_->make_reader()->read(Stream::interactions, 0, "", {});
    ASSERT_TRUE(events);
    ASSERT_EQ(events->events.size(), 3u);
    EXPECT_THAT(std::string(events->events[0].members),
                AllOf(HasSubstr("oat milk"), HasSubstr(R"("session":"s:1")"),
                      HasSubstr("\"time\":\"" + to_rfc3339(clock_.utc()))));
    const std::string list = ask(socket_, "/v1/quarantine")->body;
    EXPECT_THAT(list, AllOf(HasSubstr(R"({"sequence":1,"gap":{"first":1,"last":1,"reason":"retried"}})"),
                            HasSubstr(R"("sequence":2,"time")"),
                            HasSubstr(R"({"sequence":3,"gap":{"first":3,"last":3,"reason":"retried"}})")));
    EXPECT_THAT(post(socket_, "/v1/quarantine/retry?first=1&last=3"),
                HasSubstr(R"({"retried":0,"refused":1)"));
    EXPECT_EQ(command::quarantine_retry({socket_, ""}, "all"), 1);
    testing::internal::CaptureStderr();
    EXPECT_EQ(command::quarantine_retry({socket_, ""}, "1"), 1);  // it is an event already
    EXPECT_EQ(command::quarantine_retry({socket_, ""}, "99"), 1);
    EXPECT_EQ(testing::internal::GetCapturedStderr(),
              "touchpoint: nothing is kept under 1\ntouchpoint: nothing is kept under 99\n");
    EXPECT_EQ(command::quarantine_retry({socket_, ""}, "3..1"), 2);
}

// It once asked again and again, as fast as it could, until somebody made room.
TEST_F(ControlTest, WhileTheStoreIsFullARetrySaysSoAndTheCommandEnds) {
    quarantine("no JSON");
    quarantine(R"({"query":"oat milk"})", devices::Problem::too_large);
    tests::HeldFlush flush(0);
    const auto submit = [&](std::size_t events) {
        store::Submission sales;
        for (std::size_t i = 0; i < events; ++i) {
            Event sale;
            sale.stream = Stream::sales;
            sale.id = std::to_string(events) + '-' + std::to_string(i);
            sale.members = "\"id\":\"" + sale.id + '"';
            sale.urgent = true;
            sales.events.push_back(std::move(sale));
        }
        ASSERT_TRUE(store_->submit(std::move(sales)));
    };
    submit(1);
    ASSERT_TRUE(tests::wait_for([&] { return flush.holds(); }));
    submit(store::EventStore::Options{}.waiting_events_max);
    ASSERT_FALSE(store_->has_room(1));
    EXPECT_EQ(post(socket_, "/v1/quarantine/retry?first=2"),
              R"(503 {"type":"busy","title":"Not available now","status":503,)"
              R"("detail":"the gateway takes no events now; none of these was tried"})"
              "\n");
    testing::internal::CaptureStderr();
    EXPECT_EQ(command::quarantine_retry({socket_, ""}, "2..9"), 1);
    EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("takes no events now"));
    flush.let_go();
    EXPECT_TRUE(tests::wait_for([&] { return store_->has_room(1); }));
    EXPECT_THAT(post(socket_, "/v1/quarantine/retry?first=2"), HasSubstr(R"("retried":1,"refused":0)"));
}

TEST_F(ControlTest, WhatIsDiscardedLeavesItsNumbersOnly) {
    quarantine("a");
    quarantine("b");
    quarantine("c");
    EXPECT_EQ(post(socket_, "/v1/quarantine/discard?first=2&last=900"),
              "200 {\"first\":2,\"last\":3,\"discarded\":2,\"next\":null}\n");
    EXPECT_EQ(ask(socket_, "/v1/quarantine/1")->status, 200u);
    EXPECT_EQ(ask(socket_, "/v1/quarantine/2")->status, 404u);
    EXPECT_THAT(ask(socket_, "/v1/quarantine")->body, HasSubstr(R"("reason":"discarded")"));
    EXPECT_THAT(post(socket_, "/v1/quarantine/discard?first=4"), testing::StartsWith("404"));
    EXPECT_THAT(post(socket_, "/v1/quarantine/discard"), testing::StartsWith("400"));
    testing::internal::CaptureStdout();
    EXPECT_EQ(command::quarantine_discard({socket_, ""}, "1"), 0);
    EXPECT_THAT(testing::internal::GetCapturedStdout(), testing::StartsWith("1 message was discarded."));
    testing::internal::CaptureStderr();
    EXPECT_EQ(command::quarantine_discard({socket_, ""}, "1"), 1);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "touchpoint: nothing is kept under 1\n");
}

// It once wrote `discarded` over everything from 1 to the newest.
TEST_F(ControlTest, ADiscardLeavesTheRecordOfWhatWasTriedAgain) {
    quarantine("a");
    quarantine(R"({"query":"oat milk"})", devices::Problem::too_large);
    quarantine("c");
    quarantine("d");
    ASSERT_THAT(post(socket_, "/v1/quarantine/retry?first=2"), HasSubstr(R"("retried":1)"));
    EXPECT_THAT(post(socket_, "/v1/quarantine/discard?first=2"), testing::StartsWith("404"));
    EXPECT_EQ(post(socket_, "/v1/quarantine/discard?first=1&last=900"),
              "200 {\"first\":1,\"last\":4,\"discarded\":3,\"next\":null}\n");
    const auto gaps = store_->make_reader()->gaps(Stream::quarantine, 0, std::nullopt, 10);
    ASSERT_TRUE(gaps);
    std::vector<std::string> rows;
    for (const store::Gap& gap : *gaps)
        rows.push_back(std::to_string(gap.first) + ".." + std::to_string(gap.last) + ' ' + gap.reason);
    EXPECT_THAT(rows, ElementsAre("1..1 discarded", "2..2 retried", "3..4 discarded"));
    EXPECT_THAT(command::quarantine_text(ask(socket_, "/v1/quarantine?after=2")->body),
                testing::StartsWith("  3..4  not kept (discarded)\n"));
}

}  // namespace
}  // namespace touchpoint::gateway
