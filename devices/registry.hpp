// The devices that were seen: from their status topics and from their traffic. For people and health checks;
// no event ever waits for it or is refused by it.
//
// Promised
//   Bounded: at most devices_max are kept by name; the events of further ones pass all the same and are
//   counted. The last will of an older session never overrides the birth of a newer one.
// Not promised
//   The time of the last event survives a kill to the second: a row is written when its state changes, and
//   for traffic alone at most every traffic_row_age.
//
// Threads: confined to one thread (loop). The daemon writes what take_changed_rows() gives on another one.
// On disk: rows of store::Cache; value {"state","session","sw","first_ms","last_ms"}.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "devices/topics.hpp"
#include "gateway/core/clock.hpp"

namespace touchpoint::devices {

enum class DeviceState : std::uint8_t { unknown, online, sleeping, offline };
std::string_view name(DeviceState state);

struct Device {
    DeviceState state = DeviceState::unknown;
    std::optional<std::uint64_t> session;
    std::string sw;  // version of its software, as it says
    UtcTime first_seen;
    UtcTime last_seen;
    UtcTime written;       // last_seen that stands in the cache
    bool changed = false;  // more than last_seen
};

class Registry {
  public:
    using Rows = std::vector<std::pair<std::string, std::string>>;
    static constexpr std::size_t devices_max = 10'000;  // about 2 MB
    static constexpr std::size_t rows_max = 1'000;      // given at once by take_changed_rows
    static constexpr std::chrono::milliseconds write_interval = std::chrono::seconds(60);
    static constexpr std::chrono::milliseconds traffic_row_age = std::chrono::minutes(15);

    // At start, from Cache::devices(). Rows that cannot be read are skipped.
    void load(const Rows& rows);

    void seen(const DeviceAddress& address, UtcTime now);
    // A message on .../status: {"state":"online","session":17,"sw":"1.2.3"}, or the bare word. Empty:
    // forgotten (MQTT's way to take a retained message back). False: not understood, nothing changed.
    bool status(const DeviceAddress& address, std::string_view payload, UtcTime now);

    // Rows to write, empty before write_interval is over. What could not be written is said again by
    // not_written().
    Rows take_changed_rows(SteadyTime now);
    void not_written(const Rows& rows);

    std::size_t count() const { return devices_.size(); }
    std::size_t online() const { return online_; }
    std::uint64_t unregistered() const { return unregistered_; }  // messages of devices beyond the bound
    // By "{kind}/{device}".
    const std::map<std::string, Device, std::less<>>& devices() const { return devices_; }

  private:
    Device* find_or_add(const DeviceAddress& address, UtcTime now);
    void set_state(Device& device, DeviceState state);

    std::map<std::string, Device, std::less<>> devices_;
    std::size_t online_ = 0;
    std::uint64_t unregistered_ = 0;
    std::optional<SteadyTime> last_taken_;
};

}  // namespace touchpoint::devices
