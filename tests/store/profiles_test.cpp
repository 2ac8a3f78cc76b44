#include "store/profiles.hpp"

#include <gmock/gmock.h>

#include <thread>

#include "tests/store/profiles_fixture.hpp"
#include "tests/support/process.hpp"

namespace touchpoint::tests {
namespace {

using store::Profiles;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class ProfilesTest : public ProfilesFixture {
  protected:
    void SetUp() override { open(); }
};

TEST_F(ProfilesTest, AProfileIsFoundByItsIdAndByEachAliasAlsoAfterARestart) {
    const std::string json = R"({"traits":{"points":1.50,"x":1e2},"vendor":{"a" : [1, 2]}})";
    EXPECT_EQ(put("c-1", 41, {"card:2900000012345", "email:jane@example.com"}, json).verdict,
              Verdict::created);
    open();
    for (const auto& look :
         {by_id("c-1"), by_alias("card:2900000012345"), by_alias("email:jane@example.com")}) {
        ASSERT_EQ(look.kind, Kind::found);
        EXPECT_EQ(look.profile.id, "c-1");
        EXPECT_EQ(look.profile.version, 41u);
        EXPECT_EQ(look.profile.json, json) << "byte for byte";
        EXPECT_EQ(look.profile.received, now_);
        EXPECT_THAT(look.profile.aliases,
                    ElementsAre(alias("card:2900000012345"), alias("email:jane@example.com")));
    }
    EXPECT_EQ(by_id("c-2").kind, Kind::missing);
    EXPECT_EQ(by_alias("card:1").kind, Kind::missing);
    EXPECT_EQ(profiles_->stats().profiles, 1u);
}

TEST_F(ProfilesTest, AnOlderVersionNeverWinsAndTheSameOneChangesNothing) {
    put("c-1", 5, {"card:1"}, R"({"a":5})");
    EXPECT_EQ(put("c-1", 4, {"card:2"}, R"({"a":4})").verdict, Verdict::refused_older);
    now_ = now_ + std::chrono::hours(1);
    EXPECT_EQ(put("c-1", 5, {"card:3"}, R"({"a":"other"})").verdict, Verdict::unchanged);
    EXPECT_EQ(by_id("c-1").profile.json, R"({"a":5})");
    EXPECT_EQ(by_id("c-1").profile.received, now_) << "the platform said it again";
    EXPECT_EQ(whose("card:1"), "c-1");
    EXPECT_EQ(whose("card:2"), "");
    EXPECT_EQ(put("c-1", 6, {}, R"({"a":6})").verdict, Verdict::replaced);
    EXPECT_EQ(whose("card:1"), "") << "the new version does not list it";
}

TEST_F(ProfilesTest, WhoWasNotHeardOfSinceATimeLeavesInBoundedSteps) {
    for (int i = 0; i < 10; ++i) put("old-" + std::to_string(i), 5, {"card:" + std::to_string(i)});
    put("local-1", 0);
    apply(store::ProfileErase{"gone-1", 5});
    now_ = now_ + std::chrono::hours(1);
    const UtcTime since = now_;
    put("new-1", 1);
    EXPECT_EQ(put("old-3", 5).verdict, Verdict::unchanged) << "heard of again";
    store::ProfilePut older{"old-4", 4, {}, {}, "{}", {}};
    older.heard = true;
    EXPECT_EQ(apply(older).verdict, Verdict::refused_older) << "heard of, too";
    store::UnheardStep step;
    std::size_t dropped = 0, steps = 0;
    do {
        const auto next = profiles_->drop_unheard_since(since, step.place, 3);
        ASSERT_TRUE(next);
        step = *next;
        EXPECT_LE(step.dropped, 3u);
        dropped += step.dropped;
        ++steps;
    } while (!step.done);
    EXPECT_EQ(dropped, 8u);
    EXPECT_GE(steps, 3u);
    EXPECT_EQ(by_id("old-1").kind, Kind::missing);
    EXPECT_EQ(whose("card:1"), "");
    for (const char* id : {"new-1", "old-3", "old-4", "local-1"})
        EXPECT_EQ(by_id(id).kind, Kind::found) << id;
    EXPECT_EQ(by_id("gone-1").kind, Kind::erased);
    EXPECT_EQ(profiles_->stats().profiles, 4u);
}

TEST_F(ProfilesTest, OnlyOnTheVersionThatWasMeant) {
    put("c-1", 5);
    store::ProfilePut wanted{"c-1", 7, {}, {}, "{}", 6};
    EXPECT_EQ(apply(wanted).verdict, Verdict::refused_version);
    wanted.only_version = 5;
    EXPECT_EQ(apply(wanted).verdict, Verdict::replaced);
    EXPECT_EQ(apply(wanted).verdict, Verdict::unchanged) << "its answer was lost, it is sent again";
    wanted.id = "c-2";
    EXPECT_EQ(apply(wanted).verdict, Verdict::refused_version) << "there is none";
}

TEST_F(ProfilesTest, APatchIsMadeOfWhatIsHeldAndLeavesNothingBehindWhenItFails) {
    store::ProfilePatch patch;
    patch.id = "c-1";
    patch.version = 2;
    patch.edit = [](const store::Profile& held) -> Result<store::ProfilePut> {
        store::ProfilePut put{held.id, 0, {}, held.aliases, R"({"was":)" + held.json + "}", {}};
        put.aliases.push_back(alias("card:2"));
        return put;
    };
    EXPECT_EQ(apply(patch).verdict, Verdict::refused_missing);
    put("c-1", 1, {"card:1"}, R"({"a":1})");
    EXPECT_EQ(apply(patch).verdict, Verdict::replaced);
    EXPECT_EQ(by_id("c-1").profile.json, R"({"was":{"a":1}})");
    EXPECT_EQ(whose("card:1"), "c-1");
    EXPECT_EQ(whose("card:2"), "c-1");
    EXPECT_EQ(apply(patch).verdict, Verdict::unchanged);
    patch.version = 3;
    patch.edit = [](const store::Profile&) -> Result<store::ProfilePut> {
        return fail(Errc::invalid_argument, "not so");
    };
    const auto refused = apply(patch);
    EXPECT_EQ(refused.verdict, Verdict::refused_invalid);
    EXPECT_EQ(refused.detail, "not so");
    EXPECT_EQ(by_id("c-1").profile.version, 2u);
}

TEST_F(ProfilesTest, AnAliasGoesToTheProfileThatListedItLast) {
    put("c-1", 1, {"card:1", "card:2"});
    put("c-2", 1, {"card:2"});
    EXPECT_EQ(whose("card:2"), "c-2");
    EXPECT_THAT(by_id("c-1").profile.aliases, ElementsAre(alias("card:1")));
    erase("c-1");
    EXPECT_EQ(whose("card:2"), "c-2") << "what was taken from him does not go with him";
}

TEST_F(ProfilesTest, AMergedIdAndItsAliasesLeadToTheSurvivor) {
    put("c-1", 1, {"card:1"});
    put("c-2", 1, {"card:2"});
    put("c-3", 1, {"card:3"});
    EXPECT_EQ(merge("c-2", {"c-1", "c-unknown"}).verdict, Verdict::merged);
    EXPECT_EQ(merge("c-3", {"c-2"}).verdict, Verdict::merged);
    open();
    for (const char* text : {"card:1", "card:2", "card:3"}) EXPECT_EQ(whose(text), "c-3") << text;
    for (const char* id : {"c-1", "c-2", "c-unknown"}) {
        EXPECT_EQ(by_id(id).profile.id, "c-3") << id;
        EXPECT_TRUE(by_id(id).by_merged) << id;
    }
    EXPECT_THAT(by_id("c-3").profile.merged_from, UnorderedElementsAre("c-1", "c-2", "c-unknown"));
    EXPECT_FALSE(by_id("c-3").by_merged);
    put("c-3", 2, {"card:3"});
    EXPECT_EQ(whose("card:1"), "c-3") << "a version that was made before the merge loses no alias";
    EXPECT_EQ(profiles_->stats().profiles, 1u);
    EXPECT_EQ(profiles_->stats().merged, 3u);
}

TEST_F(ProfilesTest, MergesDoNotLoopAndAreDoneAsAWholeOrNotAtAll) {
    put("c-1", 1, {"card:1"});
    put("c-2", 1, {"card:2"});
    put("c-3", 1, {"card:3"});
    EXPECT_EQ(merge("c-1", {"c-1"}).verdict, Verdict::refused_loop);
    EXPECT_EQ(merge("c-9", {"c-1"}).verdict, Verdict::refused_missing);
    ASSERT_EQ(merge("c-2", {"c-1"}).verdict, Verdict::merged);
    EXPECT_EQ(merge("c-2", {"c-1"}).verdict, Verdict::unchanged);
    const auto back = merge("c-1", {"c-2"});
    EXPECT_EQ(back.verdict, Verdict::refused_merged);
    EXPECT_EQ(back.id, "c-2");
    EXPECT_EQ(merge("c-3", {"c-1"}).verdict, Verdict::refused_loop) << "it is part of c-2";
    put("c-4", 1, {"card:4"});
    erase("c-9");
    EXPECT_EQ(merge("c-3", {"c-4", "c-9"}).verdict, Verdict::refused_erased);
    EXPECT_EQ(whose("card:4"), "c-4");
    EXPECT_EQ(merge("c-3", {"c-2", "c-1"}).verdict, Verdict::merged) << "together they may come";
    EXPECT_EQ(whose("card:1"), "c-3");
    EXPECT_EQ(put("c-1", 9).verdict, Verdict::refused_merged);
}

TEST_F(ProfilesTest, AnErasedProfileIsGoneWithAliasesAndVaultAndDoesNotComeBack) {
    put("c-1", 5, {"card:1", "email:a@b.example"}, R"({"traits":{}})");
    ASSERT_TRUE(cache_->put_identities(
        std::vector<Identity>{{alias("card:1").key, "sealed"}, {alias("card:other").key, "sealed"}}));
    const auto outcome = erase("c-1");
    EXPECT_EQ(outcome.verdict, Verdict::erased);
    EXPECT_EQ(outcome.version, 5u);
    EXPECT_THAT(outcome.forgotten, UnorderedElementsAre(alias("card:1").key, alias("email:a@b.example").key));
    open();
    EXPECT_EQ(by_id("c-1").kind, Kind::erased);
    EXPECT_EQ(by_alias("card:1").kind, Kind::erased);
    EXPECT_FALSE(cache_->sealed_identity(alias("card:1").key)->has_value());
    EXPECT_TRUE(cache_->sealed_identity(alias("card:other").key)->has_value());
    EXPECT_EQ(put("c-1", 4).verdict, Verdict::refused_erased);
    EXPECT_EQ(put("c-1", 5).verdict, Verdict::refused_erased);
    EXPECT_EQ(by_id("c-1").kind, Kind::erased);
    EXPECT_EQ(put("c-1", 6).verdict, Verdict::created) << "he came back by himself";
    EXPECT_EQ(by_id("c-1").kind, Kind::found);
}

TEST_F(ProfilesTest, WhoHasLeftTheCacheIsErasedByTheAliasesThatThePlatformNames) {
    ASSERT_TRUE(cache_->put_identities(std::vector<Identity>{{alias("card:1").key, "sealed"}}));
    put("c-2", 1, {"card:2"});
    const auto outcome = apply(store::ProfileErase{"c-1", 3, {alias("card:1"), alias("card:2")}});
    EXPECT_THAT(outcome.forgotten, ElementsAre(alias("card:1").key, alias("card:2").key));
    EXPECT_FALSE(cache_->sealed_identity(alias("card:1").key)->has_value());
    EXPECT_EQ(whose("card:2"), "c-2") << "whoever has it now keeps it";
}

TEST_F(ProfilesTest, WhoIsErasedBeforeHeCameStaysAway) {
    EXPECT_EQ(erase("c-1").version, store::every_version);
    EXPECT_EQ(put("c-1", 1'000'000).verdict, Verdict::refused_erased);
    EXPECT_EQ(erase("c-2", 7).version, 7u);
    EXPECT_EQ(put("c-2", 7).verdict, Verdict::refused_erased);
    EXPECT_EQ(put("c-2", 8).verdict, Verdict::created);
}

TEST_F(ProfilesTest, AnErasureOfBeforeTakesNobodyWhoWasMergedSinceOrHasLeft) {
    put("c-1", 3, {"card:1"});
    put("c-2", 6, {"card:2"});
    merge("c-1", {"c-2"});
    EXPECT_EQ(erase("c-2", 5).verdict, Verdict::refused_older);
    EXPECT_EQ(profiles_->version_of("c-2").value(), 6u);
    EXPECT_EQ(whose("card:2"), "c-1");
    store::ProfileErase whatever{"c-2", 5};
    whatever.whatever_is_held = true;
    EXPECT_EQ(apply(whatever).verdict, Verdict::erased);
    EXPECT_EQ(by_id("c-1").kind, Kind::erased);
    EXPECT_EQ(profiles_->version_of("c-2").value(), 0u);
}

TEST_F(ProfilesTest, AMergeOfManyIsUnchangedWhenItIsSaidAgain) {
    put("c-0", 1, {"card:0"});
    std::vector<std::string> from;
    for (int i = 1; i <= 40; ++i) {
        put("c-" + std::to_string(i), 1);
        from.push_back("c-" + std::to_string(i));
    }
    EXPECT_EQ(merge("c-0", from).verdict, Verdict::merged);
    EXPECT_EQ(merge("c-0", from).verdict, Verdict::unchanged);
    put("c-41", 1);
    from.push_back("c-41");
    EXPECT_EQ(merge("c-0", from).verdict, Verdict::merged) << "and one more";
}

TEST_F(ProfilesTest, ErasingAnyPartOfAMergedProfileErasesThePerson) {
    put("c-1", 1, {"card:1"});
    put("c-2", 2, {"card:2"});
    put("c-3", 3, {"card:3"});
    merge("c-3", {"c-1", "c-2"});
    EXPECT_THAT(erase("c-1").forgotten, testing::SizeIs(3));
    for (const char* id : {"c-1", "c-2", "c-3"}) EXPECT_EQ(by_id(id).kind, Kind::erased) << id;
    for (const char* text : {"card:1", "card:2", "card:3"}) EXPECT_EQ(whose(text), "") << text;
    EXPECT_EQ(put("c-2", 2).verdict, Verdict::refused_erased);
    EXPECT_EQ(profiles_->stats().profiles, 0u);
    EXPECT_EQ(profiles_->stats().merged, 0u);
    EXPECT_EQ(profiles_->stats().bytes, 0u);
    EXPECT_EQ(profiles_->stats().erasures, 3u);
}

TEST_F(ProfilesTest, ErasuresAreListedInPagesWithoutANameOfThePerson) {
    std::vector<std::string> references;
    for (int i = 0; i < 5; ++i) {
        now_ = now_ + std::chrono::seconds(1);
        references.push_back(erase("c-" + std::to_string(i), 3).reference);
        EXPECT_EQ(references.back(), profiles_->reference("c-" + std::to_string(i)));
    }
    open();
    std::vector<std::string> seen;
    std::string after;
    int pages = 0;
    do {
        const auto page = profiles_->erasures(after, 2);
        ASSERT_TRUE(page);
        for (const auto& one : page->rows) {
            seen.push_back(one.reference);
            EXPECT_EQ(one.version, 3u);
        }
        after = page->next;
    } while (!after.empty() && ++pages < 9);
    EXPECT_EQ(seen, references);
    EXPECT_EQ(profiles_->erasures("zz", 2).error().code, Errc::invalid_argument);
    EXPECT_EQ(erase("c-1", 3).time, now_ - std::chrono::seconds(3)) << "said again: nothing new";
    EXPECT_EQ(profiles_->stats().erasures, 5u);
}

TEST_F(ProfilesTest, TheOldestErasuresAreForgottenAboveTheirBound) {
    options_.erasures_max = 3;
    open();
    for (int i = 0; i < 5; ++i) {
        now_ = now_ + std::chrono::seconds(1);
        erase("c-" + std::to_string(i), 3);
    }
    EXPECT_EQ(profiles_->stats().erasures, 3u);
    EXPECT_EQ(by_id("c-1").kind, Kind::missing);
    EXPECT_EQ(by_id("c-2").kind, Kind::erased);
}

TEST_F(ProfilesTest, AboveTheBoundWhoWasNotReadForLongestLeaves) {
    options_.bytes_max = 64u << 10;
    options_.touch_step = std::chrono::minutes(0);
    open();
    const std::string json = R"({"a":")" + std::string(1000, 'x') + "\"}";
    for (int i = 0; i < 20; ++i) {
        now_ = now_ + std::chrono::seconds(1);
        put("c-" + std::to_string(i), 1, {"card:" + std::to_string(i)}, json);
    }
    ASSERT_EQ(profiles_->stats().evicted, 0u);
    now_ = now_ + std::chrono::hours(2);
    EXPECT_EQ(whose("card:0"), "c-0");  // the oldest, and read now
    ASSERT_TRUE(profiles_->write_touches());
    EXPECT_EQ(profiles_->touches(), 0u);
    open();
    now_ = now_ + std::chrono::hours(1);
    for (int i = 20; i < 50; ++i) put("c-" + std::to_string(i), 1, {"card:" + std::to_string(i)}, json);
    EXPECT_GT(profiles_->stats().evicted, 0u);
    EXPECT_LE(profiles_->stats().bytes, options_.bytes_max);
    EXPECT_EQ(whose("card:0"), "c-0") << "its read was written down";
    for (int i = 20; i < 50; ++i) EXPECT_EQ(by_id("c-" + std::to_string(i)).kind, Kind::found) << i;
    std::uint64_t gone = 0;
    for (int i = 1; i < 20; ++i) {
        if (by_id("c-" + std::to_string(i)).kind == Kind::found) continue;
        ++gone;
        EXPECT_EQ(whose("card:" + std::to_string(i)), "") << "its alias goes with it";
    }
    EXPECT_EQ(gone, profiles_->stats().evicted);
}

TEST_F(ProfilesTest, WhoLeavesForRoomLeavesHisVersionBehindForAWhile) {
    options_.bytes_max = 64u << 10;
    open();
    const std::string json = R"({"a":")" + std::string(1000, 'x') + "\"}";
    put("c-1", 41, {"card:1"}, json);
    int number = 0;
    const auto crowd = [&](int more) {
        for (const int end = number + more; number < end; ++number) {
            now_ = now_ + std::chrono::seconds(1);
            put("c-other-" + std::to_string(number), 1, {}, json);
        }
    };
    crowd(60);
    ASSERT_EQ(by_id("c-1").kind, Kind::missing);
    EXPECT_EQ(by_alias("card:1").kind, Kind::missing);
    const auto older = put("c-1", 40, {}, json);
    EXPECT_EQ(older.verdict, Verdict::refused_older);
    EXPECT_EQ(older.version, 41u);
    EXPECT_EQ(profiles_->stats().damaged, 0u);
    EXPECT_EQ(put("c-1", 41, {"card:1"}, json).verdict, Verdict::created) << "he is sent again";
    EXPECT_EQ(whose("card:1"), "c-1");
    crowd(60);
    EXPECT_EQ(erase("c-1").version, store::every_version) << "he is not held";
    EXPECT_EQ(put("c-1", 42).verdict, Verdict::refused_erased);
    crowd(600);
    EXPECT_LE(profiles_->stats().bytes, options_.bytes_max);
    EXPECT_GT(profiles_->stats().profiles, 25u) << "versions do not take the room of profiles";
    EXPECT_EQ(put("c-other-0", 0, {}, "{}").verdict, Verdict::created) << "versions leave, too";
}

