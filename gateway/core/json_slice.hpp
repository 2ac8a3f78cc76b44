// JSON as text: validated strictly, then cut into slices of the same bytes. Nothing is ever rendered again,
// so a number leaves as whoever sent it wrote it.
//
// Threads: free functions, any.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace touchpoint {

inline constexpr std::size_t json_depth_max = 64;

struct JsonFault {
    enum class Kind { not_json, invalid_utf8, too_deep };
    Kind kind = Kind::not_json;
    std::size_t position = 0;  // byte, from 0
    std::string text;          // "syntax error at byte 17": never the bytes themselves
};

// Empty: `text` is exactly one JSON value (RFC 8259), in UTF-8, not deeper than json_depth_max.
std::optional<JsonFault> validate_json(std::string_view text);
bool valid_utf8(std::string_view text) noexcept;

// All that follow: REQUIRES text that validate_json accepted (or a slice of one that is a whole value).

struct JsonMember {
    std::string_view key;    // with quotes, as written
    std::string_view value;  // without space around it
    bool escaped = false;    // the key holds a backslash
    bool is(std::string_view name) const;
};

std::string_view json_trim(std::string_view text) noexcept;
inline bool is_object(std::string_view value) noexcept { return !value.empty() && value.front() == '{'; }
inline bool is_array(std::string_view value) noexcept { return !value.empty() && value.front() == '['; }
inline bool is_string(std::string_view value) noexcept { return !value.empty() && value.front() == '"'; }
inline bool is_number(std::string_view value) noexcept {
    return !value.empty() && (value.front() == '-' || (value.front() >= '0' && value.front() <= '9'));
}

// The top-level members of an object, in order, repeated names included.
std::vector<JsonMember> json_members(std::string_view object);
// The items of an array. Stops at `items_max` + 1, so that the caller sees that there are too many.
std::vector<std::string_view> json_items(std::string_view array, std::size_t items_max);
// What a JSON string (with quotes) means.
std::string json_unescape(std::string_view quoted);
// First member of that name, empty when there is none.
std::optional<std::string_view> json_find(const std::vector<JsonMember>& members, std::string_view name);

}  // namespace touchpoint
