// What the store promises to those who submit and read. What a power cut does to it: tests/crash.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <numeric>
#include <random>
#include <thread>

#include "store/environment.hpp"
#include "tests/store/store_fixture.hpp"
#include "tests/support/process.hpp"

namespace touchpoint::tests {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class EventStoreTest : public StoreFixture {};

TEST_F(EventStoreTest, EachStreamCountsFromOneAlsoAfterARestart) {
    open();
    put({event("a"), event("k1", Stream::interactions), event("b")});
    EXPECT_EQ(store_->horizon(Stream::sales), 2U);
    EXPECT_EQ(store_->horizon(Stream::interactions), 1U);
    const std::string epoch = store_->epoch();
    restart();
    EXPECT_EQ(store_->epoch(), epoch);
    put({event("c")});
    EXPECT_EQ(store_->horizon(Stream::sales), 3U);
    EXPECT_THAT(seen(Stream::sales), ElementsAre("a", "b", "c"));
    EXPECT_THAT(seen(Stream::interactions), ElementsAre("k1"));
    EXPECT_THAT(seen(Stream::customer), IsEmpty());
}

TEST_F(EventStoreTest, ManySendersKeepTheirOwnOrder) {
    open();
    std::vector<std::thread> senders;
    for (int sender = 0; sender < 3; ++sender)
        senders.emplace_back([this, sender] {
            for (int i = 0; i < 100; ++i) {
                store::Submission one;
                one.events.push_back(event(std::to_string(sender) + "-" + std::to_string(1000 + i)));
                EXPECT_TRUE(store_->submit(std::move(one)));
            }
        });
    for (std::thread& sender : senders) sender.join();
    restart();
    const std::vector<std::string> all = seen(Stream::sales);
    ASSERT_EQ(all.size(), 300U);
    for (const char sender : {'0', '1', '2'}) {
        std::vector<std::string> own;
        for (const std::string& id : all)
            if (id[0] == sender) own.push_back(id);
        EXPECT_TRUE(std::is_sorted(own.begin(), own.end()));
    }
}

TEST_F(EventStoreTest, EachCommitThatIsDurableIsTimed) {
    open();
    const auto timed = [this] {
        const auto& counts = store_->stats().commit_times.counts;
        return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
    };
    for (int i = 0; i < 3; ++i) put({anonymous("e" + std::to_string(i), Stream::sales)});
    EXPECT_GE(timed(), 3U);
    EXPECT_LE(timed(), store_->stats().commits);
    EXPECT_GT(store_->stats().commit_times.sum.count(), 0);
}

TEST_F(EventStoreTest, ARepeatedIdIsStoredOnceAlsoAfterARestart) {
    open();
    Event first = event("a");
    first.ticket = 1;
    put({first});
    first.ticket = 2;
    put({first});
    restart();
    first.ticket = 3;
    put({first});
    EXPECT_EQ(verdict(1), Verdict::stored);
    EXPECT_EQ(verdict(2), Verdict::duplicate);
    EXPECT_EQ(verdict(3), Verdict::duplicate);
    EXPECT_THAT(seen(Stream::sales), ElementsAre("a"));
    EXPECT_EQ(store_->stats().duplicates, 1U);  // in this run
}

TEST_F(EventStoreTest, TwoCopiesInOneCommitAreOneEvent) {
    open();
    Event one = event("a");
    one.ticket = 1;
    Event two = one;
    two.ticket = 2;
    put({one, two});
    EXPECT_EQ(verdict(1), Verdict::stored);
    EXPECT_EQ(verdict(2), Verdict::duplicate);
    EXPECT_THAT(seen(Stream::sales), ElementsAre("a"));
}

TEST_F(EventStoreTest, TheSameIdOfAnotherSourceIsAnotherEvent) {
    open();
    Event other = event("a");
    other.source = "/stores/s1/pos/t2";
    put({event("a"), other});
    EXPECT_THAT(seen(Stream::sales), ElementsAre("a", "a"));
}

TEST_F(EventStoreTest, AnIdUsedForOtherContentIsStoredMarkedAndTold) {
    open();
    put({event("a", Stream::sales, "milk")});
    Event other = event("a", Stream::sales, "bread");
    other.ticket = 7;
    put({other});
    EXPECT_EQ(verdict(7), Verdict::stored_id_reused);
    const auto reader = store_->make_reader();
    const auto slice = reader->read(Stream::sales, 1, "", {});
    ASSERT_EQ(slice->events.size(), 1U);
    EXPECT_EQ(slice->events[0].members, "\"idreused\":true," + other.members);
    EXPECT_EQ(store_->stats().ids_reused, 1U);
    other.ticket = 8;
    put({other});
    EXPECT_EQ(verdict(8), Verdict::duplicate);
}

TEST_F(EventStoreTest, AnIdThatWeGaveIsNeverARepeat) {
    open();
    put({anonymous("a"), anonymous("a")});
    EXPECT_THAT(seen(Stream::sales), ElementsAre("a", "a"));
}

TEST_F(EventStoreTest, AnIdIsForgottenAfterTheAge) {
    options_.dedup_age = std::chrono::hours(24);
    options_.dedup_ids = 8;
    open();
    put({event("a")});
    clock_.advance(std::chrono::hours(25));
    put({event("b")});
    put({event("a")});
    EXPECT_THAT(seen(Stream::sales), ElementsAre("a", "b", "a"));
}

TEST_F(EventStoreTest, AClockThatJumpsOrIsNotTrustedForgetsNoId) {
    options_.dedup_age = std::chrono::hours(24);
    open();
    put({event("a")});
    clock_.step_utc(std::chrono::hours(24 * 365));
    put({event("b"), event("a")});
    clock_.step_utc(-std::chrono::hours(24 * 365));
    restart();
    put({event("a"), event("b")});
    clock_.set_trusted(false);
    clock_.step_utc(-std::chrono::hours(24 * 365 * 50));
    put({event("c")});
    clock_.step_utc(std::chrono::hours(24 * 365 * 50));
    clock_.set_trusted(true);
    for (int minute = 0; minute < 20; ++minute) {  // until the clock has settled
        clock_.advance(std::chrono::minutes(1));
        put({event("d" + std::to_string(minute))});
    }
    for (int start = 0; start < 2; ++start) {
        put({event("a"), event("b"), event("c")});
        restart();
    }
    EXPECT_EQ(store_->horizon(Stream::sales), 23U) << "a, b, c and the twenty d";
}

TEST_F(EventStoreTest, AnswersComeInOrderAndOnlyWhenTheHorizonPassedThem) {
    open();
    store::Submission submission;
    for (Ticket ticket = 1; ticket <= 50; ++ticket) {
        submission.events.push_back(event("e" + std::to_string(ticket)));
        submission.events.back().ticket = ticket;
    }
    ASSERT_TRUE(store_->submit(std::move(submission)));
    store_->stop();
    const std::vector<Settled> all = settled();
    ASSERT_EQ(all.size(), 50U);
    for (std::size_t i = 0; i < all.size(); ++i) {
        EXPECT_EQ(all[i].ticket, i + 1);
        EXPECT_GE(horizon_when_settled_[i][Stream::sales], i + 1);
    }
}

TEST_F(EventStoreTest, StopWritesEverythingThatWasTaken) {
    options_.commit_interval = std::chrono::hours(1);
    open();
    store::Submission submission;
    submission.events.push_back(event("a"));
    submission.journal_end = 5'000;
    ASSERT_TRUE(store_->submit(std::move(submission)));
    store_->stop();
    EXPECT_EQ(store_->horizon(Stream::sales), 1U);
    store::Submission late;
    late.events.push_back(event("b"));
    EXPECT_EQ(store_->submit(std::move(late)).error().code, Errc::stopped);
    restart();
    EXPECT_THAT(seen(Stream::sales), ElementsAre("a"));
    EXPECT_EQ(store_->journal_position(), (store::JournalPosition{"journal-1", "boot-1", 5'000}));
}

TEST_F(EventStoreTest, TheJournalPositionStandsWithTheEventsItCovers) {
    open();
    EXPECT_EQ(store_->journal_position(), std::nullopt);
    put({event("a")}, 4'200);
    EXPECT_EQ(journal_end_, 4'200U);
    close();
    ASSERT_TRUE(try_open());
    EXPECT_EQ(store_->journal_position()->offset, 4'200U);
    // A start with another journal says so with its first position, not before.
    start({"journal-2", "boot-2", 0});
    put({event("b")});
    close();
    ASSERT_TRUE(try_open());
    EXPECT_EQ(store_->journal_position()->journal_id, "journal-1");
}

TEST_F(EventStoreTest, EventsAreDeletedWhenEveryConsumerHasThem) {
    options_.consumers = {reads_all("platform"), reads_all("analytics")};
    open();
    for (int i = 1; i <= 4; ++i) put({event("e" + std::to_string(i))});
    ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, 4));
    ASSERT_TRUE(store_->acknowledge("analytics", Stream::sales, 2));
    EXPECT_TRUE(wait_for([&] { return store_->stats().first[Stream::sales] == 3; }));
    EXPECT_EQ(store_->stats().events[Stream::sales], 2U);
    EXPECT_THAT(seen(Stream::sales, 2, "analytics"), ElementsAre("e3", "e4"));
    ASSERT_TRUE(store_->acknowledge("analytics", Stream::sales, 4));
    EXPECT_TRUE(wait_for([&] { return store_->stats().events[Stream::sales] == 0; }));
    EXPECT_EQ(store_->stats().bytes[Stream::sales], 0U);
    restart();
    EXPECT_EQ(store_->acknowledged("analytics", Stream::sales), 4U);
    put({event("e5")});
    EXPECT_EQ(store_->horizon(Stream::sales), 5U);
    EXPECT_THAT(seen(Stream::sales, 4, "platform"), ElementsAre("e5"));
}

TEST_F(EventStoreTest, WithoutAConsumerNothingIsDeleted) {
    open();
    put({event("a")});
    restart();
    put({event("b")});
    EXPECT_THAT(seen(Stream::sales), ElementsAre("a", "b"));
}

TEST_F(EventStoreTest, AConsumerHoldsOnlyTheStreamsItReads) {
    store::ConsumerSpec platform = reads_all("platform");
    platform.streams[Stream::quarantine] = false;
    options_.consumers = {platform};
    open();
    put({event("a"), event("q", Stream::quarantine)});
    ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, 1));
    EXPECT_TRUE(wait_for([&] { return store_->stats().events[Stream::sales] == 0; }));
    restart();
    EXPECT_THAT(seen(Stream::quarantine), ElementsAre("q"));
}

TEST_F(EventStoreTest, AnAcknowledgementNeverMovesBackAndNeverBeyondTheHorizon) {
    options_.consumers = {reads_all("platform")};
    open();
    put({event("a"), event("b")});
    ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, 2));
    ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, 1));
    EXPECT_EQ(store_->acknowledged("platform", Stream::sales), 2U);
    EXPECT_EQ(store_->acknowledge("platform", Stream::sales, 3).error().code, Errc::invalid_argument);
    EXPECT_EQ(store_->acknowledge("nobody", Stream::sales, 1).error().code, Errc::not_found);
    restart();
    EXPECT_EQ(store_->acknowledged("platform", Stream::sales), 2U);
}

