// Merges that are undone; and aliases of who was erased.
#include <gmock/gmock.h>

#include "tests/store/profiles_fixture.hpp"

namespace touchpoint::tests {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class UnmergeTest : public ProfilesFixture {
  protected:
    void SetUp() override { open(); }
    std::string document(std::size_t bytes) { return R"({"x":")" + std::string(bytes - 8, 'x') + "\"}"; }
};

TEST_F(UnmergeTest, AProfileComesBackAsItWas) {
    const std::string json = R"({"traits":{"tier":"blue"},"x":1.50})";
    store::ProfilePut wanted{"c-2", 7, UtcTime{1'780'000'000'000}, {alias("card:2")}, json, {}};
    apply(wanted);
    const UtcTime heard = now_;
    put("c-1", 5, {"card:1"}, R"({"a":1})");
    now_ = now_ + std::chrono::hours(3);
    merge("c-1", {"c-2"});
    put("c-1", 6, {"card:1"}, R"({"a":2})");
    open();
    EXPECT_EQ(unmerge("c-1", {"c-2"}).verdict, Verdict::unmerged);
    open();
    const auto back = by_id("c-2");
    ASSERT_EQ(back.kind, Kind::found);
    EXPECT_FALSE(back.by_merged);
    EXPECT_EQ(back.profile.id, "c-2");
    EXPECT_EQ(back.profile.version, 7u);
    EXPECT_EQ(back.profile.json, json) << "byte for byte";
    EXPECT_EQ(back.profile.updated, wanted.updated);
    EXPECT_EQ(back.profile.received, heard) << "nobody has said it since";
    EXPECT_THAT(back.profile.aliases, ElementsAre(alias("card:2")));
    EXPECT_EQ(whose("card:2"), "c-2");
    EXPECT_EQ(whose("card:1"), "c-1");
    EXPECT_THAT(by_id("c-1").profile.merged_from, IsEmpty());
    EXPECT_EQ(by_id("c-1").profile.json, R"({"a":2})");
    EXPECT_EQ(put("c-2", 6).verdict, Verdict::refused_older);
    EXPECT_EQ(put("c-2", 8).verdict, Verdict::replaced);
    EXPECT_EQ(profiles_->stats().profiles, 2u);
    EXPECT_EQ(profiles_->stats().merged, 0u);
}

TEST_F(UnmergeTest, WhoWasMergedIntoItBeforeComesWithItUnlessNamedToo) {
    for (const bool both : {false, true}) {
        SCOPED_TRACE(both);
        put("c-1", 1, {"card:1"});
        put("c-2", 2, {"card:2"});
        put("c-3", 3, {"card:3"}, R"({"n":3})");
        put("c-4", 4, {"card:4"});
        merge("c-2", {"c-3"});
        merge("c-1", {"c-2", "c-4"});
        EXPECT_EQ(
            unmerge("c-1", both ? std::vector<std::string>{"c-2", "c-3"} : std::vector<std::string>{"c-2"})
                .verdict,
            Verdict::unmerged);
        open();
        EXPECT_EQ(by_id("c-3").profile.id, both ? "c-3" : "c-2");
        EXPECT_EQ(whose("card:3"), both ? "c-3" : "c-2");
        EXPECT_EQ(by_id("c-4").profile.id, "c-1") << "not named";
        if (!both) {
            EXPECT_THAT(by_id("c-2").profile.merged_from, ElementsAre("c-3"));
            EXPECT_EQ(unmerge("c-2", {"c-3"}).verdict, Verdict::unmerged) << "one step further back";
        }
        EXPECT_EQ(by_id("c-3").profile.json, R"({"n":3})");
        EXPECT_EQ(by_id("c-3").profile.version, 3u);
        for (const char* id : {"c-1", "c-2", "c-3"}) erase(id, 9);
        profiles_.reset();
        cache_.reset();
        std::filesystem::remove_all(folder_.path() / "cache");
        open();
    }
}

