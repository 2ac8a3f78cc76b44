// Small letters of ASCII: names of header fields, media types, schemes, purposes. Other bytes stay as they
// are, whatever the locale: what the other letters of a text are in lower case depends on whose text it is.
//
// Threads: pure.
#pragma once

#include <string>
#include <string_view>

namespace touchpoint {

constexpr char ascii_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

inline std::string ascii_lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = ascii_lower(c);
    return out;
}

constexpr bool ascii_iequals(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (ascii_lower(a[i]) != ascii_lower(b[i])) return false;
    return true;
}

}  // namespace touchpoint