TEST_F(EventStoreTest, ANewConsumerBeginsAtTheOldestEventHeld) {
    options_.consumers = {reads_all("platform")};
    open();
    for (int i = 1; i <= 3; ++i) put({event("e" + std::to_string(i))});
    ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, 2));
    ASSERT_TRUE(wait_for([&] { return store_->stats().first[Stream::sales] == 3; }));
    options_.consumers.push_back(reads_all("analytics"));
    restart();
    EXPECT_EQ(store_->acknowledged("analytics", Stream::sales), 2U);
    EXPECT_THAT(seen(Stream::sales, store_->acknowledged("analytics", Stream::sales), "analytics"),
                ElementsAre("e3"));
}

// What was delivered and deleted before it came is no gap for it.
TEST_F(EventStoreTest, ANewConsumerIsToldOfNoGapInFrontOfIt) {
    options_.consumers = {reads_all("platform")};
    open();
    put({event("e1")});
    ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, 1));
    ASSERT_TRUE(wait_for([&] { return store_->stats().events[Stream::sales] == 0; }));
    options_.consumers.push_back(reads_all("analytics"));
    restart();
    EXPECT_EQ(store_->acknowledged("analytics", Stream::sales), 1U);
    put({event("e2")});
    EXPECT_THAT(seen(Stream::sales, store_->acknowledged("analytics", Stream::sales), "analytics"),
                ElementsAre("e2"));
}

