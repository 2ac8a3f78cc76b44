#include "gateway/profiles/merge_patch.hpp"

#include <map>
#include <utility>
#include <vector>

#include "devices/json_slice.hpp"

namespace touchpoint::gateway {
namespace {

using devices::JsonMember;

void append_member(std::string& out, std::string_view key, std::string_view value) {
    if (out.size() > 1) out += ',';
    out += key;
    out += ':';
    out += value;
}

}  // namespace

// As deep as validate_json lets a value be.
std::string merge_patch(std::string_view target, std::string_view patch) {
    patch = devices::json_trim(patch);
    target = devices::json_trim(target);
    if (!devices::is_object(patch)) return std::string(patch);
    const auto before =
        devices::is_object(target) ? devices::json_members(target) : std::vector<JsonMember>{};
    std::map<std::string, JsonMember> changes;  // of a name that stands twice, the last one
    std::vector<std::string> order;
    for (const JsonMember& member : devices::json_members(patch)) {
        std::string name = devices::json_unescape(member.key);
        if (!changes.contains(name)) order.push_back(name);
        changes[std::move(name)] = member;
    }
    std::string out = "{";
    for (const JsonMember& member : before) {
        const auto change = changes.find(devices::json_unescape(member.key));
        if (change == changes.end()) {
            append_member(out, member.key, member.value);
            continue;
        }
        if (change->second.value != "null")
            append_member(out, member.key, merge_patch(member.value, change->second.value));
        changes.erase(change);
    }
    for (const std::string& name : order) {
        const auto change = changes.find(name);
        if (change == changes.end() || change->second.value == "null") continue;
        // Against nothing: nulls inside it mean "away", too.
        append_member(out, change->second.key, merge_patch("null", change->second.value));
    }
    return out += '}';
}

}  // namespace touchpoint::gateway
