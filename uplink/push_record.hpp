// What one destination has been through: counts for /metrics and `touchpoint status`, and the log lines. A
// change of state is logged, a repetition is counted.
//
// Threads: confined to the loop.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "gateway/core/clock.hpp"
#include "uplink/answer.hpp"
#include "uplink/stats.hpp"

namespace touchpoint::uplink {

class PushRecord {
  public:
    PushRecord(std::string name, const Clock& clock);

    void attempt(std::size_t body_bytes);
    void delivered(Stream stream, std::uint64_t events, int status);
    void failed(const Answer& answer, PushState state, std::chrono::milliseconds retry_in,
                std::uint64_t waiting);
    // A refusal that leads to smaller batches: progress, not an outage.
    void narrowed(const Answer& answer, std::size_t items);
    // `named`: the platform said itself which, in an answer that took others; else a gap tells it.
    void parked(Stream stream, Sequence first, Sequence last, int status, bool named);
    void idle();

    const PushStats& stats() const { return stats_; }

  private:
    void enter(PushState state);

    const Clock& clock_;
    PushStats stats_;
    std::optional<SteadyTime> down_since_;
    std::uint64_t failures_in_outage_ = 0;
};

}  // namespace touchpoint::uplink