TEST_F(EventStoreTest, AConsumerThatTakesAStreamAgainGoesOnWhereItWas) {
    options_.consumers = {reads_all("platform"), reads_all("analytics")};
    open();
    for (int i = 1; i <= 3; ++i) put({event("e" + std::to_string(i))});
    ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, 2));  // analytics holds all of them
    options_.consumers[0].streams[Stream::sales] = false;
    restart();
    put({event("e4")});  // with it the row is written
    options_.consumers[0].streams[Stream::sales] = true;
    restart();
    EXPECT_EQ(store_->acknowledged("platform", Stream::sales), 2U);
}

TEST_F(EventStoreTest, AConsumerThatIsNoLongerConfiguredIsKeptAndMarked) {
    options_.consumers = {reads_all("platform")};
    open();
    put({event("a")});
    options_.consumers.clear();
    restart();
    ASSERT_EQ(store_->stats().consumers.size(), 1U);
    EXPECT_FALSE(store_->stats().consumers[0].configured);
    EXPECT_THAT(seen(Stream::sales), ElementsAre("a"));
    options_.consumers = {reads_all("platform")};
    restart();
    EXPECT_TRUE(store_->stats().consumers[0].configured);
}

TEST_F(EventStoreTest, AGapStandsInThePlaceOfItsRangeForItsConsumerOnly) {
    options_.consumers = {reads_all("platform"), reads_all("analytics")};
    open();
    for (int i = 1; i <= 5; ++i) put({event("e" + std::to_string(i))});
    store_->record_gap({Stream::sales, "platform", 2, 3, "parked", "\"status\":422", clock_.utc()});
    const auto check = [&] {
        EXPECT_THAT(seen(Stream::sales, 0, "platform"), ElementsAre("e1", "parked 2-3", "e4", "e5"));
        EXPECT_THAT(seen(Stream::sales, 2, "platform"), ElementsAre("parked 3-3", "e4", "e5"));
        EXPECT_THAT(seen(Stream::sales, 0, "analytics"), ElementsAre("e1", "e2", "e3", "e4", "e5"));
    };
    check();  // at once
    restart();
    check();  // and from the disk
    store_->record_gap({Stream::sales, "", 5, 5, "rejected", "", clock_.utc()});
    EXPECT_THAT(seen(Stream::sales, 3, "platform"), ElementsAre("e4", "rejected 5-5"));
    EXPECT_THAT(seen(Stream::sales, 3, "analytics"), ElementsAre("e4", "rejected 5-5"));
}

