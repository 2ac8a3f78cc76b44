// Takes erased persons out of the events that wait: the step in front of the one in the profile cache, so
// that a tombstone there never stands for a person whom an event still names.
//
//     erase(names) ──> what came before is with the store ──> EventStore::submit(erased) ──> flush ──> done
//
// Promised
//   done is called once for each erase(), with success only when a power cut cannot take the erasure back and
//   no event that came before it will leave with the person.
// Not promised
//   That it goes at once: what lies in the journal gets its numbers first. Where the disk has no room for
//   that, it ends with an error after wait_max, and is to be asked for again.
//
// Threads: erase() from any; the rest, and all callbacks, on loop.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "gateway/core/clock.hpp"
#include "gateway/core/result.hpp"
#include "store/event_store.hpp"

namespace boost::asio {
class io_context;
}

namespace touchpoint::gateway {

class EventErasure {
  public:
    static constexpr std::size_t waiting_max = 256;
    static constexpr std::chrono::seconds wait_max{5};  // within the deadline of its request
    using Done = std::function<void(Result<void>)>;

    // All of it outlives it.
    struct Parts {
        boost::asio::io_context& loop;
        store::EventStore& store;
        const Clock& clock;
        std::function<std::uint64_t()> journal_end;        // what came up to now ends here
        std::function<std::uint64_t()> submitted_through;  // and so far it has been handed to the store
        // Whoever thinks that these identities are in the vault, or on their way there, must forget them, and
        // say nothing of them until `ended`, which is called once for each time, also when it came to
        // nothing.
        std::function<void(const std::vector<std::string>& pseudonyms)> begins;
        std::function<void(const std::vector<std::string>& pseudonyms)> ended;
    };
    explicit EventErasure(Parts parts) : parts_(std::move(parts)) {}

    void erase(std::vector<std::string> pseudonyms, Done done);
    // Call it when the journal was read further, and several times a second.
    void go_on();
    // What waits is refused.
    void stop();

  private:
    struct Waiting {
        std::vector<std::string> pseudonyms;
        std::uint64_t behind = 0;  // of the journal
        SteadyTime deadline;
        Done done;
    };
    void begin(Waiting one);

    Parts parts_;
    std::deque<Waiting> waiting_;
    bool stopped_ = false;
};

}  // namespace touchpoint::gateway
