#include "devices/mask.hpp"

#include <algorithm>
#include <utility>

#include "devices/json_slice.hpp"

namespace touchpoint::devices {
namespace {

constexpr std::size_t card_digits_min = 13;
constexpr std::size_t card_digits_max = 19;
constexpr std::size_t digits_kept = 4;

bool digit(char c) { return c >= '0' && c <= '9'; }
bool letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           static_cast<unsigned char>(c) >= 0x80;
}

struct Group {
    std::size_t begin = 0;
    std::size_t end = 0;
};

// One run of digit groups with single separators. A card begins and ends with a group, not inside one.
std::size_t mask_run(char* text, const std::vector<Group>& groups) {
    std::size_t masked = 0;
    for (std::size_t first = 0; first < groups.size(); ++first) {
        // No card begins with 0, and thirteen zeros pass Luhn.
        if (text[groups[first].begin] == '0') continue;
        std::string digits;
        std::size_t found = groups.size();
        for (std::size_t last = first; last < groups.size(); ++last) {
            digits.append(text + groups[last].begin, groups[last].end - groups[last].begin);
            if (digits.size() > card_digits_max) break;
            if (digits.size() >= card_digits_min && luhn(digits)) found = last;
        }
        if (found == groups.size()) continue;
        std::size_t left = 0;
        for (std::size_t i = first; i <= found; ++i) left += groups[i].end - groups[i].begin;
        for (std::size_t i = first; i <= found; ++i)
            for (std::size_t at = groups[i].begin; at < groups[i].end; ++at, --left)
                if (left > digits_kept) text[at] = '*';
        ++masked;
        first = found;
    }
    return masked;
}

// The bytes of one text, [begin, end) of `text`; `escapes` when it stands in JSON.
std::size_t mask_range(char* text, std::size_t begin, std::size_t end, bool escapes) {
    // Nearly every text ends here.
    if (end - begin < card_digits_min) return 0;
    if (static_cast<std::size_t>(std::count_if(text + begin, text + end, digit)) < card_digits_min) return 0;
    std::size_t masked = 0;
    bool after_letter = false;  // also behind a decimal point
    for (std::size_t at = begin; at < end;) {
        const char c = text[at];
        if (!digit(c)) {
            if (escapes && c == '\\' && at + 1 < end) {
                at += text[at + 1] == 'u' ? 6 : 2;
                after_letter = false;
                continue;
            }
            after_letter = letter(c) || (c == '.' && at > begin && digit(text[at - 1]));
            ++at;
            continue;
        }
        std::vector<Group> groups;
        while (at < end && digit(text[at])) {
            Group group{at, at};
            while (at < end && digit(text[at])) ++at;
            group.end = at;
            groups.push_back(group);
            if (at + 1 < end && (text[at] == ' ' || text[at] == '-') && digit(text[at + 1])) ++at;
        }
        // A group that touches a letter or a decimal point is part of something else.
        if (after_letter) groups.erase(groups.begin());
        const bool before_letter =
            at < end && (letter(text[at]) || (text[at] == '.' && at + 1 < end && digit(text[at + 1])));
        if (before_letter && !groups.empty()) groups.pop_back();
        after_letter = false;
        masked += mask_run(text, groups);
    }
    return masked;
}

}  // namespace

bool luhn(std::string_view digits) {
    int sum = 0;
    bool twice = false;
    for (auto at = digits.rbegin(); at != digits.rend(); ++at, twice = !twice) {
        int value = *at - '0';
        if (twice && (value *= 2) > 9) value -= 9;
        sum += value;
    }
    return sum % 10 == 0;
}

CardMask::CardMask(const std::vector<std::string>& code_fields)
    : code_fields_(code_fields.begin(), code_fields.end()) {}

std::size_t CardMask::mask_text(std::string& text) { return mask_range(text.data(), 0, text.size(), false); }

std::size_t CardMask::mask_json(std::string& json) const {
    std::size_t masked = 0;
    bool code = false;  // the value that follows, with all that is in it, belongs to a code field
    std::size_t code_depth = 0;
    std::size_t depth = 0;
    for (std::size_t at = 0; at < json.size();) {
        const char c = json[at];
        if (c == '{' || c == '[') ++depth;
        if (c == '}' || c == ']') --depth;
        if (c == ',' && code && depth <= code_depth) code = false;
        if ((c == '}' || c == ']') && code && depth < code_depth) code = false;
        if (c != '"') {
            ++at;
            continue;
        }
        const std::size_t begin = at++;
        while (json[at] != '"') at += json[at] == '\\' ? 2 : 1;
        const std::size_t end = at++;
        std::size_t next = at;
        while (next < json.size() &&
               (json[next] == ' ' || json[next] == '\n' || json[next] == '\t' || json[next] == '\r'))
            ++next;
        const bool is_key = next < json.size() && json[next] == ':';
        if (is_key) {
            const std::string_view key = std::string_view(json).substr(begin, end + 1 - begin);
            const bool plain = key.find('\\') == std::string_view::npos;
            if (!code && code_fields_.contains(plain ? std::string(key.substr(1, key.size() - 2))
                                                     : json_unescape(key))) {
                code = true;
                code_depth = depth;
            }
        } else if (!code) {
            masked += mask_range(json.data(), begin + 1, end, true);
        }
    }
    return masked;
}

}  // namespace touchpoint::devices
