// What an event `consent` says: {"purpose":"marketing","state":"granted","until":"2027-01-01T00:00:00Z"}.
// `purpose` may be a list. Who sends something else is told so: a withdrawal that nobody understands must not
// look as if it were obeyed.
//
// Threads: pure, any.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gateway/core/clock.hpp"

namespace touchpoint {

// What a person's data are used for, as far as this gateway decides by it; others are kept as they are.
inline constexpr std::array<std::string_view, 4> purpose_names = {"operation", "analytics", "personalisation",
                                                                  "marketing"};
inline constexpr std::size_t consent_purposes_max = 8;  // in one event
inline constexpr std::size_t purpose_bytes_max = 64;

enum class ConsentState : std::uint8_t { granted = 1, denied = 2, revoked = 3 };  // the values stand in files
std::optional<ConsentState> consent_state_named(std::string_view text);
std::string_view name(ConsentState state);

struct ConsentChange {
    std::vector<std::string> purposes;
    ConsentState state = ConsentState::denied;
    std::optional<UtcTime> until;
};

struct ConsentMistake {
    std::string_view member;  // "state"
    std::string_view words;   // for who wrote the device
};

// `data`: a JSON object, or anything else. A purpose of purpose_names is known in capitals, too, and
// with an American z: that nobody obeys a refusal of "Personalization" helps nobody.
std::variant<ConsentChange, ConsentMistake> read_consent(std::string_view data);

// A purpose in which one letter is wrong (another ASCII letter, one more, one less, two that changed places):
// it would decide nothing, and whoever wrote it believes that it does. Asked where an event comes in, not of
// one that was taken already: what else that says counts.
std::optional<ConsentMistake> misspelled_purpose(const ConsentChange& change);

}  // namespace touchpoint
