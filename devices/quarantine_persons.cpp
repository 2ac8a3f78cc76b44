#include "devices/quarantine_persons.hpp"

#include <algorithm>
#include <array>

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

}  // namespace

std::vector<std::string> customers_named(
    std::string_view payload, const std::vector<std::pair<std::string, std::string>>& user_properties,
    std::size_t most) {
    std::vector<std::string> customers;
    const auto add_one = [&](const std::string& text) {
        if (customers.size() < most && is_customer(text) &&
            std::find(customers.begin(), customers.end(), text) == customers.end())
            customers.push_back(text);
    };
    const auto add = [&](std::string text) {
        add_one(text);
        // Blanks may be what is wrong with it: the platform knows him without them.
        std::erase_if(text, [](char c) { return blanks.find(c) != std::string_view::npos; });
        add_one(text);
    };
    const auto add_string = [&](std::string_view quoted) {
        if (!quoted.empty() && quoted.size() <= 6 * customer_bytes_max && !validate_json(quoted))
            add(json_unescape(quoted));
    };
    const auto search = [&](std::string_view key) {
        for (std::size_t at = payload.find(key); at < payload.size() && customers.size() < most;
             at = payload.find(key, at)) {
            at = behind_space(payload, at + key.size());
            if (at >= payload.size() || payload[at] != ':') continue;
            at = behind_space(payload, at + 1);
            const bool list = at < payload.size() && payload[at] == '[';
            if (list) at = behind_space(payload, at + 1);
            for (bool more = true; more && customers.size() < most;) {
                const std::string_view quoted = string_at(payload, at);
                add_string(quoted);
                at = behind_space(payload, at + quoted.size());
                more = list && !quoted.empty() && at < payload.size() && payload[at] == ',';
                if (more) at = behind_space(payload, at + 1);
            }
        }
    };
    // A CloudEvent names him by its subject.
    for (const std::string_view key : keys) search(key);
    for (const auto& [name, value] : user_properties)
        if (name == "customer" || name == "subject") add(value);
    return customers;
}

}  // namespace touchpoint::devices
