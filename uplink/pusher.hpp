// Brings the events of the store to one destination: each destination has its own pusher and is its own
// consumer.
//
//     choose a stream ──> read, format, compress (reader) ──> post ──> judge ──> acknowledge ──> again
//
// Promised
//   In order    Within a stream; the position moves only over what the platform took, or what was recorded as
//               a gap because the platform refused it for good.
//   The same    A try that may have reached the platform is repeated with the same bytes and the same key,
//               unless a person was erased or took a consent back since: then it is read anew, with a new
//               key.
//   Horizon     Nothing beyond the durable horizon is ever read, so nothing is sent that a power cut takes
//   back. Stops       stop() ends it within a second, also inside an exchange.
// Not promised
//   Once: an answer can be lost; the platform recognises the repeat (uplink/README.md).
//
// Threads: confined to the loop; reading, formatting and compression run on the `reader` worker.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>

#include "gateway/core/clock.hpp"
#include "store/event_store.hpp"
#include "uplink/formats.hpp"
#include "uplink/options.hpp"
#include "uplink/stats.hpp"

namespace boost::asio {
class io_context;
}
namespace touchpoint::store {
class Cache;
class SealedBox;
class Worker;
}  // namespace touchpoint::store

namespace touchpoint::uplink {

class Pusher {
  public:
    // So many refused in a row without anything taken: the platform refuses everything, not these events. It
    // counts as paused, and one more is tried each `probe`.
    static constexpr unsigned parked_in_row_max = 16;

    // All of them must outlive the pusher.
    struct Parts {
        boost::asio::io_context& loop;
        store::EventStore& store;
        store::Worker& reader;
        const Clock& clock;
        // For identifiers = raw; may be absent otherwise.
        const store::Cache* cache = nullptr;
        const store::SealedBox* box = nullptr;
        std::function<std::uint64_t()> random;  // 64 random bits a call: the jitter
        NamePerson name = {};                   // under which names persons leave
    };

    Pusher(PushOptions options, std::string gateway_id, std::string store_id, Parts parts);
    // REQUIRES: never started, or ended().
    ~Pusher();
    Pusher(const Pusher&) = delete;
    Pusher& operator=(const Pusher&) = delete;

    // The consumer that it reads as; give it to EventStore::Options::consumers.
    static store::ConsumerSpec consumer(const PushOptions& options);

    // `on_end` is called on the loop when it has ended: with nothing after stop(), else with what was thrown,
    // which the program must not survive.
    void start(std::function<void(std::exception_ptr)> on_end);
    // The horizon moved. Cheap: call it after every flush.
    void notify();
    // Ends a wait before the next try: an operator has changed a token, say. Nothing else happens earlier.
    void retry_now();
    void stop();
    bool ended() const;

    PushStats stats() const;

  private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace touchpoint::uplink
