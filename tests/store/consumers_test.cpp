// Consumers that come and go while the store runs, seek, and the word that something is durable.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/positions.hpp"
#include "tests/store/store_fixture.hpp"

namespace touchpoint::tests {
namespace {

using store::From;
using testing::ElementsAre;
using testing::IsEmpty;

class Consumers : public StoreFixture {
  protected:
    static store::ConsumerSpec reads(std::string name, std::initializer_list<Stream> streams) {
        store::ConsumerSpec spec;
        spec.name = std::move(name);
        for (const Stream stream : streams) spec.streams[stream] = true;
        return spec;
    }
    static PerStream<std::optional<Sequence>> at(Stream stream, Sequence sequence) {
        PerStream<std::optional<Sequence>> places;
        places[stream] = sequence;
        return places;
    }
    std::optional<store::ConsumerState> state(const std::string& name) const {
        for (const store::ConsumerState& one : store_->stats().consumers)
            if (one.name == name) return one;
        return std::nullopt;
    }
    void put_sales(int count) {
        for (int i = 1; i <= count; ++i) put({event("e" + std::to_string(i))});
    }
};

TEST_F(Consumers, APullConsumerIsMadeWhileTheStoreRunsAndStaysAfterARestart) {
    open();
    put_sales(3);
    ASSERT_TRUE(store_->put_consumer(reads("bi", {Stream::sales}), From::oldest));
    ASSERT_TRUE(store_->put_consumer(reads("live", {Stream::sales}), From::latest));
    EXPECT_EQ(store_->acknowledged("bi", Stream::sales), 0U);
    EXPECT_EQ(store_->acknowledged("live", Stream::sales), 3U);
    ASSERT_TRUE(durable());
    restart();
    ASSERT_TRUE(state("bi"));
    EXPECT_EQ(state("bi")->kind, store::ConsumerKind::pull);
    EXPECT_TRUE(state("bi")->configured);
    EXPECT_EQ(state("bi")->since, clock_.utc());
    EXPECT_EQ(state("bi")->last_seen, clock_.utc());
    EXPECT_EQ(store_->acknowledged("live", Stream::sales), 3U);
}

TEST_F(Consumers, APullConsumerHoldsEventsUntilItHasThem) {
    options_.consumers = {reads_all("platform")};
    open();
    ASSERT_TRUE(store_->put_consumer(reads("bi", {Stream::sales}), From::oldest));
    put_sales(2);
    ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, 2));
    ASSERT_TRUE(durable());
    EXPECT_EQ(store_->stats().events[Stream::sales], 2U);
    EXPECT_THAT(seen(Stream::sales, 0, "bi"), ElementsAre("e1", "e2"));
    ASSERT_TRUE(store_->acknowledge("bi", Stream::sales, 2));
    ASSERT_TRUE(durable());
    EXPECT_EQ(store_->stats().events[Stream::sales], 0U);
}

TEST_F(Consumers, TheOldestEventIsTheOldestThatIsHeld) {
    options_.consumers = {reads_all("platform")};
    open();
    put_sales(3);
    ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, 2));
    ASSERT_TRUE(durable());
    ASSERT_TRUE(store_->put_consumer(reads("bi", {Stream::sales}), From::oldest));
    EXPECT_THAT(seen(Stream::sales, store_->acknowledged("bi", Stream::sales), "bi"), ElementsAre("e3"));
}

// While a commit that deletes what everybody had is on its way, a stream is added: else "missing" is said of
// it.
TEST_F(Consumers, AStreamThatIsAddedFromTheOldestBeginsBehindWhatIsJustLeaving) {
    store::Positions positions;
    const store::Now now{UtcTime{1}, true};
    ASSERT_TRUE(positions.put(reads("bi", {Stream::interactions}), From::oldest, {}, {}, now));
    (void)positions.take_changed({});
    ASSERT_TRUE(positions.put(reads("bi", {Stream::interactions, Stream::sales}), From::oldest, {}, {}, now));
    PerStream<Sequence> oldest;
    oldest[Stream::sales] = 2;
    oldest[Stream::interactions] = 5;
    (void)positions.take_changed(oldest);
    EXPECT_EQ(positions.acknowledged("bi", Stream::sales), 2U);
    EXPECT_EQ(positions.acknowledged("bi", Stream::interactions), 0U) << "it holds what it has";
}

// What follows the log in this program may need an event once more after a power cut.
TEST_F(Consumers, WhatAllHaveStaysUntilWhoFollowsHasIt) {
    options_.consumers = {reads_all("platform")};
    options_.followed = true;
    open();
    put_sales(3);
    ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, 3));
    ASSERT_TRUE(durable());
    EXPECT_EQ(store_->stats().events[Stream::sales], 3U);
    PerStream<Sequence> last;
    last[Stream::sales] = 3;
    store_->followed_to(last);
    EXPECT_TRUE(tests::wait_for([&] { return store_->stats().events[Stream::sales] == 0; }))
        << "without another event";
}

