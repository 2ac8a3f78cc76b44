// The bound: what goes first, what never goes, when intake stops, and that nobody needs to help.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/bounds.hpp"
#include "tests/store/store_fixture.hpp"

namespace touchpoint::tests {
namespace {

using testing::ElementsAre;

constexpr std::size_t event_bytes = 40'000;

class Shedding : public StoreFixture {
  protected:
    Shedding() {
        options_.bytes_max = 3u << 20;
        options_.journal_bytes = 1u << 20;
        options_.reserve_bytes = 8u << 20;
        options_.consumers = {reads_all("platform"), reads_all("analytics")};
    }
    Event large(Stream stream) {
        Event one = anonymous("e" + std::to_string(++count_[stream]), stream, noise(event_bytes));
        one.urgent = true;
        return one;
    }
    // False: it was not taken, because intake is closed.
    bool fill(Stream stream) {
        if (store_->disk_full()) return false;
        put({large(stream)});
        return !HasFatalFailure();
    }
    void fill(Stream stream, int count) {
        for (int i = 0; i < count; ++i) ASSERT_TRUE(fill(stream));
    }
    // Shedding goes on for a moment after the event that made it necessary.
    void settle() {
        ASSERT_TRUE(wait_for([&] { return !store_->stats().shedding; }));
        ASSERT_TRUE(durable());
    }
    // Everything is held, or explained by one gap in front of it.
    void expect_explained(Stream stream) {
        settle();
        for (const char* consumer : {"platform", "analytics"}) {
            const std::vector<std::string> all = seen(stream, 0, consumer);
            const std::uint64_t gone = store_->stats().shed[stream];
            ASSERT_EQ(all.size(), count_[stream] - gone + (gone > 0 ? 1 : 0)) << name(stream);
            if (gone > 0) {
                EXPECT_EQ(all.front(), "shed 1-" + std::to_string(gone)) << name(stream);
            }
        }
    }
    PerStream<std::uint64_t> count_;
};

TEST_F(Shedding, TheLowStreamsGoInTheirOrderAndTheHighOnesStay) {
    open();
    for (const Stream stream : all_streams) fill(stream, 10);
    EXPECT_EQ(store_->stats().shed, PerStream<std::uint64_t>{});
    const auto gone = [&](Stream stream) { return store_->stats().events[stream] == 0; };
    while (fill(Stream::sales)) {
        const store::StoreStats stats = store_->stats();
        EXPECT_TRUE(stats.shed[Stream::telemetry] == 0 || gone(Stream::quarantine));
        EXPECT_TRUE(stats.shed[Stream::interactions] == 0 || gone(Stream::telemetry));
        EXPECT_LE(stats.live_bytes, options_.bytes_max + (1u << 20));
        ASSERT_LT(count_[Stream::sales], 400U);
    }
    const store::StoreStats stats = store_->stats();
    EXPECT_TRUE(stats.full);
    EXPECT_EQ(stats.shed[Stream::quarantine], 10U);
    EXPECT_EQ(stats.shed[Stream::telemetry], 10U);
    EXPECT_EQ(stats.shed[Stream::interactions], 10U);
    EXPECT_EQ(stats.shed[Stream::sales] + stats.shed[Stream::customer], 0U);
    EXPECT_EQ(stats.events[Stream::customer], 10U);
    for (const Stream stream : all_streams) expect_explained(stream);
    restart();
    EXPECT_TRUE(store_->disk_full());
    for (const Stream stream : all_streams) expect_explained(stream);
    // Acknowledged: the room comes back and intake with it.
    for (const char* consumer : {"platform", "analytics"}) {
        ASSERT_TRUE(store_->acknowledge(consumer, Stream::sales, count_[Stream::sales]));
        ASSERT_TRUE(store_->acknowledge(consumer, Stream::telemetry, 10));
    }
    EXPECT_TRUE(wait_for([&] { return !store_->disk_full(); }));
    EXPECT_TRUE(fill(Stream::telemetry));
    EXPECT_THAT(seen(Stream::telemetry, 10, "platform"), ElementsAre("e11"));
    EXPECT_EQ(failure_, std::nullopt);
}

TEST_F(Shedding, GoesOnAsEventsComeAndKeepsTheNewestAndOneRow) {
    open();
    fill(Stream::telemetry, 150);
    settle();
    const store::StoreStats stats = store_->stats();
    EXPECT_FALSE(stats.full);
    EXPECT_GT(stats.shed[Stream::telemetry], 50U);
    EXPECT_GT(stats.events[Stream::telemetry], 50U) << "nine tenths of the bound are used";
    EXPECT_EQ(stats.shed[Stream::telemetry] + stats.events[Stream::telemetry], 150U);
    expect_explained(Stream::telemetry);
    const auto rows = store_->make_reader()->gaps(Stream::telemetry, 0, std::nullopt, 100);
    ASSERT_TRUE(rows);
    EXPECT_EQ(rows->size(), 1U);
    restart();
    EXPECT_EQ(store_->stats().shed[Stream::telemetry], stats.shed[Stream::telemetry]);
    expect_explained(Stream::telemetry);
}

TEST_F(Shedding, WhatEverybodyHasIsDeletedAndNotShed) {
    open();
    for (int i = 0; i < 150; ++i) {
        ASSERT_TRUE(fill(Stream::telemetry));
        for (const char* consumer : {"platform", "analytics"})
            ASSERT_TRUE(store_->acknowledge(consumer, Stream::telemetry, count_[Stream::telemetry]));
    }
    EXPECT_EQ(store_->stats().shed[Stream::telemetry], 0U);
}

TEST_F(Shedding, AReaderInTheMiddleGetsTheGapFromWhereItStands) {
    open();
    fill(Stream::telemetry, 10);
    ASSERT_TRUE(store_->acknowledge("platform", Stream::telemetry, 7));
    fill(Stream::telemetry, 140);
    settle();
    const std::uint64_t gone = store_->stats().shed[Stream::telemetry];
    EXPECT_EQ(seen(Stream::telemetry, 7, "platform").front(), "shed 8-" + std::to_string(gone));
    // Passed by one, it stays for the other; passed by all, it goes.
    ASSERT_TRUE(store_->acknowledge("platform", Stream::telemetry, gone));
    ASSERT_TRUE(durable());
    EXPECT_EQ(seen(Stream::telemetry, 0, "analytics").front(), "shed 1-" + std::to_string(gone));
    ASSERT_TRUE(store_->acknowledge("analytics", Stream::telemetry, gone));
    ASSERT_TRUE(durable());
    EXPECT_TRUE(store_->make_reader()->gaps(Stream::telemetry, 0, std::nullopt, 10)->empty());
}

// Its PUBACK has left: closing the link must not keep it out.
TEST_F(Shedding, WhatTheJournalHoldsStillFitsWhenIntakeIsClosed) {
    open();
    while (fill(Stream::sales)) ASSERT_LT(count_[Stream::sales], 400U);
    ASSERT_TRUE(store_->disk_full());
    EXPECT_TRUE(store_->has_room(1));
    const std::size_t in_journal = options_.journal_bytes / event_bytes;
    for (std::size_t i = 0; i < in_journal; ++i) ASSERT_NO_FATAL_FAILURE(put({large(Stream::sales)}));
    EXPECT_TRUE(store_->disk_full());
    EXPECT_EQ(store_->horizon(Stream::sales), count_[Stream::sales]);
    // And somebody who waits for an acknowledgement is answered, however full it is.
    ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, 1));
    EXPECT_TRUE(durable());
    EXPECT_EQ(failure_, std::nullopt);
}

TEST_F(Shedding, BeyondTheReserveEventsWaitAndAcknowledgementsAreWritten) {
    open();
    while (store_->has_room(1)) {
        store::Submission one;
        one.events.push_back(large(Stream::sales));
        ASSERT_TRUE(store_->submit(std::move(one)));
        ASSERT_TRUE(durable());
        ASSERT_LT(count_[Stream::sales], 1'000U);
    }
    const Sequence there = store_->horizon(Stream::sales);
    EXPECT_LT(there, count_[Stream::sales]);
    for (const char* consumer : {"platform", "analytics"})
        ASSERT_TRUE(store_->acknowledge(consumer, Stream::sales, there));
    EXPECT_TRUE(wait_for([&] { return store_->horizon(Stream::sales) == count_[Stream::sales]; }));
    EXPECT_TRUE(wait_for([&] { return !store_->disk_full(); }));
    EXPECT_EQ(failure_, std::nullopt);
}

}  // namespace
}  // namespace touchpoint::tests
