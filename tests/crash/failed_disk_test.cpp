// The disk refuses a write or a flush. What was told before stays true through a power cut, the store is not
// taken for damaged, and only a disk without room is waited for.

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <fstream>
#include <mutex>

#include "gateway/core/log.hpp"
#include "tests/crash/power_cut.hpp"
#include "tests/crash/recorder.hpp"
#include "tests/store/store_fixture.hpp"

namespace touchpoint::tests {
namespace {

constexpr std::uint64_t meta_pages_end = 2 * 4096;
constexpr std::chrono::microseconds flush_cost{700};

class FailedDisk : public StoreFixture {
  protected:
    struct Told {
        std::size_t at = 0;  // Recorder::position()
        Sequence sales = 0;
    };

    FailedDisk() {
        log::set_level(static_cast<log::Level>(2));  // less than an error: they are met on purpose
        options_.bytes_max = 64u << 20;
        Recorder::watch(data(), flush_cost);
    }
    ~FailedDisk() override {
        close();
        Recorder::stop();
    }
    std::filesystem::path data() const { return options_.folder / "data.mdb"; }

    void open_and_listen() {
        const auto opened = try_open();
        ASSERT_TRUE(opened) << opened.error().context;
        told_.push_back({Recorder::position(), store_->horizon(Stream::sales)});
        store_->start(
            {"journal-1", "boot-1", 0},
            [this](const store::HorizonNote& note) {
                const std::lock_guard lock(mutex_);
                told_.push_back({Recorder::position(), note.horizon[Stream::sales]});
            },
            [this](const Error& error) {
                const std::lock_guard lock(mutex_);
                failure_ = error;
            });
    }
    std::optional<Error> failure() const {
        const std::lock_guard lock(mutex_);
        return failure_;
    }
    // A little ahead of the disk, so that commits follow each other without a flush of their own.
    void submit(int count, std::size_t bytes) {
        for (int i = 0; i < count && !failure() && !store_->disk_full(); ++i) {
            store::Submission one;
            one.events.push_back(anonymous("e" + std::to_string(++sent_), Stream::sales, noise(bytes)));
            one.events.back().urgent = true;
            if (!store_->submit(std::move(one))) return;
            wait_for([&] {
                return failure() || store_->disk_full() || sent_ < store_->horizon(Stream::sales) + 4;
            });
        }
    }
    // The file does not grow beyond its first step, and is used nearly to its end.
    static constexpr std::size_t small_event = 2'000;
    void fill_the_disk() {
        Recorder::refuse([](const DiskOp& op) { return op.kind == DiskOp::Kind::zeros ? ENOSPC : 0; });
        for (int i = 0; i < 1'000 && !store_->stats().disk_full; ++i) submit(1, 50'000);
        ASSERT_TRUE(store_->stats().disk_full);
        // A smaller commit needs less ahead of it, and may find that in the file: until it does not, either.
        do {
            submit(1, small_event);
            ASSERT_TRUE(wait_for([&] { return store_->horizon(Stream::sales) == sent_; }));
        } while (!store_->stats().disk_full);
        ASSERT_FALSE(store_->disk_full()) << "there is room for some more in the file";
    }
    // At each telling the power is cut, and nothing has arrived that no flush had covered.
    void expect_nothing_told_is_lost() {
        close();
        CutPlan plan;
        plan.exhaustive_states = plan.random_states = 0;
        for (const Told& told : told_) plan.certain_only_at.push_back(told.at);
        options_.folder = folder_.path() / "replayed" / "events";
        std::filesystem::create_directories(options_.folder);
        int bad = 0;
        cut_power(Recorder::stop(), plan, [&](std::size_t cut, const FileState& file) {
            std::ofstream(data(), std::ios::binary) << file.bytes;
            std::filesystem::resize_file(data(), file.length);
            const auto opened = try_open();
            EXPECT_TRUE(opened) << opened.error().context;
            Sequence sales = 0;
            for (const Told& told : told_)
                if (told.at <= cut) sales = std::max(sales, told.sales);
            if (opened) {
                EXPECT_GE(store_->horizon(Stream::sales), sales) << "cut after operation " << cut;
                if (store_->horizon(Stream::sales) < sales) ++bad;
            }
            close();
            return bad < 3;
        });
    }

