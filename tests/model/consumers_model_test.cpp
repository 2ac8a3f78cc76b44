// Random days of a small store at its bound: events come, consumers are made, read, acknowledge, seek, stay
// away and are erased, the store is opened again. Whatever happens:
//   each consumer is given numbers without a hole, and each number as the event it is or inside a gap;
//   a gap tells the truth: what was shed is never an event again, for nobody;
//   customer and sales are never shed, and a push destination is given all of both;
//   `missing` is said only where a consumer was sent back to what all had.
// TOUCHPOINT_SEED=n repeats one run.

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <set>

#include "gateway/core/log.hpp"
#include "tests/store/store_fixture.hpp"

namespace touchpoint::tests {
namespace {

constexpr int steps = 1'200;
constexpr std::size_t pull_max = 5;

class ConsumersModel : public StoreFixture {
  protected:
    struct Reader {
        PerStream<bool> streams;
        PerStream<Sequence> most;  // the furthest position it ever had
        bool push = false;
    };

    void configure() {
        options_.bytes_max = 1500u << 10;
        options_.journal_bytes = 1u << 20;
        options_.reserve_bytes = 4u << 20;
        options_.consumer_age_max = std::chrono::hours(24 * 30);
        options_.consumer_bytes_max = 400'000;
        options_.consumers = {reads_all("platform"), reads_all("stock")};
        for (store::ConsumerSpec& spec : options_.consumers) {
            spec.streams[Stream::quarantine] = false;
            readers_[spec.name] = {spec.streams, {}, true};
        }
    }
    std::uint64_t roll(std::uint64_t sides) { return random_() % sides; }

    void step() {
        switch (roll(20)) {
            case 0:
                return make_or_change();
            case 1:
                return erase();
            case 2:
            case 3:
                return seek();
            case 4:
                clock_.advance(std::chrono::hours(24 * roll(15)));
                return;
            case 5:
                return again();
            default:
                // Slower than events come: the bound is met.
                if (roll(6) != 0)
                    submit();
                else
                    read();
        }
    }

