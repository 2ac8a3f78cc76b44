#include "devices/event_type.hpp"

#include <algorithm>
#include <array>

#include "gateway/core/ascii.hpp"

namespace touchpoint::devices {
namespace {

constexpr std::array<std::string_view, 5> about_persons = {"identify", "consent", "session", "merge",
                                                           "erasure"};

}  // namespace

std::string type_of(std::string_view kind, std::string_view name) {
    std::string type = "store.";
    const auto add = [&](std::string_view word) {
        for (const char c : word) {
            const char small = ascii_lower(c);
            type += (small >= 'a' && small <= 'z') || (small >= '0' && small <= '9') ? small : '_';
        }
    };
    add(kind);
    type += '.';
    add(name);
    return type += ".v1";
}

std::string_view last_word(std::string_view type) {
    const auto behind_dot = [](std::string_view text) {
        const std::size_t dot = text.rfind('.');
        return dot == std::string_view::npos ? text : text.substr(dot + 1);
    };
    const std::string_view tail = behind_dot(type);
    const bool version =
        tail.size() > 1 && tail[0] == 'v' &&
        std::all_of(tail.begin() + 1, tail.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!version || tail.size() == type.size()) return tail;
    return behind_dot(type.substr(0, type.size() - tail.size() - 1));
}

Stream stream_of(std::string_view kind, std::string_view name, std::string_view type) {
    const std::string own = type_of(kind, name);  // "Identify" is "identify"
    for (const std::string_view word : {last_word(own), last_word(type)})
        if (std::find(about_persons.begin(), about_persons.end(), word) != about_persons.end())
            return Stream::customer;
    if (kind == "pos") return Stream::sales;
    if (kind == "beacon" || kind == "sensor") return Stream::telemetry;
    return Stream::interactions;
}

bool is_consent(std::string_view name, std::string_view type) {
    const std::string own = type.empty() ? type_of("", name) : std::string(type);
    return last_word(own) == "consent";
}

}  // namespace touchpoint::devices
