// The profile cache as a few maps, and random changes of both.
#pragma once

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "store/environment.hpp"
#include "tests/store/profiles_fixture.hpp"

namespace touchpoint::tests {

// No bytes, no room: ids, versions, who has which alias, who was merged into whom, who was erased.
class PlainProfiles {
  public:
    using Names = std::set<std::string>;
    struct Absorbed {
        std::string id;
        std::uint64_t version = 0;
        std::string json;
        Names aliases;
        std::string via;
        bool refuses = false;
        Names answered_by;
        bool refusal_stands() const { return refuses && answered_by.empty(); }
    };
    struct One {
        std::uint64_t version = 0;
        std::string json;  // empty: lost with a merge that was undone
        Names own;         // aliases that it lists
        std::vector<Absorbed> from;
        bool refused = false;  // in a document that was lost

        std::size_t refusals() const {
            std::size_t count = refused ? 1 : 0;
            for (const Absorbed& one : from) count += one.refusal_stands() ? 1 : 0;
            return count;
        }
        Names aliases() const {
            Names all = own;
            for (const Absorbed& one : from) all.insert(one.aliases.begin(), one.aliases.end());
            return all;
        }
    };
    struct Grave {
        std::uint64_t version = 0;
        std::int64_t ms = 0;
    };
    std::map<std::string, One> live;
    std::map<std::string, std::pair<std::string, std::uint64_t>> merged;  // id -> survivor, version
    std::map<std::string, Grave> erased;
    std::map<std::string, std::string> buried;  // alias -> who was erased
    // Time and reference -> id, as they are forgotten: the oldest first.
    std::map<std::pair<std::int64_t, std::string>, std::string> erasures;

