// The simulated devices against a real Mosquitto. The counterpart is a Link too: it hears events and answers
// as the gateway would, or does not.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <map>

#include "gateway/command/simulate_ledger.hpp"
#include "gateway/command/simulate_publisher.hpp"
#include "tests/support/broker.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"

namespace touchpoint::simulate {
namespace {

using std::chrono::milliseconds;

class PublisherTest : public testing::Test {
  protected:
    PublisherTest() : broker_(folder_.path()) {
        broker_.start();
        Link::Options options;
        options.url = broker_.url();
        options.client_id = "counterpart";
        counterpart_ = std::make_unique<Link>(0, options, heard_);
        counterpart_->listen_to({"touchpoint/v1/+/+/event/+"});

        auto ledger = Ledger::open(folder_.path() / "ledger", "run", UtcTime{});
        EXPECT_TRUE(ledger);
        ledger_ = std::make_unique<Ledger>(std::move(*ledger));
        Publisher::Options publishing;
        publishing.broker.url = broker_.url();
        publishing.run = "run";
        publishing.receipt_first = milliseconds(300);
        publisher_ = std::make_unique<Publisher>(publishing, *ledger_);
    }

    void connect_counterpart() {
        counterpart_->connect();
        ASSERT_TRUE(run_until([this] { return subscribed_; }));
    }
    void take(int number, bool identified) {
        Draft draft;
        draft.kind = identified ? "kiosk" : "beacon";
        draft.device = "d" + std::to_string(number % 3);
        draft.name = "seen";
        draft.identified = identified;
        draft.members = "\"number\":" + std::to_string(number);
        ASSERT_TRUE(publisher_->has_room(0, 1000));
        publisher_->take(std::move(draft), 0);
    }
    // Steps both sides until `done`; false when that takes longer than a minute.
    bool run_until(const std::function<bool()>& done) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (!done()) {
            const auto now = std::chrono::steady_clock::now();
            if (now > end) return false;
            publisher_->step(now, milliseconds(2));
            for (const Notice& notice : heard_.take(milliseconds(2))) answer(notice);
        }
        return true;
    }
    void answer(const Notice& notice) {
        if (notice.kind == Notice::Kind::connected) {
            counterpart_->subscribe();
            // Behind the SUBSCRIBE on the same connection: when it comes back, the subscription stands.
            counterpart_->publish(0, "touchpoint/v1/probe/probe/event/probe", "{}", "");
        }
        if (notice.kind != Notice::Kind::arrived) return;
        if (notice.topic.find("/probe/") != std::string::npos) {
            subscribed_ = true;
            return;
        }
        const auto value = boost::json::parse(notice.payload);
        const auto* id = value.as_object().if_contains("event_id");
        const std::string key(id != nullptr ? id->as_string() : value.at("n").as_string());
        const bool again = ++copies_[key] > 1;
        if (id == nullptr || copies_[key] <= deaf_for_) return;
        const std::string device = notice.topic.substr(0, notice.topic.find("/event/"));
        if (reject_)
            counterpart_->publish(1, device + "/rejected", "{\"id\":\"" + key + "\",\"error\":{}}", "");
        else
            counterpart_->publish(
                1, device + "/receipt",
                std::string("{\"") + (again ? "duplicate" : "stored") + "\":[\"" + key + "\"]}", "");
    }