TEST_F(Consumers, PuttingAConsumerAgainChangesItsStreamsAndNotItsPositions) {
    open();
    put({event("s1"), event("i1", Stream::interactions), event("s2"), event("i2", Stream::interactions)});
    ASSERT_TRUE(store_->put_consumer(reads("bi", {Stream::sales}), From::oldest));
    ASSERT_TRUE(store_->acknowledge("bi", Stream::sales, 1));
    ASSERT_TRUE(store_->put_consumer(reads("bi", {Stream::sales}), From::latest));
    EXPECT_EQ(store_->acknowledged("bi", Stream::sales), 1U);
    ASSERT_TRUE(store_->put_consumer(reads("bi", {Stream::sales, Stream::interactions}), From::latest));
    EXPECT_EQ(store_->acknowledged("bi", Stream::sales), 1U);
    EXPECT_EQ(store_->acknowledged("bi", Stream::interactions), 2U);
    ASSERT_TRUE(durable());
    restart();
    EXPECT_TRUE(state("bi")->streams[Stream::interactions]);
    EXPECT_EQ(store_->acknowledged("bi", Stream::interactions), 2U);
}

TEST_F(Consumers, NamesOutsideTheGrammarOfPushDestinationsAndTooManyAreRefused) {
    options_.consumers = {reads_all("platform")};
    open();
    for (const char* name : {"", "Big", "a b", "a/b", "\xc3\xa4"})
        EXPECT_EQ(store_->put_consumer(reads(name, {Stream::sales}), From::oldest).error().code,
                  Errc::invalid_argument);
    EXPECT_EQ(store_->put_consumer(reads(std::string(65, 'a'), {Stream::sales}), From::oldest).error().code,
              Errc::invalid_argument);
    EXPECT_EQ(store_->put_consumer(reads("bi", {}), From::oldest).error().code, Errc::invalid_argument);
    EXPECT_EQ(store_->put_consumer(reads("platform", {Stream::sales}), From::oldest).error().code,
              Errc::invalid_argument);
    for (std::size_t i = 0; i < store::EventStore::consumers_max; ++i)
        ASSERT_TRUE(store_->put_consumer(reads("c" + std::to_string(i), {Stream::sales}), From::oldest));
    EXPECT_EQ(store_->put_consumer(reads("one-more", {Stream::sales}), From::oldest).error().code,
              Errc::full);
    EXPECT_TRUE(store_->put_consumer(reads("c0", {Stream::customer}), From::oldest));
}

TEST_F(Consumers, AnErasedConsumerHoldsNothingAndLeavesNothing) {
    options_.consumers = {reads_all("platform")};
    open();
    ASSERT_TRUE(store_->put_consumer(reads("bi", {Stream::sales}), From::oldest));
    put_sales(2);
    store_->record_gap({Stream::sales, "bi", 2, 2, "parked", "", clock_.utc()});
    ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, 1));
    ASSERT_TRUE(durable());
    EXPECT_EQ(store_->stats().events[Stream::sales], 2U);
    ASSERT_TRUE(store_->erase_consumer("bi"));
    EXPECT_EQ(store_->acknowledge("bi", Stream::sales, 1).error().code, Errc::not_found);
    // Made again before the erasure is written: it knows nothing of the old one.
    ASSERT_TRUE(store_->put_consumer(reads("bi", {Stream::sales}), From::oldest));
    ASSERT_TRUE(durable());
    EXPECT_THAT(seen(Stream::sales, 1, "bi"), ElementsAre("e2"));
    ASSERT_TRUE(store_->erase_consumer("bi"));
    ASSERT_TRUE(durable());
    restart();
    EXPECT_EQ(state("bi"), std::nullopt);
    EXPECT_EQ(store_->stats().events[Stream::sales], 1U);
    EXPECT_EQ(store_->erase_consumer("bi").error().code, Errc::not_found);
}

TEST_F(Consumers, APushDestinationIsErasedOnlyWhenItIsNoLongerConfigured) {
    options_.consumers = {reads_all("platform"), reads_all("old")};
    open();
    EXPECT_EQ(store_->erase_consumer("old").error().code, Errc::refused);
    put_sales(1);
    options_.consumers.pop_back();
    restart();
    ASSERT_TRUE(state("old"));
    EXPECT_EQ(state("old")->last_seen, clock_.utc()) << "found removed now";
    EXPECT_EQ(store_->put_consumer(reads("old", {Stream::sales}), From::oldest).error().code,
              Errc::invalid_argument);
    EXPECT_TRUE(store_->erase_consumer("old"));
    EXPECT_EQ(state("old"), std::nullopt);
}

