// Numbers and times for people: "1,284", "41 min", "3.1 GiB". Shared by the daemon and the command.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

namespace touchpoint::gateway {

inline std::string grouped(std::uint64_t number) {
    std::string out = std::to_string(number);
    for (std::size_t at = out.size(); at > 3;) out.insert(at -= 3, ",");
    return out;
}

// "1 event", "1,284 events"
inline std::string counted(std::uint64_t count, const char* what) {
    return grouped(count) + ' ' + what + (count == 1 ? "" : "s");
}

inline std::string spoken(std::chrono::milliseconds duration) {
    const auto seconds = std::max<std::int64_t>(0, duration.count() / 1000);
    if (seconds < 120) return std::to_string(seconds) + " s";
    if (seconds < 2 * 3600) return std::to_string(seconds / 60) + " min";
    if (seconds < 48 * 3600) return std::to_string(seconds / 3600) + " h";
    return std::to_string(seconds / 86400) + " days";
}

inline std::string spoken_bytes(std::uint64_t bytes) {
    constexpr const char* units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; value >= 1024 && unit < 4; ++unit) value /= 1024;
    char text[48];
    std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

}  // namespace touchpoint::gateway
