#include "devices/problem.hpp"

#include <array>

#include "gateway/core/json_text.hpp"

namespace touchpoint::devices {
namespace {

struct Words {
    std::string_view slug;
    std::string_view title;
};
constexpr std::array<Words, problem_count> words = {{
    {"not-json", "The payload is not JSON"},
    {"not-an-object", "An event must be a JSON object"},
    {"too-large", "The message is too large"},
    {"invalid-utf8", "The text is not UTF-8"},
    {"too-deep", "The JSON is nested too deeply"},
    {"duplicate-key", "A reserved key stands twice"},
    {"bad-topic", "The topic is not one of a device"},
    {"bad-event-id", "event_id cannot be used"},
    {"bad-event-time", "event_time is not a time"},
    {"bad-customer", "customer is not of the form scheme:value"},
    {"bad-session", "session cannot be used"},
    {"bad-consent", "The consent cannot be obeyed"},
    {"bad-cloudevent", "The CloudEvent breaks its specification"},
    {"foreign-source", "The source is not this device's own"},
    {"too-many-items", "The array has too many items"},
    {"poison", "The gateway failed while it read this message"},
}};

}  // namespace

std::string_view slug(Problem problem) { return words[static_cast<std::size_t>(problem)].slug; }
std::string_view title(Problem problem) { return words[static_cast<std::size_t>(problem)].title; }

std::string problem_json(const Rejection& rejection) {
    std::string out = "{\"type\":";
    append_json_string(out, slug(rejection.type));
    out += ",\"title\":";
    append_json_string(out, title(rejection.type));
    out += ",\"detail\":";
    append_json_string(out, rejection.detail);
    out += ",\"pointer\":";
    append_json_string(out, rejection.pointer);
    return out += '}';
}

std::string rejected_payload(const Rejection& rejection) {
    std::string out = "{\"id\":";
    if (rejection.id.empty()) {
        out += "null";
    } else {
        append_json_string(out, rejection.id);
    }
    out += ",\"error\":";
    out += problem_json(rejection);
    return out += '}';
}

}  // namespace touchpoint::devices
