// Intake on a real journal and a real store, in a temporary folder. restart() ends all of it and opens it
// again, as systemd would.
#include "devices/intake.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <mutex>

#include "devices/json_slice.hpp"
#include "store/cache.hpp"
#include "store/event_reader.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"

namespace touchpoint::devices {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

struct Sent {
    std::string topic;
    std::string payload;
    std::string correlation;
};

struct IntakeTest : testing::Test {
    void SetUp() override { start({}); }
    void TearDown() override { stop(); }

    void start(store::EventStore::Options options) {
        cache = std::move(*store::Cache::open({folder.path() / "cache"}));
        options.folder = folder.path() / "events";
        options.boot_id = "boot";
        options.commit_interval = std::chrono::milliseconds(1);
        events = std::move(*store::EventStore::open(options, *cache, clock));
        store::Journal::Options journal_options;
        journal_options.folder = folder.path() / "journal";
        journal_options.boot_id = "boot";
        journal = std::move(*store::Journal::open(journal_options, events->journal_position(), 42));
        admission = std::make_unique<Admission>(AdmissionOptions{"s1", "gw-s1"},
                                                Pseudonymiser(std::string(32, 'k'), "p1"), box,
                                                [this] { return ++random; });
        reception = std::make_unique<Reception>(*admission, registry);
        intake = std::make_unique<Intake>(
            Intake::Parts{*journal, *events, clock, *reception, receipts},
            [this](const std::string& topic, const std::string& payload, int, bool,
                   const std::string& correlation) {
                if (link_open) sent.push_back({topic, payload, correlation});
                return link_open;
            },
            [this](const DeviceAddress& device, const store::Incoming& in, std::chrono::milliseconds waited) {
                asked.push_back(device.key() + ' ' + in.payload + ' ' + std::to_string(waited.count()));
            });
        events->start(
            journal->position(0),
            [this](store::HorizonNote note) {
                const std::lock_guard lock(mutex);
                notes.push_back(std::move(note));
            },
            [](const Error& error) { ADD_FAILURE() << error.context; });
    }
    void stop() {
        if (!events) return;
        events->stop();
        intake.reset(), reception.reset(), admission.reset(), journal.reset(), events.reset(), cache.reset();
        notes.clear();
    }
    void restart() {
        stop();
        start({});
    }

    store::Incoming message(std::string topic, std::string payload) {
        store::Incoming in;
        in.received = clock.utc();
        in.since_boot = clock.since_boot();
        in.clock_trusted = true;
        in.topic = std::move(topic);
        in.payload = std::move(payload);
        return in;
    }
    void arrives(const store::Incoming& in) { ASSERT_TRUE(journal->append(in)); }
    void arrives(std::string topic, std::string payload) {
        arrives(message(std::move(topic), std::move(payload)));
    }
    // As the daemon does: steps and settles until all is durable.
    void run() {
        const std::uint64_t end = journal->end();
        ASSERT_TRUE(tests::wait_for([&] {
            while (intake->step().more) {
            }
            std::vector<store::HorizonNote> now;
            {
                const std::lock_guard lock(mutex);
                now.swap(notes);
            }
            for (const auto& note : now) {
                durable = std::max(durable, note.journal_end);
                intake->settle(note);
            }
            return durable >= end && intake->idle();
        }));
    }
    std::vector<std::string> stored(Stream stream) {
        std::vector<std::string> lines;
        const auto slice = events->make_reader()->read(stream, 0, "", {});
        if (!slice) return lines;
        for (const auto& event : slice->events) lines.emplace_back(event.members);
        return lines;
    }

