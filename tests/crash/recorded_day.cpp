#include "tests/crash/recorded_day.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <random>
#include <thread>

#include "store/event_reader.hpp"
#include "tests/support/wait.hpp"

namespace touchpoint::tests {
namespace {

constexpr int senders = 3;
constexpr int submissions_of_each = 120;
constexpr std::chrono::microseconds flush_cost{700};
const std::string readers_name_of_nobody = "auditor";

class Day {
  public:
    Day(const std::filesystem::path& folder, std::uint64_t seed) : seed_(seed) {
        cache_ = std::move(*store::Cache::open({.folder = folder / "cache"}));
        Recorder::watch(folder / "events" / "data.mdb", flush_cost);
        auto opened = store::EventStore::open(day_options(folder / "events", "boot-1"), *cache_, clock_);
        EXPECT_TRUE(opened) << opened.error().context;
        store_ = std::move(*opened);
        day_.opened_at = Recorder::position();
        day_.epoch = store_->epoch();
    }

    RecordedDay run() {
        store_->start(
            {"journal", "boot-1", 0}, [this](store::HorizonNote note) { hear(note); },
            [](const Error& error) { ADD_FAILURE() << error.context; });
        std::vector<std::thread> threads;
        for (int i = 0; i < senders; ++i) threads.emplace_back([this, i] { send(i); });
        std::vector<std::thread> readers;
        for (const std::string& name : day_consumers) readers.emplace_back([this, name] { read(name); });
        for (std::thread& thread : threads) thread.join();
        closing_ = true;
        for (std::thread& thread : readers) thread.join();
        store_->stop();
        day_.ops = Recorder::stop();
        // What nobody has read yet.
        const auto reader = store_->make_reader();
        for (const Stream stream : all_streams) {
            for (Sequence after = store_->stats().first[stream] - 1;;) {
                const auto slice = reader->read(stream, after, readers_name_of_nobody, {});
                if (slice->events.empty()) break;
                note_content(*slice);
                after = slice->events.back().sequence;
            }
            day_.pruned += store_->stats().first[stream] - 1;
        }
        day_.duplicates = store_->stats().duplicates;
        return std::move(day_);
    }

  private:
    void hear(const store::HorizonNote& note) {
        const std::lock_guard lock(mutex_);
        const std::size_t at = Recorder::position();
        day_.horizons.push_back({at, note.horizon, note.journal_end});
        for (const Settled& one : note.settled) day_.settled.push_back({at, one.ticket - 1, one.verdict});
    }

    // Fresh, or (for a third of those with an id) one that was sent before, or its id with other content.
    Event make(int sender, std::mt19937_64& random) {  // REQUIRES: intake_ held
        if (!with_id_.empty() && random() % 10 < 3) {
            // Mostly a very young one: its first copy is not durable yet.
            const std::size_t back = random() % 3 != 0 ? random() % std::min<std::size_t>(with_id_.size(), 4)
                                                       : random() % with_id_.size();
            Event again = day_.sent[with_id_[with_id_.size() - 1 - back]].event;
            if (random() % 8 == 0) {
                again.content_hash = random();
                again.members = members(again.id, again.content_hash, random);
            }
            return again;
        }
        Event event;
        constexpr std::array<std::array<Stream, 2>, senders> streams = {
            {{Stream::sales, Stream::customer},
             {Stream::interactions, Stream::quarantine},
             {Stream::telemetry, Stream::telemetry}}};
        event.stream = streams[static_cast<std::size_t>(sender)][random() % 4 == 0 ? 1 : 0];
        event.id = "e" + std::to_string(day_.sent.size());
        event.source = "/stores/s1/kiosk/k" + std::to_string(sender);
        event.device_gave_id = random() % 3 != 0;
        event.content_hash = random();
        event.members = members(event.id, event.content_hash, random);
        event.urgent = event.stream == Stream::sales || event.stream == Stream::customer;
        return event;
    }

    // The last two members tell one event from every other.
    static std::string members(const std::string& id, std::uint64_t content, std::mt19937_64& random) {
        std::string noise;
        const std::size_t words = random() % 20 == 0 ? 40 + random() % 400 : random() % 12;
        for (std::size_t i = 0; i < words; ++i) noise += std::to_string(random());
        return "\"data\":\"" + noise + "\",\"id\":\"" + id + "\",\"content\":\"" + std::to_string(content) +
               "\"";
    }

