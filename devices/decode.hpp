// Bytes to reports: the syntax of what a device says. What it means for us is decided by admission.
//
//     store::Incoming ──decode──> Decoded { Report | Rejection, ... } ──admission──> Event
//
// Promised
//   Never throws, whatever the bytes; never loses an item: each comes out as a Report or a Rejection, in
//   order. `data` is the device's own bytes, reserved keys cut out; numbers are never rendered again.
//
// Threads: pure, any.
// On the wire: devices/README.md.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "devices/problem.hpp"
#include "devices/topics.hpp"
#include "gateway/core/clock.hpp"
#include "store/incoming.hpp"

namespace touchpoint::devices {

inline constexpr std::size_t event_id_bytes_max = 128;
inline constexpr std::size_t session_bytes_max = 128;
inline constexpr std::size_t customer_bytes_max = 256;
inline constexpr std::size_t customers_max = 4;    // identifiers of one person in one event
inline constexpr std::size_t extensions_max = 32;  // of one CloudEvent

// One event as the device said it.
struct Report {
    std::string id;  // empty: the device gave none
    std::optional<UtcTime> time;
    std::string customer;  // "scheme:value" as given; empty: none
    // Other identifiers of the same person: "customer":["card:..","email:.."] names all of them.
    std::vector<std::string> also;
    std::string session;
    // JSON text; with `base64` a JSON string. Empty: a CloudEvent without data.
    std::string data;
    bool base64 = false;

    // Of CloudEvents only.
    std::string type;         // empty: made from kind and name
    std::string source_path;  // what stood behind the device's own source: "/scanner"
    std::string subject;      // one that is no customer
    std::string datacontenttype;
    std::string dataschema;
    std::vector<std::pair<std::string, std::string>> extensions;  // name, JSON text of the value
};

using Item = std::variant<Report, Rejection>;

// One message. Without an address (bad topic) it holds one Rejection.
struct Decoded {
    std::optional<DeviceAddress> address;
    std::string name;  // of the event, from the topic
    std::vector<Item> items;
};

// Of a message that broke a rule; what is behind it is left out, and the detail says so.
inline constexpr std::size_t quarantined_bytes_max = 1u << 20;
// Of properties beside it; a message of the allowed size has no more together.
inline constexpr std::size_t quarantined_properties_max = 64u << 10;

struct DecodeOptions {
    std::string store_id;
    std::size_t message_bytes_max = 262'144;
    std::size_t array_items_max = 10'000;
};

// A message on an event topic (or one that was meant to be one).
Decoded decode(const store::Incoming& message, const DecodeOptions& options) noexcept;

// RFC 3339 or Unix milliseconds in digits.
std::optional<UtcTime> parse_event_time(std::string_view text);
// "scheme:value" with a scheme of [A-Za-z][A-Za-z0-9_-]{0,31} and something behind it.
bool is_customer(std::string_view text);
// A JSON value with one identifier, or a list of 1 to customers_max of the same person. Empty: it is neither.
std::optional<std::vector<std::string>> customers_in(std::string_view json);

}  // namespace touchpoint::devices
