// The event store on a real LMDB file in a folder of its own, with what it said noted.
#pragma once

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "store/event_reader.hpp"
#include "store/event_store.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"

namespace touchpoint::tests {

// In memory: these tests are about what is in the file, not about the disk.
inline std::filesystem::path memory_folder() {
    return std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : std::filesystem::temp_directory_path();
}

class StoreFixture : public testing::Test {
  protected:
    StoreFixture() {
        cache_ = std::move(*store::Cache::open({.folder = folder_.path() / "cache", .bytes_max = 16u << 20}));
        options_.folder = folder_.path() / "events";
        options_.bytes_max = 64u << 20;
        options_.reserve_bytes = 16u << 20;
        options_.commit_interval = std::chrono::milliseconds(1);
        options_.dedup_ids = 1'000;
        options_.boot_id = "boot-1";
    }

    static store::ConsumerSpec reads_all(std::string name) {
        store::ConsumerSpec spec;
        spec.name = std::move(name);
        spec.streams.values.fill(true);
        return spec;
    }

    Result<void> try_open() {
        auto opened = store::EventStore::open(options_, *cache_, clock_);
        if (!opened) return opened.error();
        store_ = std::move(*opened);
        return {};
    }
    void start(store::JournalPosition journal = {"journal-1", "boot-1", 0}) {
        store_->start(
            std::move(journal),
            [this](store::HorizonNote note) {
                const std::lock_guard lock(mutex_);
                for (const Settled& one : note.settled) {
                    // The promise itself: never told before the horizon has passed it.
                    settled_.push_back(one);
                    horizon_when_settled_.push_back(note.horizon);
                }
                journal_end_ = std::max(journal_end_, note.journal_end);
            },
            [this](const Error& error) {
                const std::lock_guard lock(mutex_);
                failure_ = error;
            });
    }
    void open() {
        const auto opened = try_open();
        ASSERT_TRUE(opened) << opened.error().context;
        start();
    }
    void close() { store_.reset(); }
    void restart() {
        close();
        open();
    }

    static Event event(const std::string& id, Stream stream = Stream::sales,
                       const std::string& content = "1") {
        Event made;
        made.stream = stream;
        made.id = id;
        made.source = "/stores/s1/pos/t1";
        made.device_gave_id = true;
        made.content_hash = std::hash<std::string>{}(content);
        made.members = "\"id\":\"" + id + "\",\"data\":\"" + content + "\"";
        return made;
    }
    static Event anonymous(const std::string& id, Stream stream = Stream::sales,
                           const std::string& content = "1") {
        Event made = event(id, stream, content);
        made.device_gave_id = false;
        return made;
    }

    // Submits and waits until it is durable. Tickets below 1,000,000 are the test's own.
    void put(std::vector<Event> some, std::uint64_t journal_end = 0) {
        ASSERT_FALSE(some.empty());
        some.back().urgent = true;
        const Ticket ticket = some.back().ticket != 0 ? some.back().ticket : ++last_ticket_;
        some.back().ticket = ticket;
        store::Submission submission;
        submission.events = std::move(some);
        submission.journal_end = journal_end;
        ASSERT_TRUE(store_->submit(std::move(submission)));
        ASSERT_TRUE(wait_for([&] { return verdict(ticket).has_value(); }));
    }
    // Waits until a flush covers what was said before.
    Result<void> durable() {
        const auto told = std::make_shared<std::promise<Result<void>>>();
        store_->when_durable([told](const Result<void>& result) { told->set_value(result); });
        auto answer = told->get_future();
        if (answer.wait_for(std::chrono::seconds(20)) != std::future_status::ready)
            return fail(Errc::timed_out, "no answer");
        return answer.get();
    }
    // Text that zstd makes little smaller.
    std::string noise(std::size_t bytes) {
        static constexpr char digits[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
        std::string text(bytes, ' ');
        std::uint64_t bits = 0;
        for (std::size_t i = 0; i < bytes; ++i, bits >>= 6) {
            if (i % 10 == 0) bits = random_();
            text[i] = digits[bits & 63];
        }
        return text;
    }
    std::optional<Verdict> verdict(Ticket ticket) const {
        const std::lock_guard lock(mutex_);
        for (const Settled& one : settled_)
            if (one.ticket == ticket) return one.verdict;
        return std::nullopt;
    }

    // What a consumer is shown after `after`: ids, and gaps as "reason first-last".
    std::vector<std::string> seen(Stream stream, Sequence after = 0, const std::string& consumer = "",
                                  store::EventReader::Limits limits = {}) const {
        std::vector<std::string> found;
        const auto reader = store_->make_reader();
        for (;;) {
            const auto slice = reader->read(stream, after, consumer, limits);
            EXPECT_TRUE(slice);
            if (!slice || slice->events.empty()) return found;
            for (const store::StoredEvent& one : slice->events) {
                if (one.gap < 0) {
                    EXPECT_EQ(one.sequence, after + 1);
                    const std::size_t at = one.members.find("\"id\":\"") + 6;
                    found.emplace_back(one.members.substr(at, one.members.find('"', at) - at));
                } else {
                    const store::Gap& gap = slice->gaps[static_cast<std::size_t>(one.gap)];
                    EXPECT_EQ(gap.first, after + 1);
                    EXPECT_EQ(gap.last, one.sequence);
                    found.push_back(gap.reason + " " + std::to_string(gap.first) + "-" +
                                    std::to_string(gap.last));
                }
                after = one.sequence;
            }
        }
    }

    std::vector<Settled> settled() const {
        const std::lock_guard lock(mutex_);
        return settled_;
    }

    const TempFolder folder_{memory_folder()};
    ManualClock clock_;
    std::mt19937_64 random_{1};
    std::unique_ptr<store::Cache> cache_;
    store::EventStore::Options options_;
    mutable std::mutex mutex_;
    std::vector<Settled> settled_;
    std::vector<PerStream<Sequence>> horizon_when_settled_;
    std::uint64_t journal_end_ = 0;
    std::optional<Error> failure_;
    Ticket last_ticket_ = 1'000'000;
    std::unique_ptr<store::EventStore> store_;  // last: its callbacks use what stands above
};

}  // namespace touchpoint::tests