    std::vector<Told> told_;  // guarded by mutex_ while the store runs
    std::uint64_t sent_ = 0;
};

// The flush of one commit, with the meta page of the commit before among what it covers.
class FlushOfTwo {
  public:
    int operator()(const DiskOp& op) {
        if (op.kind == DiskOp::Kind::zeros) return growth_fails_ ? ENOSPC : 0;
        if (op.kind == DiskOp::Kind::write) (op.offset < meta_pages_end ? meta_ : page_) = true;
        if (op.kind != DiskOp::Kind::flush) return 0;
        const bool both = meta_ && page_;
        meta_ = page_ = false;
        if (!both || failed_->exchange(true)) return 0;
        return EIO;
    }
    FlushOfTwo(bool growth_fails, std::atomic<bool>& failed)
        : growth_fails_(growth_fails), failed_(&failed) {}

  private:
    bool growth_fails_;
    std::atomic<bool>* failed_;
    bool meta_ = false;
    bool page_ = false;
};

TEST_F(FailedDisk, AFailedFlushEndsTheStoreAndTheNextStartTellsOnlyWhatIsDurable) {
    open_and_listen();
    submit(20, 1'000);
    std::atomic<bool> failed{false};
    Recorder::refuse(FlushOfTwo(false, failed));
    ASSERT_TRUE(wait_for([&] { return submit(4, 1'000), failed.load(); }));
    ASSERT_TRUE(wait_for([&] { return failure().has_value(); }));
    EXPECT_EQ(failure()->code, Errc::io);
    // The new process sees the pages that the kernel holds.
    close();
    failure_.reset();
    open_and_listen();
    sent_ = store_->horizon(Stream::sales);
    submit(10, 1'000);
    EXPECT_EQ(failure(), std::nullopt);
    expect_nothing_told_is_lost();
}

TEST_F(FailedDisk, OnAFullDiskAFailedFlushTakesNothingThatWasTold) {
    open_and_listen();
    fill_the_disk();
    std::atomic<bool> failed{false};
    Recorder::refuse(FlushOfTwo(true, failed));
    submit(40, small_event);
    EXPECT_FALSE(failed) << "a commit that may fail has nothing of another one in its flush";
    EXPECT_EQ(failure(), std::nullopt);
    expect_nothing_told_is_lost();
}

TEST_F(FailedDisk, AMetaPageThatCannotBeWrittenIsNoDamagedStore) {
    for (const bool full : {false, true}) {
        open_and_listen();
        if (full) fill_the_disk();
        submit(10, 1'000);
        ASSERT_EQ(failure(), std::nullopt);
        const std::string epoch = store_->stats().epoch;
        Recorder::refuse([full](const DiskOp& op) {
            if (op.kind == DiskOp::Kind::zeros) return full ? ENOSPC : 0;
            return op.kind == DiskOp::Kind::write && op.offset < meta_pages_end ? ENOSPC : 0;
        });
        submit(1, 1'000);
        ASSERT_TRUE(wait_for([&] { return failure().has_value(); }));
        EXPECT_EQ(failure()->code, Errc::io) << failure()->context;
        Recorder::refuse(nullptr);
        close();
        EXPECT_FALSE(std::filesystem::exists(options_.folder / "damaged"));
        failure_.reset();
        open_and_listen();
        EXPECT_EQ(store_->stats().epoch, epoch);
        sent_ = store_->horizon(Stream::sales);
        submit(5, 1'000);
        EXPECT_EQ(failure(), std::nullopt);
        close();
    }
}

TEST_F(FailedDisk, OnlyADiskWithoutRoomIsTakenForAFullOne) {
    for (const int why : {EIO, EROFS}) {
        open_and_listen();
        Recorder::refuse([why](const DiskOp& op) { return op.kind == DiskOp::Kind::zeros ? why : 0; });
        // Until the first step ahead is used up.
        ASSERT_TRUE(wait_for([&] { return submit(1, 50'000), failure() || store_->stats().disk_full; }));
        EXPECT_FALSE(store_->stats().disk_full);
        ASSERT_TRUE(failure());
        EXPECT_EQ(failure()->code, Errc::io) << failure()->context;
        close();
        failure_.reset();
        Recorder::refuse(nullptr);
        std::filesystem::remove_all(options_.folder);
        sent_ = 0;
    }
}

}  // namespace
}  // namespace touchpoint::tests
