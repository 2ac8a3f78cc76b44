// One message as it came from the broker: what the journal keeps and what devices/decode reads.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "gateway/core/clock.hpp"

namespace touchpoint::store {

struct Incoming {
    UtcTime received;                        // our clock when the message came
    std::chrono::milliseconds since_boot{};  // CLOCK_BOOTTIME then: lets a wrong clock be corrected later
    bool clock_trusted = false;
    bool dup = false;     // MQTT DUP: the broker may have given it to us before
    bool retain = false;  // MQTT RETAIN: kept by the broker from earlier, never an event
    std::string topic;
    std::string payload;
    // MQTT 5 properties; empty for a 3.1.1 device.
    std::string content_type;
    std::string response_topic;
    std::string correlation_data;
    std::vector<std::pair<std::string, std::string>> user_properties;
    // Not 0: the message was larger than the journal takes, and so many bytes of it were left out. It is no
    // event any more; what is left goes to quarantine.
    std::uint64_t left_out_bytes = 0;

    bool operator==(const Incoming&) const = default;
};

}  // namespace touchpoint::store
