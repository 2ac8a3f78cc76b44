// What the gateway says of itself to the platform, so that silence and death differ: `system.gateway` events
// in the stream telemetry. Pure apart from the ids.
//
// The events: uplink/README.md.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "gateway/core/clock.hpp"
#include "gateway/core/event.hpp"
#include "gateway/core/ulid.hpp"

namespace touchpoint::gateway {

// How the run before this one ended.
enum class LastEnd {
    first_start,  // there was none
    orderly,
    killed,     // the process died, the machine did not
    power_cut,  // the machine went down under a running gateway
};
std::string_view name(LastEnd end);

class GatewayEvents {
  public:
    GatewayEvents(std::string gateway_id, std::string store_id, UlidMaker ulids)
        : source_("/stores/" + store_id + "/gateway/" + gateway_id), ulids_(std::move(ulids)) {}

    Event started(UtcTime now, const std::string& version, LastEnd last_end, bool new_epoch,
                  bool clock_trusted);
    Event stopping(UtcTime now, std::chrono::milliseconds uptime);
    // Every `heartbeat` seconds: alive, and how much waits.
    Event heartbeat(UtcTime now, std::chrono::milliseconds uptime, std::uint64_t events_held,
                    bool clock_trusted);
    // These pseudonyms were found to be one person by the event at this place; the first one stands for all.
    // Goes with `customer`. Said again (after a crash) it is the same event.
    Event joined(UtcTime now, const std::string& epoch, const std::vector<std::string>& pseudonyms,
                 Stream stream, Sequence sequence);
    Event clock_stepped(UtcTime now, std::chrono::milliseconds by);

  private:
    using Members = std::vector<std::pair<std::string_view, std::string>>;  // name, JSON text
    Event make(UtcTime now, std::string_view state, const Members& members);

    std::string source_;
    UlidMaker ulids_;
};

// A file in the data folder that stands there while a gateway runs; it holds the boot id.
class RunMark {
  public:
    explicit RunMark(std::string path) : path_(std::move(path)) {}
    // How the last run ended, told by what it left.
    LastEnd last_end(const std::string& boot_id, bool first_start) const;
    void begin(const std::string& boot_id);
    void end() const;
    // A start that did not succeed was no run: what was told of the last one is told by the next start.
    void put_back() const;

  private:
    std::string path_;
    std::string before_;  // what stood there when this run began; empty: no file
};

}  // namespace touchpoint::gateway
