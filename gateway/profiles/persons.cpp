#include "gateway/profiles/persons.hpp"

#include <algorithm>
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

}  // namespace

// `look` is found. Whoever is joined with him by events is he; which of them gives the profile is decided by
// the order in which they were named.
Result<Person> Persons::complete(store::ProfileLook look, bool by_merged, UtcTime now) {
    const std::string asked = look.profile.id;
    std::vector<std::string> names = keys_of(look.profile);
    std::vector<store::Profile> others;
    for (std::size_t i = 0; i < names.size() && i < store::Profiles::aliases_max; ++i)
        for (const std::string& name : parts_.pictures.joined_with(names[i]))
            if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    if (names.size() > look.profile.aliases.size()) {
        // In the order of the first group, so that each of them leads to the same.
        std::vector<std::string> order = parts_.pictures.joined_with(names.back());
        for (const std::string& name : names)
            if (std::find(order.begin(), order.end(), name) == order.end()) order.push_back(name);
        for (const std::string& name : order) {
            auto other = parts_.profiles.by_alias(name, now);
            if (!other) return other.error();
            if (other->kind != Kind::found) continue;
            const bool known = std::any_of(others.begin(), others.end(), [&](const store::Profile& one) {
                return one.id == other->profile.id;
            });
            if (!known) others.push_back(std::move(other->profile));
        }
        if (!others.empty() && others.front().id != asked) {
            look.profile = others.front();
            by_merged = true;
        }
        for (const store::Profile& other : others)
            if (other.id != look.profile.id) join(look.profile, other);
    }
    look.by_merged = by_merged;
    Person person;
    person.look = std::move(look);
    const Seen seen = seen_by(person.look.profile, options_.gateway_id, parts_.epoch);
    person.look.profile.json =
        with_picture(person.look.profile.json, unseen(parts_.pictures.of(names), seen, parts_.epoch));
    return person;
}

Result<Person> Persons::from_names(const std::vector<std::string>& names, const std::string& key,
                                   std::string_view text, UtcTime now) {
    for (const std::string& name : names) {
        if (name == key) continue;
        auto look = parts_.profiles.by_alias(name, now);
        if (!look) return look.error();
        if (look->kind == Kind::found) return complete(std::move(*look), false, now);
    }
    const Picture picture = parts_.pictures.of(names);
    Person person;
    if (picture.touches.empty() && picture.older.empty() && picture.consents.empty()) return person;
    person.provisional = true;
    person.look.kind = Kind::found;
    store::Profile& profile = person.look.profile;
    profile.id = std::string(provisional_prefix) + names.front();
    // Not now: an answer that did not change keeps its tag.
    profile.received = picture.changed.ms != 0 ? picture.changed : now;
    profile.aliases.push_back({key, std::string(text)});
    profile.json = with_picture("{\"provisional\":true}", picture);
    return person;
}

Result<Person> Persons::by_alias(const std::string& key, std::string_view text, UtcTime now) {
    if (const auto read = follow(); !read) return read.error();
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

Result<void> Persons::follow() {
    const auto read = parts_.pictures.catch_up(LivePictures::read_waits_events_max);
    if (!read) return read.error();
    return {};
}

Result<Person> Persons::by_id(std::string_view id, UtcTime now) {
    if (const auto read = follow(); !read) return read.error();
    auto look = parts_.profiles.by_id(id, now);
    if (!look) return look.error();
    if (look->kind == Kind::found) {
        const bool by_merged = look->by_merged;
        return complete(std::move(*look), by_merged, now);
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
    const auto look = parts_.profiles.by_id(id, now);
    if (!look || look->kind != Kind::found) return;
    parts_.pictures.seen(keys_of(look->profile), seen_by(look->profile, options_.gateway_id, parts_.epoch));
}

Persons::Name Persons::leaving(const std::string& pseudonym, Stream stream, UtcTime now) {
    Name name{"pseudonym/" + pseudonym, false};
    const auto person = by_alias(pseudonym, {}, now);
    if (!person || person->look.kind == Kind::erased) return name;
    const bool found = person->look.kind == Kind::found;
    const bool may = consented(found ? person->look.profile.json : "{}", options_.purposes[stream],
                               options_.unknown_granted, now);
    if (!may) return name;
    name.raw = true;
    if (found && !person->provisional) name.subject = "profile/" + person->look.profile.id;
    return name;
}

}  // namespace touchpoint::gateway
