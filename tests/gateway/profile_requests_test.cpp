// Profiles over MQTT, without a broker: what a device's request becomes, and where the answer goes.
#include "gateway/profiles/profile_requests.hpp"

#include <gmock/gmock.h>

#include "tests/gateway/profile_shop.hpp"

namespace touchpoint::tests {
namespace {

using gateway::ProfileRequests;
using std::chrono::milliseconds;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

class ProfileRequestsTest : public ProfileShop {
  protected:
    struct Message {
        std::string topic;
        std::string payload;
        std::string correlation;
    };
    void SetUp() override {
        ProfileShop::SetUp();
        loop_.on_loop([&] {
            requests_.emplace(
                ProfileRequests::Parts{*reads_, *followers_, clock_}, milliseconds(50),
                [this] { return late_.load(); },
                [this](const std::string& topic, const std::string& payload, const std::string& correlation) {
                    if (link_open_) sent_.push_back({topic, payload, correlation});
                    return link_open_;
                });
        });
        ask("PUT", "/v1/profiles/c-1",
            R"({"version":1,"aliases":["card:2900000012345","email:jane@example.com"]})");
    }
    void TearDown() override {
        loop_.on_loop([&] { requests_.reset(); });
        ProfileShop::TearDown();
    }
    // As till t1.
    void request(const std::string& payload, const std::string& response_topic = "",
                 const std::string& correlation = "", milliseconds waited = milliseconds(1)) {
        store::Incoming in;
        in.topic = "touchpoint/v1/pos/t1/req/profile";
        in.payload = payload;
        in.response_topic = response_topic;
        in.correlation_data = correlation;
        loop_.on_loop([&] { requests_->answer({"pos", "t1"}, in, waited); });
    }
    std::vector<Message> sent() {
        std::vector<Message> out;
        loop_.on_loop([&] { out.swap(sent_); });
        return out;
    }
    Message answer_to(const std::string& payload, const std::string& response_topic = "",
                      const std::string& correlation = "", milliseconds waited = milliseconds(1)) {
        request(payload, response_topic, correlation, waited);
        const auto all = sent();
        EXPECT_THAT(all, SizeIs(1)) << payload;
        return all.empty() ? Message() : all.front();
    }
    void put(int version) {
        clock_.advance(gateway::ProfileFollowers::ask_every);
        ask("PUT", "/v1/profiles/c-1",
            R"({"version":)" + std::to_string(version) + R"(,"aliases":["card:2900000012345"]})");
    }

