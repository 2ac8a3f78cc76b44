// What the log says of the connection to the broker: one line for each change of state, none for an attempt
// that ended like the one before.
//
//     info     connected to the broker           when it has granted what we subscribe to
//     warning  connection to the broker lost     and why
//     warning  no connection to the broker       an attempt failed for a reason that was not told yet; that
//                                                nothing answers is no news behind another reason
//     error    (the same)                        the broker refuses our user: a person must act
//
// A connection that ends within `settled_after` makes the next one wait as long before it is told: two
// clients that throw each other out would fill the log with a pair of lines a second.
//
// Threads: confined to one thread (loop). Pure: time is an argument.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "gateway/core/clock.hpp"
#include "gateway/core/log.hpp"

namespace touchpoint::devices {

struct LinkLine {
    log::Level level = log::Level::info;
    std::string words;
    std::string reason;                        // empty: it is well
    std::optional<std::chrono::seconds> down;  // how long there was no connection
};

class LinkLog {
  public:
    static constexpr std::chrono::seconds settled_after{10};

    std::optional<LinkLine> subscribed(SteadyTime now);
    // Also for an attempt that failed. "closed": our own doing, which others have told.
    std::optional<LinkLine> lost(SteadyTime now, const std::string& reason);
    // Call it several times a second.
    std::optional<LinkLine> tick(SteadyTime now);

  private:
    LinkLine told_up(SteadyTime now);

    std::optional<bool> told_up_;           // empty: the log has not said
    std::string told_reason_;               // of the last line that said no
    std::optional<SteadyTime> up_since_;    // subscribed
    std::optional<SteadyTime> down_since_;  // of the last connection that was told
    bool unsettled_ = false;                // the last connection was a short one
};

// Why an attempt failed that got no answer: all that the library tells.
inline constexpr const char* nothing_answers = "nothing answers there, or TLS fails";

// The broker's reason code (0x80 and above) for a person; `text` is what the library calls it.
std::string broker_refusal(int code, const std::string& text, const std::string& username);

}  // namespace touchpoint::devices