    void send(int sender) {
        std::mt19937_64 random(seed_ * 31 + static_cast<std::uint64_t>(sender));
        for (int i = 0; i < submissions_of_each; ++i) {
            {
                const std::lock_guard order(intake_);  // the journal has one order
                const std::uint64_t end = journal_end_ += 1 + random() % 500;
                store::Submission submission;
                submission.journal_end = end;
                const std::size_t first = day_.sent.size();
                for (std::size_t n = 1 + random() % 4; n > 0; --n) {
                    Event event = make(sender, random);
                    event.ticket = day_.sent.size() + 1;
                    if (event.device_gave_id) with_id_.push_back(day_.sent.size());
                    const std::lock_guard lock(mutex_);  // readers look contents up
                    const auto content = static_cast<Content>(day_.contents.size() + 1);
                    const Content known = day_.contents.try_emplace(event.members, content).first->second;
                    day_.sent.push_back({event, end, known});
                }
                for (std::size_t at = first; at < day_.sent.size(); ++at)
                    submission.events.push_back(day_.sent[at].event);
                EXPECT_TRUE(store_->submit(std::move(submission)));
            }
            std::this_thread::sleep_for(std::chrono::microseconds(random() % 6000));
        }
    }

    void note_content(const store::Slice& slice) {
        const std::lock_guard lock(mutex_);
        for (const store::StoredEvent& event : slice.events) {
            if (event.gap >= 0) continue;
            const auto [it, fresh] =
                day_.content[slice.stream].try_emplace(event.sequence, day_.content_of(event.members));
            if (it->second == 0 || (!fresh && it->second != day_.content_of(event.members)))
                day_.changed = true;
        }
    }

    void read(const std::string& name) {
        std::mt19937_64 random(seed_ * 77 + name.size());
        const auto reader = store_->make_reader();
        PerStream<Sequence> seen;
        while (!closing_) {
            for (const Stream stream : all_streams) {
                const auto slice = reader->read(stream, seen[stream], name, {});
                EXPECT_TRUE(slice);
                if (!slice || slice->events.empty()) continue;
                const Sequence last = slice->events.back().sequence;
                {
                    const std::lock_guard lock(mutex_);
                    day_.shown.push_back({Recorder::position(), name, stream, last});
                }
                note_content(*slice);
                if (random() % 3 == 0) continue;  // read again later
                if (random() % 12 == 0) store_->record_gap({stream, name, last, last, "parked", "", {}});
                if (random() % 25 == 0 && name == day_consumers.front()) withdraw(stream, last);
                {
                    const std::lock_guard lock(mutex_);
                    day_.acknowledging.push_back({Recorder::position(), name, stream, last});
                }
                if (store_->acknowledge(name, stream, last)) seen[stream] = last;
            }
            std::this_thread::sleep_for(std::chrono::microseconds(random() % 1500));
        }
    }

    void withdraw(Stream stream, Sequence sequence) {
        {
            const std::lock_guard lock(mutex_);
            day_.withdrawn.insert({stream, sequence});
        }
        store_->record_gap({stream, "", sequence, sequence, "rejected", "", {}});
    }

    const std::uint64_t seed_;
    ManualClock clock_;
    std::unique_ptr<store::Cache> cache_;
    std::unique_ptr<store::EventStore> store_;
    std::mutex intake_;  // guards sent, with_id_, journal_end_
    std::vector<std::size_t> with_id_;
    std::uint64_t journal_end_ = 4096;
    std::mutex mutex_;  // guards what was observed
    RecordedDay day_;
    std::atomic<bool> closing_{false};
};

}  // namespace

store::EventStore::Options day_options(std::filesystem::path folder, std::string boot_id) {
    store::EventStore::Options options;
    options.folder = std::move(folder);
    options.bytes_max = 64u << 20;
    options.reserve_bytes = 16u << 20;
    options.commit_interval = std::chrono::milliseconds(4);
    options.dedup_ids = 10'000;
    options.boot_id = std::move(boot_id);
    for (const std::string& name : day_consumers) {
        store::ConsumerSpec spec;
        spec.name = name;
        spec.streams.values.fill(true);
        options.consumers.push_back(spec);
    }
    return options;
}

Content RecordedDay::content_of(std::string_view members) const {
    constexpr std::string_view mark = "\"idreused\":true,";  // the store's, in front
    if (members.starts_with(mark)) members.remove_prefix(mark.size());
    const auto found = contents.find(std::string(members));
    return found == contents.end() ? 0 : found->second;
}

RecordedDay record_day(const std::filesystem::path& folder, std::uint64_t seed) {
    return Day(folder, seed).run();
}

}  // namespace touchpoint::tests
