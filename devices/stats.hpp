// What the parts of devices/ count. Snapshots: values, taken on loop.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "gateway/core/clock.hpp"
#include "gateway/core/streams.hpp"

namespace touchpoint::devices {

struct LinkStats {
    bool connected = false;
    bool subscribed = false;       // the broker has granted every subscription of this connection
    bool closed_for_room = false;  // the journal was above its soft bound, or the store full
    bool session_present = false;  // at the last connect
    std::uint64_t connects = 0;
    std::uint64_t messages = 0;  // given to the journal
    std::uint64_t bytes = 0;
    std::uint64_t publishes_failed = 0;  // receipts, rejections and status that Paho refused
    std::string last_error;
    std::string refusal;  // why the broker gives us no messages; empty: it does, or has not said
    UtcTime since;        // of the present state
};

struct IntakeStats {
    std::uint64_t messages = 0;  // decoded
    PerStream<std::uint64_t> admitted;
    std::uint64_t rejected = 0;  // items told back and put into quarantine
    std::map<std::string, std::uint64_t>
        rejected_by_type;  // problem type -> count; the set of types is fixed
    std::uint64_t retained_ignored = 0;
    std::uint64_t possible_repeats = 0;
    std::uint64_t masked = 0;  // card-like numbers
    std::uint64_t receipts = 0;
    std::uint64_t requests = 0;          // of devices, answered
    std::uint64_t requests_expired = 0;  // that waited so long that nobody waits for them any more
    std::uint64_t devices = 0;           // in the registry
    std::uint64_t devices_online = 0;
};

}  // namespace touchpoint::devices
