// Finds the members of an object without building a document: what a platform needs of an event is in a few
// of them. The text is checked for balance only.
#pragma once

#include <cstddef>
#include <string_view>

namespace touchpoint::platform {

inline std::size_t skip_space(std::string_view text, std::size_t at) {
    while (at < text.size() && (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t'))
        ++at;
    return at;
}

// One behind the value that begins at `at`; npos if it does not end.
inline std::size_t value_end(std::string_view text, std::size_t at) {
    std::size_t depth = 0;
    while (at < text.size()) {
        const char c = text[at];
        if (c == '"') {
            for (;;) {
                at = text.find_first_of("\"\\", at + 1);
                if (at == std::string_view::npos) return at;
                if (text[at] == '"') break;
                ++at;
            }
            if (depth == 0) return at + 1;
        } else if (c == '{' || c == '[') {
            ++depth;
        } else if (c == '}' || c == ']') {
            if (depth == 0) return at;  // a bare value's end
            if (--depth == 0) return at + 1;
        } else if (depth == 0 && (c == ',' || c == ' ' || c == '\n' || c == '\r' || c == '\t')) {
            return at;
        }
        ++at;
    }
    return depth == 0 ? at : std::string_view::npos;
}

// Calls `member(key, value)` for each member of the object, keys and strings without their quotes and still
// escaped (`value` of a string keeps them). False: not an object.
template <class Member>
bool for_each_member(std::string_view object, Member member) {
    std::size_t at = skip_space(object, 0);
    if (at >= object.size() || object[at] != '{') return false;
    at = skip_space(object, at + 1);
    if (at < object.size() && object[at] == '}') return true;
    while (at < object.size()) {
        if (object[at] != '"') return false;
        const std::size_t key_end = value_end(object, at);
        if (key_end == std::string_view::npos) return false;
        const std::string_view key = object.substr(at + 1, key_end - at - 2);
        at = skip_space(object, key_end);
        if (at >= object.size() || object[at] != ':') return false;
        at = skip_space(object, at + 1);
        const std::size_t end = value_end(object, at);
        if (end == std::string_view::npos || end == at) return false;
        member(key, object.substr(at, end - at));
        at = skip_space(object, end);
        if (at >= object.size()) return false;
        if (object[at] == '}') return skip_space(object, at + 1) == object.size();
        if (object[at] != ',') return false;
        at = skip_space(object, at + 1);
    }
    return false;
}

// Without the quotes; empty if it is not a string.
inline std::string_view text_of(std::string_view value) {
    if (value.size() < 2 || value.front() != '"') return {};
    return value.substr(1, value.size() - 2);
}

}  // namespace touchpoint::platform
