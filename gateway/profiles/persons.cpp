#include "gateway/profiles/persons.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "gateway/profiles/picture_json.hpp"

namespace touchpoint::gateway {
namespace {

using Kind = store::ProfileLook::Kind;

std::vector<std::string> keys_of(const store::Profile& profile) {
    std::vector<std::string> keys;
    for (const store::Alias& alias : profile.aliases) keys.push_back(alias.key);
    return keys;
}

bool among(const std::string& name, const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

// Another profile that events of this store found to be the same person: nothing of it is lost.
void join(store::Profile& survivor, const store::Profile& other) {
    for (const store::Alias& alias : other.aliases)
        if (std::find(survivor.aliases.begin(), survivor.aliases.end(), alias) == survivor.aliases.end())
            survivor.aliases.push_back(alias);
    const auto add = [&](const std::string& id) {
        if (id != survivor.id && std::find(survivor.merged_from.begin(), survivor.merged_from.end(), id) ==
                                     survivor.merged_from.end())
            survivor.merged_from.push_back(id);
    };
    add(other.id);
    for (const std::string& id : other.merged_from) add(id);
}

// Its document, with what those refused that were merged into it.
std::string with_refusals(const store::Profile& profile) {
    if (profile.refused_by_merged.empty()) return profile.json;
    Picture refused;
    add_refusals(refused, profile.refused_by_merged);
    return with_picture(profile.json, refused, profile.consents_came);
}

}  // namespace

// Everybody whom events and the platform's lists of aliases together make one person: names that were joined,
// and the profiles that they lead to, with their names in turn. Whose profile it is must not depend on where
// the search began: of each group of joined names the first one that has a profile stands for it, and of
// those the one with the smallest id.
Result<Persons::Whole> Persons::whole(std::vector<std::string> names, UtcTime now) {
    constexpr std::size_t names_max = 2 * store::Profiles::aliases_max;
    Whole all;
    const auto add = [&](const std::string& name) {
        if (!among(name, all.names) && all.names.size() < names_max) all.names.push_back(name);
    };
    std::vector<std::vector<std::string>> groups;
    for (const std::string& name : names) add(name);
    for (std::size_t i = 0; i < all.names.size(); ++i) {
        const std::string name = all.names[i];
        std::vector<std::string> group = parts_.pictures.joined_with(name);
        for (const std::string& other : group) add(other);
        if (group.size() > 1) {
            all.joined.push_back(name);
            groups.push_back(std::move(group));
        }
        auto look = parts_.profiles.by_alias(name, now);
        if (!look) return look.error();
        if (look->kind != Kind::found) continue;
        all.leads[name] = look->profile.id;
        for (const std::string& other : keys_of(look->profile)) add(other);
        all.profiles.try_emplace(look->profile.id, std::move(look->profile));
    }
    for (const auto& group : groups)
        for (const std::string& name : group) {
            const auto found = all.leads.find(name);
            if (found == all.leads.end()) continue;
            if (all.survivor.empty() || found->second < all.survivor) all.survivor = found->second;
            break;
        }
    return all;
}

Picture Persons::picture(const Whole& all, const store::Profile& survivor) {
    std::map<std::string, std::vector<std::string>> names;  // by the profile that has seen them
    for (const std::string& name : all.names) {
        const auto leads = all.leads.find(name);
        names[leads == all.leads.end() ? survivor.id : leads->second].push_back(name);
    }
    std::vector<Picture> pictures;
    for (const auto& [id, some] : names) {
        const auto profile = all.profiles.find(id);
        const Seen seen = seen_by(profile == all.profiles.end() ? survivor : profile->second,
                                  options_.gateway_id, parts_.epoch);
        for (Picture& one : parts_.pictures.each(some)) {
            forget_touches(one, seen, parts_.epoch);
            mark_told(one, seen);
            pictures.push_back(std::move(one));
        }
    }
    // Of two names the later decision counts also when it is told already; so those leave when they are one.
    Picture out = together(pictures);
    forget_told(out);
    forget_state(out, seen_by(survivor, options_.gateway_id, parts_.epoch));
    return out;
}

// `look` is found. `by`: names that led to it beside its own; a row of one of those may have left by now.
Result<Person> Persons::complete(store::ProfileLook look, bool by_merged, UtcTime now,
                                 const std::vector<std::string>& by) {
    std::vector<std::string> names = keys_of(look.profile);
    for (const std::string& name : by)
        if (!among(name, names)) names.push_back(name);
    if (parts_.pictures.nothing_of(names)) {
        look.by_merged = by_merged;
        Person person;
        person.look = std::move(look);
        person.look.profile.json = with_refusals(person.look.profile);
        return person;
    }
    const bool joined = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
        return parts_.pictures.joined_with(name).size() > 1;
    });
    Whole whole_of;
    whole_of.names = names;
    if (joined) {
        auto all = whole(names, now);
        if (!all) return all.error();
        if (!all->survivor.empty() && all->survivor != look.profile.id) {
            look.profile = all->profiles.at(all->survivor);
            by_merged = true;
        }
        names = keys_of(look.profile);
        for (const auto& [id, other] : all->profiles)
            if (id != look.profile.id) join(look.profile, other);
        whole_of = std::move(*all);
    }
    look.by_merged = by_merged;
    Person person;
    person.look = std::move(look);
    for (const std::string& name : whole_of.joined)
        if (!among(name, names)) person.tied.push_back(name);
    Picture now_known = picture(whole_of, person.look.profile);
    // Whoever said no to one of them said it.
    for (const auto& [id, other] : whole_of.profiles) {
        if (id == person.look.profile.id) continue;
        add_refusals(now_known, other.json);
        if (!other.refused_by_merged.empty()) add_refusals(now_known, with_refusals(other));
    }
    add_refusals(now_known, person.look.profile.refused_by_merged);
    person.look.profile.json =
        with_picture(person.look.profile.json, now_known, person.look.profile.consents_came);
    return person;
}

