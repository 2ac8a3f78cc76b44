// The power is cut at thousands of moments of a recorded day, and each file that could be left is opened with
// the real store: nothing that anybody was told may be missing or changed.
//
// Not covered: a disk that loses what it said it had flushed.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "gateway/core/log.hpp"
#include "store/chunk.hpp"
#include "tests/crash/power_cut.hpp"
#include "tests/crash/verdict.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace touchpoint::tests {
namespace {

constexpr int bad_states_shown = 3;
constexpr unsigned child_seconds_max = 30;

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
        place(file);
        int pipe[2];
        if (::pipe(pipe) != 0) return {"no pipe"};
        const pid_t child = ::fork();
        if (child == 0) {
            ::alarm(child_seconds_max);
            ::dup2(::open("/dev/null", O_WRONLY | O_CLOEXEC),
                   STDERR_FILENO);  // what is said here is expected
            std::string said;
            for (const std::string& one : broken_promises(day_, cut, folder_, *cache_)) said += one + "\n";
            said += ".";  // the end: the child came to one
            const ssize_t written = ::write(pipe[1], said.data(), said.size());
            ::_exit(written == static_cast<ssize_t>(said.size()) ? 0 : 1);
        }
        ::close(pipe[1]);
        std::string said;
        char buffer[4096];
        for (ssize_t n = 0; (n = ::read(pipe[0], buffer, sizeof buffer)) > 0;)
            said.append(buffer, static_cast<std::size_t>(n));
        ::close(pipe[0]);
        int status = 0;
        ::waitpid(child, &status, 0);
        std::vector<std::string> broken;
        for (std::size_t at = 0, end = 0; (end = said.find('\n', at)) != std::string::npos; at = end + 1)
            broken.push_back(said.substr(at, end - at));
        if (!said.ends_with("."))
            broken.push_back(WIFSIGNALED(status) ? "crashed: signal " + std::to_string(WTERMSIG(status))
                                                 : "crashed");
        return broken;
    }

  private:
    void place(const FileState& file) {
        const std::filesystem::path events = folder_ / "events";
        std::filesystem::create_directories(events);
        std::filesystem::remove(events / "lock.mdb");
        std::filesystem::remove(folder_ / "events.last-known");
        const int fd = ::open((events / "data.mdb").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        EXPECT_EQ(::ftruncate(fd, 0), 0);  // nothing of an earlier child
        EXPECT_EQ(::pwrite(fd, file.bytes.data(), file.bytes.size(), 0),
                  static_cast<ssize_t>(file.bytes.size()));
        EXPECT_EQ(::ftruncate(fd, static_cast<off_t>(file.length)), 0);
        ::close(fd);
    }

    const RecordedDay& day_;
    std::filesystem::path folder_;
    std::unique_ptr<store::Cache> cache_;
};

struct Found {
    std::size_t states = 0;
    int bad = 0;
    std::string text;
};

Found examine(const RecordedDay& day, const CutPlan& plan) {
    const TempFolder folder(fast_folder());
    Bench bench(day, folder.path());
    Found found;
    found.states = cut_power(day.ops, plan, [&](std::size_t cut, const FileState& file) {
        const std::vector<std::string> broken = bench.look(cut, file);
        if (broken.empty()) return true;
        found.text +=
            "  cut after operation " + std::to_string(cut) + " of " + std::to_string(day.ops.size()) + "\n";
        for (const std::string& one : broken) found.text += "    broken promise: " + one + "\n";
        return ++found.bad < bad_states_shown;
    });
    return found;
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
