#include "store/profiles.hpp"

#include <algorithm>
#include <utility>

#include "gateway/core/assert.hpp"
#include "gateway/core/log.hpp"
#include "store/bytes.hpp"
#include "store/cache.hpp"
#include "store/environment.hpp"
#include "store/hex.hpp"
#include "store/keys.hpp"
#include "store/profile_editing.hpp"

namespace touchpoint::store {
namespace {

constexpr std::size_t key_bytes = 32;
constexpr std::size_t reference_bytes = 16;  // of the key: no two erasures of a chain meet by chance
// Rows that leave in one transaction besides those that it brings; what is above the bound then leaves later.
constexpr int evictions_max = 256;
constexpr int evictions_when_crowded = 64;

}  // namespace

Profiles::Profiles(Cache& cache, const SealedBox& box, std::string key, Options options)
    : cache_(cache), box_(box), key_(std::move(key)), options_(options) {
    TP_ASSERT(key_.size() == key_bytes);
    if (const auto read = read_counts(); !read)
        log::error("store", "profiles cannot be counted", {{"why", read.error().context}});
    publish(counts_, 0);
}

Profiles::~Profiles() = default;

Result<void> Profiles::read_counts() {
    const auto txn = cache_.environment().begin_read();
    if (!txn) return txn.error();
    const auto row = txn->get(cache_.tables().profile_counts, "counts");
    if (!row) return row.error();
    if (!*row) return {};  // a new cache
    ByteReader in(**row);
    Counts counts;
    counts.live = in.little<std::uint64_t>();
    counts.merged = in.little<std::uint64_t>();
    counts.erasures = in.little<std::uint64_t>();
    counts.bytes = in.little<std::uint64_t>();
    if (!in.ok()) return fail(Errc::damaged, "the row of their numbers is cut off");
    counts_ = counts;
    return {};
}

void Profiles::publish(const Counts& counts, std::uint64_t evicted) {
    live_ = counts.live;
    merged_ = counts.merged;
    erasures_ = counts.erasures;
    bytes_ = counts.bytes;
    evicted_ += evicted;
}

ProfileStats Profiles::stats() const {
    return {live_, merged_, erasures_, bytes_, options_.bytes_max, evicted_, damaged_};
}

std::string Profiles::reference(std::string_view id) const {
    return hex(keyed_hash(key_, id).substr(0, reference_bytes));
}

// --- reads

Result<ProfileLook> Profiles::by_id(std::string_view id, UtcTime now) {
    auto txn = cache_.environment().begin_read();
    if (!txn) return txn.error();
    return look(*txn, keyed_hash(key_, id), true, now);
}

Result<ProfileLook> Profiles::by_alias(std::string_view alias_key, UtcTime now) {
    auto txn = cache_.environment().begin_read();
    if (!txn) return txn.error();
    const auto row = txn->get(cache_.tables().aliases, alias_key);
    if (!row) return row.error();
    if (!*row) return ProfileLook{};
    return look(*txn, **row, false, now);
}

Result<std::uint64_t> Profiles::version_of(std::string_view id) const {
    auto txn = cache_.environment().begin_read();
    if (!txn) return txn.error();
    const auto row = txn->get(cache_.tables().profiles, keyed_hash(key_, id));
    if (!row) return row.error();
    const auto head = *row ? read_profile_head(**row) : std::nullopt;
    return head && head->kind != ProfileKind::erased ? head->version : 0;
}

// `follow`: from a merged one to its survivor, once.
Result<ProfileLook> Profiles::look(Transaction& txn, std::string_view key, bool follow, UtcTime now) {
    const auto row = txn.get(cache_.tables().profiles, key);
    if (!row) return row.error();
    ProfileLook found;
    if (!*row) return found;
    const auto head = read_profile_head(**row);
    if (head && head->kind == ProfileKind::erased) {
        found.kind = ProfileLook::Kind::erased;
        return found;
    }
    if (head && head->kind == ProfileKind::left) return found;
    if (head && head->kind == ProfileKind::merged) {
        const auto survivor = open_merged_row(box_, key, **row);
        if (survivor && follow) {
            auto there = look(txn, keyed_hash(key_, *survivor), false, now);
            if (there) there->by_merged = there->kind == ProfileLook::Kind::found;
            return there;
        }
        ++damaged_;
        return found;
    }
    auto body = head ? open_live_row(box_, key, **row) : std::nullopt;
    if (!body) {
        ++damaged_;
        return found;
    }
    touch(key, now);
    found.kind = ProfileLook::Kind::found;
    Profile& profile = found.profile;
    profile.id = std::move(body->id);
    profile.version = head->version;
    profile.updated = head->updated;
    profile.received = head->received;
    profile.came = body->came;
    profile.consents_came = body->consents_came;
    profile.json = body->json.empty() ? "{}" : std::move(body->json);
    profile.aliases = std::move(body->aliases);
    profile.refused_by_merged = std::move(body->refusals);
    for (MergedIn& one : body->merged_in) {
        profile.merged_from.push_back(std::move(one.id));
        for (const Refusal& refusal : one.refusals)
            if (one.stands(refusal)) profile.refused_by_merged.push_back(refusal);
        for (Alias& alias : one.aliases)
            if (std::find(profile.aliases.begin(), profile.aliases.end(), alias) == profile.aliases.end())
                profile.aliases.push_back(std::move(alias));
    }
    return found;
}

Result<ErasurePage> Profiles::erasures(std::string_view after, std::size_t max) const {
    std::string place;
    if (!after.empty()) {
        const auto bytes = unhex(after);
        if (!bytes || bytes->size() != sizeof(std::uint64_t) + key_bytes)
            return fail(Errc::invalid_argument, "no page ends there");
        place = *bytes + '\0';
    }
    const auto txn = cache_.environment().begin_read();
    if (!txn) return txn.error();
    ErasurePage page;
    for (;;) {
        const auto row = txn->seek(cache_.tables().erasures, place);
        if (!row) return row.error();
        if (!*row) return page;
        const std::string key((*row)->key);
        if (page.rows.size() == std::min(max, erasures_page_max)) {
            page.next = hex(place.substr(0, sizeof(std::uint64_t) + key_bytes));
            return page;
        }
        place = key + '\0';
        if (key.size() != sizeof(std::uint64_t) + key_bytes || (*row)->value.size() != sizeof(std::uint64_t))
            continue;
        Erasure erasure;
        erasure.time.ms = static_cast<std::int64_t>(read_big<std::uint64_t>(key));
        erasure.reference = hex(std::string_view(key).substr(sizeof(std::uint64_t), reference_bytes));
        erasure.version = ByteReader((*row)->value).little<std::uint64_t>();
        page.rows.push_back(std::move(erasure));
    }
}

// --- writes

Result<std::vector<ProfileOutcome>> Profiles::apply(std::span<const ProfileChange> changes, UtcTime now,
                                                    Durable when) {
    TP_ASSERT(changes.size() <= changes_max);
    auto outcomes = apply_once(changes, now, when, false);
    if (outcomes || outcomes.error().code != Errc::full) return outcomes;
    // The room that was reckoned with is not there: somebody leaves first.
    if (const auto room = apply_once({}, now, when, true); !room) return room;
    return apply_once(changes, now, when, false);
}

Result<void> Profiles::settle() { return cache_.environment().settle(); }

Result<bool> Profiles::crowded() const {
    Environment& environment = cache_.environment();
    const std::uint64_t used = environment.used_bytes();
    if (used + cache_.vault_room() <= environment.map_bytes()) return false;
    // The file is long; what matters is how much of it is in use.
    const auto txn = environment.begin_read();
    if (!txn) return txn.error();
    const auto free = txn->free_pages();
    if (!free) return free.error();
    return used - *free * environment.page_bytes() + cache_.vault_room() > environment.map_bytes();
}

Result<std::vector<ProfileOutcome>> Profiles::apply_once(std::span<const ProfileChange> changes, UtcTime now,
                                                         Durable when, bool crowded_out) {
    const auto crowded_now = crowded();
    if (!crowded_now) return crowded_now.error();
    auto txn = cache_.environment().begin_write();
    if (!txn) return txn.error();
    Counts counts = counts_;
    ProfileEditing editing({*txn, cache_.tables(), box_, key_, counts}, now);
    std::vector<ProfileOutcome> outcomes;
    outcomes.reserve(changes.size());
    for (const ProfileChange& change : changes) {
        outcomes.push_back(editing.change(change));
        ProfileOutcome& outcome = outcomes.back();
        if (outcome.verdict != ProfileOutcome::Verdict::erased) continue;
        outcome.reference = reference(outcome.id);
        std::vector<std::string>& names = outcome.forgotten;
        std::sort(names.begin(), names.end());
        names.erase(std::unique(names.begin(), names.end()), names.end());
    }

    int evicted = 0;
    const auto too_many = [&] {
        return counts.bytes > options_.bytes_max ||
               ((crowded_out || *crowded_now) && evicted < evictions_when_crowded);
    };
    const bool versions_stay = !crowded_out && !*crowded_now;
    while (too_many() && evicted < evictions_max && editing.evict(sweep_, versions_stay)) ++evicted;
    editing.forget_erasures(options_.erasures_max);
    editing.write_counts();
    if (const auto error = editing.error()) return *error;
    if (const auto committed = txn->commit(when); !committed) return committed.error();
    counts_ = counts;
    publish(counts_, editing.evicted());
    return outcomes;
}

Result<UnheardStep> Profiles::drop_unheard_since(UtcTime since, std::string place, std::size_t max) {
    auto txn = cache_.environment().begin_write();
    if (!txn) return txn.error();
    Counts counts = counts_;
    ProfileEditing editing({*txn, cache_.tables(), box_, key_, counts}, since);
    UnheardStep step;
    step.place = std::move(place);
    for (std::size_t looked = 0; looked < unheard_rows_a_commit && step.dropped < max; ++looked) {
        const auto row = txn->seek(cache_.tables().profiles, step.place);
        if (!row) return row.error();
        if (!*row) {
            step.done = true;
            break;
        }
        const std::string key((*row)->key);
        const auto head = read_profile_head((*row)->value);
        step.place = key + '\0';
        const bool unheard =
            head && head->kind == ProfileKind::live && head->version != 0 && head->received < since;
        if (unheard && editing.drop(key)) ++step.dropped;
    }
    if (step.dropped == 0) return step;
    editing.write_counts();
    if (const auto error = editing.error()) return *error;
    if (const auto committed = txn->commit(); !committed) return committed.error();
    counts_ = counts;
    publish(counts_, 0);
    return step;
}

Result<void> Profiles::drop(std::span<const std::string> ids) {
    TP_ASSERT(ids.size() <= merged_max);
    auto txn = cache_.environment().begin_write();
    if (!txn) return txn.error();
    Counts counts = counts_;
    ProfileEditing editing({*txn, cache_.tables(), box_, key_, counts}, {});
    bool any = false;
    for (const std::string& id : ids) any = editing.drop(keyed_hash(key_, id)) || any;
    if (any) editing.write_counts();
    if (const auto error = editing.error()) return *error;
    if (!any) return {};
    if (const auto committed = txn->commit(); !committed) return committed.error();
    counts_ = counts;
    publish(counts_, 0);
    return {};
}

// --- who was read when

void Profiles::touch(std::string_view key, UtcTime now) {
    const std::lock_guard lock(mutex_);
    const auto known = touched_.find(std::string(key));
    if (known != touched_.end())
        known->second = now.ms;
    else if (touched_.size() < touches_max)
        touched_.emplace(key, now.ms);
}

std::size_t Profiles::touches() const {
    const std::lock_guard lock(mutex_);
    return touched_.size();
}

Result<void> Profiles::write_touches() {
    std::vector<std::pair<std::string, std::int64_t>> some;
    {
        const std::lock_guard lock(mutex_);
        while (some.size() < touches_a_commit && !touched_.empty()) {
            auto node = touched_.extract(touched_.begin());
            some.emplace_back(std::move(node.key()), node.mapped());
        }
    }
    if (some.empty()) return {};
    auto txn = cache_.environment().begin_write();
    if (!txn) return txn.error();
    const auto step_ms = std::chrono::milliseconds(options_.touch_step).count();
    bool any = false;
    for (const auto& [key, ms] : some) {
        const auto row = txn->get(cache_.tables().touched, key);
        if (!row) return row.error();
        if (!*row || (*row)->size() != sizeof(std::uint64_t)) continue;  // it has left meanwhile
        const auto before = static_cast<std::int64_t>(ByteReader(**row).little<std::uint64_t>());
        if (ms < before + step_ms) continue;
        std::string value;
        append_little(value, static_cast<std::uint64_t>(ms));
        if (const auto put = txn->put(cache_.tables().touched, key, value); !put) return put.error();
        any = true;
    }
    if (!any) return {};
    return txn->commit();
}

}  // namespace touchpoint::store
