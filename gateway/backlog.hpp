// What waits and for whom, how fast it comes and goes, and what follows from that: hours until the disk is
// full, time until a consumer has caught up. For `touchpoint backlog` and the platform.
//
// Threads: values; BacklogHistory is confined to loop.
// On the wire: gateway/README.md, "Control socket".
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "gateway/core/clock.hpp"
#include "gateway/core/streams.hpp"
#include "store/event_store.hpp"

namespace touchpoint::gateway {

// Remembers the numbers of the last minutes: rates are what happened since the oldest of them.
class BacklogHistory {
  public:
    static constexpr std::chrono::seconds sample_every{60};
    static constexpr std::size_t samples_max =
        11;  // rates over ten minutes; about 300 bytes for each consumer

    struct Sample {
        SteadyTime time;
        std::string epoch;
        PerStream<Sequence> horizon;
        std::uint64_t live_bytes = 0;
        std::map<std::string, PerStream<Sequence>> acknowledged;
    };

    bool due(SteadyTime now) const;
    void sample(SteadyTime now, const store::StoreStats& stats);
    // Empty: there is none yet, or not of this epoch.
    const Sample* oldest(const std::string& epoch) const;

  private:
    std::deque<Sample> samples_;
};

// The body of GET /v1/backlog. Rates and forecasts are null for the first seconds of a run.
std::string backlog_json(const store::StoreStats& stats, const BacklogHistory& history, SteadyTime now,
                         UtcTime utc);

}  // namespace touchpoint::gateway