TEST_F(Consumers, ASeekMovesBothWaysAndIsThereAfterARestart) {
    options_.consumers = {reads_all("platform")};
    open();
    put_sales(3);
    ASSERT_TRUE(store_->put_consumer(reads("bi", {Stream::sales}), From::latest));
    ASSERT_TRUE(store_->seek("bi", at(Stream::sales, 1)));
    EXPECT_EQ(store_->acknowledged("bi", Stream::sales), 1U);
    ASSERT_TRUE(durable());
    restart();
    EXPECT_THAT(seen(Stream::sales, store_->acknowledged("bi", Stream::sales), "bi"),
                ElementsAre("e2", "e3"));
    ASSERT_TRUE(store_->seek("bi", at(Stream::sales, 3)));
    EXPECT_EQ(store_->acknowledged("bi", Stream::sales), 3U);
    EXPECT_EQ(store_->seek("bi", at(Stream::sales, 4)).error().code, Errc::invalid_argument);
    EXPECT_EQ(store_->seek("bi", at(Stream::customer, 0)).error().code, Errc::invalid_argument);
    EXPECT_EQ(store_->seek("nobody", at(Stream::sales, 1)).error().code, Errc::not_found);
    // All or nothing.
    PerStream<std::optional<Sequence>> half = at(Stream::sales, 1);
    half[Stream::customer] = 0;
    EXPECT_FALSE(store_->seek("bi", half));
    EXPECT_EQ(store_->acknowledged("bi", Stream::sales), 3U);
}

TEST_F(Consumers, ASeekBehindWhatIsHeldGivesOneGapForIt) {
    open();
    ASSERT_TRUE(store_->put_consumer(reads("bi", {Stream::sales}), From::oldest));
    put_sales(3);
    ASSERT_TRUE(store_->acknowledge("bi", Stream::sales, 2));
    ASSERT_TRUE(durable());
    ASSERT_EQ(store_->stats().first[Stream::sales], 3U);
    ASSERT_TRUE(store_->seek("bi", at(Stream::sales, 0)));
    EXPECT_THAT(seen(Stream::sales, 0, "bi"), ElementsAre("missing 1-2", "e3"));
}

TEST_F(Consumers, ASignOfLifeIsWrittenOnceAnHour) {
    open();
    ASSERT_TRUE(store_->put_consumer(reads("bi", {Stream::sales}), From::oldest));
    ASSERT_TRUE(durable());
    const std::uint64_t commits = store_->stats().commits;
    clock_.advance(std::chrono::minutes(59));
    store_->touch("bi");
    EXPECT_EQ(state("bi")->last_seen, clock_.utc());
    ASSERT_TRUE(durable());
    EXPECT_EQ(store_->stats().commits, commits);
    clock_.advance(std::chrono::minutes(2));
    store_->touch("bi");
    ASSERT_TRUE(durable());
    EXPECT_EQ(store_->stats().commits, commits + 1);
    const UtcTime written = clock_.utc();
    clock_.set_trusted(false);
    clock_.advance(std::chrono::hours(2));
    store_->touch("bi");
    EXPECT_EQ(state("bi")->last_seen, written) << "a clock that is not trusted says nothing";
    restart();
    EXPECT_EQ(state("bi")->last_seen, written);
}

TEST_F(Consumers, DurableIsSaidAfterTheFlushAndWithoutWaitingForCompany) {
    options_.commit_interval = std::chrono::hours(1);
    open();
    ASSERT_TRUE(durable()) << "nothing to write";
    EXPECT_EQ(store_->stats().commits, 0U);
    store::Submission submission;
    submission.events.push_back(event("a"));
    ASSERT_TRUE(store_->submit(std::move(submission)));
    ASSERT_TRUE(durable());
    EXPECT_EQ(store_->horizon(Stream::sales), 1U);
}

TEST_F(Consumers, AWaiterGetsAnErrorWhenTheStoreHasStopped) {
    open();
    store_->stop();
    EXPECT_EQ(durable().error().code, Errc::stopped);
}

TEST_F(Consumers, WaitersBeyondTheBoundAreRefusedAndTheOthersAnswered) {
    ASSERT_TRUE(try_open());  // no thread yet: they wait
    std::atomic<int> told{0};
    for (std::size_t i = 0; i < store::EventStore::durable_waiting_max; ++i)
        store_->when_durable([&](const Result<void>& result) { told += result ? 1 : 0; });
    EXPECT_EQ(durable().error().code, Errc::full);
    start();
    EXPECT_TRUE(wait_for([&] { return told == static_cast<int>(store::EventStore::durable_waiting_max); }));
}

