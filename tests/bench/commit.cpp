// bench_commit: the committer alone, with every write and flush counted (disk_calls.hpp).
//
//   bench_commit ratio --folder F --group G --groups N --flush-us U --repeat R
//       The committer against a segment log: a zero-filled file, the lines of each group appended raw and one
//       fdatasync. Both get the same admitted events, handed over group by group with the next always
//       waiting. Alternating, one JSON object a repetition.
//   bench_commit held --folder F --group G --groups N
//       What G events a commit cost on the disk when nothing is delivered: bytes held and written an event.
//
// The events are made by Generator and go through decode and admission as those of a till do, before the
// clock runs.
#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>
#include <CLI/CLI.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "devices/admission.hpp"
#include "gateway/core/log.hpp"
#include "store/cache.hpp"
#include "store/event_store.hpp"
#include "tests/bench/disk_calls.hpp"
#include "tests/bench/generator.hpp"

namespace {

using namespace touchpoint;
using bench::DiskCalls;
using Steady = std::chrono::steady_clock;

struct Options {
    std::filesystem::path folder;
    std::size_t group = 100;
    std::size_t groups = 200;
    std::uint64_t flush_us = 0;
    int repeat = 5;
};

[[noreturn]] void give_up(const std::string& why) {
    std::fprintf(stderr, "bench_commit: %s\n", why.c_str());
    std::exit(1);
}

// Groups of events as the store is given them.
class Groups {
  public:
    Groups(const Options& options, bench::Kind kind)
        : generator_(7, true), kind_(kind), ticket_(0), size_(options.group) {
        for (std::size_t i = 0; i < options.groups; ++i) groups_.push_back(make());
    }
    const std::vector<std::vector<Event>>& all() const { return groups_; }
    double payload_bytes() const {
        return static_cast<double>(payload_bytes_) / static_cast<double>(events_);
    }
    double line_bytes() const { return static_cast<double>(line_bytes_) / static_cast<double>(events_); }
    // All lines in one frame of zstd -19: no more than this is in them.
    double squeezed_bytes() const {
        std::string lines;
        for (const auto& group : groups_)
            for (const Event& event : group)
                if (lines.size() < (16u << 20)) lines += event.members + '\n';
        std::string packed(ZSTD_compressBound(lines.size()), '\0');
        const std::size_t bytes = ZSTD_compress(packed.data(), packed.size(), lines.data(), lines.size(), 19);
        return static_cast<double>(bytes) * line_bytes() / static_cast<double>(lines.size());
    }

  private:
    std::vector<Event> make() {
        std::vector<Event> group;
        while (group.size() < size_) {
            const bench::Device device{kind_, static_cast<int>(events_ % 20)};
            store::Incoming message;
            message.received = clock_.utc();
            message.since_boot = clock_.since_boot();
            message.clock_trusted = true;
            message.topic = device.event_topic();
            generator_.event(message.payload, kind_, generator_.id());
            auto decoded = devices::decode(message, {.store_id = "s1"});
            auto* report =
                decoded.items.empty() ? nullptr : std::get_if<devices::Report>(&decoded.items.front());
            if (report == nullptr) give_up("an event of the generator was refused");
            auto admitted = admission_.admit(*decoded.address, decoded.name, std::move(*report), message,
                                             devices::Now::of(clock_), ++ticket_);
            payload_bytes_ += message.payload.size();
            line_bytes_ += admitted.event.members.size() + 1;
            ++events_;
            group.push_back(std::move(admitted.event));
        }
        clock_.advance(std::chrono::milliseconds(50));
        return group;
    }