TEST_F(UnmergeTest, OneFromTheMiddleLeavesThoseAboveItMerged) {
    put("c-1", 1, {"card:1"});
    put("c-2", 2, {"card:2"});
    put("c-3", 3, {"card:3"});
    merge("c-2", {"c-3"});
    merge("c-1", {"c-2"});
    EXPECT_EQ(unmerge("c-1", {"c-3"}).verdict, Verdict::unmerged);
    EXPECT_EQ(by_id("c-3").profile.id, "c-3");
    EXPECT_EQ(by_id("c-2").profile.id, "c-1");
    EXPECT_EQ(unmerge("c-1", {"c-2"}).verdict, Verdict::unmerged);
    EXPECT_EQ(by_id("c-3").profile.id, "c-3") << "it went before";
    EXPECT_EQ(merge("c-3", {"c-1", "c-2"}).verdict, Verdict::merged);
}

TEST_F(UnmergeTest, ItHasItsAliasesAgainButThoseThatWentToAThird) {
    put("c-1", 1, {"card:1"});
    put("c-2", 1, {"card:2", "card:22", "card:222"});
    merge("c-1", {"c-2"});
    put("c-1", 2, {"card:1", "card:2"});  // the platform lists what became of both
    put("c-5", 1, {"card:22"});
    unmerge("c-1", {"c-2"});
    EXPECT_EQ(whose("card:2"), "c-2");
    EXPECT_EQ(whose("card:222"), "c-2");
    EXPECT_EQ(whose("card:22"), "c-5");
    EXPECT_THAT(by_id("c-1").profile.aliases, ElementsAre(alias("card:1")));
    EXPECT_THAT(by_id("c-2").profile.aliases, ElementsAre(alias("card:2"), alias("card:222")));
}

TEST_F(UnmergeTest, AnAliasThatSeveralOfThemListGoesToTheOneWhoseItWasFirst) {
    put("c-1", 1, {"card:1"});
    put("c-2", 1, {"card:2"});
    put("c-3", 1, {"card:3"});
    merge("c-2", {"c-3"});
    put("c-2", 2, {"card:2", "card:3"});
    merge("c-1", {"c-2"});
    unmerge("c-1", {"c-2", "c-3"});
    EXPECT_EQ(whose("card:3"), "c-3");
    EXPECT_THAT(by_id("c-2").profile.aliases, ElementsAre(alias("card:2")));
    erase("c-2");
    EXPECT_EQ(whose("card:3"), "c-3");
}

TEST_F(UnmergeTest, WhatSomebodyRefusedIsAnsweredByThoseItWasToldFor) {
    const auto refused = [this](const std::string& id) {
        std::vector<int> purposes;
        for (const store::Refusal& one : by_id(id).profile.refused_by_merged) purposes.push_back(one.purpose);
        return purposes;
    };
    const std::string no =
        R"({"consents":{"personalisation":{"state":"denied"},"marketing":{"state":"revoked"}}})";
    put("c-1", 1, {"card:1"});
    put("c-2", 1, {"card:2"});
    put("c-3", 1, {"card:3"}, no);
    merge("c-2", {"c-3"});
    EXPECT_THAT(refused("c-2"), ElementsAre(2, 3));
    store::ProfilePatch part{"c-2", 2, {}, [](const store::Profile& held) -> Result<store::ProfilePut> {
                                 return store::ProfilePut{held.id, 0, {}, held.aliases, held.json, {}};
                             }};
    part.purposes_told = 1u << 3;
    apply(part);
    EXPECT_THAT(refused("c-2"), ElementsAre(2)) << "of marketing it says what holds";
    merge("c-1", {"c-2"});
    EXPECT_THAT(refused("c-1"), ElementsAre(2));
    put("c-1", 2, {"card:1"});
    EXPECT_THAT(refused("c-1"), ElementsAre()) << "of all of them";
    unmerge("c-1", {"c-2"});
    EXPECT_THAT(refused("c-2"), ElementsAre(2)) << "what c-1 told is no word of this one";
    unmerge("c-2", {"c-3"});
    EXPECT_THAT(refused("c-2"), ElementsAre());
    EXPECT_EQ(by_id("c-3").profile.json, no);
}

