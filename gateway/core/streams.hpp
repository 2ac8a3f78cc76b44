// The five streams, in order of priority, and the numbers inside them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace touchpoint {

// The values stand in files (store/README.md): do not change them.
enum class Stream : std::uint8_t { customer = 0, sales = 1, interactions = 2, telemetry = 3, quarantine = 4 };
inline constexpr std::size_t stream_count = 5;
inline constexpr std::array<Stream, stream_count> all_streams = {
    Stream::customer, Stream::sales, Stream::interactions, Stream::telemetry, Stream::quarantine};

constexpr std::string_view name(Stream stream) {
    constexpr std::array<std::string_view, stream_count> names = {"customer", "sales", "interactions",
                                                                  "telemetry", "quarantine"};
    return names[static_cast<std::size_t>(stream)];
}
constexpr std::optional<Stream> stream_named(std::string_view text) {
    for (const Stream stream : all_streams)
        if (name(stream) == text) return stream;
    return std::nullopt;
}

// 1, 2, 3 ... without holes within an epoch. 0 stands for "none yet".
using Sequence = std::uint64_t;

template <class T>
struct PerStream {
    std::array<T, stream_count> values{};
    T& operator[](Stream stream) { return values[static_cast<std::size_t>(stream)]; }
    const T& operator[](Stream stream) const { return values[static_cast<std::size_t>(stream)]; }
    bool operator==(const PerStream&) const = default;
};

}  // namespace touchpoint
