// kill -9 at any instruction: what the journal took is in the store, once. A child process appends as the
// link's thread does and copies into the store as intake does; the parent kills it again and again.
//
// This says nothing about power: the page cache survives. For that: power_cut_test.cpp.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <iostream>
#include <map>
#include <random>
#include <thread>

#include "gateway/core/log.hpp"
#include "store/event_reader.hpp"
#include "store/event_store.hpp"
#include "store/journal.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"

namespace touchpoint::tests {
namespace {

constexpr int rounds = 30;

std::filesystem::path memory() {
    return std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : std::filesystem::temp_directory_path();
}

class Gateway {
  public:
    Gateway(const std::filesystem::path& folder, int report) : report_(report) {
        cache_ = std::move(*store::Cache::open({.folder = folder / "cache", .bytes_max = 16u << 20}));
        store::EventStore::Options options;
        options.folder = folder / "events";
        options.bytes_max = 256u << 20;
        options.commit_interval = std::chrono::milliseconds(2);
        options.boot_id = "boot";
        auto opened = store::EventStore::open(std::move(options), *cache_, clock_);
        if (!opened) fail_with(opened.error());
        store_ = std::move(*opened);
        auto journal = store::Journal::open({.folder = folder / "run", .boot_id = "boot"},
                                            store_->journal_position(), std::random_device{}());
        if (!journal) fail_with(journal.error());
        journal_ = std::move(*journal);
        store_->start(
            journal_->position(0),
            [this](const store::HorizonNote& note) { journal_->cut(note.journal_end); },
            [this](const Error& error) { fail_with(error); });
    }

    // The link: a message is acknowledged (here: its number goes to the parent) after append() returned.
    void take(std::uint64_t round) {
        for (std::uint64_t n = 0;; ++n) {
            while (journal_->above_soft_bound()) std::this_thread::yield();
            store::Incoming message;
            const std::uint64_t number = round * 1'000'000 + n;
            message.topic = "touchpoint/v1/pos/t1/event/sale";
            message.payload = std::to_string(number) + std::string(number % 700, 'x');
            if (const auto appended = journal_->append(message); !appended) fail_with(appended.error());
            journal_->reserve();
            if (::write(report_, &number, sizeof number) != sizeof number) ::_exit(1);
            if (n % 64 == 0) std::this_thread::sleep_for(std::chrono::microseconds(300));
        }
    }

    // Intake, until the journal is read to its end and `drain_only`, else for ever.
    void copy(bool drain_only) {
        for (;;) {
            auto frames = journal_->read(64u << 10);
            if (!frames) fail_with(frames.error());
            if (frames->empty()) {
                if (drain_only) return;
                std::this_thread::yield();
                continue;
            }
            store::Submission submission;
            for (const store::Journal::Frame& frame : *frames) {
                journal_->decoding(frame);
                submission.events.push_back(admit(frame.message));
                journal_->decoded();
            }
            submission.journal_end = frames->back().end;
            while (!store_->has_room(submission.events.size())) std::this_thread::yield();
            if (const auto submitted = store_->submit(std::move(submission)); !submitted)
                fail_with(submitted.error());
        }
    }

    void stop() { store_->stop(); }

    std::map<std::uint64_t, int> everything() const {
        std::map<std::uint64_t, int> found;
        const auto reader = store_->make_reader();
        for (Sequence after = 0;;) {
            const auto slice = reader->read(Stream::sales, after, "", {});
            if (!slice || slice->events.empty()) return found;
            for (const store::StoredEvent& one : slice->events) {
                EXPECT_EQ(one.sequence, after + 1);
                EXPECT_LT(one.gap, 0);
                constexpr std::size_t front = 6;  // "id":"
                ++found[std::stoull(std::string(one.members.substr(front)))];
                after = one.sequence;
            }
        }
    }

  private:
    static Event admit(const store::Incoming& message) {
        Event event;
        event.stream = Stream::sales;
        event.id = std::to_string(std::stoull(message.payload));
        event.source = "/stores/s1/pos/t1";
        event.device_gave_id = std::stoull(event.id) % 2 == 0;
        event.content_hash = 1;
        event.members = "\"id\":\"" + event.id + "\",\"data\":\"" + message.payload + "\"";
        return event;
    }

    [[noreturn]] void fail_with(const Error& error) {
        log::error("test", error.context);
        ::_exit(1);
    }

    int report_;
    ManualClock clock_;
    std::unique_ptr<store::Cache> cache_;
    std::unique_ptr<store::Journal> journal_;
    std::unique_ptr<store::EventStore> store_;
};

// What the child said it had taken, until it was killed.
std::vector<std::uint64_t> run_and_kill(const std::filesystem::path& folder, std::uint64_t round,
                                        std::chrono::microseconds life) {
    int pipe[2];
    EXPECT_EQ(::pipe(pipe), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        ::close(pipe[0]);
        Gateway gateway(folder, pipe[1]);
        std::thread link([&] { gateway.take(round); });
        gateway.copy(false);
        ::_exit(1);
    }
    ::close(pipe[1]);
    std::vector<std::uint64_t> taken;
    std::atomic<bool> running{false};
    std::thread listener([&] {
        std::uint64_t number = 0;
        while (::read(pipe[0], &number, sizeof number) == sizeof number)
            taken.push_back(number), running = true;
    });
    wait_for([&] { return running.load(); });
    std::this_thread::sleep_for(life);  // the random moment
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    listener.join();
    ::close(pipe[0]);
    EXPECT_TRUE(WIFSIGNALED(status)) << "the gateway ended by itself, status " << status;
    return taken;
}

TEST(Kill, LosesNothingThatWasAcknowledgedAndDoublesNothing) {
    log::set_level(log::Level::error);
    const TempFolder folder(memory());
    std::mt19937_64 random(1);
    std::vector<std::uint64_t> taken;
    for (int round = 0; round < rounds && !HasFailure(); ++round) {
        const auto life = std::chrono::microseconds(random() % 60'000);
        for (const std::uint64_t number :
             run_and_kill(folder.path(), static_cast<std::uint64_t>(round), life))
            taken.push_back(number);
    }
    ASSERT_GT(taken.size(), 1'000U);

    Gateway gateway(folder.path(), -1);
    gateway.copy(true);
    gateway.stop();
    const std::map<std::uint64_t, int> found = gateway.everything();
    for (const std::uint64_t number : taken) {
        const auto it = found.find(number);
        ASSERT_NE(it, found.end()) << "lost: " << number;
    }
    // The journal's position is in the transaction of its events: not even those without an id come twice.
    for (const auto& [number, times] : found) EXPECT_EQ(times, 1) << number;
    std::cout << "rounds=" << rounds << " acknowledged=" << taken.size() << " stored=" << found.size()
              << "\n";
}

}  // namespace
}  // namespace touchpoint::tests
