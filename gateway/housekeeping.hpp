// What the program does every quarter of a second besides its work: looks whether the clock was set, sends
// the heartbeat, writes the device registry, says the gateway's status, feeds systemd's watchdog.
//
// Threads: confined to loop; registry rows are written on the reader.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>

#include "devices/registry.hpp"
#include "gateway/core/clock.hpp"
#include "gateway/gateway_events.hpp"
#include "store/cache.hpp"
#include "store/event_store.hpp"
#include "store/journal.hpp"
#include "store/worker.hpp"

namespace boost::asio {
class io_context;
}

namespace touchpoint::gateway {

class Housekeeping {
  public:
    // The retained gateway status is said again this often, for devices whose clock has no battery.
    static constexpr std::chrono::seconds status_every{60};
    static constexpr std::chrono::milliseconds clock_step_min{2000};  // smaller jumps: a clock being slewed
    // The watchdog is fed by the loops: the reader must have answered and the committer have moved within
    // this.
    static constexpr std::chrono::seconds loops_stuck_after{30};
    // A cache that the disk refused a flush is opened again by a new start, which holds up receipts for some
    // seconds: not before this, so that a disk that is broken in one place does not end one start after the
    // other.
    static constexpr std::chrono::minutes cache_restart_after{10};
    // Events that a full store did not take and that nothing says again; about 500 bytes each.
    static constexpr std::size_t untaken_max = 1'000;

    // All outlive it.
    struct Parts {
        boost::asio::io_context& loop;
        const Clock& clock;
        store::EventStore& store;
        const store::Journal& journal;
        store::Cache& cache;
        store::Worker& reader;
        devices::Registry& registry;
        GatewayEvents& events;
        // Members of the retained status without braces and time (gateway_status.hpp).
        std::function<std::string(std::string_view state)> status_members;
        // The retained status to the broker; false: the link is not open, or does not take it now.
        std::function<bool(const std::string& status)> publish_status;
        std::function<std::string()> status_line;  // for systemctl status
        std::function<void()> restart_for_cache;   // once; it may take its time
    };

    Housekeeping(Parts parts, std::chrono::seconds heartbeat);

    void tick(SteadyTime now);
    // The journal is durable up to here.
    void committed(std::uint64_t journal_end);
    // Says the status at once, whether it has changed or not: the broker may know an older one.
    void broker_connected();
    // Every so many seconds; 0: none.
    void set_heartbeat(std::chrono::seconds every) { heartbeat_ = every; }

    // An event of the gateway about itself. A full store needs its room for customers' events: then it is
    // lost, the next one says the same.
    void submit(Event event);
    // One that nothing says again: it waits for room, in order, with up to untaken_max others. Its id must be
    // the same each time, for whoever said it before a restart. Not promised: that it survives the end of the
    // process.
    void submit_once_there_is_room(Event event);
    // This person is being erased: of what waits nothing may name him.
    void forget(const std::string& pseudonym);
    std::size_t untaken() const { return untaken_.size(); }
    // Of those there was no place for among them.
    std::uint64_t given_up() const { return given_up_; }
    std::string status_text(std::string_view state) const;
    std::chrono::milliseconds uptime() const;
    UtcTime started() const { return started_utc_; }

  private:
    void watch_clock(SteadyTime now);
    void watch_cache(SteadyTime now);
    void beat(SteadyTime now);
    void write_registry(SteadyTime now);
    void say_status(SteadyTime now);
    void feed_watchdog(SteadyTime now);
    bool taken(const Event& event);
    void submit_untaken();

    Parts parts_;
    std::chrono::seconds heartbeat_;
    UtcTime started_utc_;
    SteadyTime started_;
    SteadyTime last_beat_;
    SteadyTime last_status_;
    std::string last_said_;
    SteadyTime last_clock_look_;
    UtcTime last_clock_utc_;
    std::uint64_t durable_journal_end_;
    SteadyTime committer_moved_;
    SteadyTime reader_answered_;
    bool reader_asked_ = false;
    bool restart_asked_ = false;
    std::deque<Event> untaken_;
    std::uint64_t given_up_ = 0;
    std::uint64_t given_up_said_ = 0;
    std::string registry_trouble_;  // why the last write failed; empty: it did not
};

}  // namespace touchpoint::gateway