    tests::TempFolder folder;
    ManualClock clock;
    store::SealedBox box{std::string(32, 'b')};
    std::unique_ptr<store::Cache> cache;
    std::unique_ptr<store::EventStore> events;
    std::unique_ptr<store::Journal> journal;
    Registry registry;
    Receipts receipts;
    std::unique_ptr<Admission> admission;
    std::unique_ptr<Reception> reception;
    std::unique_ptr<Intake> intake;
    std::vector<Sent> sent;
    std::vector<std::string> asked;
    bool link_open = true;
    std::mutex mutex;
    std::vector<store::HorizonNote> notes;
    std::uint64_t durable = 0;
    std::uint64_t random = 0;
};

const std::string search = "touchpoint/v1/kiosk/k7/event/search";

TEST_F(IntakeTest, AnEventIsStoredInItsStreamAndTheJournalIsCut) {
    arrives(search, R"({"query":"oat milk"})");
    arrives("touchpoint/v1/beacon/b1/event/seen", R"({"beacon":"x"})");
    run();
    EXPECT_THAT(stored(Stream::interactions), ElementsAre(HasSubstr(R"("data":{"query":"oat milk"})")));
    EXPECT_THAT(stored(Stream::telemetry), SizeIs(1));
    EXPECT_EQ(journal->uncut_bytes(), 0u);
    EXPECT_THAT(sent, IsEmpty());  // nobody asked
    EXPECT_EQ(intake->stats().admitted[Stream::interactions], 1u);
    EXPECT_EQ(intake->stats().messages, 2u);
    EXPECT_EQ(intake->stats().devices, 2u);
}

TEST_F(IntakeTest, ATillIsToldWhatIsSafeAndWhatItSaidBefore) {
    const std::string sale = "touchpoint/v1/pos/t1/event/sale";
    arrives(sale, R"([{"event_id":"r1","total":"1.00"},{"event_id":"r2","total":"2.00"}])");
    run();
    ASSERT_THAT(sent, SizeIs(1));
    EXPECT_EQ(sent[0].topic, "touchpoint/v1/pos/t1/receipt");
    EXPECT_EQ(sent[0].payload, R"({"stored":["r1","r2"],"duplicate":[]})");
    arrives(sale, R"({"event_id":"r1","total":"1.00"})");
    run();
    ASSERT_THAT(sent, SizeIs(2));
    EXPECT_EQ(sent[1].payload, R"({"stored":[],"duplicate":["r1"]})");
    EXPECT_THAT(stored(Stream::sales), SizeIs(2));
    EXPECT_EQ(receipts.open_tickets(), 0u);
}

TEST_F(IntakeTest, AnIdThatStandsForOtherContentIsStoredAndTold) {
    arrives("touchpoint/v1/pos/t1/event/sale", R"({"event_id":"r1","total":"1.00"})");
    run();
    arrives("touchpoint/v1/pos/t1/event/sale", R"({"event_id":"r1","total":"9.00"})");
    run();
    ASSERT_THAT(sent, SizeIs(2));
    EXPECT_EQ(sent[1].payload, R"({"stored":["r1"],"duplicate":[],"idreused":["r1"]})");
    EXPECT_THAT(stored(Stream::sales), SizeIs(2));
}

TEST_F(IntakeTest, WhoAsksWithAResponseTopicIsAnsweredThere) {
    store::Incoming in = message(search, "{}");
    in.response_topic = "touchpoint/v1/kiosk/k7/res/r1";
    in.correlation_data = "42";
    arrives(in);
    run();
    ASSERT_THAT(sent, SizeIs(1));
    EXPECT_EQ(sent[0].topic, in.response_topic);
    EXPECT_EQ(sent[0].correlation, "42");
    EXPECT_THAT(sent[0].payload,
                testing::MatchesRegex(R"(\{"stored":\["[0-9A-Z]{26}"\],"duplicate":\[\]\})"));
}

TEST_F(IntakeTest, ABadItemIsToldAndKeptAndTheOthersAreStored) {
    arrives(search, R"([{"x":1},{"event_id":"i2","customer":"jane"},{"x":3}])");
    run();
    EXPECT_THAT(stored(Stream::interactions), SizeIs(2));
    EXPECT_THAT(stored(Stream::quarantine),
                ElementsAre(testing::AllOf(HasSubstr("bad-customer"), Not(HasSubstr("jane")))));
    ASSERT_THAT(sent, SizeIs(1));
    EXPECT_EQ(sent[0].topic, "touchpoint/v1/kiosk/k7/rejected");
    EXPECT_THAT(sent[0].payload, HasSubstr(R"({"id":"i2","error":{"type":"bad-customer")"));
    EXPECT_THAT(sent[0].payload, HasSubstr(R"("pointer":"/1/customer")"));
    EXPECT_EQ(intake->stats().rejected_by_type.at("bad-customer"), 1u);
}

TEST_F(IntakeTest, AMessageWithManyBadItemsIsNotAnsweredWithAFlood) {
    std::string items = "1";
    for (int i = 1; i < 100; ++i) items += ",1";
    arrives(search, '[' + items + ']');
    run();
    EXPECT_THAT(sent, SizeIs(Intake::rejections_told_max));
    EXPECT_THAT(stored(Stream::quarantine), SizeIs(100));
}

TEST_F(IntakeTest, RetainedMessagesAreNoEventsAndStatusIsNoEventEither) {
    store::Incoming kept = message(search, "{}");
    kept.retain = true;
    arrives(kept);
    arrives("touchpoint/v1/kiosk/k7/status", R"({"state":"online","session":3})");
    run();
    for (const Stream stream : all_streams) EXPECT_THAT(stored(stream), IsEmpty());
    EXPECT_EQ(intake->stats().retained_ignored, 1u);
    EXPECT_EQ(intake->stats().devices_online, 1u);
}

TEST_F(IntakeTest, AMisspelledTopicGoesToQuarantineAndItsDeviceIsTold) {
    arrives("touchpoint/v1/kiosk/k7/event/a/b", "{}");
    run();
    EXPECT_THAT(stored(Stream::quarantine), ElementsAre(HasSubstr("bad-topic")));
    ASSERT_THAT(sent, SizeIs(1));
    EXPECT_EQ(sent[0].topic, "touchpoint/v1/kiosk/k7/rejected");
}

TEST_F(IntakeTest, TheVaultHasTheIdentityOnceItsEventsAreStored) {
    arrives(search, R"({"customer":"card:2900000012345"})");
    run();
    const std::string p =
        Pseudonymiser(std::string(32, 'k'), "p1").pseudonym(normalise("card:2900000012345"));
    EXPECT_THAT(stored(Stream::interactions), ElementsAre(HasSubstr("\"subject\":\"pseudonym/" + p + '"')));
    const auto sealed = cache->sealed_identity(p);
    ASSERT_TRUE(sealed && *sealed);
    EXPECT_EQ(*box.open(**sealed, "identity"), "card:2900000012345");
    // A later run does not know whom the vault has: it is handed over again and stays as it is.
    restart();
    arrives(search, R"({"customer":"card:2900000012345"})");
    run();
    EXPECT_THAT(stored(Stream::interactions), SizeIs(2));
    EXPECT_EQ(**cache->sealed_identity(p), **sealed);
}

TEST_F(IntakeTest, WhatWasInTheJournalWhenTheProcessDiedIsTakenAfterwards) {
    arrives(search, R"({"n":1})");
    run();
    arrives(search, R"({"n":2})");
    restart();
    run();
    EXPECT_THAT(stored(Stream::interactions), ElementsAre(HasSubstr(R"({"n":1})"), HasSubstr(R"({"n":2})")));
}

TEST_F(IntakeTest, AMessageUnderWhichTheProcessDiedTwiceIsKeptUnread) {
    arrives(search, R"({"n":1})");
    for (int death = 0; death < 2; ++death) {
        const auto frames = journal->read(1 << 20);
        ASSERT_TRUE(frames);
        ASSERT_THAT(*frames, SizeIs(1));
        journal->decoding(frames->front());  // and never decoded(): the process dies here
        restart();
    }
    run();
    EXPECT_THAT(stored(Stream::interactions), IsEmpty());
    EXPECT_THAT(stored(Stream::quarantine), ElementsAre(HasSubstr("\"poison\"")));
    EXPECT_EQ(intake->stats().rejected_by_type.at("poison"), 1u);
}

TEST_F(IntakeTest, WhatTheStoreHasNoRoomForIsOfferedAgain) {
    stop();
    store::EventStore::Options small;
    small.waiting_events_max = 1;
    start(small);
    for (int i = 0; i < 50; ++i)
        arrives(search,
                "[{\"n\":" + std::to_string(i) + "},{\"data\":\"" + std::string(20'000, 'x') + "\"}]");
    run();
    EXPECT_EQ(intake->stats().admitted[Stream::interactions], 100u);
    EXPECT_EQ(events->stats().horizon[Stream::interactions], 100u);
}

TEST_F(IntakeTest, ReceiptsThatTheLinkDoesNotTakeWaitForItWithinABound) {
    link_open = false;
    for (std::size_t till = 0; till < Intake::receipts_waiting_max + 5; ++till)
        arrives("touchpoint/v1/pos/t" + std::to_string(till) + "/event/sale", R"({"event_id":"a"})");
    run();
    EXPECT_THAT(sent, IsEmpty());
    EXPECT_EQ(intake->stats().receipts, 0u);
    link_open = true;
    intake->send_waiting();
    ASSERT_THAT(sent, SizeIs(Intake::receipts_waiting_max));
    EXPECT_EQ(sent.front().topic, "touchpoint/v1/pos/t5/receipt");  // the oldest five were given up
    EXPECT_EQ(intake->stats().receipts, Intake::receipts_waiting_max);
    intake->send_waiting();
    EXPECT_THAT(sent, SizeIs(Intake::receipts_waiting_max));
}

TEST_F(IntakeTest, TheObserverSeesEveryMessageOnceAndNothingOfItsContent) {
    std::vector<std::string> seen;
    reception->observe([&](const Observation& o) {
        seen.push_back(std::string(o.topic) + ' ' + std::string(o.verdict) + ' ' + std::to_string(o.bytes) +
                       ' ' + std::to_string(o.events) + '/' + std::to_string(o.rejected) + ' ' +
                       std::string(o.problem));
    });
    arrives(search, R"([{"event_id":"a"},7])");
    arrives(search, R"([{"event_id":"b"},{"event_id":"c"}])");
    arrives(search, "7");
    run();
    EXPECT_THAT(seen, ElementsAre(search + " partly 20 1/1 not-an-object", search + " valid 35 2/0 ",
                                  search + " rejected 1 0/1 not-an-object"));
}

TEST_F(IntakeTest, AnEmptyArrayIsAnsweredWithAnEmptyReceiptWhereOneWasAskedFor) {
    arrives(search, "[]");
    run();
    EXPECT_THAT(sent, IsEmpty());  // nobody asked
    store::Incoming in = message(search, " [ ] ");
    in.response_topic = "touchpoint/v1/kiosk/k7/res/r1";
    in.correlation_data = "42";
    arrives(in);
    arrives("touchpoint/v1/pos/t1/event/sale", "[]");
    run();
    ASSERT_THAT(sent, SizeIs(2));
    EXPECT_EQ(sent[0].topic, in.response_topic);
    EXPECT_EQ(sent[0].correlation, "42");
    EXPECT_EQ(sent[0].payload, R"({"stored":[],"duplicate":[]})");
    EXPECT_EQ(sent[1].topic, "touchpoint/v1/pos/t1/receipt");
    EXPECT_EQ(intake->stats().rejected, 0u);
    EXPECT_EQ(intake->stats().receipts, 2u);
}

// Half a megabyte of properties with an array of 10,000 numbers once became 5 GB of quarantine.
TEST_F(IntakeTest, LongPropertiesGoWithTheFirstBadItemOfAMessageOnly) {
    const auto bytes_in_quarantine = [this] {
        std::size_t bytes = 0;
        for (const std::string& line : stored(Stream::quarantine)) bytes += line.size();
        return bytes;
    };
    store::Incoming long_ones = message("touchpoint/v1/kiosk/k7/event/search", "[1,2,3,4]");
    long_ones.user_properties = {{"note", std::string(50'000, 'x')}};
    arrives(long_ones);
    run();
    EXPECT_THAT(stored(Stream::quarantine), SizeIs(4));
    EXPECT_THAT(stored(Stream::quarantine)[0], HasSubstr("sealed_properties"));
    EXPECT_THAT(stored(Stream::quarantine)[1], Not(HasSubstr("sealed_properties")));
    EXPECT_LT(bytes_in_quarantine(), 80'000u);
    store::Incoming short_ones = message("touchpoint/v1/kiosk/k7/event/search", "[1,2]");
    short_ones.user_properties = {{"session", "s1"}};
    arrives(short_ones);
    run();
    EXPECT_THAT(stored(Stream::quarantine)[5], HasSubstr("sealed_properties"));
}

const std::string ask_profile = "touchpoint/v1/pos/t1/req/profile";

TEST_F(IntakeTest, ARequestIsAnsweredAtOnceAndTheNextCommitCoversIt) {
    arrives(ask_profile, R"({"id":"card:1"})");
    clock.advance(std::chrono::milliseconds(7));
    EXPECT_FALSE(intake->step().more);
    EXPECT_THAT(asked, ElementsAre(R"(pos/t1 {"id":"card:1"} 7)"));
    EXPECT_GT(journal->uncut_bytes(), 0u);
    EXPECT_TRUE(intake->idle());
    // The next event takes it along, and quarantine has nothing of it.
    arrives(search, R"({"query":"oat milk"})");
    run();
    EXPECT_EQ(journal->uncut_bytes(), 0u);
    EXPECT_THAT(stored(Stream::quarantine), IsEmpty());
    EXPECT_EQ(intake->stats().requests, 1u);
    EXPECT_EQ(registry.count(), 2u);
}

TEST_F(IntakeTest, BeforeTheEndTheJournalIsCutBehindRequestsToo) {
    arrives(ask_profile, R"({"id":"card:1"})");
    intake->step();
    intake->cover();
    run();
    EXPECT_EQ(journal->uncut_bytes(), 0u);
    restart();
    intake->step();
    EXPECT_THAT(asked, SizeIs(1));
}

TEST_F(IntakeTest, AfterAKillARequestIsAnsweredAgainAndAnOldOneNoMore) {
    arrives(ask_profile, R"({"id":"card:1"})");
    intake->step();
    clock.advance(std::chrono::seconds(29));
    restart();
    intake->step();
    EXPECT_THAT(asked, ElementsAre(R"(pos/t1 {"id":"card:1"} 0)", R"(pos/t1 {"id":"card:1"} 29000)"));
    clock.advance(std::chrono::seconds(2));
    restart();
    intake->step();
    EXPECT_THAT(asked, SizeIs(2));
    EXPECT_EQ(intake->stats().requests_expired, 1u);
}

TEST_F(IntakeTest, ManyRequestsAreCutBehindAtSomeTimeAndShareTheLoop) {
    const std::string padding(200, ' ');
    const std::size_t many = Intake::uncovered_bytes_max / 256 + 10;
    for (std::size_t i = 0; i < many; ++i) arrives(ask_profile, R"({"id":"card:1"})" + padding);
    EXPECT_TRUE(intake->step().more);
    EXPECT_THAT(asked, SizeIs(Intake::step_requests));
    const std::uint64_t all = journal->uncut_bytes();
    ASSERT_TRUE(tests::wait_for([&] {
        while (intake->step().more) {
        }
        const std::lock_guard lock(mutex);
        for (const auto& note : notes) intake->settle(note);
        notes.clear();
        return journal->uncut_bytes() < all;
    }));
    EXPECT_THAT(asked, SizeIs(many));
}

TEST_F(IntakeTest, ARetainedRequestIsNobodys) {
    store::Incoming in = message(ask_profile, R"({"id":"card:1"})");
    in.retain = true;
    arrives(in);
    run();
    EXPECT_THAT(asked, IsEmpty());
}

}  // namespace
}  // namespace touchpoint::devices