// `key` leads to no profile by itself.
Result<Person> Persons::from_names(const std::vector<std::string>& names, const std::string& key,
                                   std::string_view text, UtcTime now) {
    Person person;
    if (names.size() > 1) {
        auto all = whole(names, now);
        if (!all) return all.error();
        if (const auto found = all->profiles.find(all->survivor); found != all->profiles.end()) {
            person.look.kind = Kind::found;
            person.look.profile = found->second;
            return complete(std::move(person.look), false, now, names);
        }
    }
    const Picture picture = parts_.pictures.of(names);
    if (picture.touches.empty() && picture.older.empty() && picture.consents.empty()) return person;
    person.provisional = true;
    person.tied = names;
    person.look.kind = Kind::found;
    store::Profile& profile = person.look.profile;
    profile.id = std::string(provisional_prefix) + names.front();
    // Not now: an answer that did not change keeps its tag.
    profile.received = picture.changed.ms != 0 ? picture.changed : now;
    if (!text.empty()) profile.aliases.push_back({key, std::string(text)});
    profile.json = with_picture("{\"provisional\":true}", picture, {});
    return person;
}

Result<Person> Persons::by_alias(const std::string& key, std::string_view text, UtcTime now) {
    return by_alias_at(follow(), key, text, now);
}

Result<Person> Persons::by_alias_at(Result<bool> followed, const std::string& key, std::string_view text,
                                    UtcTime now) {
    if (!followed) return followed.error();
    auto person = look_up(key, text, now);
    if (person) person->behind = !*followed;
    return person;
}

Result<Person> Persons::look_up(const std::string& key, std::string_view text, UtcTime now) {
    auto look = parts_.profiles.by_alias(key, now);
    if (!look) return look.error();
    if (look->kind == Kind::found) return complete(std::move(*look), false, now);
    if (look->kind == Kind::erased) {
        Person person;
        person.look = std::move(*look);
        return person;
    }
    return from_names(parts_.pictures.joined_with(key), key, text, now);
}

Result<bool> Persons::follow() {
    // After a start with a long backlog a read does not wait for all of it, nor for a part each time.
    if (parts_.pictures.behind() > LivePictures::read_waits_events_max) return false;
    return parts_.pictures.catch_up(LivePictures::read_waits_events_max);
}

Result<Person> Persons::by_id(std::string_view id, UtcTime now) {
    const auto followed = follow();
    if (!followed) return followed.error();
    auto look = parts_.profiles.by_id(id, now);
    if (!look) return look.error();
    if (look->kind == Kind::found) {
        const bool by_merged = look->by_merged;
        auto person = complete(std::move(*look), by_merged, now);
        if (person) person->behind = !*followed;
        return person;
    }
    if (look->kind == Kind::missing && id.starts_with(provisional_prefix)) {
        const std::string key(id.substr(provisional_prefix.size()));
        return by_alias(key, {}, now);
    }
    Person person;
    person.look = std::move(*look);
    return person;
}

void Persons::came(std::string_view id, UtcTime now) {
    (void)follow();  // what is not followed yet is left out when it is read
    const auto look = parts_.profiles.by_id(id, now);
    // Of one that was merged the survivor's version says nothing.
    if (!look || look->kind != Kind::found || look->by_merged) return;
    parts_.pictures.seen(keys_of(look->profile), seen_by(look->profile, options_.gateway_id, parts_.epoch));
}

Persons::Name Persons::leaving(const std::string& pseudonym, Stream stream, UtcTime now) {
    Name name{"pseudonym/" + pseudonym, false, {}};
    // No touchpoint waits here: what a burst has brought is looked at first.
    const auto person = by_alias_at(parts_.pictures.catch_up(leaving_waits_events_max), pseudonym, {}, now);
    if (!person || person->behind || person->look.kind == Kind::erased) return name;
    const bool found = person->look.kind == Kind::found;
    const bool may = consented(found ? person->look.profile.json : "{}", options_.purposes[stream],
                               options_.unknown_granted, now);
    if (!may) return name;
    name.raw = true;
    if (!found || person->provisional) return name;
    name.subject = "profile/" + person->look.profile.id;
    if (!among(pseudonym, person->tied)) return name;
    // Only events say that it is his: as the platform has it, it is somebody else's, or nobody's.
    const auto own = parts_.profiles.by_alias(pseudonym, now);
    const bool listed = own && own->kind == Kind::found;
    name.other = listed ? "profile/" + own->profile.id : "pseudonym/" + pseudonym;
    return name;
}

}  // namespace touchpoint::gateway
