#include "gateway/core/consent.hpp"

#include <algorithm>
#include <utility>

#include "gateway/core/ascii.hpp"
#include "gateway/core/json_slice.hpp"

namespace touchpoint {

namespace {

constexpr std::string_view american = "personalization";

bool known(std::string_view text) {
    return std::find(purpose_names.begin(), purpose_names.end(), text) != purpose_names.end();
}

std::string known_purpose(std::string text) {
    std::string lower = ascii_lower(text);
    if (lower == american) return "personalisation";
    return known(lower) ? lower : text;
}

// Another letter, one more, one less, or two that changed places.
bool one_letter_apart(std::string_view a, std::string_view b) {
    if (a.size() < b.size()) std::swap(a, b);
    const auto differ = std::mismatch(b.begin(), b.end(), a.begin());
    const auto at = static_cast<std::size_t>(differ.first - b.begin());
    const std::string_view left = a.substr(at);
    const std::string_view right = b.substr(at);
    if (a.size() == b.size() + 1) return left.substr(1) == right;
    if (a.size() != b.size() || left.empty()) return false;
    if (left.substr(1) == right.substr(1)) return true;
    return left.size() > 1 && left[0] == right[1] && left[1] == right[0] && left.substr(2) == right.substr(2);
}

bool misspelled(std::string_view purpose) {
    if (known(purpose)) return false;
    const std::string lower = ascii_lower(purpose);
    return one_letter_apart(lower, american) ||
           std::any_of(purpose_names.begin(), purpose_names.end(),
                       [&](std::string_view name) { return one_letter_apart(lower, name); });
}

}  // namespace

std::optional<ConsentMistake> misspelled_purpose(const ConsentChange& change) {
    if (std::none_of(change.purposes.begin(), change.purposes.end(), misspelled)) return std::nullopt;
    return ConsentMistake{"purpose",
                          "this looks like operation, analytics, personalisation or marketing with a letter "
                          "wrong; nobody would obey it"};
}

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
