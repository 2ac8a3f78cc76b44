// The decisions about the finite disk, in numbers.

#include "store/bounds.hpp"

#include <gtest/gtest.h>

namespace touchpoint::store {
namespace {

constexpr std::uint64_t mb = 1u << 20;

TEST(Bounds, SheddingBeginsBeforeIntakeStopsAndTheJournalFitsBehindThat) {
    const Marks all = marks(1'000 * mb, journal_room(64 * mb), std::nullopt);
    EXPECT_EQ(all.shed_from, 900 * mb);
    EXPECT_EQ(all.shed_to, 870 * mb);
    EXPECT_EQ(all.stop_at, 1'000 * mb);
    EXPECT_LT(all.resume_at, all.stop_at);
    EXPECT_GT(all.resume_at, all.shed_from);
    EXPECT_EQ(all.commit_max, 1'096 * mb);
}

TEST(Bounds, OnAFullDiskTheFileIsTheBound) {
    const Marks all = marks(1'000 * mb, 96 * mb, 100 * mb);
    EXPECT_LT(all.shed_to, all.shed_from);
    EXPECT_LT(all.shed_from, all.resume_at);
    EXPECT_LT(all.resume_at, all.stop_at);
    EXPECT_LT(all.stop_at, all.commit_max);
    EXPECT_LT(all.commit_max, 100 * mb);
    // A file that is longer than the bound changes nothing.
    EXPECT_EQ(marks(10 * mb, mb, 100 * mb), marks(10 * mb, mb, std::nullopt));
}

TEST(Bounds, ACommitNeedsMoreThanItsBytes) {
    EXPECT_GT(commit_bytes_worst(0, 0), 0U);
    EXPECT_GE(commit_bytes_worst(1'000, mb), mb + 12'000);
}

TEST(Bounds, WithShortPointersTheMapIsCutAndWithLongOnesNot) {
    const Room wanted{4'000 * mb, 96 * mb, 80 * mb};
    EXPECT_EQ(fit_address_space(wanted, 64), wanted);
    const Room fitted = fit_address_space(wanted, 32);
    EXPECT_LE(fitted.map_bytes(), std::uint64_t{1} << 30);
    EXPECT_GE(fitted.bytes_max, 512 * mb);
    EXPECT_EQ(fitted.journal_bytes, wanted.journal_bytes);
    const Room small{100 * mb, 10 * mb, 16 * mb};
    EXPECT_EQ(fit_address_space(small, 32), small);
}

class HeldAlone : public testing::Test {
  protected:
    HeldAlone() {
        add("push", ConsumerKind::push);
        add("bi", ConsumerKind::pull);
        for (const Stream stream : all_streams) held_[stream] = {1, 100, 100, 1'000};
    }
    void add(const std::string& name, ConsumerKind kind) {
        ConsumerState& one = all_[name];
        one.name = name;
        one.kind = kind;
        one.streams.values.fill(true);
        one.streams[Stream::quarantine] = false;
    }
    std::map<std::string, ConsumerState> all_;
    PerStream<Held> held_;
};

TEST_F(HeldAlone, CountsOnlyWhatNobodyElseHolds) {
    EXPECT_EQ(held_alone(all_["bi"], all_, held_), 0U);
    all_["push"].acknowledged[Stream::sales] = 60;
    EXPECT_EQ(held_alone(all_["bi"], all_, held_), 600U);
    all_["bi"].acknowledged[Stream::sales] = 20;
    EXPECT_EQ(held_alone(all_["bi"], all_, held_), 400U);
    all_["bi"].released[Stream::sales] = 30;
    EXPECT_EQ(held_alone(all_["bi"], all_, held_), 300U);
    all_["bi"].acknowledged[Stream::sales] = 80;
    EXPECT_EQ(held_alone(all_["bi"], all_, held_), 0U);
    all_.erase("push");
    EXPECT_EQ(held_alone(all_["bi"], all_, held_), 3'200U) << "alone with everything, but for quarantine";
}

TEST_F(HeldAlone, IsBroughtBelowItsLimitFromTheLowStreamsUpOldestFirst) {
    all_["push"].acknowledged.values.fill(100);
    EXPECT_EQ(release_for_bytes(all_["bi"], all_, held_, 4'000), std::nullopt);
    const auto some = release_for_bytes(all_["bi"], all_, held_, 3'500);
    ASSERT_TRUE(some);
    EXPECT_EQ((*some)[Stream::telemetry], 86U) << "3150 are left";
    EXPECT_EQ((*some)[Stream::interactions], 0U);
    const auto more = release_for_bytes(all_["bi"], all_, held_, 2'000);
    ASSERT_TRUE(more);
    EXPECT_EQ((*more)[Stream::telemetry], 100U);
    EXPECT_EQ((*more)[Stream::interactions], 100U);
    EXPECT_EQ((*more)[Stream::sales], 21U);
    EXPECT_EQ((*more)[Stream::customer], 0U);
    all_["bi"].released = *more;
    EXPECT_LE(held_alone(all_["bi"], all_, held_), 1'800U);
}

}  // namespace
}  // namespace touchpoint::store