TEST_F(ProfilesTest, WithRowsOfSeveralPagesTheMapNeverFillsAndTheVaultHasItsRoom) {
    options_.bytes_max = 2u << 20;
    open();
    for (int i = 0; i < 600; ++i) {
        const std::string json =
            R"({"a":")" + std::string(3000 + static_cast<std::size_t>(i * 97 % 40'000), 'x') + "\"}";
        ASSERT_EQ(put("c-" + std::to_string(i), 1, {"card:" + std::to_string(i)}, json).verdict,
                  Verdict::created);
    }
    EXPECT_LE(profiles_->stats().bytes, options_.bytes_max);
    std::vector<Identity> many;
    for (int i = 0; i < 2000; ++i) many.push_back({"p1_" + std::to_string(i), std::string(4000, 'x')});
    EXPECT_TRUE(cache_->put_identities(many));
}

TEST_F(ProfilesTest, WhenTheMapIsNearlyFullProfilesLeaveBeforeTheVaultMissesItsRoom) {
    profiles_.reset();
    cache_ = nullptr;
    cache_ = std::move(*store::Cache::open({.folder = folder_.path() / "cache",
                                            .bytes_max = 16u << 20,
                                            .profiles_bytes = 0,
                                            .erasures_bytes = 16u << 20}));
    profiles_.emplace(*cache_, *box_, store::keyed_hash(key_, "profiles"), Profiles::Options{});
    const std::string json = R"({"a":")" + std::string(60'000, 'x') + "\"}";
    for (int round = 0; round < 16; ++round) {  // 63 MB into a map of 48 MiB
        std::vector<store::ProfileChange> changes;
        for (int i = 0; i < 64; ++i) {
            const std::string number = std::to_string(round * 64 + i);
            changes.emplace_back(
                store::ProfilePut{"c-" + number, 1, {}, {alias("card:" + number)}, json, {}});
        }
        const auto outcomes = profiles_->apply(changes, now_);
        ASSERT_TRUE(outcomes) << outcomes.error().context << " in round " << round;
    }
    EXPECT_GT(profiles_->stats().evicted, 0u);
    EXPECT_EQ(whose("card:1023"), "c-1023");
    std::vector<Identity> many;
    for (int i = 0; i < 1000; ++i) many.push_back({"p1_" + std::to_string(i), std::string(4000, 'x')});
    EXPECT_TRUE(cache_->put_identities(many));
}

