// The power is cut at thousands of moments of a recorded day, and each file that could be left is opened with
// the real store: nothing that anybody was told may be missing or changed.
//
// Not covered: a disk that loses what it said it had flushed.

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "gateway/core/log.hpp"
#include "store/chunk.hpp"
#include "tests/crash/in_child.hpp"
#include "tests/crash/power_cut.hpp"
#include "tests/crash/verdict.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace touchpoint::tests {
namespace {

std::filesystem::path fast_folder() {
    return std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : std::filesystem::temp_directory_path();
}

std::uint64_t seed() {
    const char* text = std::getenv("TOUCHPOINT_SEED");
    return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

// Puts states into {folder}/events and lets a child look at each.
class Bench {
  public:
    Bench(const RecordedDay& day, const std::filesystem::path& folder) : day_(day), folder_(folder) {
        cache_ =
            std::move(*store::Cache::open({.folder = folder / "cache"}));  // no event here names a person
    }

    std::vector<std::string> look(std::size_t cut, const FileState& file) {
        place(file, folder_ / "events");
        std::filesystem::remove(folder_ / "events.last-known");
        return in_child([&] { return broken_promises(day_, cut, folder_, *cache_); });
    }

  private:
    const RecordedDay& day_;
    std::filesystem::path folder_;
    std::unique_ptr<store::Cache> cache_;
};

Found examine(const RecordedDay& day, const CutPlan& plan) {
    const TempFolder folder(fast_folder());
    Bench bench(day, folder.path());
    return examine(day.ops, plan,
                   [&](std::size_t cut, const FileState& file) { return bench.look(cut, file); });
}

RecordedDay a_day() {
    log::set_level(log::Level::error);
    const TempFolder folder(fast_folder());
    return record_day(folder.path(), seed());
}

TEST(PowerCut, TakesNothingThatAnybodyWasTold) {
    const RecordedDay day = a_day();
    // The day was one worth cutting. A machine with other work groups more events into a commit.
    ASSERT_GT(day.ops.size(), 300U);
    ASSERT_GT(day.horizons.size(), 50U);
    ASSERT_GT(day.duplicates, 20U);
    ASSERT_GT(day.pruned, 50U);
    ASSERT_GT(day.shown.size(), 100U);
    ASSERT_FALSE(day.withdrawn.empty());
    EXPECT_FALSE(day.changed) << "broken promise: content-changed while it ran";

    CutPlan plan;
    plan.seed = seed();
    const Found found = examine(day, plan);
    std::cout << "states=" << found.states << " operations=" << day.ops.size()
              << " events=" << day.sent.size() << " seed=" << seed() << "\n";
    EXPECT_EQ(found.bad, 0) << found.text;
    EXPECT_TRUE(found.bad > 0 || found.states >= 2'000U) << found.states << " states";
}

// What proves that the test above sees anything: without flushes the same day must be found broken.
TEST(PowerCut, WithoutFlushesIsFoundBroken) {
    const RecordedDay day = a_day();
    CutPlan plan;
    plan.seed = seed();
    plan.exhaustive_states = 0;
    plan.random_states = 300;
    plan.ignore_flushes = true;
    EXPECT_GT(examine(day, plan).bad, 0);
}

}  // namespace
}  // namespace touchpoint::tests
