// How long commits took: a histogram as Prometheus has it, from when the committer took the work up until a
// flush made it durable. What it waited for others before (Options::commit_interval) is not in it.
//
// Threads: none.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>

namespace touchpoint::store {

struct CommitTimes {
    // Upper bounds, each in its bucket: the series E6 (IEC 60063) from a flush to memory to a card that
    // hangs.
    static constexpr std::array<std::uint32_t, 31> bounds_us = {
        100,       150,       220,       330,       470,       680,       1'000,     1'500,
        2'200,     3'300,     4'700,     6'800,     10'000,    15'000,    22'000,    33'000,
        47'000,    68'000,    100'000,   150'000,   220'000,   330'000,   470'000,   680'000,
        1'000'000, 1'500'000, 2'200'000, 3'300'000, 4'700'000, 6'800'000, 10'000'000};

    std::array<std::uint64_t, bounds_us.size() + 1> counts{};  // of each bucket alone; the last: longer
    std::chrono::microseconds sum{0};

    void add(std::chrono::microseconds took) {
        const auto us = std::max<std::int64_t>(took.count(), 0);
        const auto bucket = std::lower_bound(bounds_us.begin(), bounds_us.end(), us);
        ++counts[static_cast<std::size_t>(bucket - bounds_us.begin())];
        sum += std::chrono::microseconds(us);
    }
};

}  // namespace touchpoint::store
