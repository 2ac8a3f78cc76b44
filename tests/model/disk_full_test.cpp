// A file system that is really full: a tmpfs of a few megabytes (skipped aloud where it cannot be mounted).

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "tests/store/store_fixture.hpp"

namespace touchpoint::tests {
namespace {

constexpr std::size_t event_bytes = 30'000;

class DiskFull : public StoreFixture {
  protected:
    void SetUp() override {
        std::filesystem::create_directories(disk_);
        if (::mount("tmpfs", disk_.c_str(), "tmpfs", 0, "size=12m") != 0)
            GTEST_SKIP() << "cannot mount a small disk: " << std::strerror(errno);
        mounted_ = true;
        options_.folder = disk_ / "events";
        options_.consumers = {reads_all("platform")};
    }
    void TearDown() override {
        close();
        if (mounted_) {
            EXPECT_EQ(::umount(disk_.c_str()), 0) << std::strerror(errno);
        }
    }
    // Somebody else takes all of the disk but `left`, or gives it back.
    void take_all_but(std::uint64_t left) {
        const auto room = std::filesystem::space(disk_).available;
        std::ofstream other(disk_ / "other", std::ios::binary | std::ios::app);
        const std::string block(4096, 'x');
        for (std::uint64_t taken = 0; taken + left < room; taken += block.size()) other << block;
    }
    void give_back() { std::filesystem::remove(disk_ / "other"); }

    // Until intake is closed, at most `count`.
    void fill(Stream stream, int count) {
        for (int i = 0; i < count && !store_->disk_full(); ++i) {
            store::Submission one;
            one.events.push_back(
                anonymous("e" + std::to_string(++count_[stream]), stream, noise(event_bytes)));
            ASSERT_TRUE(store_->submit(std::move(one)));
            ASSERT_TRUE(durable());
            ASSERT_EQ(failure_, std::nullopt) << failure_->context;
        }
    }
    void settle() {
        ASSERT_TRUE(wait_for([&] { return !store_->stats().shedding; }));
        ASSERT_TRUE(durable());
    }
    // Contiguous, and what is missing is one gap.
    void expect_explained(Stream stream) {
        const Sequence had = store_->acknowledged("platform", stream);
        const std::vector<std::string> all = seen(stream, had, "platform");
        const std::uint64_t gone = store_->stats().shed[stream];
        ASSERT_EQ(all.size(), store_->horizon(stream) - had - gone + (gone > 0 ? 1 : 0)) << name(stream);
        if (gone > 0) {
            EXPECT_EQ(all.front(), "shed 1-" + std::to_string(gone));
        }
    }
    bool everything_durable() {
        for (const Stream stream : all_streams)
            if (store_->horizon(stream) != count_[stream]) return false;
        return true;
    }

    const std::filesystem::path disk_ = folder_.path() / "disk";
    bool mounted_ = false;
    PerStream<std::uint64_t> count_;
};

TEST_F(DiskFull, LowStreamsAreShedAndIntakeGoesOn) {
    open();
    fill(Stream::telemetry, 900);
    settle();
    const store::StoreStats stats = store_->stats();
    EXPECT_TRUE(stats.disk_full);
    EXPECT_FALSE(stats.full);
    EXPECT_EQ(count_[Stream::telemetry], 900U);
    EXPECT_TRUE(everything_durable());
    EXPECT_GT(stats.shed[Stream::telemetry], 300U);
    EXPECT_GT(stats.events[Stream::telemetry], 150U);
    expect_explained(Stream::telemetry);
    restart();
    expect_explained(Stream::telemetry);
    fill(Stream::sales, 20);
    EXPECT_TRUE(wait_for([&] { return everything_durable(); }));
    EXPECT_EQ(store_->stats().events[Stream::sales], 20U);
    EXPECT_EQ(failure_, std::nullopt);
}

TEST_F(DiskFull, HighStreamsCloseIntakeAndAcknowledgementsOpenItAgain) {
    open();
    for (int round = 0; round < 2; ++round) {
        fill(Stream::sales, 900);
        ASSERT_TRUE(store_->disk_full()) << "round " << round;
        EXPECT_TRUE(wait_for([&] { return store_->stats().disk_full; }));
        EXPECT_EQ(store_->stats().shed, PerStream<std::uint64_t>{});
        expect_explained(Stream::sales);
        if (round == 1) {
            restart();
            count_[Stream::sales] = store_->horizon(Stream::sales);  // the journal would bring what waited
        }
        ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, store_->horizon(Stream::sales)));
        ASSERT_TRUE(durable());
        ASSERT_TRUE(wait_for([&] { return !store_->disk_full() && everything_durable(); }))
            << "round " << round;
        ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, store_->horizon(Stream::sales)));
        EXPECT_TRUE(wait_for([&] { return store_->stats().events[Stream::sales] == 0; }));
    }
    EXPECT_EQ(failure_, std::nullopt);
}

// The store is small when somebody else fills the disk: what is free inside its file is enough to go on.
TEST_F(DiskFull, ADiskThatOthersFillLeavesTheRoomInsideTheFile) {
    open();
    fill(Stream::sales, 30);
    take_all_but(0);
    fill(Stream::telemetry, 400);
    settle();
    EXPECT_TRUE(wait_for([&] { return store_->stats().disk_full; }));
    EXPECT_FALSE(store_->stats().full);
    EXPECT_TRUE(everything_durable());
    EXPECT_EQ(store_->stats().events[Stream::sales], 30U);
    expect_explained(Stream::telemetry);
    fill(Stream::customer, 900);
    EXPECT_TRUE(store_->disk_full());
    give_back();
    EXPECT_TRUE(wait_for([&] { return !store_->disk_full() && everything_durable(); }));
    EXPECT_TRUE(wait_for([&] { return !store_->stats().disk_full; }));
    expect_explained(Stream::customer);
    EXPECT_EQ(store_->stats().shed[Stream::sales] + store_->stats().shed[Stream::customer], 0U);
    EXPECT_EQ(failure_, std::nullopt);
}

}  // namespace
}  // namespace touchpoint::tests
