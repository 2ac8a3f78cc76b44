// The power is cut while a store at its bound sheds: what a reader was told of a gap stays a gap, the streams
// that are never shed are whole, and a transaction that was lost has neither gap nor hole.

#include <gtest/gtest.h>

#include <atomic>
#include <iostream>
#include <map>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include "gateway/core/log.hpp"
#include "store/event_reader.hpp"
#include "tests/crash/in_child.hpp"
#include "tests/crash/power_cut.hpp"
#include "tests/crash/recorder.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"

namespace touchpoint::tests {
namespace {

constexpr int events = 500;
// A moment in which a reader can see what is not durable yet, also on a machine with other work.
constexpr std::chrono::milliseconds flush_cost{2};

struct ToldGap {
    std::size_t at = 0;  // Recorder::position()
    Sequence last = 0;   // of telemetry, from 1
};
struct ToldHorizon {
    std::size_t at = 0;
    PerStream<Sequence> horizon;
};
struct Day {
    std::vector<DiskOp> ops;
    std::size_t opened_at = 0;
    std::vector<ToldGap> gaps;
    std::vector<ToldHorizon> horizons;
    std::uint64_t shed = 0;
};

store::EventStore::Options small_options(const std::filesystem::path& folder) {
    store::EventStore::Options options;
    options.folder = folder / "events";
    options.bytes_max = 1u << 20;
    options.journal_bytes = 1u << 20;
    options.reserve_bytes = 4u << 20;
    options.commit_interval = std::chrono::milliseconds(1);
    options.dedup_ids = 100;
    store::ConsumerSpec platform;
    platform.name = "platform";
    platform.streams.values.fill(true);
    options.consumers = {platform};
    return options;
}

// Sales is every eighth event and small.
const std::string& members(Stream stream, Sequence sequence) {
    static std::map<std::pair<Stream, Sequence>, std::string> made;  // once, before the children are
    std::string& text = made[{stream, sequence}];
    if (!text.empty()) return text;
    std::mt19937_64 random(sequence * 2 + (stream == Stream::sales ? 1 : 0));
    text = "\"n\":" + std::to_string(sequence) + ",\"data\":\"";
    while (text.size() < (stream == Stream::sales ? 400 : 16'000)) text += std::to_string(random());
    return text += '"';
}

Day record(const std::filesystem::path& folder) {
    Day day;
    ManualClock clock;
    auto opened_cache = store::Cache::open({.folder = folder / "cache"});
    const auto cache = std::move(*opened_cache);
    Recorder::watch(folder / "events" / "data.mdb", flush_cost);
    auto opened_store = store::EventStore::open(small_options(folder), *cache, clock);
    const auto store = std::move(*opened_store);
    day.opened_at = Recorder::position();
    std::mutex mutex;
    store->start(
        {"journal", "boot-1", 0},
        [&](const store::HorizonNote& note) {
            const std::lock_guard lock(mutex);
            day.horizons.push_back({Recorder::position(), note.horizon});
        },
        [](const Error& error) { ADD_FAILURE() << error.context; });
    std::atomic<bool> done{false};
    // Asks again and again what stands in front.
    std::thread asks([&] {
        const auto reader = store->make_reader();
        Sequence told = 0;
        while (!done) {
            const auto slice =
                reader->read(Stream::telemetry, 0, "platform", {.bytes_max = 1, .events_max = 1});
            if (!slice || slice->gaps.empty() || slice->gaps[0].last <= told) continue;
            told = slice->gaps[0].last;
            day.gaps.push_back({Recorder::position(), told});
        }
    });
    PerStream<Sequence> count;
    for (int i = 0; i < events; ++i) {
        Event event;
        event.stream = i % 8 == 0 ? Stream::sales : Stream::telemetry;
        event.members = members(event.stream, ++count[event.stream]);
        event.urgent = true;
        store::Submission submission;
        submission.events.push_back(std::move(event));
        EXPECT_TRUE(store->submit(std::move(submission)));
        // A little ahead of the disk, so that commits follow each other without a flush of their own.
        EXPECT_TRUE(wait_for([&] {
            return store->has_room(1) && count[Stream::telemetry] < store->horizon(Stream::telemetry) + 4;
        }));
    }
    store->stop();
    done = true;
    asks.join();
    day.ops = Recorder::stop();
    day.shed = store->stats().shed[Stream::telemetry];
    return day;
}

// Empty: nothing is wrong.
std::string look(const Day& day, std::size_t cut, const std::filesystem::path& folder, store::Cache& cache) {
    ManualClock clock;
    auto opened = store::EventStore::open(small_options(folder), cache, clock);
    if (!opened) return "open-failed: " + opened.error().context;
    if (cut < day.opened_at) return "";
    const store::EventStore& store = **opened;
    for (const ToldHorizon& told : day.horizons)
        for (const Stream stream : all_streams)
            if (told.at <= cut && told.horizon[stream] > store.horizon(stream)) return "horizon-lost";
    Sequence gone = 0;  // told so
    for (const ToldGap& told : day.gaps)
        if (told.at <= cut) gone = std::max(gone, told.last);
    const auto reader = store.make_reader();
    for (const Stream stream : {Stream::sales, Stream::telemetry}) {
        Sequence after = 0;
        Sequence gap = 0;
        while (after < store.horizon(stream)) {
            const auto slice = reader->read(stream, after, "platform", {});
            if (!slice || slice->events.empty()) return "not-contiguous";
            for (const store::StoredEvent& one : slice->events) {
                if (one.gap >= 0) {
                    const store::Gap& row = slice->gaps[static_cast<std::size_t>(one.gap)];
                    if (stream == Stream::sales || row.reason != "shed" || row.first != 1) return "wrong-gap";
                    gap = row.last;
                } else if (one.sequence != after + 1 || one.members != members(stream, one.sequence)) {
                    return "content-changed: " + std::to_string(one.sequence);
                }
                after = one.sequence;
            }
        }
        if (stream == Stream::telemetry && gap < gone)
            return "gap-lost: told of " + std::to_string(gone) + ", now " + std::to_string(gap);
        if (stream == Stream::telemetry && gap != store.stats().shed[stream]) return "counted-wrong";
    }
    return "";
}

std::string look_in_a_child(const Day& day, std::size_t cut, const FileState& file,
                            const std::filesystem::path& folder, store::Cache& cache) {
    place(file, folder / "events");
    std::filesystem::remove(folder / "events.last-known");
    const auto said = in_child([&]() -> std::vector<std::string> {
        std::string broken = look(day, cut, folder, cache);
        if (broken.empty()) return {};
        return {std::move(broken)};
    });
    return said.empty() ? "" : said.front();
}

TEST(PowerCut, TakesNothingThatAnybodyWasToldOfAGap) {
    log::set_level(static_cast<log::Level>(2));  // less than an error: the bound is met on purpose
    const std::filesystem::path memory =
        std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : std::filesystem::temp_directory_path();
    const TempFolder recorded(memory);
    const Day day = record(recorded.path());
    ASSERT_GT(day.shed, 30U);
    ASSERT_GT(day.gaps.size(), 5U);

    const TempFolder folder(memory);
    auto opened = store::Cache::open({.folder = folder.path() / "cache"});
    const auto cache = std::move(*opened);
    CutPlan plan;
    plan.exhaustive_states = 400;
    plan.random_states = 100;
    // Directly behind a telling: where it came too early, what it told of is not durable yet.
    for (const ToldGap& told : day.gaps) plan.certain_only_at.push_back(told.at);
    int bad = 0;
    const std::size_t states = cut_power(day.ops, plan, [&](std::size_t cut, const FileState& file) {
        const std::string broken = look_in_a_child(day, cut, file, folder.path(), *cache);
        EXPECT_EQ(broken, "") << "broken promise: " << broken << " (cut after operation " << cut << ")";
        return broken.empty() || ++bad < 3;
    });
    std::cout << "states=" << states << " gaps=" << day.gaps.size() << " shed=" << day.shed << "\n";
    EXPECT_TRUE(bad > 0 || states >= 480U) << states;
}

}  // namespace
}  // namespace touchpoint::tests
