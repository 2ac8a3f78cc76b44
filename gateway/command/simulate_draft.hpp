// An event as a simulated device is about to say it, and where such events come from.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "gateway/core/clock.hpp"

namespace touchpoint::simulate {

struct Draft {
    std::string kind;    // "kiosk"
    std::string device;  // "k7"
    std::string name;    // "search"
    // False: a plain device (MQTT 3.1.1, no id, no receipt).
    bool identified = true;
    std::string id;       // of an identified event; empty: the publisher makes one
    UtcTime time;         // the device's own; only said by identified devices
    std::string members;  // JSON members without braces, never empty
};

// Threads: confined to one thread.
class Source {
  public:
    virtual ~Source() = default;
    // The next event that is due at `now`. Empty: none yet, or none any more (finished()).
    virtual std::optional<Draft> next(SteadyTime now, UtcTime utc) = 0;
    virtual bool finished() const = 0;
    // How many of its events may wait for their answer at a time.
    virtual std::size_t outstanding_max() const = 0;
};

}  // namespace touchpoint::simulate
