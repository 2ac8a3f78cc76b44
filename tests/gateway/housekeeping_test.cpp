// What the gateway says about itself, with a store that has no room for it.
#include "gateway/housekeeping.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <optional>
#include <string>
#include <vector>

#include "store/event_reader.hpp"
#include "tests/support/broken_file.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"

namespace touchpoint::tests {
namespace {

using gateway::Housekeeping;
using testing::Each;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

class HousekeepingTest : public testing::Test {
  protected:
    void SetUp() override {
        cache_ = std::move(*store::Cache::open({.folder = folder_.path() / "cache", .bytes_max = 16u << 20}));
        store::EventStore::Options options;
        options.folder = folder_.path() / "events";
        options.bytes_max = 64u << 20;
        options.boot_id = "boot-1";
        options.waiting_events_max = 1;
        auto opened = store::EventStore::open(options, *cache_, clock_);
        ASSERT_TRUE(opened) << opened.error().context;
        store_ = std::move(*opened);
        store::Journal::Options journal;
        journal.folder = folder_.path() / "journal";
        journal.boot_id = "boot-1";
        auto in = store::Journal::open(journal, std::nullopt, 7);
        ASSERT_TRUE(in) << in.error().context;
        journal_ = std::move(*in);
        housekeeping_.emplace(
            Housekeeping::Parts{loop_, clock_, *store_, *journal_, *cache_, reader_, registry_, events_,
                                [](std::string_view) { return std::string("\"state\":\"online\""); },
                                [](const std::string&) { return true; }, [] { return std::string("fine"); },
                                [this] { ++restarts_; }},
            std::chrono::seconds(300));
        // No committer runs yet: this one fills the store.
        housekeeping_->submit(events_.stopping(clock_.utc(), std::chrono::seconds(1)));
    }
    void TearDown() override { store_->stop(); }

    void join(int n) {
        housekeeping_->submit_once_there_is_room(
            events_.joined(clock_.utc(), "e1", {"p1_a" + std::to_string(n), "p1_b" + std::to_string(n)},
                           Stream::sales, static_cast<Sequence>(n)));
    }
    void there_is_room() {
        store_->start(
            {"journal-1", "boot-1", 0}, [](store::HorizonNote) {}, [](const Error&) {});
        ASSERT_TRUE(wait_for([&] {
            housekeeping_->tick(clock_.steady());
            return housekeeping_->untaken() == 0;
        }));
    }
    std::vector<std::string> told(std::size_t count) {
        EXPECT_TRUE(wait_for([&] { return store_->stats().horizon[Stream::customer] >= count; }));
        std::vector<std::string> out;
        const auto slice = store_->make_reader()->read(Stream::customer, 0, "", {});
        EXPECT_TRUE(slice);
        for (const auto& event : slice->events) out.emplace_back(event.members);
        return out;
    }

    const TempFolder folder_{std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : "/tmp"};
    ManualClock clock_;
    boost::asio::io_context loop_;
    std::unique_ptr<store::Cache> cache_;
    std::unique_ptr<store::EventStore> store_;
    std::unique_ptr<store::Journal> journal_;
    std::optional<Housekeeping> housekeeping_;
    int restarts_ = 0;
    store::Worker reader_{"reader"};  // its jobs speak to it
    devices::Registry registry_;
    gateway::GatewayEvents events_{"gw-1", "s1", UlidMaker([] { return std::uint64_t{5}; })};
};

// Nobody says it again: the platform would take two names for two persons for ever.
TEST_F(HousekeepingTest, AMergeThatAFullStoreDidNotTakeIsToldWhenThereIsRoom) {
    for (int n = 1; n <= 3; ++n) join(n);
    EXPECT_EQ(housekeeping_->untaken(), 3u);
    housekeeping_->tick(clock_.steady());
    EXPECT_EQ(housekeeping_->untaken(), 3u);
    there_is_room();
    const auto events = told(3);
    ASSERT_THAT(events, SizeIs(3));
    for (std::size_t i = 0; i < 3; ++i)  // in order
        EXPECT_THAT(events[i], HasSubstr("merge-e1-sales-" + std::to_string(i + 1)));
    EXPECT_EQ(housekeeping_->given_up(), 0u);
}

TEST_F(HousekeepingTest, SoManyMergesWaitAndWhatIsGivenUpIsCounted) {
    for (int n = 1; n <= static_cast<int>(Housekeeping::untaken_max) + 2; ++n) join(n);
    EXPECT_EQ(housekeeping_->untaken(), Housekeeping::untaken_max);
    EXPECT_EQ(housekeeping_->given_up(), 2u);
    housekeeping_->submit(events_.stopping(clock_.utc(), std::chrono::seconds(1)));  // does not wait
    EXPECT_EQ(housekeeping_->untaken(), Housekeeping::untaken_max);
}

TEST_F(HousekeepingTest, ACacheWhoseFlushFailedIsOpenedByANewStartButNotByOneAfterTheOther) {
    break_file(folder_.path() / "cache" / "data.mdb", Descriptors::through);  // a meta page
    EXPECT_FALSE(cache_->put_devices(std::vector<std::pair<std::string, std::string>>{{"till/t1", "{}"}}));
    EXPECT_FALSE(cache_->devices());
    EXPECT_TRUE(cache_->failed());
    housekeeping_->tick(clock_.steady());
    EXPECT_EQ(restarts_, 0);
    clock_.advance(Housekeeping::cache_restart_after);
    housekeeping_->tick(clock_.steady());
    housekeeping_->tick(clock_.steady());
    EXPECT_EQ(restarts_, 1);
}

TEST_F(HousekeepingTest, OfAnErasedPersonNoMergeIsToldAfterwards) {
    join(1);
    join(2);
    housekeeping_->forget("p1_b1");
    EXPECT_EQ(housekeeping_->untaken(), 1u);
    there_is_room();
    const auto events = told(1);
    ASSERT_THAT(events, SizeIs(1));
    EXPECT_THAT(events, Each(Not(HasSubstr("p1_b1"))));
}

}  // namespace
}  // namespace touchpoint::tests
