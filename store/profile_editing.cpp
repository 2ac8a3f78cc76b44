#include "store/profile_editing.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "gateway/core/assert.hpp"
#include "gateway/core/json_slice.hpp"
#include "store/bytes.hpp"
#include "store/keys.hpp"

namespace touchpoint::store {
namespace {

using Verdict = ProfileOutcome::Verdict;

constexpr std::size_t key_bytes = 32;
constexpr std::size_t pseudonym_bytes = 29;
constexpr std::uint64_t alias_cost = row_cost(pseudonym_bytes, key_bytes);
constexpr std::uint64_t touched_cost = row_cost(key_bytes, 8);

template <class Number>
std::string little(Number number) {
    std::string out;
    append_little(out, static_cast<std::uint64_t>(number));
    return out;
}

bool holds(const std::vector<Alias>& aliases, std::string_view key) {
    return std::any_of(aliases.begin(), aliases.end(), [&](const Alias& a) { return a.key == key; });
}
std::vector<Alias> each_once(const std::vector<Alias>& aliases) {
    std::vector<Alias> out;
    for (const Alias& alias : aliases)
        if (!holds(out, alias.key)) out.push_back(alias);
    return out;
}

bool among(const std::vector<std::string>& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

// Never below nothing: rows that do not open any more may have been counted as something else.
void less(std::uint64_t& count, std::uint64_t by) { count -= std::min(count, by); }

}  // namespace

ProfileOutcome ProfileEditing::refused(Verdict verdict, std::string_view id, std::uint64_t version,
                                       std::string detail) {
    ProfileOutcome out;
    out.verdict = verdict;
    out.id = id;
    out.version = version;
    out.detail = std::move(detail);
    return out;
}

std::vector<std::string> ProfileEditing::alias_keys(const ProfileBody& body) {
    std::vector<std::string> keys;
    for (const Alias& alias : body.aliases) keys.push_back(alias.key);
    for (const MergedIn& one : body.merged_in)
        for (const Alias& alias : one.aliases) keys.push_back(alias.key);
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    return keys;
}

// --- LMDB, with the first error kept

std::optional<std::string> ProfileEditing::get(Table table, std::string_view key) {
    if (error_) return std::nullopt;
    const auto found = parts_.txn.get(table, key);
    if (!found) return error_ = found.error(), std::nullopt;
    if (!*found) return std::nullopt;
    return std::string(**found);
}

std::optional<std::pair<std::string, std::string>> ProfileEditing::seek(Table table, std::string_view key) {
    if (error_) return std::nullopt;
    const auto found = parts_.txn.seek(table, key);
    if (!found) return error_ = found.error(), std::nullopt;
    if (!*found) return std::nullopt;
    return std::pair(std::string((*found)->key), std::string((*found)->value));
}

void ProfileEditing::write(Table table, std::string_view key, std::string_view value) {
    if (error_) return;
    if (const auto put = parts_.txn.put(table, key, value); !put) error_ = put.error();
}

void ProfileEditing::remove(Table table, std::string_view key) {
    if (error_) return;
    if (const auto erased = parts_.txn.erase(table, key); !erased) error_ = erased.error();
}

// --- rows

std::string ProfileEditing::key_of(std::string_view id) const { return keyed_hash(parts_.key, id); }

std::optional<ProfileEditing::Row> ProfileEditing::load(std::string key) {
    const auto value = get(parts_.tables.profiles, key);
    if (!value) return std::nullopt;
    Row row;
    row.bytes = value->size();
    // One that is not ours is live and does not open: it counts as not there, and is written over.
    if (const auto head = read_profile_head(*value)) row.head = *head;
    if (row.head.kind == ProfileKind::live) row.body = open_live_row(parts_.box, key, *value);
    if (row.head.kind == ProfileKind::merged)
        row.survivor = open_merged_row(parts_.box, key, *value).value_or("");
    if (row.head.kind == ProfileKind::erased) row.buried = read_erased_aliases(*value);
    row.key = std::move(key);
    return row;
}

void ProfileEditing::write_live(const std::string& key, const ProfileHead& head, const ProfileBody& body,
                                std::size_t bytes_before) {
    const std::string row = live_row(parts_.box, key, head, body);
    write(parts_.tables.profiles, key, row);
    if (bytes_before != 0) less(parts_.counts.bytes, row_cost(key_bytes, bytes_before));
    parts_.counts.bytes += row_cost(key_bytes, row.size());
}

void ProfileEditing::write_merged(const std::string& key, const ProfileHead& head, std::string_view survivor,
                                  std::size_t bytes_before) {
    const std::string row = merged_row(parts_.box, key, head, survivor);
    write(parts_.tables.profiles, key, row);
    if (bytes_before != 0) less(parts_.counts.bytes, row_cost(key_bytes, bytes_before));
    parts_.counts.bytes += row_cost(key_bytes, row.size());
}

void ProfileEditing::drop_row(const Row& row) {
    remove(parts_.tables.profiles, row.key);
    if (row.head.kind == ProfileKind::erased) return;  // counted as an erasure
    less(parts_.counts.bytes, row_cost(key_bytes, row.bytes));
    if (row.head.kind == ProfileKind::merged) return less(parts_.counts.merged, 1);
    if (row.head.kind == ProfileKind::live) less(parts_.counts.live, 1);
    less(parts_.counts.bytes, touched_cost);
    remove(parts_.tables.touched, row.key);
}

// A new living row, where none is counted.
void ProfileEditing::add_live(const std::string& key, const ProfileHead& head, const ProfileBody& body) {
    ++parts_.counts.live;
    parts_.counts.bytes += touched_cost;
    write(parts_.tables.touched, key, little(now_.ms));
    write_live(key, head, body, 0);
}

// What else is kept under one of his names: the raw identifier, and what he did in this store.
void ProfileEditing::forget_person(const std::string& alias_key) {
    remove(parts_.tables.vault, alias_key);
    remove(parts_.tables.pictures, alias_key);
}

// A profile with everything that leads to it.
void ProfileEditing::drop_live(const Row& row) {
    if (row.body) {
        for (const std::string& alias : alias_keys(*row.body)) release(alias, row.key);
        for (const MergedIn& one : row.body->merged_in)
            if (const auto merged = load(key_of(one.id)); merged && merged->head.kind == ProfileKind::merged)
                drop_row(*merged);
    }
    drop_row(row);
}

void ProfileEditing::write_tombstone(const std::string& key, std::uint64_t version,
                                     const std::vector<std::string>& buried) {
    write(parts_.tables.profiles, key, erased_row({ProfileKind::erased, version, now_, now_}, buried));
    std::string place;
    append_big(place, static_cast<std::uint64_t>(now_.ms));
    place += key;
    if (!get(parts_.tables.erasures, place)) ++parts_.counts.erasures;
    write(parts_.tables.erasures, place, little(version));
}

// --- aliases

bool ProfileEditing::release(const std::string& alias_key, const std::string& key) {
    if (get(parts_.tables.aliases, alias_key) != key) return false;
    remove(parts_.tables.aliases, alias_key);
    less(parts_.counts.bytes, alias_cost);
    return true;
}

bool ProfileEditing::take_from(const std::string& alias_key, const std::string& key) {
    const auto row = load(key);
    if (row && row->head.kind == ProfileKind::erased) return !among(row->buried, alias_key);
    if (!row || !row->live()) return true;
    ProfileBody body = *row->body;
    const auto is_it = [&](const Alias& alias) { return alias.key == alias_key; };
    std::erase_if(body.aliases, is_it);
    for (MergedIn& one : body.merged_in) std::erase_if(one.aliases, is_it);
    write_live(key, row->head, body, row->bytes);
    return true;
}

std::vector<std::string> ProfileEditing::bury(const std::vector<Alias>& aliases, const std::string& from,
                                              const std::string& grave, std::vector<std::string>& forgotten) {
    std::vector<std::string> names;
    for (const Alias& alias : aliases) {
        if (!release(alias.key, from)) continue;
        forget_person(alias.key);
        forgotten.push_back(alias.key);
        if (names.size() == tombstone_aliases_max) continue;
        write(parts_.tables.aliases, alias.key, grave);
        names.push_back(alias.key);
    }
    return names;
}

bool ProfileEditing::bury_unheld(const std::vector<Alias>& aliases, const std::string& grave,
                                 std::vector<std::string>& buried) {
    bool any = false;
    for (const Alias& alias : aliases) {
        if (buried.size() == tombstone_aliases_max || get(parts_.tables.aliases, alias.key)) continue;
        write(parts_.tables.aliases, alias.key, grave);
        buried.push_back(alias.key);
        any = true;
    }
    return any;
}

void ProfileEditing::unbury(const std::vector<std::string>& buried, const std::string& grave) {
    for (const std::string& alias : buried)
        if (get(parts_.tables.aliases, alias) == grave) remove(parts_.tables.aliases, alias);
}

void ProfileEditing::claim(const Alias& alias, const std::string& key) {
    const auto holder = get(parts_.tables.aliases, alias.key);
    if (holder == key) return;
    if (!holder || !take_from(alias.key, *holder)) parts_.counts.bytes += alias_cost;
    write(parts_.tables.aliases, alias.key, key);
}

// --- changes

ProfileOutcome ProfileEditing::change(const ProfileChange& change) {
    if (const auto* wanted = std::get_if<ProfilePut>(&change)) return put(*wanted);
    if (const auto* wanted = std::get_if<ProfilePatch>(&change)) return patch(*wanted);
    if (const auto* wanted = std::get_if<ProfileErase>(&change)) return erase(*wanted);
    if (const auto* wanted = std::get_if<ProfileMerge>(&change)) return merge(*wanted);
    return unmerge(std::get<ProfileUnmerge>(change));
}

ProfileOutcome ProfileEditing::put(const ProfilePut& wanted) {
    auto row = load(key_of(wanted.id));
    const std::uint64_t held = row ? row->head.version : 0;
    if (row && row->head.kind == ProfileKind::erased && wanted.version <= held)
        return refused(Verdict::refused_erased, wanted.id, held);
    if (row && row->head.kind == ProfileKind::merged) {
        if (wanted.heard) hear(key_of(row->survivor));
        return refused(Verdict::refused_merged, row->survivor, held);
    }
    const bool live = row && row->live();
    const bool repeat = live && wanted.version == held && !row->hollow();
    if (wanted.only_version && !repeat && (!live || held != *wanted.only_version))
        return refused(Verdict::refused_version, wanted.id, held);
    const bool left = row && row->head.kind == ProfileKind::left;
    if ((live || left) && wanted.version < held) {
        if (wanted.heard && live) hear(row->key);
        return refused(Verdict::refused_older, wanted.id, held);
    }

    ProfileOutcome out;
    out.id = wanted.id;
    out.version = wanted.version;
    if (repeat) {
        // Whoever says it again says that it is still so.
        row->head.received = now_;
        write_live(row->key, row->head, *row->body, row->bytes);
        out.verdict = Verdict::unchanged;
        return out;
    }
    out.verdict = live ? Verdict::replaced : Verdict::created;
    if (!row) {
        row.emplace();
        row->key = key_of(wanted.id);
    }
    replace(std::move(*row), live, wanted);
    return out;
}

namespace {

std::optional<std::string_view> consents_in(std::string_view json) {
    return json_find(json_members(json), "consents");
}

}  // namespace

void ProfileEditing::answer(MergedIn& one, const std::string& id, std::uint8_t purposes) {
    if (one.refusals.empty() || purposes == 0) return;
    const auto held = std::find_if(one.answers.begin(), one.answers.end(),
                                   [&](const MergedIn::Answer& other) { return other.by == id; });
    if (held == one.answers.end())
        one.answers.push_back({id, purposes});
    else
        held->purposes |= purposes;
}

void ProfileEditing::replace(Row row, bool was_there, const ProfilePut& wanted) {
    ProfileBody body;
    body.id = wanted.id;
    body.aliases = each_once(wanted.aliases);
    body.json = wanted.json;
    body.came = body.consents_came = now_;
    // What is only said again was not decided anew.
    if (was_there && consents_in(wanted.json) == consents_in(row.body->json))
        body.consents_came = row.body->consents_came;
    const ProfileHead head{ProfileKind::live, wanted.version, wanted.updated, now_};
    if (was_there) {
        body.merged_in = row.body->merged_in;
        for (MergedIn& one : body.merged_in) answer(one, wanted.id, wanted.purposes_told);
        const auto stay = alias_keys(body);
        for (const Alias& alias : row.body->aliases)
            if (!among(stay, alias.key)) release(alias.key, row.key);
        for (const Alias& alias : body.aliases) claim(alias, row.key);
        return write_live(row.key, head, body, row.bytes);
    }
    // What was here (a tombstone, bytes that do not open) goes without a trace of its own.
    unbury(row.buried, row.key);
    if (row.bytes != 0) drop_row(row);
    for (const Alias& alias : body.aliases) claim(alias, row.key);
    add_live(row.key, head, body);
}

ProfileOutcome ProfileEditing::patch(const ProfilePatch& wanted) {
    const auto row = load(key_of(wanted.id));
    const std::uint64_t held = row ? row->head.version : 0;
    if (row && row->head.kind == ProfileKind::merged) {
        if (wanted.heard) hear(key_of(row->survivor));
        return refused(Verdict::refused_merged, row->survivor, held);
    }
    const bool live = row && row->live() && !row->hollow();
    if (!live && !wanted.create) {
        if (row && row->head.kind == ProfileKind::erased)
            return refused(
                Verdict::refused_erased, wanted.id, held,
                "this profile was erased; only a newer version, put or with create, brings it back");
        return refused(Verdict::refused_missing, wanted.id);
    }
    ProfilePut result;
    if (!live || wanted.version > held) {
        Profile now;
        now.id = wanted.id;
        now.json = "{}";
        if (live) {
            now.version = held;
            now.updated = row->head.updated;
            now.received = row->head.received;
            now.json = row->body->json;
            now.aliases = row->body->aliases;
        }
        auto edited = wanted.edit(now);
        if (!edited) return refused(Verdict::refused_invalid, wanted.id, held, edited.error().context);
        result = std::move(*edited);
        result.purposes_told = wanted.purposes_told;
    }
    result.id = wanted.id;
    result.version = wanted.version;
    result.only_version = wanted.only_version;
    result.heard = wanted.heard;
    return put(result);
}

ProfileOutcome ProfileEditing::erase(const ProfileErase& wanted) {
    const std::string own = key_of(wanted.id);
    const auto row = load(own);
    if (row && wanted.version && !wanted.whatever_is_held && row->head.kind != ProfileKind::erased &&
        *wanted.version < row->head.version)
        return refused(Verdict::refused_older, wanted.id, row->head.version);
    ProfileOutcome out;
    out.verdict = Verdict::erased;
    out.id = wanted.id;
    out.time = now_;
    for (const Alias& alias : wanted.aliases) {
        forget_person(alias.key);
        out.forgotten.push_back(alias.key);
    }
    // What came from a merge without a document has no version that a late put could be measured by.
    const bool merged_unknown = row && row->head.kind == ProfileKind::merged && row->head.version == 0;
    const bool left = row && row->head.kind == ProfileKind::left;
    const bool known = row && !row->hollow() && !merged_unknown && !left;
    out.version = std::max(wanted.version.value_or(known ? 0 : every_version), row ? row->head.version : 0);
    std::vector<std::string> buried;
    if (row)
        for (const std::string& alias : row->buried)
            if (get(parts_.tables.aliases, alias) == own) buried.push_back(alias);
    if (row && row->head.kind == ProfileKind::erased && out.version == row->head.version) {
        out.time = row->head.updated;  // said again, perhaps with more aliases
        if (bury_unheld(wanted.aliases, own, buried))
            write(parts_.tables.profiles, own, erased_row(row->head, buried));
        return out;
    }
    // Whoever was merged into somebody is that person: all of him goes.
    auto person = row;
    if (row && row->head.kind == ProfileKind::merged && !row->survivor.empty())
        person = load(key_of(row->survivor));
    if (person && person->live()) bury_person(*person, own, buried, out.forgotten);
    if (const auto there = load(own); there && there->head.kind != ProfileKind::erased) drop_row(*there);
    bury_unheld(wanted.aliases, own, buried);
    write_tombstone(own, out.version, buried);
    return out;
}

// All tombstones but that of `own`, whose aliases are added to `buried`.
void ProfileEditing::bury_person(const Row& person, const std::string& own, std::vector<std::string>& buried,
                                 std::vector<std::string>& forgotten) {
    const auto bury_one = [&](const std::string& key, std::uint64_t version,
                              const std::vector<Alias>& aliases) {
        const auto names = bury(aliases, person.key, key, forgotten);
        if (key == own)
            buried.insert(buried.end(), names.begin(), names.end());
        else
            write_tombstone(key, version, names);
    };
    // Of whom no document was ever seen, or none is left, no version is known that a late put could have.
    const auto up_to = [](std::uint64_t version, const std::string& json) {
        return version == 0 && json.empty() ? every_version : version;
    };
    drop_row(person);
    for (const MergedIn& one : person.body->merged_in)
        if (const auto merged = load(key_of(one.id)); merged && merged->head.kind == ProfileKind::merged)
            drop_row(*merged);
    // The person's own last: what is buried with those leads to the person's key no more.
    for (const MergedIn& one : person.body->merged_in)
        bury_one(key_of(one.id), up_to(one.version, one.json), one.aliases);
    bury_one(person.key, up_to(person.head.version, person.body->json), person.body->aliases);
}

// --- room

// What stays is younger than all that may leave before it, and leaves in its turn.
void ProfileEditing::leave_version(const Row& row) {
    if (!row.live() || row.hollow()) return;
    ProfileHead head = row.head;
    head.kind = ProfileKind::left;
    const std::string value = left_row(head);
    write(parts_.tables.profiles, row.key, value);
    write(parts_.tables.touched, row.key, little(now_.ms));
    parts_.counts.bytes += row_cost(key_bytes, value.size()) + touched_cost;
}

bool ProfileEditing::evict(std::string& sweep, bool versions_stay) {
    std::string oldest;
    auto oldest_ms = std::numeric_limits<std::uint64_t>::max();
    bool from_the_beginning = sweep.empty();
    for (int seen = 0; seen < sample && !error_; ++seen) {
        const auto row = seek(parts_.tables.touched, sweep);
        if (!row) {
            sweep.clear();
            if (from_the_beginning) break;
            from_the_beginning = true;
            continue;
        }
        const std::uint64_t ms =
            row->second.size() == 8 ? ByteReader(row->second).little<std::uint64_t>() : 0;
        if (ms < oldest_ms) oldest_ms = ms, oldest = row->first;
        sweep = row->first + '\0';
    }
    if (oldest.empty() || error_) return false;
    const auto row = load(oldest);
    if (row && row->head.kind == ProfileKind::live) {
        drop_live(*row);
        if (versions_stay) leave_version(*row);
        ++evicted_;
    } else if (row && row->head.kind == ProfileKind::left) {
        drop_row(*row);
    } else {
        remove(parts_.tables.touched, oldest);
    }
    return !error_;
}

bool ProfileEditing::drop(const std::string& key) {
    const auto row = load(key);
    if (!row || row->head.kind != ProfileKind::live) return false;
    drop_live(*row);
    return !error_;
}

void ProfileEditing::hear(const std::string& key) {
    auto row = load(key);
    if (!row || !row->live()) return;
    row->head.received = now_;
    write_live(row->key, row->head, *row->body, row->bytes);
}

void ProfileEditing::forget_erasures(std::uint64_t erasures_max) {
    for (std::size_t gone = 0; parts_.counts.erasures > erasures_max && gone < forgotten_at_once; ++gone) {
        const auto row = seek(parts_.tables.erasures, {});
        if (!row) return;
        if (row->first.size() == 8 + key_bytes) {
            const std::string key = row->first.substr(8);
            const auto held = load(key);
            // One that was erased again later has a row of its own.
            const bool this_one =
                held && held->head.kind == ProfileKind::erased &&
                static_cast<std::uint64_t>(held->head.updated.ms) == read_big<std::uint64_t>(row->first);
            if (this_one) {
                unbury(held->buried, key);
                remove(parts_.tables.profiles, key);
            }
        }
        remove(parts_.tables.erasures, row->first);
        less(parts_.counts.erasures, 1);
    }
}

void ProfileEditing::write_counts() {
    std::string row;
    for (const std::uint64_t number :
         {parts_.counts.live, parts_.counts.merged, parts_.counts.erasures, parts_.counts.bytes})
        append_little(row, number);
    write(parts_.tables.profile_counts, "counts", row);
}

}  // namespace touchpoint::store