    tests::TempFolder folder_;
    tests::Broker broker_;
    Inbox heard_;
    std::unique_ptr<Link> counterpart_;
    std::unique_ptr<Ledger> ledger_;
    std::unique_ptr<Publisher> publisher_;
    std::map<std::string, int> copies_;
    bool subscribed_ = false;
    bool reject_ = false;
    int deaf_for_ = 0;
};

TEST_F(PublisherTest, IdentifiedEventsSettleByReceiptAndPlainOnesByPuback) {
    connect_counterpart();
    for (int i = 0; i < 100; ++i) take(i, i % 3 != 2);
    ASSERT_TRUE(run_until([this] { return publisher_->settled(); }));
    EXPECT_EQ(ledger_->count(Outcome::receipted), 67u);
    EXPECT_EQ(ledger_->count(Outcome::pubacked), 33u);
    EXPECT_TRUE(run_until([this] { return copies_.size() == 100; }));
    publisher_->finish();
    EXPECT_EQ(ledger_->count(Outcome::unknown), 0u);
}

TEST_F(PublisherTest, AnEventWithoutReceiptIsSentAgainUnderItsId) {
    connect_counterpart();
    deaf_for_ = 1;
    take(1, true);
    ASSERT_TRUE(run_until([this] { return publisher_->settled(); }));
    EXPECT_EQ(ledger_->count(Outcome::duplicate), 1u);
    ASSERT_EQ(copies_.size(), 1u);
    // More than one when the machine has other work and the answer takes longer than the patience.
    EXPECT_GE(copies_.begin()->second, 2);
    EXPECT_GE(publisher_->stats().resends, 1u);
}

TEST_F(PublisherTest, WhatNobodySubscribedToIsNotTakenForSafe) {
    take(1, true);
    ASSERT_TRUE(run_until([this] { return publisher_->stats().sends > 1; }));
    EXPECT_FALSE(publisher_->settled());
    connect_counterpart();
    ASSERT_TRUE(run_until([this] { return publisher_->settled(); }));
    EXPECT_EQ(ledger_->count(Outcome::receipted), 1u);
}

TEST_F(PublisherTest, ABrokerThatGoesAwayCostsNoEvent) {
    connect_counterpart();
    for (int i = 0; i < 30; ++i) take(i, i % 3 != 2);
    ASSERT_TRUE(run_until([this] { return publisher_->settled(); }));
    broker_.stop();
    for (int i = 30; i < 60; ++i) take(i, i % 3 != 2);
    ASSERT_TRUE(run_until([this] { return publisher_->stats().links_up == 0; }));
    EXPECT_EQ(publisher_->stats().outstanding, 30u);
    broker_.start();
    subscribed_ = false;
    connect_counterpart();
    ASSERT_TRUE(run_until([this] { return publisher_->settled(); }));
    publisher_->finish();
    EXPECT_EQ(ledger_->count(Outcome::receipted) + ledger_->count(Outcome::duplicate), 40u);
    EXPECT_EQ(ledger_->count(Outcome::pubacked), 20u);
}

TEST_F(PublisherTest, ARejectionIsAnOutcomeAndSilenceIsUnknown) {
    connect_counterpart();
    reject_ = true;
    take(1, true);
    ASSERT_TRUE(run_until([this] { return publisher_->settled(); }));
    deaf_for_ = 1'000'000;
    take(2, true);
    ASSERT_TRUE(run_until([this] { return copies_.size() == 2; }));
    publisher_->finish();
    EXPECT_EQ(ledger_->count(Outcome::rejected), 1u);
    EXPECT_EQ(ledger_->count(Outcome::unknown), 1u);
}

TEST_F(PublisherTest, ABrokerThatRefusesTheLoginIsNotTakenForASilentGateway) {
    const tests::TempFolder folder;
    // The later word of two counts in Mosquitto's configuration.
    tests::Broker strict(folder.path(), "allow_anonymous false\n");
    strict.start();
    Publisher::Options publishing;
    publishing.broker.url = strict.url();
    publishing.run = "run";
    Publisher publisher(publishing, *ledger_);
    Draft draft;
    draft.kind = "beacon";
    draft.device = "d1";
    draft.name = "seen";
    draft.members = "\"number\":1";
    publisher.take(std::move(draft), 0);
    EXPECT_TRUE(tests::wait_for([&] {
        publisher.step(std::chrono::steady_clock::now(), milliseconds(2));
        return publisher.stats().logins_refused > 0;
    }));
    EXPECT_EQ(publisher_->stats().logins_refused, 0u);
}

TEST_F(PublisherTest, RefusesMoreThanItsBounds) {
    for (int i = 0; i < 5; ++i) take(i, true);
    EXPECT_FALSE(publisher_->has_room(0, 5));
    EXPECT_TRUE(publisher_->has_room(0, 6));
    EXPECT_TRUE(publisher_->has_room(1, 5)) << "another source has its own bound";
}

}  // namespace
}  // namespace touchpoint::simulate
