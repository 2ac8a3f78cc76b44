#include "devices/quarantine_persons.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <system_error>
#include <unordered_set>
#include <utility>

#include "devices/decode.hpp"
#include "devices/json_slice.hpp"

namespace touchpoint::devices {
namespace {

constexpr std::array<std::string_view, 2> keys = {"\"customer\"", "\"subject\""};
constexpr std::string_view blanks = " \t\r\n";

std::size_t behind_space(std::string_view text, std::size_t at) {
    return std::min(text.find_first_not_of(blanks, at), text.size());
}

// The JSON string that begins at `at`, with its quotes; empty when none does, or it does not end.
std::string_view string_at(std::string_view text, std::size_t at) {
    if (at >= text.size() || text[at] != '"') return {};
    for (std::size_t end = at + 1; end < text.size(); ++end) {
        if (text[end] == '"') return text.substr(at, end + 1 - at);
        if (text[end] == '\\') ++end;
    }
    return {};
}

// Letters that are written as \u0063: a key may be.
std::string with_letters(std::string_view text) {
    constexpr std::string_view escape = "\\u00";
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t found = std::min(text.find(escape, at), text.size());
        out.append(text.substr(at, found - at));
        at = found;
        if (at == text.size()) break;
        const std::string_view digits = text.substr(at + escape.size(), 2);
        unsigned code = 0;
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
        const bool letter = error == std::errc() && end == digits.data() + 2 &&
                            ((code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z'));
        if (letter)
            out += static_cast<char>(code);
        else
            out.append(text.substr(at, escape.size()));
        at += escape.size() + (letter ? 2 : 0);
    }
    return out;
}

class Search {
  public:
    explicit Search(std::size_t most) : most_(most) {}

    // How many bytes of `text` speak of none but those that were found.
    std::size_t payload(std::string_view text) {
        std::size_t known = text.size();
        for (const std::string_view key : keys) known = std::min(known, behind(text.substr(0, known), key));
        return known;
    }
    // False: not everybody in it is noted.
    bool property(const std::string& text) {
        const std::size_t begin = behind_space(text, 0);
        return begin < text.size() && text[begin] == '[' ? value_at(text, begin) : add(text);
    }
    std::vector<std::string> take() { return std::move(found_); }

  private:
    // False: there is no room for him.
    bool add(std::string text) {
        const bool as_written = add_one(text);
        // Blanks may be what is wrong with it: the platform knows him without them.
        std::erase_if(text, [](char c) { return blanks.find(c) != std::string_view::npos; });
        return add_one(text) && as_written;
    }
    bool add_one(const std::string& text) {
        if (!is_customer(text) || seen_.contains(text)) return true;
        if (found_.size() == most_) return false;
        seen_.insert(text);
        found_.push_back(text);
        return true;
    }
    // One string, or a list of them. False also where a string is not the whole of what stands there, as of
    // one that does not end: whom it means is not known then.
    bool value_at(std::string_view text, std::size_t at) {
        at = behind_space(text, at);
        const bool list = at < text.size() && text[at] == '[';
        if (!list) return at >= text.size() || text[at] != '"' || string_is_whole(text, at);
        for (at = behind_space(text, at + 1); at < text.size() && text[at] != ']';) {
            if (text[at] != '"' || !string_is_whole(text, at)) return false;
            if (at < text.size() && text[at] == ',') at = behind_space(text, at + 1);
        }
        return true;
    }
    // Adds the string at `at`, which is then where it goes on.
    bool string_is_whole(std::string_view text, std::size_t& at) {
        const std::string_view written = string_at(text, at);
        if (written.empty()) return false;
        at = behind_space(text, at + written.size());
        if (at < text.size() && text[at] != ',' && text[at] != ']' && text[at] != '}') return false;
        std::string quoted(written);
        // Line ends within it may be what is wrong.
        std::erase_if(quoted, [](char c) { return c == '\t' || c == '\r' || c == '\n'; });
        const bool could_be_one = quoted.size() <= 6 * customer_bytes_max + 2 && !validate_json(quoted);
        return !could_be_one || add(json_unescape(quoted));
    }
    std::size_t behind(std::string_view text, std::string_view key) {
        for (std::size_t at = text.find(key); at < text.size(); at = text.find(key, at)) {
            const std::size_t begin = at;
            at = behind_space(text, at + key.size());
            if (at >= text.size() || text[at] != ':') continue;
            // From where its value begins: of a string that does not end the next key is the end.
            if (!value_at(text, ++at)) return begin;
        }
        return text.size();
    }

    const std::size_t most_;
    std::vector<std::string> found_;
    std::unordered_set<std::string> seen_;
};

}  // namespace

CustomersNamed customers_named(std::string_view payload,
                               const std::vector<std::pair<std::string, std::string>>& user_properties,
                               std::size_t most) {
    Search search(most);
    CustomersNamed named;
    // Of the whole message, so they come first: what is kept of it keeps them.
    for (const auto& [name, value] : user_properties)
        if (name == "customer" || name == "subject")
            named.properties_known = search.property(value) && named.properties_known;
    named.known_bytes = search.payload(payload);
    const std::string_view known = payload.substr(0, named.known_bytes);
    // Where in the payload somebody stands who is found only here is not known.
    if (const std::string plain = with_letters(known); plain.size() != known.size())
        if (search.payload(plain) != plain.size()) named.known_bytes = 0;
    named.customers = search.take();
    return named;
}

}  // namespace touchpoint::devices
