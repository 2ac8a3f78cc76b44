// A person who is erased while events of his wait: they leave without him, whoever reads, whatever happens in
// between.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "store/environment.hpp"
#include "store/records.hpp"
#include "tests/store/store_fixture.hpp"

namespace touchpoint::tests {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class ErasedPersons : public StoreFixture {
  protected:
    static Event of_person(const std::string& id, const std::string& pseudonym,
                           Stream stream = Stream::sales) {
        Event made = anonymous(id, stream);
        made.members =
            "\"id\":\"" + id + R"(","subject":"pseudonym/)" + pseudonym + R"(","data":{"subject":"x"})";
        return made;
    }
    static Event quarantined(const std::string& id, const std::string& persons) {
        Event made = anonymous(id, Stream::quarantine);
        made.members = "\"id\":\"" + id + R"(","persons":[)" + persons +
                       R"(],"data":{"topic":"t","sealed":"c2VjcmV0","sealed_properties":"cHJvcHM="})";
        return made;
    }
    void erase(std::vector<std::string> pseudonyms) {
        store::Submission submission;
        submission.erased = std::move(pseudonyms);
        const auto taken = store_->submit(std::move(submission));
        ASSERT_TRUE(taken) << taken.error().context;
        const auto held = durable();
        ASSERT_TRUE(held) << held.error().context;
    }
    std::vector<std::string> members(Stream stream = Stream::sales, std::size_t at_once = 10'000) const {
        std::vector<std::string> all;
        const auto reader = store_->make_reader();
        for (Sequence after = 0;;) {
            const auto slice =
                reader->read(stream, after, "", {1u << 20, static_cast<std::uint32_t>(at_once)});
            EXPECT_TRUE(slice);
            if (!slice || slice->events.empty()) return all;
            std::uint64_t bytes = 0;
            for (const store::StoredEvent& each : slice->events) {
                all.emplace_back(each.members);
                bytes += each.members.size();
            }
            EXPECT_EQ(slice->bytes, bytes);
            after = slice->events.back().sequence;
        }
    }
    static std::string without(const std::string& id) {
        return "\"id\":\"" + id + R"(","data":{"subject":"x"})";
    }
};

TEST_F(ErasedPersons, EventsOfAnErasedPersonAreGivenWithoutTheirSubjectAndOthersAreNot) {
    options_.consumers = {reads_all("platform")};
    open();
    put({of_person("e1", "p1_a"), of_person("e2", "p1_b"), of_person("e3", "p1_a"), anonymous("e4")});
    const std::uint64_t before = store_->persons_generation();
    erase({"p1_a"});
    EXPECT_NE(store_->persons_generation(), before);
    EXPECT_EQ(store_->stats().erased_persons, 1U);
    for (const std::size_t at_once : {std::size_t{100}, std::size_t{1}})
        EXPECT_THAT(members(Stream::sales, at_once),
                    ElementsAre(without("e1"), HasSubstr("pseudonym/p1_b"), without("e3"), HasSubstr("e4")));
}

TEST_F(ErasedPersons, WhatComesAfterTheErasureNamesThePersonUntilHeIsErasedAgain) {
    options_.consumers = {reads_all("platform")};
    open();
    put({of_person("e1", "p1_a")});
    erase({"p1_a"});
    put({of_person("e2", "p1_a")});
    EXPECT_THAT(members(), ElementsAre(without("e1"), HasSubstr("pseudonym/p1_a")));
    erase({"p1_a", "p1_a"});
    EXPECT_EQ(store_->stats().erased_persons, 1U);
    EXPECT_THAT(members(), ElementsAre(without("e1"), without("e2")));
}

TEST_F(ErasedPersons, EventsOfTheSameSubmissionAndOfThoseThatWaitAreCovered) {
    options_.consumers = {reads_all("platform")};
    options_.commit_interval = std::chrono::hours(1);  // what is not urgent waits
    open();
    store::Submission early;
    early.events = {of_person("e1", "p1_a", Stream::telemetry), of_person("e2", "p1_a")};
    ASSERT_TRUE(store_->submit(std::move(early)));
    store::Submission both;
    both.events = {of_person("e3", "p1_a")};
    both.erased = {"p1_a"};
    ASSERT_TRUE(store_->submit(std::move(both)));
    ASSERT_TRUE(durable());
    EXPECT_THAT(members(), ElementsAre(without("e2"), without("e3")));
    EXPECT_THAT(members(Stream::telemetry), ElementsAre(without("e1")));
}