TEST_F(Consumers, GapsAreListedInOrderForOneConsumerOrForAll) {
    options_.consumers = {reads_all("platform"), reads_all("bi")};
    open();
    put({event("e1"), event("e2"), event("e3"), event("e4"), event("e5")});
    store_->record_gap({Stream::sales, "bi", 4, 4, "parked", "", clock_.utc()});
    store_->record_gap({Stream::sales, "platform", 2, 2, "rejected", "", clock_.utc()});
    store_->record_gap({Stream::sales, "", 4, 4, "rejected", "", clock_.utc()});
    const auto listed = [&](const std::optional<std::string>& consumer, Sequence after = 0,
                            std::size_t max = 100) {
        std::vector<std::string> found;
        const auto rows = store_->make_reader()->gaps(Stream::sales, after, consumer, max);
        EXPECT_TRUE(rows);
        for (const store::Gap& gap : *rows) found.push_back(gap.consumer + " " + std::to_string(gap.last));
        return found;
    };
    const auto check = [&] {
        EXPECT_THAT(listed(std::nullopt), ElementsAre("platform 2", " 4", "bi 4"));
        EXPECT_THAT(listed("platform"), ElementsAre("platform 2", " 4"));
        EXPECT_THAT(listed(""), ElementsAre(" 4"));
        EXPECT_THAT(listed(std::nullopt, 2), ElementsAre(" 4", "bi 4"));
        EXPECT_THAT(listed(std::nullopt, 0, 2), ElementsAre("platform 2", " 4", "bi 4"))
            << "a page keeps a number whole";
        EXPECT_THAT(listed(std::nullopt, 4), IsEmpty());
    };
    check();
    ASSERT_TRUE(durable());
    check();
    restart();
    check();
}

TEST_F(Consumers, AGapForEverybodyAndOneOfItsOwnMayOverlap) {
    options_.consumers = {reads_all("platform"), reads_all("bi")};
    open();
    put({event("e1"), event("e2"), event("e3"), event("e4"), event("e5"), event("e6")});
    store_->record_gap({Stream::sales, "bi", 3, 3, "parked", "", clock_.utc()});
    store_->record_gap({Stream::sales, "", 2, 4, "shed", "", clock_.utc()});
    store_->record_gap({Stream::sales, "bi", 4, 5, "expired", "", clock_.utc()});
    const auto check = [&] {
        EXPECT_THAT(seen(Stream::sales, 0, "bi"), ElementsAre("e1", "shed 2-4", "expired 5-5", "e6"));
        EXPECT_THAT(seen(Stream::sales, 2, "bi"), ElementsAre("shed 3-4", "expired 5-5", "e6"));
        EXPECT_THAT(seen(Stream::sales, 0, "platform"), ElementsAre("e1", "shed 2-4", "e5", "e6"));
    };
    check();
    restart();
    check();
}

// Others hold older events: they once made everything look as old as theirs.
TEST_F(Consumers, HowLongAConsumerWaitsIsToldByItsOwnOldestEvent) {
    options_.consumers = {reads_all("slow"), reads_all("quick")};
    open();
    const UtcTime begin = clock_.utc();
    const auto since = [&](const std::string& name) {
        const auto found = store_->stats().waiting_since;
        const auto row = found.find(name);
        return row == found.end() ? UtcTime{} : row->second[Stream::sales];
    };
    put_sales(3);
    ASSERT_TRUE(store_->acknowledge("quick", Stream::sales, 3));
    ASSERT_TRUE(durable());
    EXPECT_EQ(since("slow"), begin);
    EXPECT_EQ(since("quick"), UtcTime{});
    clock_.advance(std::chrono::minutes(2));
    put({event("late")});
    EXPECT_EQ(since("slow"), begin);
    EXPECT_EQ(since("quick"), begin + std::chrono::minutes(2));
    restart();
    EXPECT_EQ(since("quick"), begin + std::chrono::minutes(2));
}

TEST_F(Consumers, ATimeIsFoundAmongTheEvents) {
    open();
    const UtcTime begin = clock_.utc();
    for (int i = 1; i <= 40; ++i) {
        put({event("e" + std::to_string(i)), event("f" + std::to_string(i))});
        clock_.advance(std::chrono::minutes(1));
    }
    const auto reader = store_->make_reader();
    const auto found = [&](std::chrono::seconds after) {
        return *reader->at_time(Stream::sales, begin + after);
    };
    using std::chrono::minutes;
    EXPECT_EQ(found(minutes(-5)), 0U);
    EXPECT_EQ(found(minutes(0)), 0U);
    EXPECT_EQ(found(std::chrono::seconds(1)), 2U);
    EXPECT_EQ(found(minutes(1)), 2U);
    EXPECT_EQ(found(minutes(20)), 40U);
    EXPECT_EQ(found(minutes(39)), 78U);
    EXPECT_EQ(found(minutes(40)), 80U);
    EXPECT_EQ(*reader->at_time(Stream::customer, begin), 0U);
}

}  // namespace
}  // namespace touchpoint::tests
