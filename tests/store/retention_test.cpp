// Ages: of events, of consumers that stay away, of destinations that were removed; and the clock they need.

#include "store/retention.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/store/store_fixture.hpp"

namespace touchpoint::tests {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using store::ClockWatch;
using store::From;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(ClockWatch, BelievesAClockThatWasTrustedAndEvenForAWhile) {
    ClockWatch watch;
    ManualClock clock;
    const auto settled = [&] { return watch.settled(clock.utc(), clock.since_boot(), clock.trusted()); };
    EXPECT_FALSE(settled());
    clock.advance(ClockWatch::settle_time - milliseconds(1));
    EXPECT_FALSE(settled());
    clock.advance(milliseconds(1));
    EXPECT_TRUE(settled());
    clock.step_utc(std::chrono::seconds(30));  // slewed
    EXPECT_TRUE(settled());
    for (const hours jump : {hours(24 * 365), hours(-24 * 365)}) {
        clock.step_utc(jump);
        EXPECT_FALSE(settled());
        clock.advance(ClockWatch::settle_time);
        EXPECT_TRUE(settled());
    }
    clock.set_trusted(false);
    EXPECT_FALSE(settled());
    clock.advance(hours(1));
    clock.set_trusted(true);
    EXPECT_FALSE(settled());
    clock.advance(ClockWatch::settle_time);
    EXPECT_TRUE(settled());
}

class RetentionTest : public StoreFixture {
  protected:
    static store::ConsumerSpec reads(std::string name, Stream stream) {
        store::ConsumerSpec spec;
        spec.name = std::move(name);
        spec.streams[stream] = true;
        return spec;
    }
    // The store looks at ages once a minute, when it has something to do or a minute is over.
    void look() {
        clock_.advance(minutes(2));
        ASSERT_TRUE(durable());
    }
    void pass(milliseconds time) {
        clock_.advance(time);
        look();
    }
    std::optional<store::ConsumerState> state(const std::string& name) const {
        for (const store::ConsumerState& one : store_->stats().consumers)
            if (one.name == name) return one;
        return std::nullopt;
    }
};

TEST_F(RetentionTest, EventsOlderThanTheirLimitGoAndAGapSaysSo) {
    options_.consumers = {reads_all("platform")};
    options_.age_max[Stream::sales] = hours(24);
    open();
    put({event("e1"), event("e2"), event("k1", Stream::interactions)});
    pass(hours(20));
    put({event("e3")});
    EXPECT_EQ(store_->stats().events[Stream::sales], 3U);
    pass(hours(5));
    EXPECT_EQ(store_->stats().events[Stream::sales], 1U);
    EXPECT_EQ(store_->stats().expired[Stream::sales], 2U);
    EXPECT_THAT(seen(Stream::sales, 0, "platform"), ElementsAre("expired 1-2", "e3"));
    EXPECT_THAT(seen(Stream::interactions, 0, "platform"), ElementsAre("k1")) << "it has no limit";
    const UtcTime first = clock_.utc();
    pass(hours(20));
    EXPECT_THAT(seen(Stream::sales, 0, "platform"), ElementsAre("expired 1-3"));
    const auto rows = store_->make_reader()->gaps(Stream::sales, 0, std::nullopt, 10);
    ASSERT_EQ(rows->size(), 1U) << "one row that grew";
    EXPECT_EQ((*rows)[0].since, first);
    EXPECT_GT((*rows)[0].time, first);
    restart();
    EXPECT_THAT(seen(Stream::sales, 0, "platform"), ElementsAre("expired 1-3"));
    EXPECT_EQ(store_->stats().expired[Stream::sales], 3U);
}

TEST_F(RetentionTest, OneLookGoesOnUntilItHasSeenAllThatIsTooOld) {
    options_.age_max[Stream::sales] = hours(24);
    open();
    look();
    constexpr int chunks = store::EventLog::chunks_looked_at_max + 200;
    // More than half of what a chunk takes, so each has one of its own.
    const std::string long_text(store::chunk_raw_bytes_max / 2 + 1, 'x');
    for (int i = 0; i < chunks; i += 100)
        put(std::vector<Event>(100, anonymous("e" + std::to_string(i), Stream::sales, long_text)));
    pass(hours(25));
    EXPECT_TRUE(wait_for([&] { return store_->stats().events[Stream::sales] == 0; }))
        << store_->stats().events[Stream::sales] << " events wait for the next minute";
    EXPECT_EQ(store_->stats().expired[Stream::sales], static_cast<std::uint64_t>(chunks));
}

TEST_F(RetentionTest, AClockThatIsNotTrustedOrJumpedExpiresNothing) {
    options_.age_max[Stream::sales] = hours(24);
    open();
    put({event("e1")});
    look();
    clock_.set_trusted(false);
    pass(hours(1'000));
    EXPECT_EQ(store_->stats().events[Stream::sales], 1U);
    clock_.step_utc(-hours(1'000));
    clock_.set_trusted(true);
    look();
    clock_.step_utc(hours(1'000));
    look();
    EXPECT_EQ(store_->stats().events[Stream::sales], 1U);
    clock_.step_utc(-hours(1'000));  // it was a mistake of the time source
    look();
    pass(minutes(20));
    EXPECT_EQ(store_->stats().events[Stream::sales], 1U);
}

// The box started in 1970, took events, and then learned the time.
TEST_F(RetentionTest, AnEventWhoseTimeWasGuessedIsAsOldAsTheNextOneBehindIt) {
    options_.age_max[Stream::sales] = hours(24);
    clock_.step_utc(-hours(24 * 365 * 50));
    clock_.set_trusted(false);
    open();
    put({event("e1")});
    put({event("e2")});
    clock_.step_utc(hours(24 * 365 * 50));
    clock_.set_trusted(true);
    put({event("e3")});
    look();
    pass(hours(20));
    EXPECT_EQ(store_->stats().events[Stream::sales], 3U);
    pass(hours(5));
    EXPECT_EQ(store_->stats().events[Stream::sales], 0U);
}

TEST_F(RetentionTest, AnEventFromTheFutureDoesNotHoldWhatStandsBehindIt) {
    options_.age_max[Stream::sales] = hours(24);
    open();
    clock_.step_utc(hours(24 * 365));
    put({event("future")});
    clock_.step_utc(-hours(24 * 365));
    put({event("e2")});
    look();
    pass(hours(20));
    EXPECT_EQ(store_->stats().events[Stream::sales], 2U);
    pass(hours(5));
    EXPECT_EQ(store_->stats().events[Stream::sales], 0U);
}

TEST_F(RetentionTest, AConsumerThatStaysAwayIsGivenGapsAndTheOthersTheirEvents) {
    options_.consumers = {reads_all("platform")};
    options_.consumer_age_max = hours(24 * 30);
    open();
    ASSERT_TRUE(store_->put_consumer(reads("away", Stream::sales), From::oldest));
    ASSERT_TRUE(store_->put_consumer(reads("here", Stream::sales), From::oldest));
    put({event("e1"), event("e2")});
    put({event("e3")});
    ASSERT_TRUE(store_->acknowledge("away", Stream::sales, 1));
    ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, 3));
    pass(hours(24 * 29));
    EXPECT_EQ(state("away")->released[Stream::sales], 0U);
    store_->touch("here");
    pass(hours(25));
    EXPECT_EQ(state("away")->released[Stream::sales], 3U);
    EXPECT_EQ(state("here")->released[Stream::sales], 0U);
    EXPECT_EQ(store_->stats().released[Stream::sales], 2U);
    EXPECT_THAT(seen(Stream::sales, 1, "away"), ElementsAre("expired 2-3"));
    EXPECT_THAT(seen(Stream::sales, 0, "here"), ElementsAre("e1", "e2", "e3"));
    ASSERT_TRUE(store_->acknowledge("here", Stream::sales, 3));
    ASSERT_TRUE(durable());
    EXPECT_EQ(store_->stats().events[Stream::sales], 0U) << "nobody holds them";
    // It goes on being away, and its gap grows; then it comes back and has everything explained.
    put({event("e4")});
    look();
    EXPECT_THAT(seen(Stream::sales, 1, "away"), ElementsAre("expired 2-4"));
    store_->touch("away");
    look();
    put({event("e5")});
    restart();
    EXPECT_THAT(seen(Stream::sales, 1, "away"), ElementsAre("expired 2-4", "e5"));
    ASSERT_TRUE(store_->acknowledge("away", Stream::sales, 5));
    ASSERT_TRUE(durable());
    EXPECT_THAT(*store_->make_reader()->gaps(Stream::sales, 0, std::nullopt, 10), IsEmpty());
}

TEST_F(RetentionTest, TheTimeThatTheGatewayWasOffIsNotCountedAgainstAConsumer) {
    options_.consumers = {reads_all("platform"), reads_all("old")};
    options_.consumer_age_max = hours(24 * 30);
    options_.removed_age_max = hours(24 * 7);
    open();
    ASSERT_TRUE(store_->put_consumer(reads("away", Stream::sales), From::oldest));
    put({event("e1")});
    options_.consumers.pop_back();
    restart();
    pass(hours(24 * 5));
    put({event("e2")});
    close();
    clock_.advance(hours(24 * 35));
    // It dies before a clock could have settled, and does not know the time at first.
    for (const bool trusted : {false, true, false}) {
        clock_.set_trusted(trusted);
        open();
        put({event("e-" + std::to_string(++last_ticket_))});
        clock_.advance(minutes(5));
        close();
    }
    open();
    clock_.advance(minutes(1));
    clock_.set_trusted(true);
    look();
    pass(minutes(20));
    EXPECT_NE(state("old"), std::nullopt);
    EXPECT_EQ(state("away")->released[Stream::sales], 0U);
    pass(hours(24 * 3));
    EXPECT_EQ(state("old"), std::nullopt) << "8 days while the gateway was there";
    pass(hours(24 * 21));
    EXPECT_EQ(state("away")->released[Stream::sales], 0U);
    pass(hours(24 * 2));
    EXPECT_EQ(state("away")->released[Stream::sales], 5U);
}

TEST_F(RetentionTest, ADestinationThatWasRemovedMeanwhileIsNoSignOfLifeOfTheGateway) {
    options_.consumers = {reads_all("platform"), reads_all("old")};
    options_.consumer_age_max = hours(24 * 30);
    open();
    ASSERT_TRUE(store_->put_consumer(reads("away", Stream::sales), From::oldest));
    put({event("e1")});
    options_.consumers.pop_back();
    close();
    clock_.advance(hours(24 * 35));
    open();
    look();
    pass(minutes(20));
    EXPECT_EQ(state("away")->released[Stream::sales], 0U);
}

// A box that starts each morning must not keep for ever what nobody fetches.
TEST_F(RetentionTest, AConsumerThatStaysAwayIsReleasedAlsoByAGatewayThatStartsEachDay) {
    options_.consumer_age_max = hours(24 * 30);
    open();
    ASSERT_TRUE(store_->put_consumer(reads("away", Stream::sales), From::oldest));
    for (int day = 1; day <= 65; ++day) {
        put({event("morning " + std::to_string(day))});
        pass(hours(12));
        put({event("evening " + std::to_string(day))});
        pass(minutes(20));
        if (day < 55) {
            ASSERT_EQ(state("away")->released[Stream::sales], 0U) << "day " << day;
        }
        close();
        clock_.advance(hours(12));
        open();
    }
    EXPECT_GT(state("away")->released[Stream::sales], 100U);
}

TEST_F(RetentionTest, ASignOfLifeOfAnUnknownOrFutureTimeCountsAsOneOfNow) {
    options_.consumer_age_max = hours(24 * 30);
    clock_.set_trusted(false);
    open();
    ASSERT_TRUE(store_->put_consumer(reads("guessed", Stream::sales), From::oldest));
    put({event("e1")});
    EXPECT_EQ(state("guessed")->last_seen, UtcTime{});
    clock_.set_trusted(true);
    look();
    pass(minutes(20));
    EXPECT_GT(state("guessed")->last_seen, UtcTime{});
    clock_.step_utc(hours(24 * 365));
    store_->touch("guessed");
    clock_.step_utc(-hours(24 * 365));
    look();
    pass(minutes(20));
    EXPECT_LE(state("guessed")->last_seen, clock_.utc());
    pass(hours(24 * 29));
    EXPECT_EQ(state("guessed")->released[Stream::sales], 0U);
    pass(hours(48));
    EXPECT_EQ(state("guessed")->released[Stream::sales], 1U);
}

TEST_F(RetentionTest, AConsumerHoldsOnlySoManyBytesAlone) {
    options_.consumers = {reads_all("platform")};
    options_.consumer_bytes_max = 20'000;
    open();
    ASSERT_TRUE(store_->put_consumer(reads("slow", Stream::sales), From::oldest));
    for (int i = 1; i <= 20; ++i) put({event("e" + std::to_string(i), Stream::sales, noise(4'000))});
    look();
    EXPECT_EQ(state("slow")->released[Stream::sales], 0U) << "the platform holds them as well";
    ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, 20));
    look();
    const Sequence released = state("slow")->released[Stream::sales];
    EXPECT_GT(released, 4U);
    EXPECT_LT(released, 20U);
    EXPECT_LE(store_->stats().bytes[Stream::sales], 20'000U);
    EXPECT_EQ(seen(Stream::sales, 0, "slow").front(), "expired 1-" + std::to_string(released));
    EXPECT_EQ(seen(Stream::sales, 0, "slow").size(), 1 + 20 - released);
    look();
    EXPECT_EQ(state("slow")->released[Stream::sales], released) << "and no more than that";
}

TEST_F(RetentionTest, ARemovedDestinationIsWaitedForAndThenForgotten) {
    options_.consumers = {reads_all("platform"), reads_all("old")};
    options_.removed_age_max = hours(24 * 7);
    open();
    put({event("e1")});
    ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, 1));
    ASSERT_TRUE(durable());
    options_.consumers.pop_back();
    restart();
    pass(hours(24 * 6));
    EXPECT_EQ(store_->stats().events[Stream::sales], 1U);
    pass(hours(25));
    EXPECT_EQ(state("old"), std::nullopt);
    EXPECT_THAT(store_->stats().forgotten, ElementsAre("old"));
    ASSERT_TRUE(durable());
    EXPECT_EQ(store_->stats().events[Stream::sales], 0U);
    restart();
    EXPECT_EQ(state("old"), std::nullopt);
}

TEST_F(RetentionTest, ADestinationThatComesBackInTimeGoesOnWhereItWas) {
    options_.consumers = {reads_all("old")};
    open();
    put({event("e1"), event("e2")});
    ASSERT_TRUE(store_->acknowledge("old", Stream::sales, 1));
    options_.consumers.clear();
    restart();
    pass(hours(24 * 6));
    options_.consumers = {reads_all("old")};
    restart();
    pass(hours(24 * 60));
    EXPECT_TRUE(state("old")->configured);
    EXPECT_THAT(seen(Stream::sales, store_->acknowledged("old", Stream::sales), "old"), ElementsAre("e2"));
}

}  // namespace
}  // namespace touchpoint::tests
