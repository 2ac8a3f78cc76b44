#include "devices/registry.hpp"

#include <array>
#include <charconv>

#include "devices/decode.hpp"
#include "devices/json_slice.hpp"
#include "gateway/core/json_text.hpp"

namespace touchpoint::devices {
namespace {

constexpr std::size_t sw_bytes_max = 64;
constexpr std::size_t status_bytes_max = 4096;
constexpr std::array<DeviceState, 4> states = {DeviceState::unknown, DeviceState::online,
                                               DeviceState::sleeping, DeviceState::offline};

std::optional<DeviceState> state_named(std::string_view word) {
    // "lost" is what others call a last will (Homie).
    if (word == "lost") return DeviceState::offline;
    for (const DeviceState state : states)
        if (name(state) == word) return state;
    return std::nullopt;
}

template <class T>
std::optional<T> integer(std::optional<std::string_view> text) {
    if (!text) return std::nullopt;
    T value{};
    const auto [end, ec] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (ec != std::errc() || end != text->data() + text->size()) return std::nullopt;
    return value;
}

std::string text_of(std::optional<std::string_view> value) {
    return value && is_string(*value) ? json_unescape(*value) : std::string();
}

}  // namespace

std::string_view name(DeviceState state) {
    switch (state) {
        case DeviceState::unknown:
            return "unknown";
        case DeviceState::online:
            return "online";
        case DeviceState::sleeping:
            return "sleeping";
        case DeviceState::offline:
            return "offline";
    }
    return "unknown";
}

void Registry::load(const Rows& rows) {
    for (const auto& [key, value] : rows) {
        if (devices_.size() >= devices_max) return;
        if (validate_json(value) || !is_object(value)) continue;
        const auto members = json_members(value);
        const auto first = integer<std::int64_t>(json_find(members, "first_ms"));
        const auto last = integer<std::int64_t>(json_find(members, "last_ms"));
        if (!first || !last) continue;
        Device& device = devices_[key];
        device.first_seen = {*first};
        device.last_seen = device.written = {*last};
        device.session = integer<std::uint64_t>(json_find(members, "session"));
        device.sw = text_of(json_find(members, "sw"));
        set_state(device, state_named(text_of(json_find(members, "state"))).value_or(DeviceState::unknown));
    }
}

void Registry::seen(const DeviceAddress& address, UtcTime now) {
    if (Device* device = find_or_add(address, now); device != nullptr && now > device->last_seen)
        device->last_seen = now;
}

bool Registry::status(const DeviceAddress& address, std::string_view payload, UtcTime now) {
    if (payload.size() > status_bytes_max) return false;
    const std::string_view text = json_trim(payload);
    std::optional<DeviceState> state;
    std::optional<std::uint64_t> session;
    std::string sw;
    if (text.empty()) {
        state = DeviceState::unknown;
    } else if (is_object(text)) {
        if (validate_json(text)) return false;
        const auto members = json_members(text);
        state = state_named(text_of(json_find(members, "state")));
        session = integer<std::uint64_t>(json_find(members, "session"));
        sw = text_of(json_find(members, "sw"));
        if (sw.size() > sw_bytes_max) sw.clear();
    } else {
        state = state_named(text);
        if (!state && text.size() > 2 && is_string(text) && !validate_json(text))
            state = state_named(json_unescape(text));
    }
    if (!state) return false;

    Device* device = find_or_add(address, now);
    if (device == nullptr) return true;
    // The broker may deliver a will long after the device came back: it speaks of the session that died. A
    // birth is believed with any number, or a device that was reset would never be online again.
    if (*state != DeviceState::online && session && device->session && *session < *device->session)
        return true;
    if (device->state != *state || (session && session != device->session) ||
        (!sw.empty() && sw != device->sw))
        device->changed = true;
    set_state(*device, *state);
    if (session) device->session = session;
    if (!sw.empty()) device->sw = std::move(sw);
    if (now > device->last_seen) device->last_seen = now;
    return true;
}

Registry::Rows Registry::take_changed_rows(SteadyTime now) {
    if (last_taken_ && now - *last_taken_ < write_interval) return {};
    last_taken_ = now;
    Rows rows;
    for (auto& [key, device] : devices_) {
        if (!device.changed && device.last_seen - device.written < traffic_row_age) continue;
        if (rows.size() == rows_max) break;  // the rest comes with the next call
        std::string row = "{\"state\":";
        append_json_string(row, name(device.state));
        if (device.session) row += ",\"session\":" + std::to_string(*device.session);
        if (!device.sw.empty()) row += ",\"sw\":" + json_string(device.sw);
        row += ",\"first_ms\":" + std::to_string(device.first_seen.ms);
        row += ",\"last_ms\":" + std::to_string(device.last_seen.ms) + '}';
        rows.emplace_back(key, std::move(row));
        device.written = device.last_seen;
        device.changed = false;
    }
    return rows;
}

void Registry::not_written(const Rows& rows) {
    for (const auto& [key, value] : rows)
        if (const auto found = devices_.find(key); found != devices_.end()) found->second.changed = true;
}

Device* Registry::find_or_add(const DeviceAddress& address, UtcTime now) {
    const std::string key = address.key();
    if (const auto found = devices_.find(key); found != devices_.end()) return &found->second;
    if (devices_.size() >= devices_max) return ++unregistered_, nullptr;
    Device& device = devices_[key];
    device.first_seen = device.last_seen = now;
    device.changed = true;
    return &device;
}

void Registry::set_state(Device& device, DeviceState state) {
    if (device.state == DeviceState::online) --online_;
    if (state == DeviceState::online) ++online_;
    device.state = state;
}

}  // namespace touchpoint::devices
