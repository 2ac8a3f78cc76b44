#include "gateway/profiles/profile_writing.hpp"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <iterator>
#include <memory>
#include <utility>

#include "devices/json_slice.hpp"
#include "devices/pseudonym.hpp"
#include "gateway/core/json_text.hpp"
#include "gateway/profiles/persons.hpp"

namespace touchpoint::gateway {
namespace {

constexpr std::size_t heard_at_once = 64;  // of each kind, by one handler of loop

using store::ProfileChange;
using store::ProfileOutcome;
using Verdict = ProfileOutcome::Verdict;

struct Words {
    unsigned status = 200;
    std::string_view word;  // of what was done, or the problem's type
    std::string detail;
};

Words told(const ProfileOutcome& outcome) {
    const std::string held = std::to_string(outcome.version);
    switch (outcome.verdict) {
        case Verdict::created:
            return {201, "created", {}};
        case Verdict::replaced:
            return {200, "replaced", {}};
        case Verdict::unchanged:
            return {200, "unchanged", {}};
        case Verdict::merged:
            return {200, "merged", {}};
        case Verdict::unmerged:
            return {200, "unmerged", {}};
        case Verdict::erased:
            return {200, "erased", {}};
        case Verdict::refused_older:
            return {409, "older-version", "version " + held + " is here already"};
        case Verdict::refused_erased:
            if (outcome.version == store::every_version)
                return {410, "erased", outcome.id + " was erased whatever its version: none brings it back"};
            if (!outcome.detail.empty()) return {410, "erased", outcome.detail};
            return {410, "erased", "this profile was erased; only a newer version brings it back"};
        case Verdict::refused_merged:
            return {409, "merged", "this profile is merged into " + outcome.id};
        case Verdict::refused_missing:
            return {404, "not-cached", "no such profile is here; send all of it with PUT"};
        case Verdict::refused_version:
            return {412, "other-version", "version " + held + " is here"};
        case Verdict::refused_loop:
            return {409, "merge-conflict", outcome.detail};
        case Verdict::refused_apart:
            return {409, "not-merged", outcome.detail};
        case Verdict::refused_invalid:
            return {400, "bad-request", outcome.detail};
    }
    return {500, "error", {}};
}

// The members of what was done, without braces.
std::string members_of(const ProfileOutcome& outcome, std::string_view word) {
    std::string out =
        "\"id\":" + json_string(outcome.id) + ",\"outcome\":" + json_string(word) + ",\"version\":";
    out += outcome.version == store::every_version ? "null" : std::to_string(outcome.version);
    if (!outcome.reference.empty())
        out += ",\"reference\":" + json_string(outcome.reference) +
               ",\"time\":" + json_string(to_rfc3339(outcome.time));
    return out;
}

// What stands behind the prefix in the id of a provisional profile; empty: it is another id.
std::string provisional_name(std::string_view id) {
    if (!id.starts_with(provisional_prefix)) return {};
    id.remove_prefix(provisional_prefix.size());
    return devices::is_pseudonym(id) ? std::string(id) : std::string();
}

// Everybody whom the change erases, by all names that lead to him now. Of a provisional profile the platform
// may have made one of its own: then the change is to that one, for all of him is to go.
Result<std::vector<std::string>> names_of(const ProfileParts& parts, ProfileChange& change) {
    using Kind = store::ProfileLook::Kind;
    std::vector<std::string> names;
    auto* wanted = std::get_if<store::ProfileErase>(&change);
    if (wanted == nullptr) return names;
    const UtcTime now = parts.clock.utc();
    auto held = parts.profiles.by_id(wanted->id, now);
    if (!held) return held.error();
    // Said before he came again, and once more now: it will be refused, and nothing of his is touched.
    const auto version = parts.profiles.version_of(wanted->id);
    if (!version) return version.error();
    if (wanted->version && !wanted->whatever_is_held && *wanted->version < *version) {
        wanted->aliases.clear();
        return names;
    }
    for (const store::Alias& alias : wanted->aliases) names.push_back(alias.key);
    if (std::string name = provisional_name(wanted->id); !name.empty()) {
        auto whose = parts.profiles.by_alias(name, now);
        if (!whose) return whose.error();
        if (whose->kind != Kind::found) {
            names.push_back(std::move(name));
        } else if (held->kind == Kind::missing) {
            wanted->id = whose->profile.id;
            wanted->version.reset();  // it was one of somebody whom only events knew
            held = std::move(whose);
        }
    }
    for (const store::Alias& alias : held->profile.aliases) names.push_back(alias.key);
    // Names that only events know belong to him, too, unless the platform has them as somebody else.
    auto joined = parts.joined(names);
    if (!joined) return joined.error();
    for (std::string& name : *joined) {
        if (std::find(names.begin(), names.end(), name) != names.end()) continue;
        const auto whose = parts.profiles.by_alias(name, now);
        if (!whose) return whose.error();
        if (whose->kind != Kind::found) names.push_back(std::move(name));
    }
    return names;
}

Result<std::vector<std::string>> names_of_all(const ProfileParts& parts,
                                              std::vector<ProfileChange>& changes) {
    std::vector<std::string> names;
    for (ProfileChange& change : changes) {
        auto more = names_of(parts, change);
        if (!more) return more.error();
        std::move(more->begin(), more->end(), std::back_inserter(names));
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

// So that the cache forgets what stands under those names, too.
Result<void> name_all(const ProfileParts& parts, std::vector<ProfileChange>& changes) {
    for (ProfileChange& change : changes) {
        auto names = names_of(parts, change);
        if (!names) return names.error();
        for (std::string& name : *names)
            std::get<store::ProfileErase>(change).aliases.push_back({std::move(name), {}});
    }
    return {};
}

std::vector<std::string> erased_names(std::span<const ProfileChange> changes) {
    std::vector<std::string> names;
    for (const ProfileChange& change : changes)
        if (const auto* erase = std::get_if<store::ProfileErase>(&change))
            for (const store::Alias& alias : erase->aliases) names.push_back(alias.key);
    return names;
}

std::vector<std::string> aliases_of(const ProfileParts& parts, const std::string& id) {
    std::vector<std::string> keys;
    if (const auto look = parts.profiles.by_id(id, parts.clock.utc()))
        for (const store::Alias& alias : look->profile.aliases) keys.push_back(alias.key);
    return keys;
}

}  // namespace

HttpResponse bad(std::string_view words) { return problem(400, "bad-request", words); }

HttpResponse busy() {
    HttpResponse response = problem(503, "busy", "too many profiles are being written; nothing of this was");
    response.headers.emplace_back("Retry-After", "1");
    return response;
}

HttpResponse not_written() {
    HttpResponse response = problem(503, "store-io", "the cache cannot be written; nothing of this was");
    response.headers.emplace_back("Retry-After", "10");
    return response;
}

HttpResponse not_forgotten() {
    HttpResponse response = problem(
        503, "store-io", "he is erased, but what he did here is not off the disk yet; send the same again");
    response.headers.emplace_back("Retry-After", "10");
    return response;
}

Read<ProfileChange> unless_too_far(const ProfileParts& parts, Read<ProfileChange> change,
                                   std::string_view text) {
    if (!change || !parts.too_far) return change;
    if (std::holds_alternative<store::ProfilePut>(*change) && parts.too_far(text))
        return Mistake{std::string(too_far_words)};
    // What a patch leaves out of it is taken from what is held. One that leaves out all of it says nothing
    // new, and the numbers that are held may be ahead of ours by now: a power cut takes back what it did not
    // flush.
    auto* patch = std::get_if<store::ProfilePatch>(&*change);
    if (patch != nullptr && devices::json_find(devices::json_members(text), seen_member))
        patch->edit = [edit = std::move(patch->edit),
                       too_far = parts.too_far](const store::Profile& held) -> Result<store::ProfilePut> {
            auto put = edit(held);
            if (put && too_far(put->json)) return fail(Errc::invalid_argument, std::string(too_far_words));
            return put;
        };
    return change;
}

std::string_view type_of(const ProfileOutcome& refused) { return told(refused).word; }

HttpResponse response_to(const ProfileOutcome& outcome) {
    const Words said = told(outcome);
    if (outcome.refused()) return problem(said.status, said.word, said.detail);
    return json_response("{" + members_of(outcome, said.word) + "}\n", said.status);
}

// `place`: the beginning of the result.
std::string line_of(const std::string& place, const ProfileOutcome& outcome) {
    const Words said = told(outcome);
    std::string out = place + "\"status\":" + std::to_string(said.status) + ',';
    if (!outcome.refused()) return out + members_of(outcome, said.word) + '}';
    return out + "\"error\":{\"type\":" + json_string(said.word) + ",\"detail\":" + json_string(said.detail) +
           "}}";
}

void Effects::note(const ProfileParts& parts, const ProfileChange& change, const ProfileOutcome& outcome) {
    note_changed(parts, change, outcome);
    forgotten.insert(forgotten.end(), outcome.forgotten.begin(), outcome.forgotten.end());
    const auto* put = std::get_if<store::ProfilePut>(&change);
    // Also "unchanged": it says again how far the platform has seen. A merge that was done already says
    // nothing.
    const bool came = (put != nullptr || std::holds_alternative<store::ProfilePatch>(change)) &&
                      (outcome.verdict == Verdict::created || outcome.verdict == Verdict::replaced ||
                       outcome.verdict == Verdict::unchanged);
    if (const auto* merge = std::get_if<store::ProfileMerge>(&change); merge && !outcome.refused())
        for (const std::string& id : merge->from) arrived.emplace_back(id, std::vector<std::string>());
    // Nor is anybody asked for who is to be forgotten.
    if (outcome.verdict == Verdict::erased) {
        std::vector<std::string> names = erased_names({&change, 1});
        names.insert(names.end(), outcome.forgotten.begin(), outcome.forgotten.end());
        arrived.emplace_back(outcome.id, std::move(names));
    }
    if (!came) return;
    // Only the profile says which aliases a patch has brought.
    if (put == nullptr) return void(arrived.emplace_back(outcome.id, aliases_of(parts, outcome.id)));
    arrived.emplace_back(outcome.id, std::vector<std::string>());
    for (const store::Alias& alias : put->aliases) arrived.back().second.push_back(alias.key);
}

void Effects::note_changed(const ProfileParts& parts, const ProfileChange& change,
                           const ProfileOutcome& outcome) {
    if (outcome.refused()) return;
    changed.push_back(parts.profiles.reference(outcome.id));
    changed.insert(changed.end(), outcome.forgotten.begin(), outcome.forgotten.end());
    if (const auto* put = std::get_if<store::ProfilePut>(&change))
        for (const store::Alias& alias : put->aliases) changed.push_back(alias.key);
    if (const auto* merge = std::get_if<store::ProfileMerge>(&change))
        for (const std::string& id : merge->from) {
            changed.push_back(parts.profiles.reference(id));
            if (!id.starts_with(provisional_prefix)) continue;
            // Only this store knows him, by one name: from now on it goes with one of the survivor's. With
            // all of them it would tie those to each other, too, whoever the platform gives them to later.
            const std::vector<std::string> names = aliases_of(parts, outcome.id);
            if (names.empty()) continue;
            changed.push_back(id.substr(provisional_prefix.size()));
            parts.join({names.front(), changed.back()});
        }
    if (const auto* undone = std::get_if<store::ProfileUnmerge>(&change))
        for (const std::string& id : undone->ids) {
            if (id.starts_with(provisional_prefix))
                parts.part(aliases_of(parts, outcome.id), {id.substr(provisional_prefix.size())});
            changed.push_back(parts.profiles.reference(id));
            parts.part(aliases_of(parts, outcome.id), aliases_of(parts, id));
        }
    // Only the result says which aliases a patch has brought.
    if (!std::holds_alternative<store::ProfilePatch>(change)) return;
    const auto look = parts.profiles.by_id(outcome.id, parts.clock.utc());
    if (!look) return;
    for (const store::Alias& alias : look->profile.aliases) changed.push_back(alias.key);
}

Result<std::vector<ProfileOutcome>> write_changes(const ProfileParts& parts,
                                                  std::span<const ProfileChange> changes, UtcTime now,
                                                  store::Durable when, Effects& effects) {
    // Before, so that nobody writes down meanwhile what the transaction takes off the disk.
    const std::vector<std::string> names = erased_names(changes);
    std::vector<std::vector<std::string>> links;
    if (!names.empty()) links = parts.forget(names);
    const bool erases = std::any_of(changes.begin(), changes.end(), [](const ProfileChange& change) {
        return std::holds_alternative<store::ProfileErase>(change);
    });
    auto outcomes = parts.profiles.apply(changes, now, erases ? store::Durable::now : when);
    if (!outcomes) {
        // Whoever says it again means all of his names.
        for (const auto& link : links) parts.join(link);
        return outcomes;
    }
    const std::size_t came_before = effects.arrived.size();
    const std::size_t forgotten_before = effects.forgotten.size();
    for (std::size_t i = 0; i < changes.size(); ++i) effects.note(parts, changes[i], (*outcomes)[i]);
    std::vector<std::string> came;
    for (std::size_t i = came_before; i < effects.arrived.size(); ++i)
        came.push_back(effects.arrived[i].first);
    // Who is somebody else again leaves under another name, though nothing new has come of him.
    bool parted = false;
    for (std::size_t i = 0; i < changes.size(); ++i)
        parted = parted ||
                 (std::holds_alternative<store::ProfileUnmerge>(changes[i]) && !(*outcomes)[i].refused());
    if (!came.empty() || parted) parts.came(came);
    const std::vector<std::string> forgotten(
        effects.forgotten.begin() + static_cast<std::ptrdiff_t>(forgotten_before), effects.forgotten.end());
    // Again: an event may have come in between.
    if (!forgotten.empty()) parts.forget(forgotten);
    if (!erases) return outcomes;
    if (const auto kept = parts.keep_forgotten(); !kept) return kept.error();
    return outcomes;
}

namespace {

void hear_from(const ProfileParts& parts, const std::shared_ptr<const Effects>& effects, std::size_t at,
               const std::function<void()>& then) {
    boost::asio::post(parts.loop, [parts, effects, at, then] {
        const auto some = [at](const auto& list) {
            const auto begin = std::min(at, list.size());
            return std::span(list).subspan(begin, std::min(heard_at_once, list.size() - begin));
        };
        for (const auto& [id, keys] : some(effects->arrived)) parts.arrived(id, keys);
        for (const std::string& key : some(effects->forgotten)) parts.forgotten(key);
        if (const auto keys = some(effects->changed); !keys.empty())
            parts.changed({keys.begin(), keys.end()});
        const std::size_t last =
            std::max({effects->arrived.size(), effects->forgotten.size(), effects->changed.size()});
        if (at + heard_at_once < last) return hear_from(parts, effects, at + heard_at_once, then);
        if (then) then();
    });
}

}  // namespace

void hear_on_loop(const ProfileParts& parts, Effects effects, const std::function<void()>& then) {
    hear_from(parts, std::make_shared<const Effects>(std::move(effects)), 0, then);
}

void reply_on_loop(const ProfileParts& parts, Effects effects, HttpResponse response, const Reply& reply) {
    const auto held = std::make_shared<HttpResponse>(std::move(response));
    hear_on_loop(parts, std::move(effects), [held, reply] { reply(std::move(*held)); });
}

void erase_events_first(const ProfileParts& parts, const Changes& changes, std::vector<std::string> done,
                        const GoOn& go_on) {
    const auto names = names_of_all(parts, *changes);
    if (!names) return go_on(names.error());
    if (std::includes(done.begin(), done.end(), names->begin(), names->end()))
        return go_on(name_all(parts, *changes));
    parts.erase_events(*names, [parts, changes, names = *names, go_on](const Result<void>& erased) {
        if (!erased) return go_on(erased);
        const bool posted = parts.writer.post(
            [parts, changes, names, go_on] { erase_events_first(parts, changes, names, go_on); });
        if (!posted) go_on(fail(Errc::full, "too many profiles are being written; try again"));
    });
}

Result<void> erase_events_now(const ProfileParts& parts, std::vector<ProfileChange>& changes,
                              std::chrono::milliseconds patience) {
    for (std::vector<std::string> done;;) {
        auto names = names_of_all(parts, changes);
        if (!names) return names.error();
        if (std::includes(done.begin(), done.end(), names->begin(), names->end()))
            return name_all(parts, changes);
        // Shared by whoever is told and this thread, which may have given up by then.
        const auto told = std::make_shared<std::promise<Result<void>>>();
        auto answer = told->get_future();
        parts.erase_events(*names, [told](const Result<void>& erased) { told->set_value(erased); });
        if (answer.wait_for(patience) != std::future_status::ready)
            return fail(Errc::timed_out, "the events are not changed yet");
        if (const auto erased = answer.get(); !erased) return erased;
        done = std::move(*names);
    }
}

HttpResponse not_erased(const Error& why) {
    if (why.code == Errc::io || why.code == Errc::damaged) return not_written();
    HttpResponse response = problem(503, "erasure-waits", why.context + "; the profile is as it was");
    response.headers.emplace_back("Retry-After", "10");
    return response;
}

}  // namespace touchpoint::gateway