TEST_F(UnmergeTest, ARefusalOutlivesTheDocumentForWhichThereIsNoRoom) {
    const std::string large = R"("x":")" + std::string(40'000, 'x') + "\"";
    put("c-1", 1, {"card:1"});
    put("c-2", 1, {"card:2"}, R"({"consents":{"marketing":{"state":"denied"}},)" + large + "}");
    put("c-3", 1, {"card:3"}, '{' + large + '}');
    merge("c-1", {"c-2"});
    merge("c-1", {"c-3"});
    EXPECT_EQ(by_id("c-1").profile.refused_by_merged.size(), 1u);
    unmerge("c-1", {"c-2"});
    EXPECT_EQ(by_id("c-1").profile.refused_by_merged.size(), 0u);
    EXPECT_EQ(by_id("c-2").profile.json, "{}") << "it was lost";
    EXPECT_EQ(by_id("c-2").profile.refused_by_merged.size(), 1u) << "what he refused was not";
    merge("c-1", {"c-2"});
    EXPECT_EQ(by_id("c-1").profile.refused_by_merged.size(), 1u);
    unmerge("c-1", {"c-2"});
    put("c-2", 2, {"card:2"});
    EXPECT_EQ(by_id("c-2").profile.refused_by_merged.size(), 0u);
}

TEST_F(UnmergeTest, WhatTheOneInTheMiddleToldIsNoWordOfTheInnerOne) {
    put("c-1", 1, {"card:1"});
    put("c-2", 1, {"card:2"});
    put("c-3", 1, {"card:3"});
    put("c-4", 1, {"card:4"}, R"({"consents":{"marketing":{"state":"denied"}}})");
    merge("c-3", {"c-4"});
    merge("c-2", {"c-3"});
    put("c-2", 2, {"card:2"});
    merge("c-1", {"c-2"});
    EXPECT_EQ(by_id("c-1").profile.refused_by_merged.size(), 0u);
    unmerge("c-1", {"c-3"});
    EXPECT_EQ(by_id("c-3").profile.refused_by_merged.size(), 1u);
    EXPECT_EQ(whose("card:4"), "c-3");
}

TEST_F(UnmergeTest, WhoIsNotMergedIntoItIsTold) {
    put("c-1", 1, {"card:1"});
    put("c-2", 2, {"card:2"});
    put("c-3", 3, {"card:3"});
    merge("c-2", {"c-3"});
    const auto apart = unmerge("c-1", {"c-2", "c-3"});
    EXPECT_EQ(apart.verdict, Verdict::refused_apart);
    EXPECT_EQ(apart.detail, "c-3 is merged into another profile");
    EXPECT_EQ(unmerge("c-2", {"c-3"}).verdict, Verdict::unmerged);
    EXPECT_EQ(unmerge("c-2", {"c-3", "c-2", "c-nobody"}).verdict, Verdict::unchanged) << "as they are";
    EXPECT_EQ(unmerge("c-9", {"c-3"}).verdict, Verdict::refused_missing);
    merge("c-1", {"c-2"});
    const auto part = unmerge("c-2", {"c-3"});
    EXPECT_EQ(part.verdict, Verdict::refused_merged);
    EXPECT_EQ(part.id, "c-1");
    erase("c-3");
    EXPECT_EQ(unmerge("c-1", {"c-2", "c-3"}).verdict, Verdict::refused_erased);
    EXPECT_EQ(by_id("c-2").profile.id, "c-1") << "as a whole or not at all";
    EXPECT_EQ(unmerge("c-3", {"c-1"}).verdict, Verdict::refused_erased);
}