TEST_F(ErasedPersons, AnErasureThatWasToldIsThereAfterAKill) {
    options_.consumers = {reads_all("platform")};
    open();
    put({of_person("e1", "p1_a")});
    erase({"p1_a"});
    // What the kernel has of the file is what the next process finds.
    const auto copy = folder_.path() / "killed";
    std::filesystem::create_directories(copy);
    std::filesystem::copy_file(options_.folder / "data.mdb", copy / "data.mdb");
    close();
    options_.folder = copy;
    open();
    EXPECT_EQ(store_->stats().erased_persons, 1U);
    EXPECT_THAT(members(), ElementsAre(without("e1")));
}

TEST_F(ErasedPersons, ARowLeavesWhenNoEventUpToItsNumbersIsHeld) {
    options_.consumers = {reads_all("platform")};
    open();
    put({of_person("e1", "p1_a"), of_person("e2", "p1_a", Stream::telemetry)});
    erase({"p1_a", "p1_b"});
    put({of_person("e3", "p1_a")});
    ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, 1));
    ASSERT_TRUE(durable());
    EXPECT_EQ(store_->stats().erased_persons, 2U);  // telemetry is held
    ASSERT_TRUE(store_->acknowledge("platform", Stream::telemetry, 1));
    ASSERT_TRUE(durable());
    EXPECT_TRUE(wait_for([&] {
        put({anonymous("next")});
        return store_->stats().erased_persons == 0;
    }));
    EXPECT_THAT(members()[1], HasSubstr("pseudonym/p1_a"));  // behind a gap: e3 came after the erasure
    erase({"p1_c"});
    EXPECT_EQ(store_->stats().erased_persons, 1U);
}

TEST_F(ErasedPersons, NothingIsWrittenOfAPersonWhenNothingWaits) {
    open();
    erase({"p1_a"});
    EXPECT_EQ(store_->stats().erased_persons, 0U);
}

TEST_F(ErasedPersons, AQuarantinedMessageOfAnErasedPersonLosesWhatItSays) {
    open();
    put({quarantined("q1", R"("p1_a","p1_b")"), quarantined("q2", R"("p1_c")"), quarantined("q3", "")});
    erase({"p1_b"});
    EXPECT_THAT(members(Stream::quarantine),
                ElementsAre(R"("id":"q1","data":{"topic":"t","erased":true})",
                            quarantined("q2", R"("p1_c")").members, quarantined("q3", "").members));
}

TEST_F(ErasedPersons, ADeviceThatWritesAMemberPersonsErasesNothingOfItsEvents) {
    open();
    Event odd = anonymous("e1");
    odd.members = R"("id":"e1","persons":["p1_a"],"data":{"sealed":"mine"})";
    put({odd});
    put({of_person("e2", "p1_a")});
    erase({"p1_a"});
    EXPECT_THAT(members(), ElementsAre(odd.members, without("e2")));
}

TEST_F(ErasedPersons, AnIdentityThatWaitsForTheVaultIsDroppedWithItsPerson) {
    options_.commit_interval = std::chrono::hours(1);
    open();
    store::Submission first;
    first.events = {of_person("e1", "p1_a", Stream::telemetry)};
    first.identities = {{"p1_a", "sealed a"}, {"p1_b", "sealed b"}};
    ASSERT_TRUE(store_->submit(std::move(first)));
    erase({"p1_a"});
    EXPECT_FALSE(*cache_->sealed_identity("p1_a"));
    EXPECT_TRUE(*cache_->sealed_identity("p1_b"));
}

