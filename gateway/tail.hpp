// `touchpoint tail`: what becomes of each message, told live to whoever listens. Never payloads: a topic,
// sizes and the verdict are enough to see whether a device does what it should.
//
// Threads: confined to loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gateway/core/clock.hpp"
#include "gateway/http.hpp"

namespace touchpoint::devices {
struct Observation;
}

namespace touchpoint::gateway {

// One message and its verdict.
struct TailEntry {
    UtcTime time;
    std::string topic;
    std::size_t bytes = 0;   // of the payload
    std::size_t events = 0;  // of it that keep the rules
    std::size_t rejected = 0;
    std::string verdict;  // "valid", "partly", "rejected", "retained", "status"
    std::string detail;   // the first broken rule, without anything from the payload
};

class Tail {
  public:
    static constexpr std::size_t listeners_max = 8;
    static constexpr std::size_t logged_topic_bytes_max = 256;

    // Whether it is worth making an entry at all.
    bool anyone() const { return !listeners_.empty(); }
    void tell(const TailEntry& entry);
    // The same, and a line of the log where its level is debug.
    void observed(const devices::Observation& seen, UtcTime time);
    // Null: listeners_max are there.
    std::shared_ptr<BodyStream> listen();

  private:
    std::vector<std::shared_ptr<BodyStream>> listeners_;  // the connection owns each too
};

}  // namespace touchpoint::gateway
