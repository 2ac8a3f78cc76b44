// Several profiles become one, and again several: the part of ProfileEditing that does it.
#include <algorithm>
#include <utility>

#include "gateway/core/json_slice.hpp"
#include "store/profile_editing.hpp"

namespace touchpoint::store {
namespace {

bool among(const std::vector<std::string>& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

std::vector<std::string> each_id_once(const std::vector<std::string>& ids) {
    std::vector<std::string> out;
    for (const std::string& id : ids)
        if (!among(out, id)) out.push_back(id);
    return out;
}

// Above the bound the documents leave that came to this profile first.
void drop_documents(std::vector<MergedIn>& merged_in) {
    std::size_t bytes = 0;
    for (const MergedIn& one : merged_in) bytes += one.json.size();
    for (MergedIn& one : merged_in) {
        if (bytes <= Profiles::json_bytes_max) return;
        bytes -= one.json.size();
        one.json.clear();
    }
}

// What a document refuses; `came`: when it said so first, for those that have no time.
std::vector<Refusal> refusals_in(std::string_view json, UtcTime came) {
    std::vector<Refusal> out;
    const auto all = json_find(json_members(json), "consents");
    if (!all || !is_object(*all)) return out;
    const std::vector<JsonMember> consents = json_members(*all);
    for (std::uint8_t purpose = 0; purpose < purpose_names.size(); ++purpose) {
        const auto consent = json_find(consents, purpose_names[purpose]);
        if (!consent || !is_object(*consent)) continue;
        const std::vector<JsonMember> members = json_members(*consent);
        const auto text = [&](std::string_view name) {
            const auto value = json_find(members, name);
            return value && is_string(*value) ? json_unescape(*value) : std::string();
        };
        const auto state = consent_state_named(text("state"));
        if (state && *state != ConsentState::granted)
            out.push_back({purpose, *state, parse_rfc3339(text("since")).value_or(came)});
    }
    return out;
}

// Which of `ids` this one goes with: itself, or the nearest that it was merged into, over others perhaps.
std::string goes_with(const MergedIn& one, const std::vector<MergedIn>& all,
                      const std::vector<std::string>& ids) {
    std::string id = one.id;
    for (std::size_t hops = 0; hops <= all.size(); ++hops) {
        if (among(ids, id)) return id;
        const auto at =
            std::find_if(all.begin(), all.end(), [&](const MergedIn& other) { return other.id == id; });
        if (at == all.end()) break;
        id = at->via;
    }
    return {};
}

}  // namespace

std::optional<ProfileOutcome> ProfileEditing::survivor_refused(const std::optional<Row>& row,
                                                               std::string_view id) {
    if (row && row->head.kind == ProfileKind::erased)
        return refused(Verdict::refused_erased, id, row->head.version);
    if (row && row->head.kind == ProfileKind::merged)
        return refused(Verdict::refused_merged, row->survivor, row->head.version);
    if (!row || !row->live()) return refused(Verdict::refused_missing, id);
    return std::nullopt;
}

std::optional<ProfileOutcome> ProfileEditing::merge_refused(const Row& survivor, const std::vector<Row>& from,
                                                            const std::vector<std::string>& ids,
                                                            bool needs_alias) {
    std::size_t merged = survivor.body->merged_in.size();
    std::size_t aliases = alias_keys(*survivor.body).size();
    bool done = true;  // before: said again, it stays so
    const auto loop = [&](const std::string& words) {
        return refused(Verdict::refused_loop, survivor.body->id, survivor.head.version, words);
    };
    for (std::size_t i = 0; i < from.size(); ++i) {
        const Row& row = from[i];
        if (row.key == survivor.key) return loop(ids[i] + " is the survivor itself");
        if (row.head.kind == ProfileKind::erased)
            return refused(Verdict::refused_erased, ids[i], row.head.version);
        // One that was merged into another of them comes with that.
        if (row.head.kind == ProfileKind::merged && row.survivor != survivor.body->id &&
            !among(ids, row.survivor))
            return loop(ids[i] + " is merged into another profile already");
        if (row.head.kind == ProfileKind::merged) continue;  // counted with the one it is part of
        done = false;
        merged += 1 + (row.body ? row.body->merged_in.size() : 0);
        aliases += row.body ? alias_keys(*row.body).size() : 0;
    }
    if (needs_alias && !done && aliases == 0)
        return loop("there is no alias to which somebody whom only events know could be tied");
    if (merged > Profiles::merged_max || aliases > Profiles::aliases_max)
        return refused(Verdict::refused_invalid, survivor.body->id, survivor.head.version,
                       "one profile is made of at most " + std::to_string(Profiles::merged_max) +
                           ", with at most " + std::to_string(Profiles::aliases_max) + " aliases");
    return std::nullopt;
}

ProfileOutcome ProfileEditing::merge(const ProfileMerge& wanted) {
    const auto survivor = load(key_of(wanted.id));
    if (auto no = survivor_refused(survivor, wanted.id)) return std::move(*no);
    const std::vector<std::string> ids = each_id_once(wanted.from);
    std::vector<Row> from;
    for (const std::string& id : ids) {
        Row row;
        row.key = key_of(id);
        if (auto found = load(row.key)) row = std::move(*found);
        from.push_back(std::move(row));
    }
    // Before the first row is written: a merge is done as a whole or not at all.
    if (auto no = merge_refused(*survivor, from, ids, wanted.needs_alias)) return std::move(*no);

    ProfileOutcome out;
    out.id = wanted.id;
    out.version = survivor->head.version;
    ProfileBody body = *survivor->body;
    for (std::size_t i = 0; i < from.size(); ++i) {
        if (from[i].head.kind == ProfileKind::merged) continue;
        out.verdict = Verdict::merged;
        absorb(from[i], ids[i], survivor->key, body);
    }
    if (out.verdict != Verdict::merged) return out;
    drop_documents(body.merged_in);
    write_live(survivor->key, survivor->head, body, survivor->bytes);
    return out;
}

// `row` may be one that is not there.
void ProfileEditing::absorb(const Row& row, const std::string& id, const std::string& survivor_key,
                            ProfileBody& body) {
    MergedIn one{id, row.head.version, {}, body.id, {}, {}, {}, {}};
    if (row.body) {
        one.aliases = row.body->aliases;
        one.json = row.body->json;
        one.refusals = row.hollow() ? row.body->refusals : refusals_in(one.json, row.body->consents_came);
        one.consents_came = row.body->consents_came;
        for (const std::string& alias : alias_keys(*row.body))
            write(parts_.tables.aliases, alias, survivor_key);
        for (const MergedIn& older : row.body->merged_in) {
            const auto merged = load(key_of(older.id));
            if (merged && merged->head.kind == ProfileKind::merged)
                write_merged(merged->key, merged->head, body.id, merged->bytes);
            body.merged_in.push_back(older);
        }
    }
    if (row.bytes != 0) drop_row(row);
    ProfileHead head = row.head;
    head.kind = ProfileKind::merged;
    write_merged(row.key, head, body.id, 0);
    ++parts_.counts.merged;
    body.merged_in.push_back(std::move(one));
}

// Otherwise `ids` are those that are merged into it. One that lives by itself, or of which nothing is here,
// is as the wish would have it: who sends it again is not told that it failed.
std::optional<ProfileOutcome> ProfileEditing::unmerge_refused(const ProfileUnmerge& wanted,
                                                              std::vector<std::string>& ids) {
    for (const std::string& id : each_id_once(wanted.ids)) {
        const auto row = load(key_of(id));
        if (row && row->head.kind == ProfileKind::erased)
            return refused(Verdict::refused_erased, id, row->head.version);
        if (!row || row->head.kind != ProfileKind::merged) continue;
        if (row->survivor != wanted.id)
            return refused(Verdict::refused_apart, id, row->head.version,
                           id + " is merged into another profile");
        ids.push_back(id);
    }
    return std::nullopt;
}

ProfileOutcome ProfileEditing::unmerge(const ProfileUnmerge& wanted) {
    const auto survivor = load(key_of(wanted.id));
    if (auto no = survivor_refused(survivor, wanted.id)) return std::move(*no);
    std::vector<std::string> ids;
    if (auto no = unmerge_refused(wanted, ids)) return std::move(*no);
    ProfileOutcome out;
    out.id = wanted.id;
    out.version = survivor->head.version;
    if (ids.empty()) return out;
    out.verdict = Verdict::unmerged;

    const std::vector<MergedIn>& all = survivor->body->merged_in;
    ProfileBody rest = *survivor->body;
    std::erase_if(rest.merged_in, [&](const MergedIn& one) { return !goes_with(one, all, ids).empty(); });
    // In the order in which they came, so that of an alias that several list whose it was first has it.
    const std::vector<std::string> roots = ids;
    for (const MergedIn& one : all) {
        if (std::erase(ids, one.id) == 0) continue;
        std::vector<MergedIn> with;
        for (const MergedIn& other : all)
            if (other.id != one.id && goes_with(other, all, roots) == one.id) with.push_back(other);
        bring_back(one, std::move(with), survivor->key);
    }
    // Rows of which the survivor knows nothing, for it was lost and came anew.
    for (const std::string& id : ids)
        if (const auto row = load(key_of(id))) drop_row(*row);
    const auto left = [&](const Alias& alias) {
        return get(parts_.tables.aliases, alias.key) != survivor->key;
    };
    std::erase_if(rest.aliases, left);
    for (MergedIn& one : rest.merged_in) std::erase_if(one.aliases, left);
    write_live(survivor->key, survivor->head, rest, survivor->bytes);
    return out;
}

// `with`: who was merged into it before.
void ProfileEditing::bring_back(const MergedIn& one, std::vector<MergedIn> with,
                                const std::string& survivor_key) {
    const std::string key = key_of(one.id);
    ProfileHead head;
    if (const auto merged = load(key); merged && merged->head.kind == ProfileKind::merged) {
        head = merged->head;
        drop_row(*merged);
    }
    head.kind = ProfileKind::live;
    head.version = one.json.empty() ? 0 : one.version;
    ProfileBody body{one.id, one.aliases, std::move(with), one.json, now_, one.consents_came, {}};
    if (body.consents_came.ms == 0) body.consents_came = now_;
    if (body.json.empty()) body.refusals = one.refusals;
    std::vector<std::string> together{one.id};
    for (const MergedIn& other : body.merged_in) together.push_back(other.id);
    const auto left = [&](const Alias& alias) {
        return get(parts_.tables.aliases, alias.key) != survivor_key;
    };
    std::erase_if(body.aliases, left);
    for (MergedIn& other : body.merged_in) {
        std::erase_if(other.aliases, left);
        std::erase_if(other.answers,
                      [&](const MergedIn::Answer& answer) { return !among(together, answer.by); });
        if (const auto merged = load(key_of(other.id)); merged && merged->head.kind == ProfileKind::merged)
            write_merged(merged->key, merged->head, one.id, merged->bytes);
    }
    // Nothing was here when it was merged, or nothing is left: the platform is asked, as for anybody.
    if (body.json.empty() && body.aliases.empty() && body.merged_in.empty()) return;
    for (const std::string& alias : alias_keys(body)) write(parts_.tables.aliases, alias, key);
    add_live(key, head, body);
}

}  // namespace touchpoint::store
