// Who waits for which answer, and the answers: one message for all events of a device that became durable
// together.
//
//     open(topic, correlation, 20) = ticket ──> 20 events ──> store ──> settle(...) ──> {"stored":[20 ids]}
//
// One ticket stands for one message, however many events it held. Its memory (about 300 bytes) is bound by
// what the store lets wait.
//
// Threads: confined to one thread (loop).
// On the wire: devices/README.md, "Receipts".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "devices/topics.hpp"
#include "gateway/core/event.hpp"
#include "store/incoming.hpp"

namespace touchpoint::devices {

inline constexpr std::size_t receipt_bytes_max = 200'000;  // below the broker's message_size_limit
// Longer Correlation Data is not echoed: a ticket is to stay small.
inline constexpr std::size_t correlation_bytes_max = 256;
// To an empty array: nothing was stored, nothing is missing.
inline constexpr const char* empty_receipt = R"({"stored":[],"duplicate":[]})";
// Set in no ticket of ours: HTTP sets it in its own, and both tables can be given all answers.
inline constexpr Ticket http_ticket_bit = Ticket{1} << 63;

// A message to a device, QoS 0.
struct Outgoing {
    std::string topic;
    std::string payload;
    std::string correlation;  // MQTT 5 Correlation Data; empty: none
};

// Where the sender of `message` wants its receipt: its Response Topic if it is honoured, else .../receipt for
// kinds that get one without asking. Empty: nobody asked.
std::string receipt_topic(const DeviceAddress& address, const store::Incoming& message,
                          const std::vector<std::string>& receipt_kinds);

// The Correlation Data that an answer to `message` carries.
std::string correlation_of(const store::Incoming& message);

class Receipts {
  public:
    // `outstanding` events will be settled under it. REQUIRES: outstanding > 0
    Ticket open(std::string topic, std::string correlation, std::uint32_t outstanding);
    // Tickets of others are passed over.
    std::vector<Outgoing> settle(std::span<const Settled> settled);
    std::size_t open_tickets() const { return open_.size(); }

  private:
    struct Waiting {
        std::string topic;
        std::string correlation;
        std::uint32_t outstanding = 0;
    };
    std::unordered_map<Ticket, Waiting> open_;
    Ticket last_ = 0;
};

}  // namespace touchpoint::devices
