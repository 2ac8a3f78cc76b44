// What an answer of the profile feed says, and what a failed one means. Pure.
//
// On the wire: uplink/README.md, "The change feed".
//
// Threads: pure, any.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/core/clock.hpp"
#include "uplink/answer.hpp"
#include "uplink/options.hpp"
#include "uplink/stats.hpp"

namespace touchpoint::uplink {

inline constexpr std::size_t feed_answer_bytes_max = 8u << 20;
inline constexpr std::size_t feed_lines_max = 10'000;  // of one answer
inline constexpr std::size_t feed_token_bytes_max = 2048;

struct FeedPage {
    std::vector<std::string_view> lines;  // into the body, without those that are the feed's own
    std::string next;                     // where it goes on; empty: it does not say
    bool resync = false;                  // {"op":"resync"}: everything anew, after these lines
    std::string problem;                  // not to be used at all: why
};
FeedPage feed_page(const Answer& answer);

// "/changes?tenant=1" -> "/changes?tenant=1&after=..&wait=30&gateway=gw-1"
std::string feed_target(std::string_view target, std::string_view token, std::chrono::seconds wait,
                        std::string_view gateway);

struct FeedTrouble {
    PushState state = PushState::retrying;
    std::chrono::milliseconds wait{0};
};
// REQUIRES: failures >= 1
FeedTrouble feed_trouble(const Answer& answer, unsigned failures, const PushOptions& options, UtcTime now,
                         std::uint64_t random);

}  // namespace touchpoint::uplink