    void submit() {
        if (!store_->has_room(1) || store_->disk_full()) return;
        store::Submission submission;
        for (std::uint64_t n = 1 + roll(3); n > 0; --n) {
            // The high streams are acknowledged away; what fills the store is low.
            const Stream stream = all_streams[std::min<std::uint64_t>(roll(8), 4)];
            std::string text =
                "\"data\":\"" + noise(1 + roll(stream < Stream::interactions ? 500 : 40'000)) + '"';
            Event event;
            event.stream = stream;
            event.members = text;
            events_[stream].push_back(std::move(text));
            submission.events.push_back(std::move(event));
        }
        ASSERT_TRUE(store_->submit(std::move(submission)));
        ASSERT_TRUE(durable());
    }

    std::map<std::string, Reader>::iterator any_reader() {
        return std::next(readers_.begin(), static_cast<std::ptrdiff_t>(roll(readers_.size())));
    }

    void make_or_change() {
        const std::string name = "pull-" + std::to_string(roll(pull_max));
        store::ConsumerSpec spec;
        spec.name = name;
        for (const Stream stream : all_streams) spec.streams[stream] = roll(3) != 0;
        spec.streams[all_streams[roll(stream_count)]] = true;
        ASSERT_TRUE(store_->put_consumer(spec, roll(2) == 0 ? store::From::oldest : store::From::latest));
        Reader& reader = readers_[name];
        for (const Stream stream : all_streams)
            reader.most[stream] = std::max(reader.most[stream], store_->acknowledged(name, stream));
        reader.streams = spec.streams;
    }

    void erase() {
        const auto one = any_reader();
        if (one->second.push) {
            EXPECT_EQ(store_->erase_consumer(one->first).error().code, Errc::refused);
            return;
        }
        ASSERT_TRUE(store_->erase_consumer(one->first));
        readers_.erase(one);
    }

    void seek() {
        const auto one = any_reader();
        const Stream stream = all_streams[roll(stream_count)];
        if (one->second.push || !one->second.streams[stream]) return;
        PerStream<std::optional<Sequence>> places;
        places[stream] = roll(store_->horizon(stream) + 1);
        ASSERT_TRUE(store_->seek(one->first, places));
        one->second.most[stream] = std::max(one->second.most[stream], *places[stream]);
    }

    void again() {
        ASSERT_TRUE(durable());
        restart();
    }

    void read() {
        const auto one = any_reader();
        for (const Stream stream : all_streams)
            if (one->second.streams[stream]) read(one->first, one->second, stream, 1 + roll(8));
        if (!one->second.push) store_->touch(one->first);
    }

    // Reads at most so many, looks at them, and acknowledges some or all.
    bool read(const std::string& name, Reader& reader, Stream stream, std::uint64_t max) {
        const Sequence after = store_->acknowledged(name, stream);
        store::EventReader::Limits limits;
        limits.events_max = static_cast<std::uint32_t>(max);
        const auto slice = store_->make_reader()->read(stream, after, name, limits);
        EXPECT_TRUE(slice);
        if (!slice || slice->events.empty()) return false;
        Sequence expected = after;
        for (const store::StoredEvent& one : slice->events) {
            if (one.gap < 0) {
                event(name, reader, stream, ++expected, one);
            } else {
                gap(name, reader, slice->gaps[static_cast<std::size_t>(one.gap)], expected + 1);
                expected = one.sequence;
            }
            if (HasFailure()) return false;
        }
        const Sequence upto =
            slice->events[roll(3) == 0 ? roll(slice->events.size()) : slice->events.size() - 1].sequence;
        EXPECT_TRUE(store_->acknowledge(name, stream, upto));
        reader.most[stream] = std::max(reader.most[stream], upto);
        return true;
    }

    void event(const std::string& name, const Reader& reader, Stream stream, Sequence number,
               const store::StoredEvent& one) {
        ASSERT_EQ(one.sequence, number) << name;
        ASSERT_EQ(one.members, events_[stream][number - 1]) << name;
        ASSERT_GT(number, shed_[stream]) << name << " is given an event that was shed";
        if (reader.push) given_[name][stream].insert(number);
    }

    void gap(const std::string& name, const Reader& reader, const store::Gap& row, Sequence first) {
        SCOPED_TRACE(name + " " + std::string(touchpoint::name(row.stream)) + " " + row.reason + " " +
                     std::to_string(row.first) + "-" + std::to_string(row.last));
        ++gaps_[row.reason];
        ASSERT_EQ(row.first, first);
        ASSERT_LE(row.last, store_->horizon(row.stream));
        if (row.reason == "shed") {
            ASSERT_GE(row.stream, Stream::interactions);
            shed_[row.stream] = std::max(shed_[row.stream], row.last);
        } else if (row.reason == "expired") {
            ASSERT_FALSE(reader.push) << "only those that may be released";
            ASSERT_EQ(row.consumer, name);
        } else {
            ASSERT_EQ(row.reason, "missing");
            ASSERT_LE(row.last, reader.most[row.stream]) << "it was never there before";
        }
    }

    void finish() {
        for (auto& [name, reader] : readers_)
            for (const Stream stream : all_streams)
                while (!HasFailure() && reader.streams[stream] && read(name, reader, stream, 1'000)) {
                }
        for (const Stream stream : all_streams) {
            ASSERT_EQ(store_->horizon(stream), events_[stream].size());
            for (const auto& [name, reader] : readers_)
                if (reader.streams[stream]) {
                    ASSERT_EQ(store_->acknowledged(name, stream), events_[stream].size()) << name;
                }
        }
        for (const char* name : {"platform", "stock"})
            for (const Stream stream : {Stream::customer, Stream::sales})
                ASSERT_EQ(given_[name][stream].size(), events_[stream].size()) << name;
        ASSERT_TRUE(durable());
        const store::StoreStats stats = store_->stats();
        ASSERT_EQ(stats.shed[Stream::customer] + stats.shed[Stream::sales], 0U);
        for (const Stream stream : all_streams)
            ASSERT_LE(stats.shed[stream] + stats.events[stream], events_[stream].size());
    }

    PerStream<std::vector<std::string>> events_;
    PerStream<Sequence> shed_;  // somebody was told so, up to here
    std::map<std::string, Reader> readers_;
    std::map<std::string, PerStream<std::set<Sequence>>> given_;
    std::map<std::string, int> gaps_;
};

class ConsumersModelSeeds : public ConsumersModel, public testing::WithParamInterface<int> {};

TEST_P(ConsumersModelSeeds, EveryNumberIsAnEventOrAGapForEachConsumer) {
    log::set_level(static_cast<log::Level>(2));  // less than an error: the bound is met on purpose
    const char* given = std::getenv("TOUCHPOINT_SEED");
    const std::uint64_t seed = given != nullptr  ? std::strtoull(given, nullptr, 10)
                               : GetParam() == 0 ? std::random_device{}()
                                                 : static_cast<std::uint64_t>(GetParam());
    SCOPED_TRACE("TOUCHPOINT_SEED=" + std::to_string(seed));
    random_.seed(seed);
    configure();
    open();
    for (int i = 0; i < steps && !HasFailure(); ++i) {
        SCOPED_TRACE("step " + std::to_string(i));
        step();
    }
    if (HasFailure()) return;
    finish();
    std::cout << "seed=" << seed;
    for (const auto& [reason, count] : gaps_) std::cout << " " << reason << "=" << count;
    std::cout << "\n";
    EXPECT_EQ(failure_, std::nullopt);
    EXPECT_GT(gaps_["shed"], 5) << "else this run shows nothing";
    EXPECT_GT(gaps_["expired"] + gaps_["missing"], 5) << "else this run shows nothing";
}
INSTANTIATE_TEST_SUITE_P(Runs, ConsumersModelSeeds, testing::Values(1, 2, 3, 0));

}  // namespace
}  // namespace touchpoint::tests
