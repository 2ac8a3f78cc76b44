// An erasure waits until what came before it is with the store, and no longer than it may.
#include "gateway/profiles/event_erasure.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <optional>

#include "store/event_reader.hpp"
#include "tests/gateway/loop_thread.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"

namespace touchpoint::tests {
namespace {

using gateway::EventErasure;

class EventErasureTest : public testing::Test {
  protected:
    void SetUp() override {
        cache_ = std::move(*store::Cache::open({.folder = folder_.path() / "cache", .bytes_max = 16u << 20}));
        store::EventStore::Options options;
        options.folder = folder_.path() / "events";
        options.bytes_max = 64u << 20;
        options.boot_id = "boot-1";
        auto opened = store::EventStore::open(options, *cache_, clock_);
        ASSERT_TRUE(opened);
        store_ = std::move(*opened);
        store_->start(
            {"journal-1", "boot-1", 0}, [](store::HorizonNote) {}, [](const Error&) {});
        Event event;
        event.id = event.source = "e";
        event.members = R"("id":"e","subject":"pseudonym/p1_a")";
        event.urgent = true;
        store::Submission submission;
        submission.events = {event};
        ASSERT_TRUE(store_->submit(std::move(submission)));
        erasure_.emplace(EventErasure::Parts{loop_.loop(), *store_, clock_, [this] { return came_.load(); },
                                             [this] { return submitted_.load(); },
                                             [this](const std::vector<std::string>& names) {
                                                 forgotten_ = names.front();
                                                 ++open_;
                                             },
                                             [this](const std::vector<std::string>&) { --open_; }});
    }
    void TearDown() override {
        store_->stop();
        loop_.on_loop([] {});
    }
    void erase(const std::string& name) {
        answer_.reset();
        erasure_->erase({name}, [this](Result<void> done) { answer_ = std::move(done); });
        loop_.on_loop([] {});
    }
    bool answered() {
        return wait_for([this] {
            bool there = false;
            loop_.on_loop([&] {
                erasure_->go_on();
                there = answer_.has_value();
            });
            return there;
        });
    }
    bool waits() {
        bool nothing = false;
        loop_.on_loop([&] {
            erasure_->go_on();
            nothing = !answer_;
        });
        return nothing && store_->stats().erased_persons == 0;
    }

    const TempFolder folder_{std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : "/tmp"};
    ManualClock clock_;
    std::unique_ptr<store::Cache> cache_;
    std::unique_ptr<store::EventStore> store_;
    std::atomic<std::uint64_t> came_{0};
    std::atomic<std::uint64_t> submitted_{0};
    std::string forgotten_;               // loop
    int open_ = 0;                        // loop: begun and not ended
    std::optional<Result<void>> answer_;  // loop
    std::optional<EventErasure> erasure_;
    LoopThread loop_;
};

TEST_F(EventErasureTest, ItIsDurableWhenItIsTold) {
    erase("p1_a");
    ASSERT_TRUE(answered());
    EXPECT_TRUE(*answer_);
    EXPECT_EQ(forgotten_, "p1_a");
    EXPECT_EQ(open_, 0);
    const auto slice = store_->make_reader()->read(Stream::interactions, 0, "", {});
    ASSERT_TRUE(slice);
    EXPECT_EQ(slice->events.at(0).members, R"("id":"e")");
}

TEST_F(EventErasureTest, ItWaitsForWhatLiesInTheJournal) {
    came_ = 100;
    erase("p1_a");
    EXPECT_TRUE(waits());
    came_ = 200;  // what comes later is not waited for
    submitted_ = 99;
    EXPECT_TRUE(waits());
    submitted_ = 100;
    ASSERT_TRUE(answered());
    EXPECT_TRUE(*answer_);
    EXPECT_EQ(store_->stats().erased_persons, 1U);
}

TEST_F(EventErasureTest, WhereTheDiskHasNoRoomItIsRefusedInTime) {
    came_ = 100;
    erase("p1_a");
    clock_.advance(EventErasure::wait_max);
    ASSERT_TRUE(answered());
    ASSERT_FALSE(*answer_);
    EXPECT_EQ(answer_->error().code, Errc::timed_out);
    EXPECT_EQ(store_->stats().erased_persons, 0U);
}

// Else what is found of him later would be told to nobody for ever.
TEST_F(EventErasureTest, WhatTheStoreRefusesHasEnded) {
    const std::string no_pseudonym(65, 'x');
    erase(no_pseudonym);
    ASSERT_TRUE(answered());
    ASSERT_FALSE(*answer_);
    EXPECT_EQ(answer_->error().code, Errc::invalid_argument);
    EXPECT_EQ(forgotten_, no_pseudonym);
    EXPECT_EQ(open_, 0);
}

TEST_F(EventErasureTest, WhatWaitsAtAStopIsRefused) {
    came_ = 100;
    erase("p1_a");
    loop_.on_loop([this] { erasure_->stop(); });
    ASSERT_TRUE(answered());
    EXPECT_EQ(answer_->error().code, Errc::stopped);
    erase("p1_b");
    ASSERT_TRUE(answered());
    EXPECT_EQ(answer_->error().code, Errc::stopped);
}

}  // namespace
}  // namespace touchpoint::tests
