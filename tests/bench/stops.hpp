// Stops of the machine: when a core did nothing for anybody, not even for a thread that goes before all
// others. That is the kernel at something that it does not interrupt, or a hypervisor that runs somebody
// else. What was asked meanwhile says nothing of the program that was asked.
//
// A thread on each core, SCHED_FIFO, that wakes up each millisecond and writes down when it came late. A
// program that is busy does not make it late; a long call into the kernel may, so that `shortest` is far
// above those.
//
// Threads: one begins, ends and asks. Without the right to SCHED_FIFO (root, CAP_SYS_NICE) nothing is
// watched.
#pragma once

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace touchpoint::bench {

class MachineStops {
  public:
    using Steady = std::chrono::steady_clock;
    static constexpr std::chrono::milliseconds every{1};
    static constexpr std::chrono::milliseconds shortest{2};
    static constexpr std::size_t stops_max = 100'000;  // of a core

    struct Stop {
        Steady::time_point from, to;
    };

    MachineStops() = default;
    MachineStops(const MachineStops&) = delete;
    MachineStops& operator=(const MachineStops&) = delete;
    ~MachineStops() { end(); }

    void begin() {
        cpu_set_t cores;
        if (::sched_getaffinity(0, sizeof cores, &cores) != 0) return;
        watches_.resize(static_cast<std::size_t>(CPU_COUNT(&cores)));
        auto watch = watches_.begin();
        for (int core = 0; core < CPU_SETSIZE && watch != watches_.end(); ++core)
            if (CPU_ISSET(core, &cores)) {
                watch->thread = std::thread([this, &mine = *watch, core] { look(mine, core); });
                ++watch;
            }
    }
    void end() {
        ended_ = true;
        for (Watch& watch : watches_)
            if (watch.thread.joinable()) watch.thread.join();
    }

    // REQUIRES of all below: end() was called.
    bool watched() const {
        return !watches_.empty() &&
               std::all_of(watches_.begin(), watches_.end(), [](const Watch& watch) { return watch.first; });
    }
    std::size_t count() const {
        std::size_t stops = 0;
        for (const Watch& watch : watches_) stops += watch.stops.size();
        return stops;
    }
    std::chrono::duration<double, std::milli> longest() const {
        Steady::duration most{0};
        for (const Watch& watch : watches_)
            for (const Stop& stop : watch.stops) most = std::max(most, stop.to - stop.from);
        return most;
    }
    // Whether any core stood still between the two.
    bool any(Steady::time_point from, Steady::time_point to) const {
        return std::any_of(watches_.begin(), watches_.end(), [&](const Watch& watch) {
            const auto after = std::lower_bound(watch.stops.begin(), watch.stops.end(), from,
                                                [](const Stop& stop, auto then) { return stop.to < then; });
            return after != watch.stops.end() && after->from <= to;
        });
    }

  private:
    struct Watch {
        std::thread thread;
        bool first = false;       // goes before all others
        std::vector<Stop> stops;  // in their order
    };

    void look(Watch& watch, int core) const {
        cpu_set_t here;
        CPU_ZERO(&here);
        CPU_SET(core, &here);
        const sched_param priority{50};
        watch.first = ::pthread_setaffinity_np(::pthread_self(), sizeof here, &here) == 0 &&
                      ::pthread_setschedparam(::pthread_self(), SCHED_FIFO, &priority) == 0;
        while (watch.first && !ended_ && watch.stops.size() < stops_max) {
            const auto due = Steady::now() + every;
            std::this_thread::sleep_until(due);
            const auto now = Steady::now();
            if (now - due >= shortest) watch.stops.push_back({due, now});
        }
    }

    std::vector<Watch> watches_;
    std::atomic<bool> ended_{false};
};

}  // namespace touchpoint::bench