    std::string whose(const std::string& alias) const {
        for (const auto& [id, one] : live)
            if (one.aliases().contains(alias)) return id;
        return "";
    }
    // `tells`: it is all of it, or a part that says something of consents.
    bool put(const std::string& id, std::uint64_t version, const Names& aliases, const std::string& json,
             bool tells = true) {
        if (erased.contains(id) && version <= erased[id].version) return false;
        if (merged.contains(id)) return false;
        const bool hollow = live.contains(id) && live[id].json.empty();
        if (live.contains(id) && !hollow && version <= live[id].version) return version == live[id].version;
        erased.erase(id);
        std::erase_if(buried,
                      [&](const auto& one) { return one.second == id || aliases.contains(one.first); });
        for (auto& [other, one] : live)
            if (other != id) take(one, aliases);
        One& one = live[id];
        one.version = version;
        one.json = json;
        one.own = aliases;
        one.refused = false;
        if (tells)
            for (Absorbed& from : one.from) from.answered_by.insert(id);
        return true;
    }
    bool merge(const std::string& id, const Names& from) {
        if (!live.contains(id)) return false;
        for (const std::string& one : from)
            if (one == id || erased.contains(one) ||
                (merged.contains(one) && merged[one].first != id && !from.contains(merged[one].first)))
                return false;
        const auto were_merged = merged;
        One& one = live[id];
        for (const std::string& name : from) {
            if (were_merged.contains(name)) continue;
            One gone;
            if (live.contains(name)) gone = live[name];
            live.erase(name);
            for (const Absorbed& older : gone.from) {
                merged[older.id].first = id;
                one.from.push_back(older);
            }
            merged[name] = {id, gone.version};
            one.from.push_back(
                {name, gone.version, gone.json, gone.own, id, gone.refused || refuses(gone.json), {}});
        }
        std::size_t bytes = 0;
        for (const Absorbed& each : one.from) bytes += each.json.size();
        for (Absorbed& each : one.from)
            if (bytes > store::Profiles::json_bytes_max) bytes -= each.json.size(), each.json.clear();
        return true;
    }
    bool unmerge(const std::string& id, const Names& ids) {
        if (!live.contains(id)) return false;
        for (const std::string& one : ids)
            if (erased.contains(one) || (merged.contains(one) && merged[one].first != id)) return false;
        Names given;  // aliases that are another's again
        const std::vector<Absorbed> all = live[id].from;
        for (const Absorbed& root : all) {
            if (!ids.contains(root.id)) continue;
            One back{root.json.empty() ? 0 : root.version, root.json, without(root.aliases, given), {}};
            back.refused = root.json.empty() && root.refuses;
            Names together{root.id};
            for (const Absorbed& one : all)
                if (root_of(one, all, ids) == root.id) together.insert(one.id);
            for (const Absorbed& one : all)
                if (one.id != root.id && root_of(one, all, ids) == root.id) {
                    merged[one.id].first = root.id;
                    back.from.push_back(one);
                    back.from.back().aliases = without(one.aliases, given);
                    std::erase_if(back.from.back().answered_by,
                                  [&](const std::string& by) { return !together.contains(by); });
                }
            const Names held = back.aliases();
            given.insert(held.begin(), held.end());
            merged.erase(root.id);
            const bool nobody = root.json.empty() && back.own.empty() && back.from.empty();
            if (!nobody) live[root.id] = back;
        }
        std::erase_if(live[id].from, [&](const Absorbed& one) { return !root_of(one, all, ids).empty(); });
        take(live[id], given);
        return true;
    }
    bool erase(const std::string& id, std::uint64_t version, const Names& named, std::int64_t ms,
               const std::map<std::string, std::string>& references) {
        if (live.contains(id) && version < live[id].version) return false;
        if (merged.contains(id) && version < merged[id].second) return false;
        const bool before = erased.contains(id);
        if (before && version <= erased[id].version) {
            bury_unheld(named, id);
            return true;
        }
        std::uint64_t own = version;
        std::string whole = id;
        if (merged.contains(id)) own = std::max(version, merged[id].second), whole = merged[id].first;
        if (live.contains(whole)) {
            const One one = live[whole];
            live.erase(whole);
            if (whole == id) own = std::max(version, one.version);
            for (const Absorbed& from : one.from) {
                bury(from.aliases, from.id);
                merged.erase(from.id);
                erased[from.id] = {late(from.version, from.json), ms};
                erasures[{ms, references.at(from.id)}] = from.id;
            }
            bury(one.own, whole);
            erased[whole] = {late(one.version, one.json), ms};
            erasures[{ms, references.at(whole)}] = whole;
        }
        erased[id] = {own, ms};
        erasures[{ms, references.at(id)}] = id;
        bury_unheld(named, id);
        return true;
    }
    void forget(std::uint64_t erasures_max) {
        while (erasures.size() > erasures_max) {
            const auto oldest = erasures.begin();
            const std::string id = oldest->second;
            if (erased.contains(id) && erased[id].ms == oldest->first.first) {
                erased.erase(id);
                std::erase_if(buried, [&](const auto& one) { return one.second == id; });
            }
            erasures.erase(oldest);
        }
    }

  private:
    static bool refuses(const std::string& json) { return json.find("denied") != std::string::npos; }
    static std::uint64_t late(std::uint64_t version, const std::string& json) {
        return version == 0 && json.empty() ? store::every_version : version;
    }
    static Names without(Names names, const Names& gone) {
        for (const std::string& name : gone) names.erase(name);
        return names;
    }
    static void take(One& one, const Names& aliases) {
        one.own = without(one.own, aliases);
        for (Absorbed& from : one.from) from.aliases = without(from.aliases, aliases);
    }
    static std::string root_of(const Absorbed& one, const std::vector<Absorbed>& all, const Names& roots) {
        if (roots.contains(one.id)) return one.id;
        for (const Absorbed& other : all)
            if (other.id == one.via) return root_of(other, all, roots);
        return "";
    }
    void bury(const Names& aliases, const std::string& id) {
        for (const std::string& alias : aliases)
            if (!buried.contains(alias)) buried[alias] = id;
    }
    void bury_unheld(const Names& aliases, const std::string& id) {
        for (const std::string& alias : aliases)
            if (whose(alias).empty() && !buried.contains(alias)) buried[alias] = id;
    }
};

// The same random changes to the cache and to the maps.
class ProfilesAgainstMaps : public ProfilesFixture {
  protected:
    // Compares all after each `compare_every` steps: what is wrong stays wrong.
    void run(unsigned seed, int steps, int compare_every) {
        random_.seed(seed);
        options_.erasures_max = 9;
        for (int i = 0; i < ids; ++i) references_[id_of(i)] = "";
        open();
        for (auto& [id, reference] : references_) reference = profiles_->reference(id);
        for (int step = 0; step < steps; ++step) {
            now_ = now_ + std::chrono::milliseconds(1);
            clock_ += roll(2);
            SCOPED_TRACE("seed " + std::to_string(seed) + ", step " + std::to_string(step));
            ASSERT_NO_FATAL_FAILURE(change(step));
            model_.forget(options_.erasures_max);
            if (step % compare_every != 0 && step + 1 != steps) continue;
            ASSERT_NO_FATAL_FAILURE(compare());
        }
    }

