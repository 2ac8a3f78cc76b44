// What of a profile a reader may see.
#include <algorithm>
#include <array>
#include <utility>

#include "devices/json_slice.hpp"
#include "gateway/core/consent.hpp"
#include "gateway/core/json_text.hpp"
#include "gateway/profiles/profile_document.hpp"

namespace touchpoint::gateway {
namespace {

using devices::is_object;
using devices::is_string;
using devices::JsonMember;

// Whether a purpose sees this member, in the order of Purpose. The others, ours unknown, are as traits.
struct Sight {
    std::string_view member;
    std::array<bool, 4> purposes;
};
constexpr std::array<Sight, 7> sights = {{{"aliases", {true, false, true, true}},
                                          {"segments", {false, true, true, true}},
                                          {"offers", {false, false, true, true}},
                                          {"recent", {false, true, true, true}},
                                          {"counts", {false, true, true, true}},
                                          {"place", {true, true, true, true}},
                                          {"cart", {true, false, true, true}}}};
constexpr std::string_view received_member = ",\"received\":";
// Most of what an answer says beside the document has room in it: id, some aliases, times.
constexpr std::size_t json_beside_document = 512;

std::string masked(std::string_view value) {
    constexpr std::size_t shown = 4;
    if (value.size() <= shown) return "..";
    std::size_t at = value.size() - shown;
    while (at < value.size() && (static_cast<unsigned char>(value[at]) & 0xc0) == 0x80)
        ++at;  // not in a letter
    return ".." + std::string(value.substr(at));
}

bool consent(const std::vector<JsonMember>& document, Purpose purpose, bool unknown_granted, UtcTime now) {
    const bool otherwise = purpose == Purpose::operation || unknown_granted;
    const auto consents = devices::json_find(document, "consents");
    if (!consents || !is_object(*consents)) return otherwise;
    const auto one = devices::json_find(devices::json_members(*consents),
                                        purpose_names[static_cast<std::size_t>(purpose)]);
    if (!one || !is_object(*one)) return otherwise;
    const auto members = devices::json_members(*one);
    const auto time = [&](std::string_view name) {
        const auto value = devices::json_find(members, name);
        return value && is_string(*value) ? parse_rfc3339(devices::json_unescape(*value)) : std::nullopt;
    };
    const auto state = devices::json_find(members, "state");
    if (!state || *state != "\"granted\"") return false;
    if (const auto since = time("since"); since && *since > now) return false;
    if (const auto until = time("until"); until && *until <= now) return false;
    return true;
}

bool sees(std::string_view member, const ProfileView& view, bool consented) {
    if (!view.persons) return false;
    if (member == "consents" || member == "provisional") return true;
    if (!consented) return false;
    for (const Sight& sight : sights)
        if (sight.member == member) return sight.purposes[static_cast<std::size_t>(view.purpose)];
    return true;
}

std::string aliases_json(const store::Profile& profile, bool whole) {
    std::string out = "[";
    for (const store::Alias& alias : profile.aliases) {
        const std::size_t colon = alias.text.find(':');
        const std::string value = alias.text.substr(colon + 1);
        out += out.size() > 1 ? ",{\"scheme\":" : "{\"scheme\":";
        append_json_string(out, alias.text.substr(0, colon));
        out += ",\"value\":";
        append_json_string(out, whole ? value : masked(value));
        out += '}';
    }
    return out + ']';
}

}  // namespace

std::optional<Purpose> purpose_named(std::string_view text) {
    for (std::size_t i = 0; i < purpose_names.size(); ++i)
        if (purpose_names[i] == text) return static_cast<Purpose>(i);
    return std::nullopt;
}

bool consented(std::string_view document, Purpose purpose, bool unknown_granted, UtcTime now) {
    return consent(devices::json_members(document), purpose, unknown_granted, now);
}

std::string profile_json(const store::Profile& profile, const ProfileView& view, UtcTime now) {
    const auto document = devices::json_members(profile.json);
    const bool may = (!view.behind || view.purpose == Purpose::operation) &&
                     consent(document, view.purpose, view.unknown_granted, now);
    std::string withheld;
    const auto withhold = [&](std::string_view name) {
        if (!withheld.empty()) withheld += ',';
        append_json_string(withheld, name);
    };
    std::string out;
    out.reserve(profile.json.size() + json_beside_document);
    out += "{\"id\":" + json_string(profile.id);
    if (sees("aliases", view, may))
        out += ",\"aliases\":" + aliases_json(profile, view.whole_aliases);
    else if (!profile.aliases.empty())
        withhold("aliases");
    for (const JsonMember& member : document) {
        const std::string name = devices::json_unescape(member.key);
        if (name == seen_member && !view.whole_aliases) continue;
        if (!sees(name, view, may)) {
            withhold(name);
            continue;
        }
        out += ',';
        out += member.key;
        out += ':';
        out += member.value;
    }
    out += ",\"version\":" + std::to_string(profile.version);
    if (profile.updated.ms != 0) out += ",\"updated\":" + json_string(to_rfc3339(profile.updated));
    out += view.stale ? ",\"stale\":true" : ",\"stale\":false";
    if (!profile.merged_from.empty()) {
        out += ",\"merged_from\":[";
        for (const std::string& id : profile.merged_from) {
            if (out.back() != '[') out += ',';
            append_json_string(out, id);
        }
        out += ']';
    }
    return out + ",\"withheld\":[" + withheld + "]" + std::string(received_member) +
           json_string(to_rfc3339(profile.received)) + "}\n";
}

std::string_view without_received(std::string_view made) {
    return made.substr(0, made.rfind(received_member));
}

}  // namespace touchpoint::gateway
