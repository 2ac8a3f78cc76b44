// What a push destination counts. Snapshots: values, taken on loop.
#pragma once

#include <cstdint>
#include <string>

#include "gateway/core/clock.hpp"
#include "gateway/core/streams.hpp"

namespace touchpoint::uplink {

enum class PushState {
    idle,  // nothing waits
    delivering,
    retrying,  // the platform is away or busy
    paused,    // refused: 401, 403, 404; a person must act
};

constexpr const char* name(PushState state) {
    switch (state) {
        case PushState::idle:
            return "idle";
        case PushState::delivering:
            return "delivering";
        case PushState::retrying:
            return "retrying";
        case PushState::paused:
            return "paused";
    }
    return "?";
}

struct PushStats {
    std::string name;
    PushState state = PushState::idle;
    PerStream<std::uint64_t> delivered;  // events acknowledged by the platform in this run
    std::uint64_t batches = 0;
    std::uint64_t attempts = 0;
    std::uint64_t failures = 0;    // attempts that did not deliver
    std::uint64_t parked = 0;      // events that the platform refused for good
    std::uint64_t bytes_sent = 0;  // bodies, as sent
    int last_status = 0;           // HTTP; 0: no answer
    std::string last_error;        // without secrets
    UtcTime last_success;
    UtcTime since;     // of the present state
    UtcTime retry_at;  // when the next try comes; 0 when not waiting
};

// The change feed of profiles, or the questions for wanted ones.
struct FeedStats {
    std::string name;
    PushState state = PushState::delivering;  // idle: there is nothing that it has not read
    std::uint64_t lines = 0;
    std::uint64_t refused = 0;  // of them: not to be read, or not to be taken
    std::uint64_t resyncs = 0;
    std::uint64_t dropped = 0;  // profiles that a resync did not name
    std::uint64_t failures = 0;
    std::uint64_t failed_in_row = 0;
    int last_status = 0;     // HTTP, of the last failure; 0: no answer
    std::string last_error;  // without secrets; empty: the last answer was good
    UtcTime last_heard;      // 0: never in this run
    UtcTime since;           // of the present state
    UtcTime behind_since;    // 0: it is at the feed's end
};

}  // namespace touchpoint::uplink