TEST_F(ProfilesTest, ARowThatDoesNotOpenIsAsIfItWereNotThere) {
    put("c-1", 5, {"card:1"});
    *box_ = store::SealedBox(std::string(32, 'n'));  // the box key was lost
    EXPECT_EQ(by_id("c-1").kind, Kind::missing);
    EXPECT_EQ(by_alias("card:1").kind, Kind::missing);
    EXPECT_EQ(profiles_->stats().damaged, 2u);
    EXPECT_EQ(put("c-1", 1, {"card:1"}).verdict, Verdict::created);
    EXPECT_EQ(whose("card:1"), "c-1");
    EXPECT_EQ(profiles_->stats().profiles, 1u);
}

TEST_F(ProfilesTest, ADamagedCacheBeginsAnew) {
    put("c-1", 5, {"card:1"});
    profiles_.reset();
    cache_.reset();
    write_file(folder_.path() / "cache" / "data.mdb", std::string(50'000, 'x'));
    open();
    EXPECT_TRUE(cache_->replaced());
    EXPECT_EQ(by_id("c-1").kind, Kind::missing);
    EXPECT_EQ(put("c-1", 5, {"card:1"}).verdict, Verdict::created);
}

TEST_F(ProfilesTest, NoIdAndNoAliasStandsInTheFile) {
    const std::vector<std::string> planted = {"2900000012345", "jane.doe@example.com", "+4915112345678",
                                              "customer-4711", "Secret-Trait"};
    put("customer-4711", 1, {"card:2900000012345", "email:jane.doe@example.com", "phone:+4915112345678"},
        R"({"traits":{"name":"Secret-Trait"}})");
    put("c-2", 1);
    merge("c-2", {"customer-4711"});
    put("c-3", 1, {"card:2900000012345"});
    by_alias("card:2900000012345");
    ASSERT_TRUE(profiles_->write_touches());
    erase("c-3");
    const std::string bytes = read_file(folder_.path() / "cache" / "data.mdb");
    ASSERT_GT(bytes.size(), 10'000u);
    for (const std::string& text : planted) EXPECT_EQ(bytes.find(text), std::string::npos) << text;
}

TEST_F(ProfilesTest, ReadsGoOnWhileOthersAreWritten) {
    put("c-0", 1, {"card:0"}, R"({"n":0})");
    std::atomic<bool> done{false};
    std::atomic<int> missed{0};
    std::thread reader([&] {
        while (!done) {
            const auto look = profiles_->by_alias(alias("card:0").key, now_);
            if (!look || look->kind != Kind::found) ++missed;
        }
    });
    for (std::uint64_t version = 2; version < 200; ++version)
        put("c-0", version, {"card:0"}, R"({"n":)" + std::to_string(version) + "}");
    done = true;
    reader.join();
    EXPECT_EQ(missed, 0);
}

}  // namespace
}  // namespace touchpoint::tests
