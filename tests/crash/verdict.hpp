// Holds one state of the file against everything that anybody was told before the cut.
#pragma once

#include <string>
#include <vector>

#include "store/cache.hpp"
#include "tests/crash/recorded_day.hpp"

namespace touchpoint::tests {

// Opens {folder}/events with the real EventStore, reads all of it and sends every event again. Returns a
// sentence for each broken promise, which begins with a word for its kind:
//
//   open-failed  epoch-changed  horizon-lost  shown-lost  receipt-lost  duplicate-lost  content-changed
//   not-contiguous  deleted-early  position-beyond  journal-cut-lost  journal-position-apart  dedup-apart
//
// `cut` is how many disk operations had been made. A damaged file may crash it: call it in a child process.
std::vector<std::string> broken_promises(const RecordedDay& day, std::size_t cut,
                                         const std::filesystem::path& folder, store::Cache& cache);

}  // namespace touchpoint::tests
