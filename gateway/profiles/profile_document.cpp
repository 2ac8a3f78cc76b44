#include "gateway/profiles/profile_document.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "devices/decode.hpp"
#include "devices/json_slice.hpp"
#include "gateway/core/consent.hpp"
#include "gateway/core/json_text.hpp"
#include "gateway/profiles/merge_patch.hpp"
#include "gateway/profiles/persons.hpp"

namespace touchpoint::gateway {
namespace {

using devices::is_array;
using devices::is_object;
using devices::is_string;
using devices::JsonMember;
using store::Profiles;

// Members that are kept beside the document, or that an answer of ours adds: whoever sends back what he read
// does no harm.
constexpr std::array<std::string_view, 14> not_kept = {
    "id",          "id_of",    "version", "updated", "aliases", "stale", "withheld",
    "merged_from", "received", "recent",  "counts",  "place",   "cart",  "provisional"};
// Of the body of an erasure.
constexpr std::array<std::string_view, 3> erase_members = {"aliases", "version", "whatever_is_held"};
// Paths of their own stand there.
constexpr std::array<std::string_view, 3> taken_ids = {"batch", "lookup", "wanted"};

bool among(std::string_view word, const auto& words) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

Mistake must(std::string_view what) { return {"the profile's " + std::string(what)}; }

bool any_twice(const std::vector<JsonMember>& members) {
    std::vector<std::string> names;
    names.reserve(members.size());
    for (const JsonMember& member : members) names.push_back(devices::json_unescape(member.key));
    std::sort(names.begin(), names.end());
    return std::adjacent_find(names.begin(), names.end()) != names.end();
}

// The members of an object, each name once.
Read<std::vector<JsonMember>> object_members(std::string_view text, std::string_view what) {
    if (const auto fault = devices::validate_json(text))
        return Mistake{std::string(what) + " must be a JSON object: " + fault->text};
    text = devices::json_trim(text);
    if (!is_object(text)) return Mistake{std::string(what) + " must be a JSON object"};
    auto members = devices::json_members(text);
    if (any_twice(members)) return Mistake{std::string(what) + " has a member twice"};
    return members;
}

std::optional<std::uint64_t> number_of(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    if (value > profile_version_max) return std::nullopt;
    return value;
}

Read<std::optional<std::uint64_t>> version_in(const std::vector<JsonMember>& members) {
    const auto value = devices::json_find(members, "version");
    if (!value) return std::optional<std::uint64_t>();
    const auto version = number_of(is_string(*value) ? devices::json_unescape(*value) : std::string(*value));
    if (!version) return Mistake{"'version' must be a whole number from 0 to 9007199254740991"};
    return version;
}

// Whoever is known to the platform by an alias only has an id all the same, and one that tells nothing.
Read<std::string> id_in(const std::vector<JsonMember>& members, const devices::Pseudonymiser& pseudonymiser) {
    const auto value = devices::json_find(members, "id");
    if (const auto of = devices::json_find(members, "id_of"); of && !value) {
        const auto alias =
            is_string(*of) ? alias_of(devices::json_unescape(*of), pseudonymiser) : std::nullopt;
        if (!alias) return Mistake{"'id_of' must be a text like card:2900000012345"};
        return Read<std::string>(boost::system::in_place_value, std::string(alias_id_prefix) + alias->key);
    }
    std::string id = value && is_string(*value) ? devices::json_unescape(*value) : std::string();
    if (!is_profile_id(id))
        return Mistake{"'id' must be a text of 1 to 128 visible ASCII characters without / and :"};
    return Read<std::string>(boost::system::in_place_value, std::move(id));
}

std::optional<Mistake> other_id(const std::vector<JsonMember>& members, std::string_view id) {
    const auto value = devices::json_find(members, "id");
    if (value && (!is_string(*value) || devices::json_unescape(*value) != id))
        return Mistake{"'id' is not the one of the path"};
    return std::nullopt;
}

// "card:1" or {"scheme":"card","value":"1"}
std::optional<std::string> alias_text(std::string_view item) {
    if (is_string(item)) return devices::json_unescape(item);
    if (!is_object(item)) return std::nullopt;
    const auto members = devices::json_members(item);
    const auto scheme = devices::json_find(members, "scheme");
    const auto value = devices::json_find(members, "value");
    if (!scheme || !value || !is_string(*scheme) || !is_string(*value)) return std::nullopt;
    return devices::json_unescape(*scheme) + ":" + devices::json_unescape(*value);
}

Read<std::vector<store::Alias>> aliases_in(std::string_view array,
                                           const devices::Pseudonymiser& pseudonymiser) {
    std::vector<store::Alias> aliases;
    const Mistake wrong =
        must("'aliases' must be a list of at most " + std::to_string(Profiles::aliases_max) +
             R"( of "scheme:value" or {"scheme":"..","value":".."})");
    if (!is_array(array)) return wrong;
    const auto items = devices::json_items(array, Profiles::aliases_max);
    if (items.size() > Profiles::aliases_max) return wrong;
    for (const std::string_view item : items) {
        const auto text = alias_text(item);
        auto alias = text ? alias_of(*text, pseudonymiser) : std::nullopt;
        if (!alias) return wrong;
        aliases.push_back(std::move(*alias));
    }
    return aliases;
}

bool is_time(std::string_view value) {
    return is_string(value) && parse_rfc3339(devices::json_unescape(value)).has_value();
}

std::optional<Mistake> wrong_consents(std::string_view value) {
    const Mistake wrong =
        must(R"('consents' must be an object of {"purpose":{"state":"granted|denied|revoked"}}, with times )"
             "in 'since' and 'until'");
    if (!is_object(value)) return wrong;
    const auto consents = devices::json_members(value);
    if (any_twice(consents)) return wrong;  // granted and denied: which of them?
    for (const JsonMember& consent : consents) {
        if (!is_object(consent.value)) return wrong;
        const auto members = devices::json_members(consent.value);
        if (any_twice(members)) return wrong;
        const auto state = devices::json_find(members, "state");
        constexpr std::array<std::string_view, 3> states = {"granted", "denied", "revoked"};
        if (!state || !is_string(*state) || !among(devices::json_unescape(*state), states)) return wrong;
        for (const char* time : {"since", "until"})
            if (const auto given = devices::json_find(members, time);
                given && *given != "null" && !is_time(*given))
                return wrong;
    }
    return std::nullopt;
}

// A misspelled stream would hide nothing, and the platform would wonder why all is shown twice.
std::optional<Mistake> wrong_seen(std::string_view value) {
    const Mistake wrong = must(
        R"('seen' must be an object of {"gateway":{"epoch":"..","customer":17}}, with the last number that the )"
        "platform has of each stream");
    if (!is_object(value)) return wrong;
    for (const JsonMember& gateway : devices::json_members(value)) {
        if (!is_object(gateway.value)) return wrong;
        const auto members = devices::json_members(gateway.value);
        const auto epoch = devices::json_find(members, "epoch");
        if (!epoch || !is_string(*epoch) || any_twice(members)) return wrong;
        for (const JsonMember& member : members) {
            const std::string name = devices::json_unescape(member.key);
            if (name == "epoch") continue;
            const std::string number =
                is_string(member.value) ? devices::json_unescape(member.value) : std::string(member.value);
            if (!stream_named(name) || !number_of(number)) return wrong;
        }
    }
    return std::nullopt;
}

std::optional<Mistake> wrong_member(const std::string& name, std::string_view value) {
    if (name == "withheld" && is_array(value) && !devices::json_items(value, 1).empty())
        return Mistake{
            "this was read for a purpose that does not see all of it ('withheld'): what it did not see "
            "would be lost"};
    if (name == "traits" && !is_object(value)) return must("'traits' must be an object");
    if (name == "segments" && !is_array(value)) return must("'segments' must be a list");
    if (name == "offers" && !is_array(value)) return must("'offers' must be a list");
    if (name == "consents") return wrong_consents(value);
    return std::nullopt;
}

// Everything but the version. `without`: a member that is of the request, not of the profile. A `seen` that
// is not new was looked at when it came.
Read<store::ProfilePut> put_of(const std::vector<JsonMember>& members, std::string_view id,
                               const devices::Pseudonymiser& pseudonymiser, std::string_view without = {},
                               bool seen_is_new = true) {
    store::ProfilePut put;
    put.id = id;
    put.json = "{";
    for (const JsonMember& member : members) {
        const std::string name = devices::json_unescape(member.key);
        if (name == "aliases" && member.value != "null") {
            auto aliases = aliases_in(member.value, pseudonymiser);
            if (!aliases) return aliases.error();
            put.aliases = std::move(*aliases);
        } else if (name == "updated") {
            if (!is_time(member.value)) return must("'updated' must be a time such as 2026-09-21T08:00:00Z");
            put.updated = *parse_rfc3339(devices::json_unescape(member.value));
        }
        if (auto wrong = wrong_member(name, member.value)) return std::move(*wrong);
        if (name == seen_member && seen_is_new)
            if (auto wrong = wrong_seen(member.value)) return std::move(*wrong);
        if (among(name, not_kept) || (!without.empty() && name == without)) continue;
        if (put.json.size() > 1) put.json += ',';
        put.json += member.key;
        put.json += ':';
        put.json += member.value;
    }
    put.json += '}';
    if (put.json.size() > Profiles::json_bytes_max)
        return Mistake{"a profile is at most " + std::to_string(Profiles::json_bytes_max) + " bytes"};
    return put;
}

Mistake own_id() {
    return {"an id that begins with local. is one of the gateway's own: merge it, or put another id"};
}
Mistake no_version() { return {"'version' must be there: a whole number that grows with each change"}; }

Read<store::ProfilePut> put_in(const std::vector<JsonMember>& members, std::string_view id,
                               const devices::Pseudonymiser& pseudonymiser, std::string_view without = {}) {
    if (id.starts_with(provisional_prefix)) return own_id();
    const auto version = version_in(members);
    if (!version) return version.error();
    if (!*version) return no_version();
    auto put = put_of(members, id, pseudonymiser, without);
    if (put) put->version = **version;
    return put;
}

std::string whole_json(const store::Profile& profile) {
    std::string out = "{\"aliases\":[";
    for (const store::Alias& alias : profile.aliases) {
        if (out.back() != '[') out += ',';
        append_json_string(out, alias.text);
    }
    out += ']';
    // A patch that does not say when it was made leaves that as it is.
    if (profile.updated.ms != 0) out += ",\"updated\":" + json_string(to_rfc3339(profile.updated));
    if (profile.json.size() > 2) out += ',' + profile.json.substr(1, profile.json.size() - 2);
    return out + '}';
}

// Those of which a patch of `consents` says something; null and anything else takes all of them away.
std::uint8_t purposes_in(std::string_view consents) {
    if (!is_object(consents)) return store::every_purpose;
    std::uint8_t told = 0;
    for (const JsonMember& member : devices::json_members(consents))
        for (std::size_t purpose = 0; purpose < purpose_names.size(); ++purpose)
            if (member.is(purpose_names[purpose])) told |= static_cast<std::uint8_t>(1u << purpose);
    return told;
}

Read<store::ProfilePatch> patch_in(const std::vector<JsonMember>& members, std::string_view id,
                                   const devices::Pseudonymiser& pseudonymiser,
                                   std::string_view without = {}) {
    if (id.starts_with(provisional_prefix)) return own_id();
    const auto version = version_in(members);
    if (!version) return version.error();
    if (!*version) return no_version();
    store::ProfilePatch patch;
    patch.id = id;
    patch.version = **version;
    std::string changes = "{";
    std::vector<store::Alias> more;
    const bool seen = devices::json_find(members, seen_member).has_value();
    for (const JsonMember& member : members) {
        const std::string name = devices::json_unescape(member.key);
        const bool ours =
            name == "id" || name == "id_of" || name == "version" || (!without.empty() && name == without);
        if (ours) continue;
        if (name == "create" && (member.value == "true" || member.value == "false")) {
            patch.create = member.value == "true";
            continue;
        }
        if (name == "add_aliases") {
            auto aliases = aliases_in(member.value, pseudonymiser);
            if (!aliases) return aliases.error();
            more = std::move(*aliases);
            continue;
        }
        // Merged, the first of two would be gone before anybody looks: granted and denied, which of them?
        if (name == "consents" && is_object(member.value)) {
            const auto consents = devices::json_members(member.value);
            if (any_twice(consents)) return must("consents name a purpose twice");
            for (const JsonMember& consent : consents)
                if (is_object(consent.value) && any_twice(devices::json_members(consent.value)))
                    return must("consents say something of a purpose twice");
        }
        if (name == "consents") patch.purposes_told |= purposes_in(member.value);
        if (changes.size() > 1) changes += ',';
        changes += std::string(member.key) + ':' + std::string(member.value);
    }
    changes += '}';
    patch.edit = [changes = std::move(changes), more = std::move(more), seen,
                  &pseudonymiser](const store::Profile& profile) -> Result<store::ProfilePut> {
        const std::string result = merge_patch(whole_json(profile), changes);
        auto put = put_of(devices::json_members(result), profile.id, pseudonymiser, {}, seen);
        if (!put) return fail(Errc::invalid_argument, put.error().words);
        for (const store::Alias& alias : more)
            if (std::find(put->aliases.begin(), put->aliases.end(), alias) == put->aliases.end())
                put->aliases.push_back(alias);
        if (put->aliases.size() > Profiles::aliases_max)
            return fail(Errc::invalid_argument,
                        "a profile has at most " + std::to_string(Profiles::aliases_max) + " aliases");
        return std::move(*put);
    };
    return patch;
}

Read<std::vector<std::string>> ids_in(const std::vector<JsonMember>& members, std::string_view name) {
    const Mistake wrong{"'" + std::string(name) + "' must be a list of 1 to " +
                        std::to_string(Profiles::merged_max) + " ids"};
    const auto list = devices::json_find(members, name);
    if (!list || !is_array(*list)) return wrong;
    const auto items = devices::json_items(*list, Profiles::merged_max);
    if (items.empty() || items.size() > Profiles::merged_max) return wrong;
    std::vector<std::string> ids;
    for (const std::string_view item : items) {
        std::string one = is_string(item) ? devices::json_unescape(item) : std::string();
        if (!is_profile_id(one)) return wrong;
        ids.push_back(std::move(one));
    }
    return ids;
}

Read<store::ProfileMerge> merge_in(const std::vector<JsonMember>& members, std::string_view id) {
    auto from = ids_in(members, "from");
    if (!from) return from.error();
    const bool provisional = std::any_of(from->begin(), from->end(), [](const std::string& one) {
        return one.starts_with(provisional_prefix);
    });
    return store::ProfileMerge{std::string(id), std::move(*from), provisional};
}

Read<store::ProfileUnmerge> unmerge_in(const std::vector<JsonMember>& members, std::string_view id) {
    auto ids = ids_in(members, "ids");
    if (!ids) return ids.error();
    return store::ProfileUnmerge{std::string(id), std::move(*ids)};
}

// What cannot be read spoils nothing: whoever is to be forgotten is, by what can. Returns what is left out.
std::size_t aliases_that_can_be_read(std::string_view array, const devices::Pseudonymiser& pseudonymiser,
                                     std::vector<store::Alias>& out) {
    if (!is_array(array)) return 1;
    std::size_t left_out = 0;
    for (const std::string_view item : devices::json_items(array, Profiles::aliases_max)) {
        const auto text = alias_text(item);
        auto alias = text ? alias_of(*text, pseudonymiser) : std::nullopt;
        if (alias && out.size() < Profiles::aliases_max)
            out.push_back(std::move(*alias));
        else
            ++left_out;
    }
    return left_out;
}

bool whatever_is_held(const std::vector<JsonMember>& members) {
    return devices::json_find(members, "whatever_is_held") == "true";
}

store::ProfileErase erase_as_far(const std::vector<JsonMember>& members, std::string_view id,
                                 const devices::Pseudonymiser& pseudonymiser, std::size_t& left_out) {
    const auto version = version_in(members);
    if (!version) ++left_out;
    store::ProfileErase erase{std::string(id), version ? *version : std::nullopt};
    erase.whatever_is_held = whatever_is_held(members);
    if (const auto value = devices::json_find(members, "aliases"))
        left_out += aliases_that_can_be_read(*value, pseudonymiser, erase.aliases);
    return erase;
}

Read<store::ProfileErase> erase_in(const std::vector<JsonMember>& members, std::string_view id,
                                   const devices::Pseudonymiser& pseudonymiser) {
    const auto version = version_in(members);
    if (!version) return version.error();
    store::ProfileErase erase{std::string(id), *version};
    erase.whatever_is_held = whatever_is_held(members);
    if (const auto value = devices::json_find(members, "aliases")) {
        auto aliases = aliases_in(*value, pseudonymiser);
        if (!aliases) return aliases.error();
        erase.aliases = std::move(*aliases);
    }
    return erase;
}

}  // namespace

bool is_profile_id(std::string_view text) {
    return !text.empty() && text.size() <= Profiles::id_bytes_max && !among(text, taken_ids) &&
           std::all_of(text.begin(), text.end(),
                       [](char c) { return c > ' ' && c < 0x7f && c != '/' && c != ':'; });
}

std::optional<store::Alias> alias_of(std::string_view text, const devices::Pseudonymiser& pseudonymiser) {
    if (text.size() > devices::customer_bytes_max || !devices::is_customer(text)) return std::nullopt;
    const devices::Customer customer = devices::normalise(text);
    return store::Alias{pseudonymiser.pseudonym(customer), customer.text()};
}

Read<store::ProfilePut> profile_put(std::string_view body, std::string_view id,
                                    const devices::Pseudonymiser& pseudonymiser) {
    const auto members = object_members(body, "the body");
    if (!members) return members.error();
    if (auto wrong = other_id(*members, id)) return std::move(*wrong);
    return put_in(*members, id, pseudonymiser);
}

Read<store::ProfilePatch> profile_patch(std::string_view body, std::string_view id,
                                        const devices::Pseudonymiser& pseudonymiser) {
    const auto members = object_members(body, "the body");
    if (!members) return members.error();
    if (auto wrong = other_id(*members, id)) return std::move(*wrong);
    return patch_in(*members, id, pseudonymiser);
}

Read<store::ProfileErase> profile_erase(std::string_view body, std::string_view id,
                                        const devices::Pseudonymiser& pseudonymiser) {
    if (body.empty()) return store::ProfileErase{std::string(id), std::nullopt};
    const auto members = object_members(body, "the body");
    if (!members) return members.error();
    // Of a name that is misspelled nobody would hear that it was not forgotten.
    for (const JsonMember& member : *members)
        if (!among(devices::json_unescape(member.key), erase_members))
            return Mistake{
                "the members of the body are aliases, version and whatever_is_held; there is another one"};
    return erase_in(*members, id, pseudonymiser);
}

Read<store::ProfileMerge> profile_merge(std::string_view body, std::string_view id) {
    const auto members = object_members(body, "the body");
    if (!members) return members.error();
    return merge_in(*members, id);
}

Read<store::ProfileUnmerge> profile_unmerge(std::string_view body, std::string_view id) {
    const auto members = object_members(body, "the body");
    if (!members) return members.error();
    return unmerge_in(*members, id);
}

Read<store::ProfileChange> profile_line(std::string_view line, const devices::Pseudonymiser& pseudonymiser,
                                        std::size_t* left_out) {
    if (is_array(devices::json_trim(line)) && !devices::validate_json(line))
        return Mistake{"a line must be a JSON object; of a list, put each item on a line of its own"};
    const auto members = object_members(line, "a line");
    if (!members) return members.error();
    const auto id = id_in(*members, pseudonymiser);
    if (!id) return id.error();
    const auto op = devices::json_find(*members, "op");
    const std::string word = op && is_string(*op) ? devices::json_unescape(*op) : std::string();
    const auto any = [](auto read) -> Read<store::ProfileChange> {
        if (!read) return read.error();
        return store::ProfileChange(std::move(*read));
    };
    if (word == "put") return any(put_in(*members, *id, pseudonymiser, "op"));
    if (word == "patch") return any(patch_in(*members, *id, pseudonymiser, "op"));
    if (word == "merge") return any(merge_in(*members, *id));
    if (word == "unmerge") return any(unmerge_in(*members, *id));
    if (word == "delete" && left_out != nullptr)
        return store::ProfileChange(erase_as_far(*members, *id, pseudonymiser, *left_out));
    if (word == "delete") return any(erase_in(*members, *id, pseudonymiser));
    return Mistake{"'op' must be \"put\", \"patch\", \"delete\", \"merge\" or \"unmerge\""};
}

Read<std::vector<std::string>> lookup_body(std::string_view body) {
    const Mistake wrong{R"(the body must be {"any":[..]} with 1 to )" + std::to_string(lookup_aliases_max) +
                        R"( of "scheme:value")"};
    const auto members = object_members(body, "the body");
    if (!members) return wrong;
    const auto any = devices::json_find(*members, "any");
    if (!any || !is_array(*any) || members->size() != 1) return wrong;
    const auto items = devices::json_items(*any, lookup_aliases_max);
    if (items.empty() || items.size() > lookup_aliases_max) return wrong;
    std::vector<std::string> aliases;
    for (const std::string_view item : items) {
        if (!is_string(item)) return wrong;
        aliases.push_back(devices::json_unescape(item));
    }
    return aliases;
}

}  // namespace touchpoint::gateway
