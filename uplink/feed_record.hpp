// What the profile feed has been through: counts for /metrics and `touchpoint status`, and the log lines. A
// change of state is logged, a repetition is counted.
//
// Threads: confined to the loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "gateway/core/clock.hpp"
#include "uplink/feed_page.hpp"
#include "uplink/stats.hpp"

namespace touchpoint::uplink {

class FeedRecord {
  public:
    // `behind`: nothing of it is known yet, as of a feed; else it is idle until something is asked for.
    FeedRecord(std::string name, const Clock& clock, bool behind = true);

    void taken(std::size_t lines, std::uint64_t refused, bool resyncing);
    void caught_up();
    void resync(const char* why);
    void resynced(std::uint64_t dropped);
    void failed(const Answer& answer, const FeedTrouble& trouble);

    const FeedStats& stats() const { return stats_; }

  private:
    void heard(PushState state);
    void enter(PushState state);

    const Clock& clock_;
    FeedStats stats_;
};

}  // namespace touchpoint::uplink
