// A day of a shop in a second, on the real committer, with everything noted that anybody was told and when:
// three senders (tills, kiosks, beacons; repeats, reused ids, small and large events), two readers that
// acknowledge and park, deletes. power_cut_test.cpp cuts the power of it afterwards.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "gateway/core/event.hpp"
#include "store/event_store.hpp"
#include "tests/crash/recorder.hpp"

namespace touchpoint::tests {

// Tells the members of one event from those of every other. 0: none.
using Content = std::uint32_t;

// One event as it was submitted. Its ticket is its place in RecordedDay::sent, plus one.
struct Sent {
    Event event;
    std::uint64_t journal_end = 0;  // of its submission
    Content content = 0;            // the same for an exact repeat
};

struct Settlement {
    std::size_t at = 0;  // Recorder::position() when it was told
    std::size_t sent = 0;
    Verdict verdict = Verdict::stored;
};
struct Horizon {
    std::size_t at = 0;
    PerStream<Sequence> horizon;
    std::uint64_t journal_end = 0;  // the journal was cut up to here
};
// A number that left the box: given to a reader, or (known_as) meant to be acknowledged by a consumer.
struct Shown {
    std::size_t at = 0;
    std::string consumer;
    Stream stream = Stream::telemetry;
    Sequence sequence = 0;
};

struct RecordedDay {
    std::vector<DiskOp> ops;
    std::size_t opened_at = 0;  // from here on the epoch is known outside
    std::string epoch;
    std::vector<Sent> sent;
    std::vector<Settlement> settled;
    std::vector<Horizon> horizons;
    std::vector<Shown> shown;
    std::vector<Shown> acknowledging;  // noted before acknowledge() is called
    // What each number stands for, as readers were shown it; a second, other content is noted in `changed`.
    PerStream<std::map<Sequence, Content>> content;
    std::set<std::pair<Stream, Sequence>> withdrawn;  // a gap for everybody was recorded in their place
    bool changed = false;
    std::uint64_t duplicates = 0;
    std::uint64_t pruned = 0;

    // The content of an event as a reader sees it; 0 when nobody ever sent it.
    Content content_of(std::string_view members) const;
    std::unordered_map<std::string, Content> contents;
};

// The options of the day's store; `folder` and `boot_id` are the caller's.
store::EventStore::Options day_options(std::filesystem::path folder, std::string boot_id);
inline const std::vector<std::string> day_consumers = {"platform", "analytics"};

// Runs it in `folder` with events/data.mdb recorded.
RecordedDay record_day(const std::filesystem::path& folder, std::uint64_t seed);

}  // namespace touchpoint::tests
