// The reasons for which a message or an item is told back and put into quarantine. A closed set: the words
// stand in messages to devices, in metrics and in quarantine, and do not change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace touchpoint::devices {

enum class Problem : std::uint8_t {
    not_json,
    not_an_object,
    too_large,
    invalid_utf8,
    too_deep,
    duplicate_key,
    bad_topic,
    bad_event_id,
    bad_event_time,
    bad_customer,
    bad_session,
    bad_consent,
    bad_cloudevent,
    foreign_source,
    too_many_items,
    poison,
};
inline constexpr std::size_t problem_count = 16;

std::string_view slug(Problem problem);   // "not-json"
std::string_view title(Problem problem);  // for a person

// One message or one item that broke a rule. `detail` never holds anything from the payload.
struct Rejection {
    Problem type = Problem::not_json;
    std::string detail;
    std::string pointer;  // JSON pointer into the payload: "/3/event_time"; empty: the whole
    std::string id;       // the device's id, where it could be read
    std::string raw;      // the bytes that are kept in quarantine
};

// {"id":..,"error":{"type","title","detail","pointer"}}: what stands on .../rejected.
std::string rejected_payload(const Rejection& rejection);
// The "error" object alone.
std::string problem_json(const Rejection& rejection);

}  // namespace touchpoint::devices
