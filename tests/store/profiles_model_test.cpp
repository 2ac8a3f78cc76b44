// Random changes of the profile cache against a few maps that say what must be there.
#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "tests/store/profiles_fixture.hpp"

namespace touchpoint::tests {
namespace {

// No bytes, no bound: ids, versions, who has which alias, who was merged into whom.
class PlainProfiles {
  public:
    struct One {
        std::uint64_t version = 0;
        std::string json;
        std::set<std::string> own;     // aliases that it lists
        std::set<std::string> merged;  // aliases that came with others
        std::set<std::string> from;    // ids
    };
    std::map<std::string, One> live;
    std::map<std::string, std::pair<std::string, std::uint64_t>> merged;  // id -> survivor, version
    std::map<std::string, std::uint64_t> erased;                          // id -> version

    std::string whose(const std::string& alias) const {
        for (const auto& [id, one] : live)
            if (one.own.contains(alias) || one.merged.contains(alias)) return id;
        return "";
    }
    bool put(const std::string& id, std::uint64_t version, const std::set<std::string>& aliases,
             const std::string& json) {
        if (erased.contains(id) && version <= erased[id]) return false;
        if (merged.contains(id)) return false;
        if (live.contains(id) && version <= live[id].version) return version == live[id].version;
        erased.erase(id);
        for (auto& [other, one] : live)
            if (other != id)
                for (const std::string& alias : aliases) one.own.erase(alias), one.merged.erase(alias);
        One& one = live[id];
        one.version = version;
        one.json = json;
        one.own = aliases;
        return true;
    }
    void erase(const std::string& id, std::uint64_t version) {
        if (erased.contains(id)) return void(erased[id] = std::max(erased[id], version));
        std::uint64_t own = version;
        std::string whole = id;
        if (merged.contains(id)) own = std::max(version, merged[id].second), whole = merged[id].first;
        if (live.contains(whole)) {
            const One one = live[whole];
            for (const std::string& from : one.from) erased[from] = merged[from].second, merged.erase(from);
            erased[whole] = one.version;
            live.erase(whole);
        }
        erased[id] = std::max(own, erased.contains(id) ? erased[id] : 0);
    }
    bool merge(const std::string& id, const std::string& from) {
        if (!live.contains(id) || id == from || erased.contains(from)) return false;
        if (merged.contains(from)) return merged[from].first == id;
        One& one = live[id];
        std::uint64_t version = 0;
        if (const auto found = live.find(from); found != live.end()) {
            version = found->second.version;
            one.merged.insert(found->second.own.begin(), found->second.own.end());
            one.merged.insert(found->second.merged.begin(), found->second.merged.end());
            for (const std::string& older : found->second.from) {
                merged[older].first = id;
                one.from.insert(older);
            }
            live.erase(found);
        }
        merged[from] = {id, version};
        one.from.insert(from);
        return true;
    }
};

class ProfilesModelTest : public ProfilesFixture, public testing::WithParamInterface<unsigned> {
  protected:
    void compare(int step) {
        for (int i = 0; i < ids_; ++i) {
            const std::string id = "c-" + std::to_string(i);
            const auto look = by_id(id);
            const std::string survivor = model_.merged.contains(id) ? model_.merged[id].first : id;
            const auto live = model_.live.find(survivor);
            if (live == model_.live.end()) {
                ASSERT_EQ(look.kind, model_.erased.contains(id) ? Kind::erased : Kind::missing)
                    << id << " after step " << step;
                continue;
            }
            ASSERT_EQ(look.kind, Kind::found) << id << " after step " << step;
            ASSERT_EQ(look.profile.id, survivor) << "step " << step;
            ASSERT_EQ(look.profile.version, live->second.version) << id << " after step " << step;
            ASSERT_EQ(look.profile.json, live->second.json) << id << " after step " << step;
            std::set<std::string> aliases = live->second.own;
            aliases.insert(live->second.merged.begin(), live->second.merged.end());
            std::set<std::string> held;
            for (const auto& one : look.profile.aliases) held.insert(one.text);
            ASSERT_EQ(held, aliases) << id << " after step " << step;
            const std::set<std::string> from(look.profile.merged_from.begin(),
                                             look.profile.merged_from.end());
            ASSERT_EQ(from, live->second.from) << id << " after step " << step;
        }
        for (int i = 0; i < aliases_; ++i) {
            const std::string text = "card:" + std::to_string(i);
            ASSERT_EQ(whose(text), model_.whose(text)) << text << " after step " << step;
        }
        ASSERT_EQ(profiles_->stats().profiles, model_.live.size()) << "after step " << step;
        ASSERT_EQ(profiles_->stats().merged, model_.merged.size()) << "after step " << step;
        if (model_.live.empty() && model_.merged.empty()) {
            ASSERT_EQ(profiles_->stats().bytes, 0u) << step;
        }
    }

    static constexpr int ids_ = 12;
    static constexpr int aliases_ = 16;
    PlainProfiles model_;
};

TEST_P(ProfilesModelTest, HoldsWhatTheChangesSay) {
    std::mt19937 random(GetParam());
    const auto up_to = [&](int end) { return static_cast<int>(random() % static_cast<unsigned>(end)); };
    const auto some_id = [&] { return "c-" + std::to_string(up_to(ids_)); };
    const auto some_aliases = [&] {
        std::set<std::string> aliases;
        for (int i = up_to(4); i > 0; --i) aliases.insert("card:" + std::to_string(up_to(aliases_)));
        return aliases;
    };
    open();
    std::uint64_t clock = 10;
    for (int step = 0; step < 1500; ++step) {
        now_ = now_ + std::chrono::milliseconds(1);
        clock += random() % 2;
        const std::uint64_t version = clock - random() % 8;
        const std::string id = some_id();
        const std::string json = R"({"n":)" + std::to_string(step) + "}";
        const int dice = up_to(100);
        if (dice < 50) {
            const auto aliases = some_aliases();
            const auto outcome = put(id, version, {aliases.begin(), aliases.end()}, json);
            ASSERT_EQ(!outcome.refused(), model_.put(id, version, aliases, json))
                << id << " in step " << step;
        } else if (dice < 65) {
            const auto aliases = some_aliases();
            store::ProfilePatch patch{
                id, version, {}, [&](const store::Profile& held) -> Result<store::ProfilePut> {
                    store::ProfilePut put{held.id, 0, {}, held.aliases, json, {}};
                    for (const auto& text : aliases) put.aliases.push_back(alias(text));
                    return put;
                }};
            auto all = aliases;
            const bool live = model_.live.contains(id);
            if (live) all.insert(model_.live[id].own.begin(), model_.live[id].own.end());
            ASSERT_EQ(!apply(patch).refused(), live && model_.put(id, version, all, json)) << step;
        } else if (dice < 90) {
            const std::string from = some_id();
            ASSERT_EQ(!merge(id, {from}).refused(), model_.merge(id, from))
                << from << " into " << id << ", " << step;
        } else if (dice < 98) {
            erase(id, version);
            model_.erase(id, version);
        } else {
            open();
        }
        // Not after each: what is wrong stays wrong, and the suite is to be quick.
        if (step % 5 != 0) continue;
        ASSERT_NO_FATAL_FAILURE(compare(step)) << "seed " << GetParam();
    }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ProfilesModelTest, testing::Values(1u, 2u, std::random_device{}()),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace touchpoint::tests