TEST_F(EventStoreTest, AGapInsideAChunkLeavesTheEventsAroundIt) {
    options_.consumers = {reads_all("platform")};
    open();
    put({event("e1"), event("e2"), event("e3"), event("e4")});
    store_->record_gap({Stream::sales, "platform", 2, 2, "parked", "", clock_.utc()});
    EXPECT_THAT(seen(Stream::sales, 0, "platform"), ElementsAre("e1", "parked 2-2", "e3", "e4"));
}

TEST_F(EventStoreTest, ReadsStopAtTheirLimitsButAlwaysGiveOne) {
    open();
    put({event("e1"), event("e2"), event("e3")});
    put({event("e4")});
    const auto reader = store_->make_reader();
    auto slice = reader->read(Stream::sales, 0, "", {.bytes_max = 1, .events_max = 100});
    EXPECT_EQ(slice->events.size(), 1U);
    EXPECT_TRUE(slice->more);
    slice = reader->read(Stream::sales, 0, "", {.bytes_max = 1u << 20, .events_max = 2});
    EXPECT_EQ(slice->events.size(), 2U);
    EXPECT_TRUE(slice->more);
    slice = reader->read(Stream::sales, 2, "", {});
    EXPECT_EQ(slice->events.size(), 2U);
    EXPECT_FALSE(slice->more);
    EXPECT_THAT(seen(Stream::sales, 0, "", {.bytes_max = 60, .events_max = 100}),
                ElementsAre("e1", "e2", "e3", "e4"));
}

TEST_F(EventStoreTest, ALineBreakInsideAnEventDoesNotSplitIt) {
    open();
    Event odd = event("a");
    odd.members = "\"id\":\"a\",\"data\":{\r\n\"x\":1}";
    put({odd, event("b")});
    EXPECT_THAT(seen(Stream::sales), ElementsAre("a", "b"));
}

