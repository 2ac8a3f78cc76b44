#include "gateway/profiles/picture_json.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "devices/json_slice.hpp"
#include "gateway/core/json_text.hpp"

namespace touchpoint::gateway {
namespace {

using devices::is_object;
using devices::is_string;
using devices::json_find;
using devices::JsonMember;

// Of a refusal of which nobody says when.
constexpr UtcTime later_than_all{std::numeric_limits<std::int64_t>::max()};

Sequence number_in(const std::vector<JsonMember>& members, std::string_view name) {
    const auto value = json_find(members, name);
    if (!value) return 0;
    const std::string text = is_string(*value) ? devices::json_unescape(*value) : std::string(*value);
    Sequence number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size() ? number : 0;
}

std::string time_json(UtcTime time) { return json_string(to_rfc3339(time)); }

// Thousandths as a number without zeros behind: 2, 0.42
std::string quantity_json(std::int64_t thousandths) {
    std::string text = std::to_string(thousandths / 1000);
    const std::int64_t rest = thousandths % 1000;
    if (rest == 0) return text;
    std::string digits = std::to_string(1000 + rest).substr(1);
    while (digits.back() == '0') digits.pop_back();
    return text + '.' + digits;
}

std::string recent_json(const Picture& picture) {
    std::vector<const Touch*> shown;
    for (auto touch = picture.touches.rbegin(); touch != picture.touches.rend(); ++touch) {
        if (touch->line.empty() || shown.size() == Picture::recent_max) break;
        shown.push_back(&*touch);
    }
    // A kiosk that was away tells late of what was before; one whose clock is ahead of ours does not stay on
    // top for ever.
    const auto when = [](const Touch* touch) { return std::min(touch->time, touch->mark.recorded); };
    std::stable_sort(shown.begin(), shown.end(),
                     [&](const Touch* a, const Touch* b) { return when(a) > when(b); });
    std::string out = "[";
    for (const Touch* touch : shown) {
        if (out.size() > 1) out += ',';
        out += "{\"time\":" + time_json(touch->time) + ",\"device\":" + json_string(touch->device) +
               ",\"type\":" + json_string(touch->type) + ",\"line\":" + json_string(touch->line) + '}';
    }
    return out + ']';
}

std::string counts_json(const Picture& picture) {
    std::map<std::string, std::uint64_t> counts;
    for (const auto& [type, counted] : picture.older) counts[type] += counted.count;
    for (const Touch& touch : picture.touches) ++counts[touch.type];
    std::string out = "{";
    for (const auto& [type, count] : counts) {
        if (out.size() > 1) out += ',';
        out += json_string(type) + ':' + std::to_string(count);
    }
    return out + '}';
}

std::string cart_json(const Picture& picture) {
    std::string out = "{\"lines\":[";
    UtcTime changed;
    for (const Picture::CartLine& line : picture.cart) {
        if (out.back() != '[') out += ',';
        out += "{\"item\":" + json_string(line.item) + ",\"quantity\":" + quantity_json(line.quantity) + '}';
        changed = std::max(changed, line.mark.recorded);
    }
    if (picture.paid) changed = std::max(changed, picture.paid->recorded);
    return out + "],\"changed\":" + time_json(changed) + '}';
}

std::string consent_json(const Picture::Consent& consent) {
    std::string out = "{\"state\":" + json_string(name(consent.state));
    if (consent.since != later_than_all) out += ",\"since\":" + time_json(consent.since);
    if (consent.until) out += ",\"until\":" + time_json(*consent.until);
    return out + '}';
}

// The decision that the platform tells was made at the same time or later than ours. Against a grant, a
// refusal without a time was made when it `came`; else who says no time is never the later one.
bool is_later(std::string_view theirs, const Picture::Consent& ours, UtcTime came) {
    if (!is_object(theirs)) return false;
    const auto members = devices::json_members(theirs);
    const auto since = json_find(members, "since");
    auto time = since && is_string(*since) ? parse_rfc3339(devices::json_unescape(*since)) : std::nullopt;
    const auto state = json_find(members, "state");
    if (!time && ours.state == ConsentState::granted && state && *state != "\"granted\"") time = came;
    // The clock of a device that tells of a refusal may be years behind; when it came is our own.
    const UtcTime ours_at =
        ours.state == ConsentState::granted ? ours.since : std::max(ours.since, ours.mark.recorded);
    return time && *time >= ours_at;
}

// Of each purpose the decision that was made last: here, or what the platform said.
std::string consents_json(std::string_view said, Picture::Consents ours, UtcTime came) {
    std::string out = "{";
    const auto add = [&](std::string_view key, std::string_view value) {
        if (out.size() > 1) out += ',';
        out += key;
        out += ':';
        out += value;
    };
    if (is_object(said))
        for (const JsonMember& member : devices::json_members(said)) {
            const auto own = ours.find(devices::json_unescape(member.key));
            if (own != ours.end() && !is_later(member.value, own->second, came)) continue;
            if (own != ours.end()) ours.erase(own);
            add(member.key, member.value);
        }
    for (const auto& [purpose, consent] : ours) add(json_string(purpose), consent_json(consent));
    return out + '}';
}

void add_refusal(Picture& picture, std::string purpose, ConsentState state, UtcTime since) {
    const auto [held, fresh] =
        picture.consents.try_emplace(std::move(purpose), Picture::Consent{state, since, {}, {}});
    if (fresh) return;
    // As in is_later(): a refusal counts from when it came at the latest.
    const Picture::Consent& ours = held->second;
    const UtcTime at =
        ours.state == ConsentState::granted ? ours.since : std::max(ours.since, ours.mark.recorded);
    if (at < since) held->second = {state, since, {}, {}};
}

}  // namespace

Seen seen_by(const store::Profile& profile, std::string_view gateway_id, std::string_view epoch) {
    Seen seen;
    // A platform whose clock is ahead has not seen what is recorded after it spoke.
    seen.time = profile.came.ms != 0 ? std::min(profile.updated, profile.came) : profile.updated;
    // Most profiles say no such thing.
    if (profile.json.find("\"seen\"") == std::string::npos) return seen;
    const auto all = json_find(devices::json_members(profile.json), "seen");
    if (!all || !is_object(*all)) return seen;
    const auto ours = json_find(devices::json_members(*all), gateway_id);
    if (!ours || !is_object(*ours)) return seen;
    const auto members = devices::json_members(*ours);
    const auto whose = json_find(members, "epoch");
    if (!whose || !is_string(*whose) || devices::json_unescape(*whose) != epoch) return seen;
    seen.by_numbers = true;
    for (const Stream stream : all_streams) seen.numbers[stream] = number_in(members, name(stream));
    return seen;
}

bool seen_too_far(std::string_view document, std::string_view gateway_id, std::string_view epoch,
                  const PerStream<Sequence>& given) {
    if (document.find("\"seen\"") == std::string_view::npos || devices::validate_json(document)) return false;
    store::Profile profile;
    profile.json = document;
    const Seen seen = seen_by(profile, gateway_id, epoch);
    return seen.by_numbers && std::any_of(all_streams.begin(), all_streams.end(), [&](Stream stream) {
               return seen.numbers[stream] > given[stream];
           });
}

void add_refusals(Picture& picture, std::string_view document) {
    const auto all = json_find(devices::json_members(document), "consents");
    if (!all || !is_object(*all)) return;
    for (const JsonMember& member : devices::json_members(*all)) {
        if (!is_object(member.value)) continue;
        const auto entry = devices::json_members(member.value);
        const auto text = [&](std::string_view name) {
            const auto value = json_find(entry, name);
            return value && is_string(*value) ? devices::json_unescape(*value) : std::string();
        };
        const auto state = consent_state_named(text("state"));
        if (!state || *state == ConsentState::granted) continue;
        // Without a time it is later than any grant.
        const UtcTime since = parse_rfc3339(text("since")).value_or(later_than_all);
        add_refusal(picture, devices::json_unescape(member.key), *state, since);
    }
}

void add_refusals(Picture& picture, const std::vector<store::Refusal>& refusals) {
    for (const store::Refusal& one : refusals)
        add_refusal(picture, std::string(purpose_names[one.purpose]), one.state, one.since);
}

std::string with_picture(const std::string& document, const Picture& picture, UtcTime consents_came) {
    std::vector<std::pair<std::string, std::string>> ours;
    if (!picture.touches.empty()) ours.emplace_back("recent", recent_json(picture));
    if (!picture.touches.empty() || !picture.older.empty()) ours.emplace_back("counts", counts_json(picture));
    if (picture.zone && !picture.zone->name.empty())
        ours.emplace_back("place", "{\"zone\":" + json_string(picture.zone->name) +
                                       ",\"device\":" + json_string(picture.zone->device) +
                                       ",\"since\":" + time_json(picture.zone->mark.recorded) + '}');
    if (!picture.cart.empty() || picture.paid) ours.emplace_back("cart", cart_json(picture));
    if (ours.empty() && picture.consents.empty()) return document;
    const auto members = devices::json_members(document);
    if (!picture.consents.empty())
        ours.emplace_back("consents",
                          consents_json(json_find(members, "consents").value_or(std::string_view()),
                                        picture.consents, consents_came));
    std::string out = "{";
    const auto add = [&](std::string_view key, std::string_view value) {
        if (out.size() > 1) out += ',';
        out += key;
        out += ':';
        out += value;
    };
    for (const JsonMember& member : members) {
        const std::string name = devices::json_unescape(member.key);
        const bool replaced =
            std::any_of(ours.begin(), ours.end(), [&](const auto& one) { return one.first == name; });
        if (!replaced) add(member.key, member.value);
    }
    for (const auto& [name, value] : ours) add(json_string(name), value);
    return out + '}';
}

}  // namespace touchpoint::gateway