TEST_F(UnmergeTest, AnIdThatNobodyKnewIsUnknownAgain) {
    put("c-1", 1, {"card:1"});
    merge("c-1", {"c-unknown"});
    EXPECT_EQ(unmerge("c-1", {"c-unknown"}).verdict, Verdict::unmerged);
    EXPECT_EQ(by_id("c-unknown").kind, Kind::missing);
    EXPECT_EQ(unmerge("c-1", {"c-unknown"}).verdict, Verdict::unchanged);
    EXPECT_EQ(put("c-unknown", 1).verdict, Verdict::created);
    EXPECT_EQ(profiles_->stats().merged, 0u);
}

TEST_F(UnmergeTest, DocumentsForWhichThereIsNoRoomAreLostTheOldestFirst) {
    put("c-1", 1, {"card:1"});
    put("c-2", 7, {"card:2"}, document(40'000));
    put("c-3", 8, {"card:3"}, document(30'000));
    put("c-4", 9, {"card:4"}, document(30'000));
    merge("c-1", {"c-2", "c-3"});
    merge("c-1", {"c-4"});
    unmerge("c-1", {"c-2", "c-3", "c-4"});
    EXPECT_EQ(by_id("c-3").profile.json, document(30'000));
    EXPECT_EQ(by_id("c-4").profile.version, 9u);
    const auto lost = by_id("c-2");
    ASSERT_EQ(lost.kind, Kind::found);
    EXPECT_EQ(lost.profile.json, "{}");
    EXPECT_EQ(lost.profile.version, 0u);
    EXPECT_EQ(whose("card:2"), "c-2");
}

TEST_F(UnmergeTest, WhoLostHisDocumentTakesAnyPutAndNoPatch) {
    const auto lose = [&](const std::string& id) {
        put("c-1", 1);
        put(id, 7, {"card:2"}, document(60'000));
        put("c-large", 7, {}, document(60'000));
        merge("c-1", {id, "c-large"});
        unmerge("c-1", {id, "c-large"});
        ASSERT_EQ(by_id(id).profile.version, 0u);
    };
    lose("c-2");
    store::ProfilePatch patch;
    patch.id = "c-2";
    patch.version = 9;
    patch.edit = [](const store::Profile& held) -> Result<store::ProfilePut> {
        return store::ProfilePut{held.id, 0, {}, held.aliases, held.json, {}};
    };
    EXPECT_EQ(apply(patch).verdict, Verdict::refused_missing) << "a part would pass for the whole";
    merge("c-1", {"c-2"});
    unmerge("c-1", {"c-2"});
    EXPECT_EQ(put("c-2", 0, {"card:2"}, R"({"a":0})").verdict, Verdict::replaced);
    EXPECT_EQ(put("c-2", 0, {"card:2"}, R"({"a":1})").verdict, Verdict::unchanged);
    EXPECT_EQ(by_id("c-2").profile.json, R"({"a":0})");
    lose("c-3");
    EXPECT_EQ(erase("c-3").version, store::every_version) << "which version he had is not known any more";
    lose("c-4");
    merge("c-1", {"c-4"});
    erase("c-1");
    EXPECT_EQ(put("c-4", 7).verdict, Verdict::refused_erased);
}

TEST_F(UnmergeTest, WhatIsKeptToUndoGoesWithAnErasure) {
    const std::string secret = "Secret-Trait";
    put("c-1", 1, {"card:1"});
    put("c-2", 2, {"card:2"}, R"({"traits":{"name":")" + secret + "\"}}");
    merge("c-1", {"c-2"});
    erase("c-1");
    EXPECT_EQ(unmerge("c-1", {"c-2"}).verdict, Verdict::refused_erased);
    EXPECT_EQ(by_id("c-2").kind, Kind::erased);
    EXPECT_EQ(put("c-1", 2).verdict, Verdict::created);
    EXPECT_THAT(by_id("c-1").profile.merged_from, IsEmpty());
    EXPECT_EQ(profiles_->stats().merged, 0u);
}

// --- aliases of who was erased

class ErasedAliasesTest : public ProfilesFixture {
  protected:
    void SetUp() override { open(); }
};

TEST_F(ErasedAliasesTest, TheAliasesOfWhoWasErasedSaySoUntilSomebodyElseListsThem) {
    put("c-1", 1, {"card:1", "card:11"});
    put("c-2", 2, {"card:2"});
    merge("c-1", {"c-2"});
    erase("c-2");
    open();
    for (const char* text : {"card:1", "card:11", "card:2"})
        EXPECT_EQ(by_alias(text).kind, Kind::erased) << text;
    EXPECT_EQ(profiles_->stats().bytes, 0u) << "they are counted with the erasures";
    put("c-5", 1, {"card:1"});
    EXPECT_EQ(whose("card:1"), "c-5");
    const auto bytes = profiles_->stats().bytes;
    EXPECT_EQ(put("c-1", 2, {"card:111"}).verdict, Verdict::created) << "he came back, without his card";
    EXPECT_EQ(whose("card:1"), "c-5") << "his list was an old one";
    EXPECT_EQ(by_alias("card:11").kind, Kind::missing);
    EXPECT_EQ(by_alias("card:2").kind, Kind::erased) << "that one did not come back";
    erase("c-1");
    EXPECT_EQ(profiles_->stats().bytes, bytes);
}

TEST_F(ErasedAliasesTest, ATombstoneThatIsForgottenTakesOnlyItsOwnAliasesAlong) {
    options_.erasures_max = 2;
    open();
    put("c-1", 1, {"card:1", "card:11", "card:111"});
    erase("c-1");
    put("c-2", 1, {"card:1"});
    put("c-3", 1, {"card:11"});
    now_ = now_ + std::chrono::seconds(1);
    erase("c-3");
    EXPECT_EQ(by_alias("card:111").kind, Kind::erased);
    now_ = now_ + std::chrono::seconds(1);
    erase("c-4");
    EXPECT_EQ(by_id("c-1").kind, Kind::missing);
    EXPECT_EQ(by_alias("card:111").kind, Kind::missing);
    EXPECT_EQ(by_alias("card:11").kind, Kind::erased) << "of c-3";
    EXPECT_EQ(whose("card:1"), "c-2");
}

TEST_F(ErasedAliasesTest, AliasesThatThePlatformNamesAreErasedToo) {
    put("c-2", 1, {"card:2"});
    apply(store::ProfileErase{"c-1", 3, {alias("card:1"), alias("card:2")}});
    EXPECT_EQ(by_alias("card:1").kind, Kind::erased);
    EXPECT_EQ(whose("card:2"), "c-2") << "whoever has it now keeps it";
    const auto again = apply(store::ProfileErase{"c-1", 3, {alias("card:1"), alias("card:11")}});
    EXPECT_EQ(again.time, now_);
    EXPECT_EQ(by_alias("card:11").kind, Kind::erased) << "named later";
    EXPECT_EQ(profiles_->stats().erasures, 1u);
    now_ = now_ + std::chrono::seconds(1);
    erase("c-1", 4);
    EXPECT_EQ(put("c-1", 5).verdict, Verdict::created);
    EXPECT_EQ(by_alias("card:1").kind, Kind::missing) << "the new tombstone named it, too";
}

TEST_F(ErasedAliasesTest, ATombstoneNamesAtMostSixteenAliasesAndTheRestAreUnknown) {
    std::vector<std::string> all;
    for (int i = 0; i < 20; ++i) all.push_back("card:" + std::to_string(i));
    put("c-1", 1, all);
    EXPECT_THAT(erase("c-1").forgotten, testing::SizeIs(20)) << "all of them are out of the vault";
    apply(store::ProfileErase{"c-1", {}, {alias("card:99")}});
    EXPECT_EQ(by_alias("card:15").kind, Kind::erased);
    EXPECT_EQ(by_alias("card:16").kind, Kind::missing);
    EXPECT_EQ(by_alias("card:99").kind, Kind::missing);
    EXPECT_EQ(profiles_->stats().bytes, 0u);
    EXPECT_GE(store::Cache::Options{}.erasures_bytes,
              store::Profiles::Options{}.erasures_max * store::erasure_cost_max);
}

}  // namespace
}  // namespace touchpoint::tests
