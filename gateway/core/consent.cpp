#include "gateway/core/consent.hpp"

#include <algorithm>

#include "gateway/core/json_slice.hpp"

namespace touchpoint {

namespace {

std::string known_purpose(std::string text) {
    std::string lower = text;
    for (char& c : lower)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (lower == "personalization") return "personalisation";
    const bool known = std::find(purpose_names.begin(), purpose_names.end(), lower) != purpose_names.end();
    return known ? lower : text;
}

}  // namespace

std::optional<ConsentState> consent_state_named(std::string_view text) {
    if (text == "granted") return ConsentState::granted;
    if (text == "denied") return ConsentState::denied;
    if (text == "revoked") return ConsentState::revoked;
    return std::nullopt;
}

std::string_view name(ConsentState state) {
    switch (state) {
        case ConsentState::granted:
            return "granted";
        case ConsentState::denied:
            return "denied";
        case ConsentState::revoked:
            return "revoked";
    }
    return "denied";
}

std::variant<ConsentChange, ConsentMistake> read_consent(std::string_view data) {
    constexpr ConsentMistake bad_purpose{
        "purpose", "a text like marketing is expected, at most 64 bytes, or a list of 1 to 8 of them"};
    if (!is_object(data)) return ConsentMistake{"", "an object with purpose and state is expected"};
    const std::vector<JsonMember> members = json_members(data);
    // Readers differ in which of two counts; of a refusal nobody may be in doubt.
    for (const char* once : {"purpose", "state", "until"})
        if (std::count_if(members.begin(), members.end(), [&](const JsonMember& m) { return m.is(once); }) >
            1)
            return ConsentMistake{once, "it stands there twice"};
    ConsentChange change;
    const auto state = json_find(members, "state");
    const auto named = state && is_string(*state) ? consent_state_named(json_unescape(*state)) : std::nullopt;
    if (!named) return ConsentMistake{"state", "granted, denied or revoked is expected"};
    change.state = *named;

    const auto purpose = json_find(members, "purpose");
    if (!purpose) return bad_purpose;
    const auto items =
        is_array(*purpose) ? json_items(*purpose, consent_purposes_max) : std::vector{*purpose};
    if (items.empty() || items.size() > consent_purposes_max) return bad_purpose;
    for (const std::string_view item : items) {
        if (!is_string(item)) return bad_purpose;
        change.purposes.push_back(known_purpose(json_unescape(item)));
        if (change.purposes.back().empty() || change.purposes.back().size() > purpose_bytes_max)
            return bad_purpose;
    }
    if (const auto until = json_find(members, "until"); until && *until != "null") {
        if (is_string(*until)) change.until = parse_rfc3339(json_unescape(*until));
        if (!change.until) return ConsentMistake{"until", "RFC 3339 is expected"};
    }
    return change;
}

}  // namespace touchpoint
