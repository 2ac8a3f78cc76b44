// How long events and consumers are kept: what is too old by the clock, and whether the clock may say so.
//
// An age is decided only while our clock is trusted and has run without a step for settle_time: a box that
// starts in 1970, or whose time source jumps, must not expire what is young. What an untrusted or wrong clock
// wrote down does not count: an event whose time was guessed, or lies in the future, is as old as the next
// one behind it whose time is sound; a consumer's sign of life from the future counts as one of now.
//
// Threads: confined to the store thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "gateway/core/clock.hpp"
#include "gateway/core/streams.hpp"
#include "store/bounds.hpp"
#include "store/event_store.hpp"
#include "store/positions.hpp"

namespace touchpoint::store {

// Whether the clock can be believed. Pure: what it shows comes in.
class ClockWatch {
  public:
    static constexpr std::chrono::minutes settle_time{10};
    static constexpr std::chrono::minutes step_min{1};  // less is a clock being slewed

    bool settled(UtcTime utc, std::chrono::milliseconds since_boot, bool trusted);

  private:
    struct Seen {
        UtcTime utc;
        std::chrono::milliseconds since_boot{};
    };
    std::optional<Seen> last_;
    std::chrono::milliseconds sound_since_{};  // boot time
};

class Retention {
  public:
    static constexpr std::chrono::seconds look_every{60};

    struct Limits {
        PerStream<std::chrono::hours> age_max;  // 0: events have no age limit
        std::chrono::hours consumer_age_max{};  // 0: a pull consumer may stay away
        std::uint64_t consumer_bytes_max = 0;   // 0: it may hold everything alone
        std::chrono::hours removed_age_max{};   // of a push destination that is not configured any more
    };
    struct Look {
        bool due = false;            // it is time to look at the consumers
        std::optional<UtcTime> now;  // by which ages may be decided
    };
    // What `consumer` alone is given a gap for.
    struct Release {
        std::string consumer;
        Stream stream = Stream::telemetry;
        Sequence first = 0;
        Sequence last = 0;
        const char* why = "";  // goes into the detail
    };

    explicit Retention(Limits limits) : limits_(limits) {}

    // At most one look a minute is due.
    Look look(const Clock& clock);

    // Removed push destinations that need not be waited for any more.
    std::vector<std::string> forgotten(const Positions::ByName& consumers, UtcTime now) const;
    // Pull consumers that were not seen for too long, or hold too much alone.
    std::vector<Release> releases(const Positions::ByName& consumers, const PerStream<Held>& held,
                                  std::optional<UtcTime> now) const;
    // The youngest time that is too old for a stream; empty: no limit.
    std::optional<UtcTime> too_old(Stream stream, UtcTime now) const;

  private:
    Limits limits_;
    ClockWatch watch_;
    std::optional<SteadyTime> looked_;
};

}  // namespace touchpoint::store
