// Looks at a file that may be broken in a process of its own: what reads it may die of it.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "tests/crash/power_cut.hpp"

namespace touchpoint::tests {

inline constexpr unsigned child_seconds_max = 30;

// What `look` says, line by line; and how the child ended, when that was not at the end of it.
std::vector<std::string> in_child(const std::function<std::vector<std::string>()>& look);

// Puts a file as a power cut left it in the place of {folder}/data.mdb, and what only memory knew away.
void place(const FileState& file, const std::filesystem::path& folder);

struct Found {
    std::size_t states = 0;
    int bad = 0;
    std::string text;  // of the bad ones, each broken promise on a line
};
// Cuts the power and has each state looked at, until bad_states_shown of them broke a promise.
inline constexpr int bad_states_shown = 3;
Found examine(const std::vector<DiskOp>& ops, const CutPlan& plan,
              const std::function<std::vector<std::string>(std::size_t cut, const FileState& file)>& broken);

}  // namespace touchpoint::tests
