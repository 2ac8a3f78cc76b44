// The topics of devices, both directions: text to Topic and back. The only place that knows how they are
// spelled.
//
//     touchpoint/v1/{kind}/{device}/event/{name}      up      touchpoint/v1/{kind}/{device}/cmd/{name}   down
//     touchpoint/v1/{kind}/{device}/status            up      touchpoint/v1/{kind}/{device}/res/{req}    down
//     touchpoint/v1/{kind}/{device}/ack               up      touchpoint/v1/{kind}/{device}/receipt      down
//     touchpoint/v1/{kind}/{device}/req/{name}        up      touchpoint/v1/{kind}/{device}/rejected     down
//     touchpoint/v1/gateway/status                    ours
//
// kind [a-z0-9-]{1,32}, not gateway or system; device, name and req [A-Za-z0-9_-]{1,64}.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace touchpoint::devices {

inline constexpr std::string_view topic_prefix = "touchpoint/v1";

struct DeviceAddress {
    std::string kind;
    std::string device;

    // "kiosk/k7": the key of the registry.
    std::string key() const { return kind + '/' + device; }
    static std::optional<DeviceAddress> parse(std::string_view kind, std::string_view device);
    auto operator<=>(const DeviceAddress&) const = default;
};

enum class TopicRole {
    event,
    status,
    ack,
    request,
    command,
    response,
    receipt,
    rejected,
    gateway_status,  // without an address
};

struct Topic {
    TopicRole role = TopicRole::event;
    DeviceAddress address;
    std::string name;  // of event, command, request, response; else empty

    static std::optional<Topic> parse(std::string_view text);
    std::string build() const;
    bool operator==(const Topic&) const = default;
};

// The address in a topic that may be wrong behind it, so that a mistake can be told to its device.
std::optional<DeviceAddress> address_in(std::string_view topic);

// True for a Response Topic that we answer on: below the device's own prefix, without wildcards, and not one
// that we listen to ourselves (an answer must never come back as an event).
bool may_answer_on(std::string_view response_topic, const DeviceAddress& address);

struct Subscription {
    std::string filter;
    bool send_retained = false;  // false: MQTT 5 retain handling 2, "do not send"
    int qos = 1;                 // 0: not kept by the broker while we are away
};
// The one request that there is: .../req/profile.
inline constexpr std::string_view profile_request = "profile";

// What the gateway subscribes to on every connect. Below event/ everything is taken, so that a misspelled
// event goes to quarantine and not into the void. A question from yesterday is nobody's any more: the broker
// does not keep it.
std::vector<Subscription> subscriptions();

}  // namespace touchpoint::devices
