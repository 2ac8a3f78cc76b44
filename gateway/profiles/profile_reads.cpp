#include "gateway/profiles/profile_reads.hpp"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>
#include <utility>

#include "gateway/http.hpp"

namespace touchpoint::gateway {
namespace {

using Kind = store::ProfileLook::Kind;

ProfileAnswer refused(unsigned status, std::string_view type, std::string_view detail) {
    ProfileAnswer answer;
    answer.status = status;
    answer.body = problem(status, type, detail).body;
    return answer;
}

ProfileAnswer bad_request(std::string_view words) { return refused(400, "bad-request", words); }

ProfileAnswer unreadable() {
    ProfileAnswer answer = refused(503, "store-io", "the cache cannot be read");
    answer.retry_after = std::chrono::seconds(10);
    return answer;
}

// It changes with the version, and with what this reader may see of it; not with the time at which the
// platform said the same once more. So it is a weak one.
std::string tag_of(const store::Profile& profile, std::string_view body) {
    body = without_received(body);
    std::array<char, 17> hash{};
    std::snprintf(hash.data(), hash.size(), "%016llx",
                  static_cast<unsigned long long>(XXH3_64bits(body.data(), body.size())));
    return "W/\"" + std::to_string(profile.version) + '-' + std::string(hash.data(), 8) + '"';
}

// Whether the platform has sent him, under this alias. Else only an event of some device says who that is,
// and a device can say so of whomever it likes.
bool sent(const Person& person, const std::string& alias_key) {
    if (person.look.kind != Kind::found || person.provisional) return false;
    const std::vector<store::Alias>& aliases = person.look.profile.aliases;
    return alias_key.empty() || std::any_of(aliases.begin(), aliases.end(), [&](const store::Alias& alias) {
               return alias.key == alias_key;
           });
}

}  // namespace

ProfileReads::ProfileReads(Parts parts, Options options)
    : parts_(parts),
      options_(options),
      wanted_(parts.box, options.wanted_max),
      limits_(options.misses_per_min) {}

ProfileReadStats ProfileReads::stats() const {
    ProfileReadStats out = stats_;
    out.wanted = wanted_.size();
    out.wanted_dropped = wanted_.dropped();
    return out;
}

void ProfileReads::arrived(const std::string& id, const std::vector<std::string>& alias_keys) {
    if (wanted_.size() == 0) return;
    wanted_.found(parts_.profiles.reference(id));
    for (const std::string& key : alias_keys) wanted_.found(key);
}

Read<std::vector<ProfileReads::Asked>> ProfileReads::asked(const std::vector<std::string>& names) const {
    std::vector<Asked> out;
    for (const std::string& name : names) {
        if (name.find(':') == std::string::npos && is_profile_id(name)) {
            out.push_back({parts_.profiles.reference(name), name, false});
            continue;
        }
        auto alias = alias_of(name, parts_.pseudonymiser);
        if (!alias)
            return Mistake{"a profile is asked for by its id, or by scheme:value such as card:2900000012345"};
        out.push_back({std::move(alias->key), std::move(alias->text), true});
    }
    return out;
}

ProfileAnswer ProfileReads::ask(const ProfileQuestion& question) {
    const auto purpose = purpose_named(question.purpose);
    if (!purpose) return bad_request("purpose must be operation, analytics, personalisation or marketing");
    const auto names = asked(question.names);
    if (!names) return bad_request(names.error().words);

    const SteadyTime steady = parts_.clock.steady();
    // The platform sends the profiles: it finds out nothing.
    const bool limited = !question.roles.has(Role::platform);
    const auto wait = limited ? limits_.wait(question.asker, steady) : std::chrono::seconds(0);
    if (wait.count() > 0) {
        ++stats_.limited;
        ProfileAnswer answer = refused(429, "too-many-misses",
                                       "too many were asked for whom nobody knows; nothing is looked up now");
        answer.retry_after = wait;
        return answer;
    }
    std::vector<std::string> missed;
    ProfileAnswer answer = find(question, *names, *purpose, true, missed);
    if (limited) limits_.missed(question.asker, missed, answer.status == 200, steady);
    return answer;
}

ProfileAnswer ProfileReads::ask_again(const ProfileQuestion& question) {
    const auto purpose = purpose_named(question.purpose);
    const auto names = asked(question.names);
    if (!purpose || !names) return bad_request("this question was never answered");
    std::vector<std::string> missed;
    return find(question, *names, *purpose, false, missed);
}

ProfileAnswer ProfileReads::not_now() {
    ++stats_.not_now;
    ProfileAnswer answer =
        refused(503, "not-now", "the gateway is busy with something else; go on without the profile");
    answer.retry_after = std::chrono::seconds(1);
    return answer;
}

ProfileAnswer ProfileReads::find(const ProfileQuestion& question, const std::vector<Asked>& asked,
                                 Purpose purpose, bool first, std::vector<std::string>& missed) {
    const UtcTime now = parts_.clock.utc();
    bool erased = false;
    for (const Asked& one : asked) {
        const auto person =
            one.alias ? parts_.persons.by_alias(one.key, one.text, now) : parts_.persons.by_id(one.text, now);
        if (!person) return unreadable();
        const store::ProfileLook* look = &person->look;
        if (!sent(*person, one.alias ? one.key : std::string())) missed.push_back(one.key);
        // He who is shown shows them, too: a device that names many cards in one event asks for all of them.
        for (const std::string& name : person->tied)
            if (name != one.key) missed.push_back(name);
        // Only this store knows him: the platform may know more.
        if (first && person->provisional) wanted_.note(one.key, one.text, now);
        if (look->kind == Kind::found) {
            if (first) ++stats_.hits;
            ProfileAnswer answer = shown(question, purpose, *person);
            if (question.follows) answer.keys = keys_of(asked, look);
            return answer;
        }
        erased = erased || look->kind == Kind::erased;
        // Nobody wants back who is to be forgotten.
        if (first && look->kind == Kind::missing) wanted_.note(one.key, one.text, now);
    }
    if (first) ++stats_.misses;
    ProfileAnswer answer =
        erased
            ? refused(410, "erased", "this profile was erased")
            : refused(404, "not-cached", "no such profile is here; the platform is told that it is wanted");
    if (question.follows) answer.keys = keys_of(asked, nullptr);
    return answer;
}

ProfileAnswer ProfileReads::shown(const ProfileQuestion& question, Purpose purpose, const Person& person) {
    const store::ProfileLook& look = person.look;
    const UtcTime now = parts_.clock.utc();
    // A clock that was set back has received nothing in the future.
    const auto age = std::max(std::chrono::milliseconds(0), now - look.profile.received);
    ProfileView view;
    view.purpose = purpose;
    view.persons = question.roles.any_of({Role::device, Role::app, Role::platform});
    view.whole_aliases = question.roles.has(Role::platform);
    view.unknown_granted = options_.unknown_granted;
    view.behind = person.behind;
    view.stale = age > options_.stale_after;
    ProfileAnswer answer;
    answer.body = profile_json(look.profile, view, now);
    answer.etag = tag_of(look.profile, answer.body);
    answer.age = std::chrono::duration_cast<std::chrono::seconds>(age);
    if (look.by_merged) answer.survivor = look.profile.id;
    return answer;
}

std::vector<std::string> ProfileReads::keys_of(const std::vector<Asked>& asked,
                                               const store::ProfileLook* look) const {
    std::vector<std::string> keys;
    for (const Asked& one : asked) keys.push_back(one.key);
    if (look != nullptr) {
        keys.push_back(parts_.profiles.reference(look->profile.id));
        for (const std::string& id : look->profile.merged_from) keys.push_back(parts_.profiles.reference(id));
        for (const store::Alias& alias : look->profile.aliases) keys.push_back(alias.key);
    }
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    return keys;
}

}  // namespace touchpoint::gateway
