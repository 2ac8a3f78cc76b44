// Who reads as a consumer at this moment: one reader at a time. Two programs that pull under one name would
// each get the events that the other has not acknowledged yet, and acknowledge what the other never stored.
//
//   busy   while a request of the name is being answered, and, for a reader that gave an id, for `lease`
//          after its last request
//   yields to the same id again (a program that reconnected), and to whoever says take_over
//
// Threads: confined to loop. Bounded by the consumers that exist: forget() the erased ones.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "gateway/core/clock.hpp"

namespace touchpoint::uplink {

class PullSeats {
  public:
    static constexpr std::chrono::seconds lease{60};

    struct Claim {
        bool granted = false;
        // The request that had the place and must end now ("taken-over").
        std::optional<std::uint64_t> displaced;
        // Not granted: when it is worth trying again. Whole seconds, at least one.
        std::chrono::seconds retry_after{0};
    };

    // `request` asks for the place of `consumer` until release(). `until` is when it ends by itself.
    Claim claim(const std::string& consumer, const std::string& reader, bool take_over, std::uint64_t request,
                SteadyTime now, SteadyTime until);
    // The request is answered, or its client has gone. A reader with an id keeps its lease, from now on.
    void release(const std::string& consumer, std::uint64_t request, SteadyTime now);
    // Whether somebody who is not `reader` has the place.
    Claim look(const std::string& consumer, const std::string& reader, bool take_over, SteadyTime now) const;
    // Any other request of the reader with the lease makes it longer.
    void seen(const std::string& consumer, const std::string& reader, SteadyTime now);
    void forget(const std::string& consumer) { seats_.erase(consumer); }

    // Counts the answers with events in them: pull_page.hpp, filling_order.
    unsigned turn(const std::string& consumer) const;
    void set_turn(const std::string& consumer, unsigned turn);

  private:
    struct Seat {
        std::optional<std::uint64_t> request;
        std::string reader;
        SteadyTime until{};  // the request's end, or the lease's
        unsigned turn = 0;
    };
    std::map<std::string, Seat> seats_;
};

}  // namespace touchpoint::uplink
