// Where each consumer stands: what it has acknowledged in memory, and which rows have still to be written.
//
// Threads: none of its own; the event store guards it with its mutex.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gateway/core/clock.hpp"
#include "store/event_log.hpp"
#include "store/event_store.hpp"

namespace touchpoint::store {

// Our clock as it is now; a time that is not trusted is never written into a consumer's row.
struct Now {
    UtcTime time;
    bool trusted = false;
};

class Positions {
  public:
    using ByName = std::map<std::string, ConsumerState>;
    // What is to be erased, and then written (a name can be in both: it was made again).
    struct Changes {
        std::vector<ConsumerState> rows;
        std::vector<std::string> erased;
        bool none() const { return rows.empty() && erased.empty(); }
    };

    // The rows of `log` against what the configuration wants. A new consumer, or a new stream of an old one,
    // begins at the oldest event held. A push destination that is no longer configured keeps its row.
    void reconcile(const EventLog& log, const std::vector<ConsumerSpec>& wanted, Now now);

    // As EventStore's functions of these names, but for the horizon, which the caller checks. The results
    // say whether there is something to write. `oldest`: for each stream the position before the oldest
    // event held.
    Result<bool> put(const ConsumerSpec& spec, From from, const PerStream<Sequence>& oldest,
                     const PerStream<Sequence>& horizon, Now now);
    Result<void> erase(const std::string& name);
    Result<void> seek(const std::string& name, const PerStream<std::optional<Sequence>>& acknowledged,
                      Now now);
    bool touch(const std::string& name, Now now);

    // Empty: no such consumer. False: it has acknowledged that before.
    std::optional<bool> acknowledge(const std::string& consumer, Stream stream, Sequence last, Now now);
    Sequence acknowledged(const std::string& consumer, Stream stream) const;

    // By a clock that can be believed: signs of life that are unknown or lie in the future count as of now.
    // True: there is something to write.
    bool settle_times(UtcTime now);
    // What the gateway was off for does not count against anybody: consumers that were last seen at or before
    // `alive` are as if it had been `off` later.
    void leave_out(UtcTime alive, std::chrono::milliseconds off);
    // Events up to `through` are not held for it any more. The row is the caller's to write.
    void released(const std::string& consumer, Stream stream, Sequence through);

    // What changed since the last call; what could not be written is said again by not_written(). A consumer
    // or a new stream of one that begins at the oldest event is moved up to `oldest`: events in front of it
    // may have gone while it was made.
    Changes take_changed(const PerStream<Sequence>& oldest);
    void not_written(const Changes& changes);

    const ByName& all() const { return consumers_; }

  private:
    bool seen(ConsumerState& consumer, Now now);

    ByName consumers_;
    std::set<std::string> changed_;
    std::set<std::string> erased_;
    std::set<std::string> seen_untrusted_;          // in this run, when our clock was not trusted
    std::map<std::string, PerStream<bool>> fresh_;  // begin at the oldest event, and are not written yet
    std::map<std::string, UtcTime> seen_written_;   // last_seen as it stands in the row
};

}  // namespace touchpoint::store
