// What a platform's answer means: an answer in, a verdict out. Pure.
//
// On the wire: uplink/README.md, "Answers".
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/core/clock.hpp"
#include "uplink/formats.hpp"

namespace touchpoint::uplink {

// One exchange as it ended.
struct Answer {
    int status = 0;           // HTTP; 0: there was no answer, `error` says why
    std::string retry_after;  // the header as it came
    std::string body;
    std::string error;          // without secrets
    std::string next_cursor{};  // the header Touchpoint-Next-Cursor
};

enum class Action {
    delivered,  // all of it is the platform's
    partial,    // the first `settled` items are done with; the rest repeats
    narrow,     // something in it is not acceptable: halve until it is alone, then park it
    too_large,  // halve; alone: park
    retry,      // later, the same bytes under the same key
    pause,      // a person must act: alarm, probe slowly
};

struct Verdict {
    Action action = Action::retry;
    std::size_t settled = 0;           // leading items that need not be sent again (delivered: all)
    std::vector<std::size_t> refused;  // indexes below `settled` that the platform refused for good
    // The platform's own word (Retry-After), at most retry_after_max.
    std::optional<std::chrono::milliseconds> wait;
};

// A longer Retry-After is cut to this: a mistyped one must not stop a shop for days.
inline constexpr std::chrono::milliseconds retry_after_max = std::chrono::hours(1);

Verdict judge(const Answer& answer, const std::vector<Item>& items, UtcTime now);

// Seconds or an HTTP date ("Sun, 06 Nov 1994 08:49:37 GMT"). Empty: neither.
std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view text, UtcTime now);

// The wait before try number `failures` + 1: full jitter over `first` doubled with each failure, at most
// `max`. `random` is 64 random bits. REQUIRES: failures >= 1
std::chrono::milliseconds back_off(unsigned failures, std::chrono::milliseconds first,
                                   std::chrono::milliseconds max, std::uint64_t random);

}  // namespace touchpoint::uplink
