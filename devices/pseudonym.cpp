#include "devices/pseudonym.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "gateway/core/ascii.hpp"
#include "store/keys.hpp"

namespace touchpoint::devices {
namespace {

constexpr std::size_t pseudonym_characters = 26;
constexpr std::size_t key_id_characters_max = 8;
constexpr std::string_view base32 = "abcdefghijklmnopqrstuvwxyz234567";

std::string_view trim(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(' ');
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

}  // namespace

Customer normalise(std::string_view text) {
    const std::size_t colon = text.find(':');
    Customer customer{ascii_lower(trim(text.substr(0, colon))), {}};
    const std::string_view value = trim(text.substr(colon + 1));
    if (customer.scheme == "email") {
        customer.value = ascii_lower(value);
    } else if (customer.scheme == "phone") {
        for (const char c : value)
            if ((c >= '0' && c <= '9') || (c == '+' && customer.value.empty())) customer.value += c;
        // Nothing but signs: better kept as it is than the same for everybody.
        if (customer.value.empty() || customer.value == "+") customer.value = value;
    } else {
        customer.value = value;
    }
    return customer;
}

bool is_pseudonym(std::string_view text) {
    const std::size_t end = text.find('_');
    if (end == 0 || end > key_id_characters_max || text.size() != end + 1 + pseudonym_characters)
        return false;
    return text.find_first_not_of(base32, end + 1) == std::string_view::npos &&
           std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end),
                       [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
}

Pseudonymiser::Pseudonymiser(std::string key, std::string key_id)
    : key_(std::move(key)), prefix_(std::move(key_id) + '_') {}

std::string Pseudonymiser::pseudonym(const Customer& customer) const {
    const std::string digest = store::keyed_hash(key_, customer.text());
    std::string out = prefix_;
    std::uint32_t bits = 0;
    int count = 0;
    std::size_t at = 0;
    while (out.size() < prefix_.size() + pseudonym_characters) {
        if (count < 5) bits = (bits << 8) | static_cast<unsigned char>(digest[at++]), count += 8;
        count -= 5;
        out += base32[(bits >> count) & 31];
    }
    return out;
}

}  // namespace touchpoint::devices