TEST_F(ErasedPersons, ADamagedRowErasesAllThatIsHeld) {
    options_.consumers = {reads_all("platform")};
    open();
    put({of_person("e1", "p1_a")});
    erase({"p1_a"});
    put({of_person("e2", "p1_a"), of_person("e3", "p1_b")});
    close();
    {
        auto environment = store::Environment::open({.folder = options_.folder, .map_bytes = 96u << 20});
        ASSERT_TRUE(environment);
        auto txn = (*environment)->begin_write();
        ASSERT_TRUE(txn);
        const auto table = txn->open_table("");
        ASSERT_TRUE(txn->put(*table, store::erased_key("p1_a"), "nonsense"));
        ASSERT_TRUE(txn->commit());
    }
    open();
    EXPECT_THAT(members(), ElementsAre(without("e1"), without("e2"), HasSubstr("p1_b")));
    put({anonymous("e4")});  // and the row is sound again
    EXPECT_THAT(members(), ElementsAre(without("e1"), without("e2"), HasSubstr("p1_b"), HasSubstr("e4")));
}

TEST_F(ErasedPersons, MorePersonsThanTheBoundAreRefusedAndNobodyIsForgotten) {
    options_.consumers = {reads_all("platform")};
    open();
    put({of_person("e1", "p1_0"), of_person("e2", "p1_last")});
    std::vector<std::string> many;
    for (std::uint64_t i = 0; i < store::EventStore::erased_max; ++i) {
        many.push_back("p1_" + std::to_string(i));
        if (many.size() == 10'000) erase(std::exchange(many, {}));
    }
    EXPECT_EQ(store_->stats().erased_persons, store::EventStore::erased_max);
    store::Submission more;
    more.erased = {"p1_last"};
    const auto refused = store_->submit(std::move(more));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::full);
    EXPECT_THAT(refused.error().context, HasSubstr("erased persons wait"));
    erase({"p1_0"});  // said again: he has his row
    EXPECT_THAT(members(), ElementsAre(without("e1"), HasSubstr("p1_last")));
}

TEST_F(ErasedPersons, APseudonymThatIsNoneIsRefused) {
    open();
    for (const std::string& bad : {std::string(), std::string(65, 'x')}) {
        store::Submission submission;
        submission.erased = {bad};
        const auto refused = store_->submit(std::move(submission));
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, Errc::invalid_argument);
    }
}

TEST_F(ErasedPersons, EventsThatFoundNoRoomBeforeTheErasureAreStoredWithoutThePerson) {
    options_.bytes_max = 8u << 20;
    options_.journal_bytes = 1u << 20;
    options_.reserve_bytes = 4u << 20;
    options_.consumers = {reads_all("platform")};
    open();
    std::size_t given = 0;
    while (!store_->disk_full() || store_->has_room(1)) {
        ASSERT_LT(given, 4'000U);
        store::Submission submission;
        submission.events = {of_person("f" + std::to_string(++given), "p1_other")};
        submission.events[0].members += ",\"noise\":\"" + noise(20'000) + '"';
        submission.events[0].urgent = true;
        if (!store_->submit(std::move(submission))) break;
    }
    store::Submission late;
    late.events = {of_person("late", "p1_a")};
    late.events[0].members += ",\"noise\":\"" + noise(20'000) + '"';
    late.events[0].urgent = true;
    ASSERT_TRUE(wait_for([&] { return static_cast<bool>(store_->submit(std::move(late))); }));
    ASSERT_TRUE(wait_for([&] { return !store_->has_room(1); }));
    erase({"p1_a"});
    ASSERT_LT(store_->horizon(Stream::sales), given + 1);
    while (store_->horizon(Stream::sales) < given + 1) {
        ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, store_->horizon(Stream::sales)));
        ASSERT_TRUE(durable());
    }
    const auto slice = store_->make_reader()->read(Stream::sales, given, "", {});
    ASSERT_TRUE(slice);
    ASSERT_THAT(slice->events, Not(IsEmpty()));
    EXPECT_THAT(std::string(slice->events[0].members), HasSubstr("\"id\":\"late\""));
    EXPECT_THAT(std::string(slice->events[0].members), Not(HasSubstr("p1_a")));
}

}  // namespace
}  // namespace touchpoint::tests
