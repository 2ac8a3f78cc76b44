// When to open and when to close the connection to the broker. Decides only; the daemon does what it says.
//
//     closed ──tick──> connecting ──connected──> open ──tick: no room──> closing ──lost──> closed (for room)
//        ^                 └── lost: wait 0.5 s, doubling to 5 s ──┘           until there is room again
//
// A connection whose subscriptions are refused gives no messages: it is closed and tried again with the same
// pauses, which begin anew only when one is subscribed.
//
// Closing is how intake says "not now" without losing anything: the broker keeps what comes for our session.
//
// Threads: confined to one thread (loop). Pure: time is an argument.
#pragma once

#include <chrono>
#include <optional>

#include "devices/options.hpp"
#include "gateway/core/clock.hpp"

namespace touchpoint::devices {

struct LinkRoom {
    bool journal_above_soft_bound = false;
    bool journal_below_resume_bound = true;
    bool journal_has_reserve = true;  // Journal::reserve(): /run is not full
    // The bound of the disk, filled by streams that are never shed; not the short queue before the committer.
    bool store_full = false;
};

enum class LinkAction { nothing, connect, disconnect };

class LinkPolicy {
  public:
    explicit LinkPolicy(const LinkOptions& options)
        : retry_first_(options.retry_first), retry_max_(options.retry_max), retry_(options.retry_first) {}

    // What to do now. After `connect` or `disconnect` the answer comes as connected() or lost().
    LinkAction tick(SteadyTime now, const LinkRoom& room);
    void connected();
    // The broker has granted what we subscribe to, or refused it.
    void subscribed() { retry_ = retry_first_; }
    void refused() { refused_ = state_ == State::open; }
    // Also for an attempt that failed, and for the end of our own disconnect.
    void lost(SteadyTime now);
    // The program stops: never connect again.
    void stop() { stopping_ = true; }

    bool closed_for_room() const { return closed_for_room_; }
    bool open() const { return state_ == State::open; }
    // When tick() has something to do without anything else happening; empty: when something happens.
    std::optional<SteadyTime> next() const;

  private:
    enum class State { closed, connecting, open, closing };

    std::chrono::milliseconds retry_first_;
    std::chrono::milliseconds retry_max_;
    std::chrono::milliseconds retry_;
    State state_ = State::closed;
    std::optional<SteadyTime> not_before_;
    bool closed_for_room_ = false;
    bool refused_ = false;
    bool stopping_ = false;
};

}  // namespace touchpoint::devices
