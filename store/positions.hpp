// Where each consumer stands: what it has acknowledged in memory, and which rows have still to be written.
//
// Threads: none of its own; the event store guards it with its mutex.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "store/event_log.hpp"
#include "store/event_store.hpp"

namespace touchpoint::store {

class Positions {
  public:
    using ByName = std::map<std::string, ConsumerState>;

    // The rows of `log` against what the configuration wants. A new consumer, or a new stream of an old one,
    // begins at the oldest event held. A consumer that is no longer configured keeps its row.
    void reconcile(const EventLog& log, const std::vector<ConsumerSpec>& wanted);

    // Empty: no such consumer. False: it has acknowledged that before.
    std::optional<bool> acknowledge(const std::string& consumer, Stream stream, Sequence last);
    Sequence acknowledged(const std::string& consumer, Stream stream) const;

    // The rows that changed since the last call; what could not be written is said again by not_written().
    std::vector<ConsumerState> take_changed();
    void not_written(const std::vector<ConsumerState>& rows);

    const ByName& all() const { return consumers_; }

  private:
    ByName consumers_;
    std::set<std::string> changed_;
};

}  // namespace touchpoint::store