TEST_F(EventStoreTest, AnEventLargerThanAChunkHasOneOfItsOwn) {
    open();
    const std::string large(200'000, 'x');
    put({event("e1"), event("e2", Stream::sales, large), event("e3")});
    restart();
    EXPECT_THAT(seen(Stream::sales), ElementsAre("e1", "e2", "e3"));
}

TEST_F(EventStoreTest, ASecondGatewayOnTheSameFolderIsRefused) {
    open();
    const auto second = store::EventStore::open(options_, *cache_, clock_);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::locked);
}

TEST_F(EventStoreTest, TooMuchWaitingIsRefusedUntilItIsWritten) {
    options_.waiting_events_max = 10;
    options_.commit_interval = std::chrono::hours(1);
    open();
    const auto submit = [&](int count) {
        store::Submission submission;
        for (int i = 0; i < count; ++i) submission.events.push_back(anonymous("e"));
        return store_->submit(std::move(submission));
    };
    ASSERT_TRUE(submit(9));
    EXPECT_TRUE(store_->has_room(1));
    EXPECT_FALSE(store_->has_room(2));
    EXPECT_EQ(submit(2).error().code, Errc::full);
    Event urgent = anonymous("u");
    put({urgent});
    EXPECT_TRUE(store_->has_room(10));
}

// One message can hold more events than the bound: it must not wait for ever.
TEST_F(EventStoreTest, ASubmissionLargerThanTheBoundGoesWhenNothingWaits) {
    options_.waiting_events_max = 10;
    options_.commit_interval = std::chrono::hours(1);
    open();
    EXPECT_TRUE(store_->has_room(25));
    store::Submission large;
    for (int i = 0; i < 25; ++i) large.events.push_back(anonymous("e"));
    ASSERT_TRUE(store_->submit(std::move(large)));
    EXPECT_FALSE(store_->has_room(1));
    store_->stop();
    EXPECT_EQ(store_->horizon(Stream::sales), 25U);
}

TEST_F(EventStoreTest, AtItsBoundTheStoreTakesNothingUntilAcknowledgementsMadeRoom) {
    options_.bytes_max = 3u << 20;
    options_.reserve_bytes = 8u << 20;
    options_.consumers = {reads_all("platform")};
    open();
    std::mt19937_64 random(1);
    int taken = 0;
    const auto room = [&] { return store_->has_room(1) && !store_->disk_full(); };
    for (; taken < 200 && room(); ++taken) {
        std::string noise;
        while (noise.size() < 60'000) noise += std::to_string(random());
        Event one = anonymous("e" + std::to_string(taken), Stream::sales, noise);
        one.urgent = true;
        store::Submission submission;
        submission.events.push_back(std::move(one));
        ASSERT_TRUE(store_->submit(std::move(submission)));
        ASSERT_TRUE(wait_for([&] {
            return store_->horizon(Stream::sales) == static_cast<Sequence>(taken + 1) || store_->disk_full();
        }));
    }
    ASSERT_TRUE(store_->disk_full());
    EXPECT_TRUE(store_->stats().full);
    ASSERT_LT(taken, 150);
    ASSERT_GT(taken, 10);
    ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, store_->horizon(Stream::sales)));
    EXPECT_TRUE(wait_for(room));
    EXPECT_TRUE(wait_for([&] { return store_->horizon(Stream::sales) == static_cast<Sequence>(taken); }));
    EXPECT_EQ(failure_, std::nullopt);
}

// A gateway that does not start could not bring away what it holds.
TEST_F(EventStoreTest, ADiskWithoutRoomKeepsNobodyFromReadingWhatIsThere) {
    options_.consumers = {reads_all("platform")};
    open();
    put({event("a"), event("b")});
    const std::uint64_t used = store_->stats().file_bytes;
    close();
    const auto file = options_.folder / "data.mdb";
    std::filesystem::resize_file(file, used);
    const auto signal_before =
        ::signal(SIGXFSZ, SIG_IGN);  // a write beyond the limit fails, like on a full disk
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    const rlimit nothing_more{used, before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &nothing_more), 0);
    const auto opened = try_open();
    if (opened) {
        start();
        EXPECT_EQ(seen(Stream::sales), (std::vector<std::string>{"a", "b"}));
        Event one = event("c");
        one.urgent = true;
        store::Submission submission;
        submission.events.push_back(std::move(one));
        EXPECT_TRUE(store_->submit(std::move(submission)));
        EXPECT_TRUE(wait_for([&] { return store_->disk_full(); }));
    }
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    ::signal(SIGXFSZ, signal_before);
    ASSERT_TRUE(opened) << opened.error().context;
    EXPECT_TRUE(wait_for([&] { return store_->horizon(Stream::sales) == 3; }));
    EXPECT_EQ(failure_, std::nullopt);
}