    bench::Generator generator_;
    bench::Kind kind_;
    ManualClock clock_;
    store::SealedBox box_{std::string(32, 'b')};
    std::uint64_t random_ = 0;
    devices::AdmissionOptions admission_options_{"s1", "gw-s1"};
    devices::Admission admission_{admission_options_, devices::Pseudonymiser(std::string(32, 'k'), "p1"),
                                  box_, [this] { return random_ += 0x9e3779b97f4a7c15; }};
    Ticket ticket_;
    std::size_t size_;
    std::vector<std::vector<Event>> groups_;
    std::uint64_t events_ = 0;
    std::uint64_t payload_bytes_ = 0;
    std::uint64_t line_bytes_ = 0;
};

struct Run {
    double seconds = 0;
    double commits = 0;
    double flushes = 0;
    double bytes = 0;
    double zeros = 0;
    double file_bytes = 0;
    double chunk_bytes = 0;
};

void empty(const std::filesystem::path& folder) {
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
}

Run run_log(const Options& options, const Groups& groups) {
    const auto folder = options.folder / "log";
    empty(folder);
    const int fd = ::open((folder / "segment.log").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    std::size_t bytes = 0;
    for (const auto& group : groups.all())
        for (const Event& event : group) bytes += event.members.size() + 1;
    const std::string zeros(1u << 20, '\0');
    for (std::size_t at = 0; at < bytes; at += zeros.size())
        if (::write(fd, zeros.data(), zeros.size()) <= 0) give_up("no room for the segment log");
    ::fsync(fd);
    ::lseek(fd, 0, SEEK_SET);
    DiskCalls& calls = bench::disk_calls().log;
    const std::uint64_t flushes = calls.flushes;
    const auto began = Steady::now();
    std::string buffer;
    for (const auto& group : groups.all()) {
        buffer.clear();
        for (const Event& event : group) buffer.append(event.members).push_back('\n');
        if (::write(fd, buffer.data(), buffer.size()) <= 0 || ::fdatasync(fd) != 0)
            give_up("the segment log was not written");
    }
    Run run;
    run.seconds = std::chrono::duration<double>(Steady::now() - began).count();
    run.flushes = static_cast<double>(calls.flushes - flushes);
    ::close(fd);
    return run;
}

// `deliver`: a consumer acknowledges what is durable, so that each commit deletes, too.
Run run_store(const Options& options, const Groups& groups, bool deliver) {
    const auto folder = options.folder / "store";
    empty(folder);
    const ManualClock clock;
    auto cache = store::Cache::open({.folder = folder / "cache"});
    if (!cache) give_up(cache.error().context);
    store::EventStore::Options store_options;
    store_options.folder = folder / "events";
    store_options.boot_id = std::string(32, '0');
    // What makes the committer's group ours: submit() takes the next one when the one before is being
    // committed.
    store_options.waiting_events_max = options.group;
    if (deliver) store_options.consumers = {{"platform", {{true, true, true, true, false}}}};
    auto opened = store::EventStore::open(std::move(store_options), **cache, clock);
    if (!opened) give_up(opened.error().context);
    store::EventStore& store = **opened;
    std::atomic<std::uint64_t> durable{0};
    std::atomic<std::uint64_t> settled{0};
    store.start(
        {"00000000000000000000000000000001", std::string(32, '0'), 0},
        [&](const store::HorizonNote& note) {
            settled += note.settled.size();
            durable = note.horizon[Stream::sales];
        },
        [](const Error& error) { give_up("the disk refused: " + error.context); });
    auto work = groups.all();  // copied before the clock runs: submit() takes them over
    DiskCalls& calls = bench::disk_calls().events;
    const std::uint64_t flushes = calls.flushes + calls.dsync_writes;
    const std::uint64_t bytes = calls.bytes, zeros = calls.zeros;
    const std::uint64_t commits = store.stats().commits;
    const auto began = Steady::now();
    std::uint64_t events = 0;
    std::uint64_t acknowledged = 0;
    std::uint64_t journal = 0;
    for (auto& group : work) {
        events += group.size();
        while (!store.has_room(group.size())) std::this_thread::sleep_for(std::chrono::microseconds(50));
        store::Submission submission;
        submission.events = std::move(group);
        submission.journal_end = journal += 4096;
        if (!store.submit(std::move(submission))) give_up("a group was refused");
        if (const std::uint64_t now = durable; deliver && now > acknowledged) {
            acknowledged = now;
            if (!store.acknowledge("platform", Stream::sales, now)) give_up("an acknowledgement was refused");
        }
    }
    while (durable < events) std::this_thread::sleep_for(std::chrono::microseconds(50));
    Run run;
    run.seconds = std::chrono::duration<double>(Steady::now() - began).count();
    run.flushes = static_cast<double>(calls.flushes + calls.dsync_writes - flushes);
    run.bytes = static_cast<double>(calls.bytes - bytes);
    run.zeros = static_cast<double>(calls.zeros - zeros);
    store.stop();
    if (settled != events) give_up("not every event was answered");
    const auto stats = store.stats();
    run.commits = static_cast<double>(stats.commits - commits);
    run.file_bytes = static_cast<double>(stats.file_bytes);
    run.chunk_bytes = static_cast<double>(stats.bytes[Stream::sales]);
    return run;
}

void ratio(const Options& options) {
    const Groups groups(options, bench::Kind::sale);
    bench::disk_calls().flush_us = options.flush_us;
    const double events = static_cast<double>(options.group * options.groups);
    for (int i = 0; i < options.repeat; ++i) {
        const bool log_first = i % 2 == 0;
        Run log;
        if (log_first) log = run_log(options, groups);
        const Run store = run_store(options, groups, true);
        if (!log_first) log = run_log(options, groups);
        std::printf(
            R"({"group":%zu,"flush_us":%llu,"log_events_per_s":%.0f,"store_events_per_s":%.0f,"ratio":%.3f,"flushes_per_commit":%.4f,"events_per_commit":%.1f})"
            "\n",
            options.group, static_cast<unsigned long long>(options.flush_us), events / log.seconds,
            events / store.seconds, log.seconds / store.seconds, store.flushes / store.commits,
            events / store.commits);
        std::fflush(stdout);
    }
}

void held(const Options& options) {
    const Groups groups(options, bench::Kind::sale);
    const double events = static_cast<double>(options.group * options.groups);
    const Run run = run_store(options, groups, false);
    std::printf(
        R"({"group":%zu,"events":%.0f,"payload_bytes":%.1f,"line_bytes":%.1f,"zstd19_bytes":%.1f,"held_bytes":%.1f,"chunk_bytes":%.1f,"written_bytes":%.1f,"filled_ahead_bytes":%.1f,"flushes_per_commit":%.4f,"events_per_commit":%.1f})"
        "\n",
        options.group, events, groups.payload_bytes(), groups.line_bytes(), groups.squeezed_bytes(),
        run.file_bytes / events, run.chunk_bytes / events, (run.bytes - run.zeros) / events,
        run.zeros / events, run.flushes / run.commits, events / run.commits);
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("The committer alone.");
    app.require_subcommand(1);
    for (const char* name : {"ratio", "held"}) {
        CLI::App* command = app.add_subcommand(name);
        command->add_option("--folder", options.folder, "made, emptied and left to the caller")->required();
        command->add_option("--group", options.group, "events a group")->check(CLI::PositiveNumber);
        command->add_option("--groups", options.groups)->check(CLI::PositiveNumber);
        command->add_option("--flush-us", options.flush_us, "a flush takes so long more");
        command->add_option("--repeat", options.repeat);
    }
    CLI11_PARSE(app, argc, argv);
    log::set_level(log::Level::error);
    if (app.got_subcommand("ratio"))
        ratio(options);
    else
        held(options);
}
