// What a power cut can leave of a file: everything that a completed flush covered, and of the writes since
// then any part in any order, torn at sectors (512 bytes) or pages (4 KB).
//
// Not covered: a disk that loses what it said it had flushed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/crash/recorder.hpp"

namespace touchpoint::tests {

struct FileState {
    std::string bytes;  // behind them, up to the length, there are zeros
    std::uint64_t length = 0;
};

struct CutPlan {
    std::size_t exhaustive_states = 1'600;  // all subsets of the pending writes, where they are few
    std::size_t exhaustive_writes_max = 12;
    std::size_t random_states = 600;  // torn pieces at random places
    // Cuts behind so many operations at which nothing arrived but what a flush had covered.
    std::vector<std::size_t> certain_only_at;
    std::uint64_t seed = 1;
    // Positive control: as if no flush had ever been made.
    bool ignore_flushes = false;
};

// Gives each state to `look`: how many operations had been made at the cut, and the file as it was left.
// Ends early when `look` says false. Returns how many states were looked at.
std::size_t cut_power(const std::vector<DiskOp>& ops, const CutPlan& plan,
                      const std::function<bool(std::size_t cut, const FileState& file)>& look);

}  // namespace touchpoint::tests
