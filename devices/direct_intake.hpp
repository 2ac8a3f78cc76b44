// Events that a device hands over in a request (HTTP) instead of a message: the same rules, and the answer
// when they are durable. There is no journal: the sender keeps its events until it has the answer.
//
//     take(message) ──> Reception ──> EventStore::submit ─ ─ ─> settle(...) ──> done(Answer)
//
// Promised
//   done is called once for each take(): with `settled` only when the durable horizon has passed every event
//   of it, also those in quarantine. When busy nothing of it is kept.
//
// Threads: confined to one thread (loop).
// On the wire: devices/README.md, "Without MQTT".
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "devices/receipts.hpp"
#include "devices/reception.hpp"
#include "gateway/core/event.hpp"
#include "store/event_store.hpp"

namespace touchpoint::devices {

class DirectIntake {
  public:
    // Requests that wait for the disk; a further one is busy. About 1 KB and its events' ids each.
    static constexpr std::size_t waiting_max = 1'000;

    struct Parts {  // all outlive it
        store::EventStore& store;
        const Clock& clock;
        Reception& reception;
    };
    struct Answer {
        bool busy = false;       // the store has no room now: nothing was kept, try again
        bool too_large = false;  // the only rejection: the whole was beyond the largest message
        std::vector<std::string> stored;
        std::vector<std::string> duplicate;
        std::vector<std::string> id_reused;                       // these are stored, too
        std::vector<std::pair<std::size_t, Rejection>> rejected;  // index in the array; `raw` is empty
    };

    explicit DirectIntake(Parts parts) : parts_(parts) {}

    // `message.topic` is the one that the device would publish to. Without a time it came now.
    void take(store::Incoming message, std::function<void(Answer)> done);
    struct Outlook {
        std::size_t reports = 0;  // would be stored
        std::vector<Rejection> refused;
    };
    // What take() would make of it now; nothing is kept or counted.
    Outlook check(const store::Incoming& message) const;
    // After every flush. Tickets of others are passed over.
    void settle(std::span<const Settled> settled);
    bool idle() const { return waiting_.empty(); }

  private:
    struct Waiting {
        Answer answer;
        std::size_t outstanding = 0;
        std::function<void(Answer)> done;
    };
    Parts parts_;
    std::unordered_map<Ticket, Waiting> waiting_;  // by the ticket of the reports
    Ticket last_ = http_ticket_bit;

    // Set in the ticket of items that went to quarantine: durable, but not stored for the sender.
    static constexpr Ticket quarantined = 1;
};

}  // namespace touchpoint::devices