  private:
    using Names = PlainProfiles::Names;
    static constexpr int ids = 12;
    static constexpr int aliases = 16;  // as many as a tombstone can name

    static std::string id_of(int number) { return "c-" + std::to_string(number); }
    unsigned roll(unsigned sides) { return static_cast<unsigned>(random_() % sides); }
    std::string some_id() { return id_of(static_cast<int>(roll(ids))); }
    Names some_ids() {
        Names names{some_id()};
        while (roll(3) == 0) names.insert(some_id());
        return names;
    }
    Names some_aliases(unsigned most) {
        Names names;
        for (unsigned i = roll(most + 1); i > 0; --i) names.insert("card:" + std::to_string(roll(aliases)));
        return names;
    }
    // Now and then so large that three of them are too many to be kept for one profile.
    std::string some_json(int step) {
        const std::size_t filler = roll(12) == 0 ? 25'000 : 0;
        const std::string state = roll(2) == 0 ? "denied" : "granted";
        return R"({"n":)" + std::to_string(step) + R"(,"consents":{"marketing":{"state":")" + state +
               R"("}},"x":")" + std::string(filler, 'x') + "\"}";
    }

    void change(int step) {
        const unsigned dice = roll(100);
        if (dice < 40) return change_put(some_json(step));
        if (dice < 50) return change_patch(some_json(step));
        if (dice < 70) {
            const std::string id = some_id();
            const Names from = some_ids();
            const auto outcome = merge(id, {from.begin(), from.end()});
            ASSERT_EQ(!outcome.refused(), model_.merge(id, from)) << id << outcome.detail;
        } else if (dice < 87) {
            change_unmerge();
        } else if (dice < 98) {
            const std::string id = some_id();
            const std::uint64_t version = clock_ - roll(8);
            store::ProfileErase wanted{id, version, {}};
            const Names named = some_aliases(2);
            for (const std::string& text : named) wanted.aliases.push_back(alias(text));
            const auto outcome = apply(wanted);
            const bool erased = model_.erase(id, version, named, now_.ms, references_);
            ASSERT_EQ(outcome.verdict, erased ? Verdict::erased : Verdict::refused_older) << id;
        } else {
            open();
        }
    }
    void change_put(const std::string& json) {
        const std::string id = some_id();
        const std::uint64_t version = clock_ - roll(8);
        const Names named = some_aliases(3);
        const auto outcome = put(id, version, {named.begin(), named.end()}, json);
        ASSERT_EQ(!outcome.refused(), model_.put(id, version, named, json)) << id;
    }
    void change_patch(const std::string& json) {
        const std::string id = some_id();
        const std::uint64_t version = clock_ - roll(8);
        const Names named = some_aliases(3);
        const auto edit = [&](const store::Profile& held) -> Result<store::ProfilePut> {
            store::ProfilePut wanted{held.id, 0, {}, held.aliases, json, {}};
            for (const std::string& text : named) wanted.aliases.push_back(alias(text));
            return wanted;
        };
        const bool held = model_.live.contains(id) && !model_.live[id].json.empty();
        Names all = named;
        if (held) all.insert(model_.live[id].own.begin(), model_.live[id].own.end());
        store::ProfilePatch wanted{id, version, {}, edit};
        const bool tells = roll(2) == 0;
        if (tells) wanted.purposes_told = 1u << 3;
        const bool done = !apply(wanted).refused();
        ASSERT_EQ(done, held && model_.put(id, version, all, json, tells)) << id;
    }
    void change_unmerge() {
        std::string id = some_id();
        Names which = some_ids();
        if (roll(4) != 0 && !model_.merged.empty()) {  // one that can be undone
            const auto at =
                std::next(model_.merged.begin(), roll(static_cast<unsigned>(model_.merged.size())));
            id = at->second.first;
            if (roll(2) == 0) which.clear();
            which.insert(at->first);
        }
        const auto outcome = apply(store::ProfileUnmerge{id, {which.begin(), which.end()}});
        ASSERT_EQ(!outcome.refused(), model_.unmerge(id, which)) << id << outcome.detail;
    }

    void compare() {
        for (int i = 0; i < ids; ++i) {
            const std::string id = id_of(i);
            const auto look = by_id(id);
            const std::string survivor = model_.merged.contains(id) ? model_.merged[id].first : id;
            const auto live = model_.live.find(survivor);
            if (live == model_.live.end()) {
                ASSERT_EQ(look.kind, model_.erased.contains(id) ? Kind::erased : Kind::missing) << id;
                continue;
            }
            const PlainProfiles::One& one = live->second;
            ASSERT_EQ(look.kind, Kind::found) << id;
            ASSERT_EQ(look.profile.id, survivor);
            ASSERT_EQ(look.profile.version, one.version) << id;
            ASSERT_EQ(look.profile.json, one.json.empty() ? "{}" : one.json) << id;
            Names held, from;
            for (const auto& each : look.profile.aliases) held.insert(each.text);
            ASSERT_EQ(held, one.aliases()) << id;
            for (const auto& each : one.from) from.insert(each.id);
            ASSERT_EQ(look.profile.refused_by_merged.size(), one.refusals()) << id;
            ASSERT_EQ(Names(look.profile.merged_from.begin(), look.profile.merged_from.end()), from) << id;
        }
        for (int i = 0; i < aliases; ++i) {
            const std::string text = "card:" + std::to_string(i);
            const auto look = by_alias(text);
            const std::string id = model_.whose(text);
            const Kind otherwise = model_.buried.contains(text) ? Kind::erased : Kind::missing;
            ASSERT_EQ(look.kind, id.empty() ? otherwise : Kind::found) << text;
            ASSERT_EQ(look.profile.id, id) << text;
        }
        const auto stats = profiles_->stats();
        ASSERT_EQ(stats.profiles, model_.live.size());
        ASSERT_EQ(stats.merged, model_.merged.size());
        ASSERT_EQ(stats.erasures, model_.erasures.size());
        ASSERT_EQ(stats.evicted, 0u) << "there is room for all of them";
        ASSERT_EQ(stats.damaged, 0u);
        ASSERT_EQ(stats.bytes, bytes_of_rows());
    }

    // Counted anew: all but erasures and what leads to them.
    std::uint64_t bytes_of_rows() {
        const auto txn = cache_->environment().begin_read();
        const auto& tables = cache_->tables();
        std::uint64_t bytes = 0;
        std::set<std::string> erased;
        each_row(*txn, tables.profiles, [&](const store::KeyValue& row) {
            const auto head = store::read_profile_head(row.value);
            if (head && head->kind == store::ProfileKind::erased)
                erased.emplace(row.key);
            else
                bytes += store::row_cost(row.key.size(), row.value.size());
        });
        each_row(*txn, tables.aliases, [&](const store::KeyValue& row) {
            if (!erased.contains(std::string(row.value)))
                bytes += store::row_cost(row.key.size(), row.value.size());
        });
        each_row(*txn, tables.touched, [&](const store::KeyValue& row) {
            bytes += store::row_cost(row.key.size(), row.value.size());
        });
        return bytes;
    }
    template <class Look>
    static void each_row(const store::Transaction& txn, store::Table table, Look look) {
        std::string place;
        for (auto row = txn.seek(table, place); row && *row; row = txn.seek(table, place)) {
            look(**row);
            place = std::string((*row)->key) + '\0';
        }
    }

    std::mt19937 random_;
    std::uint64_t clock_ = 10;
    std::map<std::string, std::string> references_;
    PlainProfiles model_;
};

}  // namespace touchpoint::tests