// An orderly stop is bounded by what waits, not by how much there is to delete.
TEST_F(EventStoreTest, StopDoesNotWaitForDeletes) {
    options_.consumers = {reads_all("platform")};
    options_.commit_interval = std::chrono::milliseconds(1);
    open();
    const std::string content(70'000, 'x');
    std::mt19937_64 random(1);
    for (int commit = 0; commit < 6; ++commit) {
        std::vector<Event> events;
        for (int i = 0; i < 10; ++i) {
            std::string noise;
            while (noise.size() < 250'000) noise += std::to_string(random());
            events.push_back(anonymous("e", Stream::sales, noise));
        }
        put(std::move(events));
    }
    options_.commit_interval = std::chrono::hours(1);
    restart();
    ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, 60));
    store_->stop();
    EXPECT_LE(store_->stats().commits, 2U);
    EXPECT_GT(store_->stats().events[Stream::sales], 0U);  // else this test shows nothing
    EXPECT_EQ(store_->acknowledged("platform", Stream::sales), 60U);
    options_.commit_interval = std::chrono::milliseconds(1);
    restart();
    put({event("last")});
    EXPECT_TRUE(wait_for([&] { return store_->stats().events[Stream::sales] <= 1; }));  // the rest goes later
}

// It once logged with every commit, and tried ten thousand rows in vain each time.
TEST_F(EventStoreTest, WhatAFullVaultDoesNotTakeIsSaidOnceAndTriedAgainLater) {
    cache_.reset();
    cache_ = std::move(*store::Cache::open({.folder = folder_.path() / "cache", .bytes_max = 256u << 10}));
    std::vector<Identity> fill;
    for (int i = 0; i < 3'000; ++i) fill.push_back({"old-" + std::to_string(i), std::string(100, 'x')});
    ASSERT_TRUE(cache_->put_identities(fill));
    ASSERT_GE(cache_->used_bytes(), cache_->limit_bytes());
    open();
    testing::internal::CaptureStderr();
    const auto submit_with = [&](const std::string& id) {
        store::Submission submission;
        submission.events.push_back(event(id));
        submission.identities.push_back({"new-" + id, "sealed"});
        submission.identities.push_back({"old-1", "sealed"});  // known: needs no place
        const Sequence before = store_->horizon(Stream::sales);
        ASSERT_TRUE(store_->submit(std::move(submission)));
        ASSERT_TRUE(wait_for([&] { return store_->horizon(Stream::sales) > before; }));
    };
    for (int i = 0; i < 20; ++i) submit_with(std::to_string(i));
    EXPECT_TRUE(store_->stats().vault_full);
    EXPECT_EQ(store_->stats().identities_trouble, "the identity vault is full");
    EXPECT_LE(store_->stats().identities_waiting, 21u);
    EXPECT_EQ(store_->stats().identities_lost, 0u);
    const std::string log = testing::internal::GetCapturedStderr();
    const std::size_t said = log.find("identities not written");
    EXPECT_NE(said, std::string::npos) << log;
    EXPECT_EQ(log.find("identities not written", said + 1), std::string::npos) << log;
    // None was lost, and the first commit behind the pause takes all of them.
    for (const Identity& one : fill) ASSERT_TRUE(cache_->erase_identity(one.pseudonym));
    int more = 100;
    EXPECT_TRUE(wait_for([&] {
        submit_with(std::to_string(++more));
        return store_->stats().identities_trouble.empty();
    }));
    EXPECT_FALSE(store_->stats().vault_full);
    EXPECT_EQ(store_->stats().identities_waiting, 0u);
    for (int i = 0; i < 20; ++i)
        EXPECT_TRUE(cache_->sealed_identity("new-" + std::to_string(i))->has_value());
}

}  // namespace
}  // namespace touchpoint::tests