    bool link_open_ = true;
    std::vector<Message> sent_;
    std::optional<ProfileRequests> requests_;
};

const std::string by_card = R"({"id":"card:2900000012345"})";

TEST_F(ProfileRequestsTest, AnAnswerGoesToTheResponseTopicWithItsCorrelation) {
    const Message answer = answer_to(by_card, "touchpoint/v1/pos/t1/my/answers", "c-77");
    EXPECT_EQ(answer.topic, "touchpoint/v1/pos/t1/my/answers");
    EXPECT_EQ(answer.correlation, "c-77");
    EXPECT_THAT(answer.payload, AllOf(HasSubstr(R"("id":"c-1")"), HasSubstr(R"("value":"..2345")"),
                                      Not(HasSubstr("2900000012345")), EndsWith("}")));
}

TEST_F(ProfileRequestsTest, WithoutAResponseTopicOfItsOwnItGoesBelowRes) {
    EXPECT_EQ(answer_to(by_card).topic, "touchpoint/v1/pos/t1/res/profile");
    EXPECT_EQ(answer_to(R"({"req":"r-1","id":"c-1"})").topic, "touchpoint/v1/pos/t1/res/r-1");
    EXPECT_EQ(
        answer_to(R"({"any":["card:1","email:jane@example.com"],"req":"r2"})", "touchpoint/v1/pos/t2/res/x")
            .topic,
        "touchpoint/v1/pos/t1/res/r2");
    EXPECT_EQ(answer_to(by_card, "touchpoint/v1/pos/t1/event/sale").topic,
              "touchpoint/v1/pos/t1/res/profile");
}

// A technician hears receipts and rejections; what is told about customers he does not.
TEST_F(ProfileRequestsTest, NoAnswerGoesWhereOthersListen) {
    for (const std::string topic : {"receipt", "rejected", "cmd/reload"})
        EXPECT_EQ(answer_to(R"({"id":"c-1"})", "touchpoint/v1/pos/t1/" + topic).topic,
                  "touchpoint/v1/pos/t1/res/profile")
            << topic;
}

TEST_F(ProfileRequestsTest, WhatIsWrongIsSaidAndWhere) {
    for (const auto& [payload, words] :
         std::map<std::string, std::string>{{"", "a request is a JSON object"},
                                            {"[]", "a request is a JSON object"},
                                            {"{}", "names whom it asks for"},
                                            {R"({"id":"c-1","any":["c-1"]})", "either id or any"},
                                            {R"({"id":7})", "must be texts"},
                                            {R"({"any":[]})", "a list of 1 to 8"},
                                            {R"({"any":[7]})", "a list of 1 to 8"},
                                            {R"({"id":"c-1","folow":5})", "there is another one"},
                                            {R"({"id":"c-1","follow":3601})", "from 1 to 3600"},
                                            {R"({"id":"c-1","follow":-1})", "from 1 to 3600"},
                                            {R"({"id":"c-1","follow":1.5})", "from 1 to 3600"},
                                            {R"({"id":"c-1","follow":"600"})", "from 1 to 3600"},
                                            {R"({"id":"c-1","req":"a/b"})", "req must be"},
                                            {R"({"id":"c-1","req":"#"})", "req must be"},
                                            {R"({"id":"c-1","purpose":"fun"})", "purpose must be"},
                                            {R"({"id":"no scheme"})", "by its id, or by scheme:value"}}) {
        const Message answer = answer_to(payload);
        EXPECT_THAT(answer.payload, AllOf(HasSubstr("\"status\":400"), HasSubstr(words))) << payload;
        EXPECT_EQ(answer.topic, "touchpoint/v1/pos/t1/res/profile");
    }
    EXPECT_THAT(answer_to("{\"id\":\"" + std::string(9000, 'c') + "\"}").payload, HasSubstr("413"));
}

TEST_F(ProfileRequestsTest, AStrangerIs404AndAnErasedOne410) {
    EXPECT_THAT(answer_to(R"({"id":"card:1"})").payload, AllOf(HasSubstr("not-cached"), HasSubstr("404")));
    ask("DELETE", "/v1/profiles/c-1");
    EXPECT_THAT(answer_to(R"({"id":"c-1"})").payload, AllOf(HasSubstr("erased"), HasSubstr("410")));
}

// The same till over HTTP and over MQTT has the same misses, whatever kind it says it is.
TEST_F(ProfileRequestsTest, WhoTriesOneCardAfterTheOtherIsStopped) {
    for (int i = 0; i < 60; ++i) request(R"({"id":"card:)" + std::to_string(i) + "\"}");
    sent();
    EXPECT_THAT(answer_to(by_card).payload,
                AllOf(HasSubstr("too-many-misses"), HasSubstr("\"retry_after_s\":")));
    EXPECT_EQ(ask_as({gateway::Role::device}, "/v1/profiles/c-1", "pos/t1").status, 429u);
    EXPECT_EQ(ask_as({gateway::Role::device}, "/v1/profiles/c-1", "kiosk/t1").status, 429u);
    EXPECT_EQ(ask_as({gateway::Role::device}, "/v1/profiles/c-1", "pos/t2").status, 200u);
}

TEST_F(ProfileRequestsTest, WhatWaitedTooLongIsAnsweredNotNow) {
    EXPECT_THAT(answer_to(by_card, "", "", milliseconds(50)).payload, HasSubstr("c-1"));
    EXPECT_THAT(answer_to(by_card, "", "", milliseconds(51)).payload,
                AllOf(HasSubstr("not-now"), HasSubstr("\"status\":503"), HasSubstr("\"retry_after_s\":1}")));
    late_ = true;
    EXPECT_THAT(answer_to(by_card).payload, HasSubstr("not-now"));
}

TEST_F(ProfileRequestsTest, WhoFollowsIsToldEachChangeUntilItsTimeIsOver) {
    const std::string own = "touchpoint/v1/pos/t1/res/x";
    EXPECT_THAT(answer_to(R"({"id":"card:2900000012345","follow":600})", own, "c-5").payload,
                HasSubstr("\"version\":1"));
    put(2);
    auto told = sent();
    ASSERT_THAT(told, SizeIs(1));
    EXPECT_EQ(told[0].topic, own);
    EXPECT_EQ(told[0].correlation, "c-5");
    EXPECT_THAT(told[0].payload, HasSubstr("\"version\":2"));
    ask("PUT", "/v1/profiles/c-2", R"({"version":9})");  // somebody else
    EXPECT_THAT(sent(), SizeIs(0));
    clock_.advance(std::chrono::seconds(600));
    loop_.on_loop([&] { followers_->tick(clock_.steady()); });
    put(3);
    EXPECT_THAT(sent(), SizeIs(0));
}

TEST_F(ProfileRequestsTest, AFollowEndsWithZeroAndASecondOneReplacesTheFirst) {
    request(R"({"id":"c-1","follow":600,"req":"r"})");
    request(R"({"id":"c-1","follow":600,"req":"r"})");
    sent();
    put(2);
    EXPECT_THAT(sent(), SizeIs(1));
    EXPECT_THAT(answer_to(R"({"id":"c-1","follow":0,"req":"r"})").payload, HasSubstr("\"version\":2"));
    put(3);
    EXPECT_THAT(sent(), SizeIs(0));
}

TEST_F(ProfileRequestsTest, ADeviceThatFollowsTooManyLosesTheOldest) {
    for (std::size_t i = 0; i <= gateway::ProfileFollowers::of_one_max; ++i)
        request(R"({"id":"c-1","follow":600,"req":"r)" + std::to_string(i) + "\"}");
    sent();
    put(2);
    const auto told = sent();
    EXPECT_THAT(told, SizeIs(gateway::ProfileFollowers::of_one_max));
    for (const Message& one : told) EXPECT_THAT(one.topic, Not(EndsWith("/r0")));
}

TEST_F(ProfileRequestsTest, AChangeThatTheLinkDidNotTakeIsToldWhenItDoes) {
    request(R"({"id":"c-1","follow":600})");
    sent();
    loop_.on_loop([&] { link_open_ = false; });
    put(2);
    put(3);
    loop_.on_loop([&] { link_open_ = true; });
    clock_.advance(gateway::ProfileFollowers::ask_every);
    loop_.on_loop([&] { followers_->tick(clock_.steady()); });
    const auto told = sent();
    ASSERT_THAT(told, SizeIs(1));
    EXPECT_THAT(told[0].payload, HasSubstr("\"version\":3"));
}

TEST_F(ProfileRequestsTest, WhoGetsNoPlaceIsAnsweredAndToldSo) {
    loop_.on_loop([&] {
        for (std::size_t i = 0; i < gateway::ProfileFollowers::followers_max; ++i) {
            gateway::ProfileFollowers::Follower one;
            one.question.asker = "pos/o" + std::to_string(i);
            one.question.follows = true;
            one.tell = [](const gateway::ProfileAnswer&) { return gateway::ProfileFollowers::Told::taken; };
            ASSERT_TRUE(followers_->follow(std::move(one), clock_.steady(), true));
        }
    });
    request(R"({"id":"c-1","follow":600})");
    const auto told = sent();
    ASSERT_THAT(told, SizeIs(2));
    EXPECT_THAT(told[0].payload, HasSubstr("\"version\":1"));
    EXPECT_THAT(told[1].payload, HasSubstr("too-many-followers"));
}

}  // namespace
}  // namespace touchpoint::tests
