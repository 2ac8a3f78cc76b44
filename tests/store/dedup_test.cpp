#include "store/dedup.hpp"

#include <gtest/gtest.h>

namespace touchpoint::store {
namespace {

using Found = DedupWindow::Found;
using std::chrono::hours;
constexpr UtcTime noon{1'790'000'000'000};

// Spread like real hashes; never 0.
DedupEntry entry(std::uint64_t n, std::uint32_t content = 1) {
    return {(n + 1) * 0x9e3779b97f4a7c15U, content};
}

TEST(DedupWindow, KnowsAtLeastAsManyIdsAsItWasAskedFor) {
    for (const std::uint64_t ids : {1, 7, 100, 1'000, 20'000}) {
        DedupWindow window(ids, hours(24));
        for (std::uint64_t n = 0; n < 3 * ids; ++n) {
            EXPECT_EQ(window.find(entry(n)), Found::no);
            window.add(entry(n), noon, noon);
            const std::uint64_t oldest = n + 1 < ids ? 0 : n + 1 - ids;
            ASSERT_EQ(window.find(entry(oldest)), Found::same_content)
                << oldest << " of " << n << ", window " << ids;
        }
    }
}

TEST(DedupWindow, IsBounded) {
    constexpr std::uint64_t ids = 8'000;
    DedupWindow window(ids, hours(24));
    for (std::uint64_t n = 0; n < 10 * ids; ++n) {
        window.add(entry(n), noon, noon);
        ASSERT_LE(window.size(), ids + ids / 8 + 1);  // one generation more than the window
    }
    EXPECT_EQ(window.find(entry(0)), Found::no);
}

TEST(DedupWindow, ForgetsWhatIsOlderThanTheAge) {
    DedupWindow window(1'000, hours(24));
    for (std::uint64_t n = 0; n < 500; ++n) window.add(entry(n), noon, noon);
    window.add(entry(1'000), noon + hours(23), noon + hours(23));
    EXPECT_EQ(window.find(entry(0)), Found::same_content);
    window.add(entry(1'001), noon + hours(25), noon + hours(25));
    EXPECT_EQ(window.find(entry(0)), Found::no);
    EXPECT_EQ(window.find(entry(1'000)), Found::same_content);
}

TEST(DedupWindow, TellsOtherContentFromARepeat) {
    DedupWindow window(100, hours(24));
    window.add(entry(1, 10), noon, noon);
    EXPECT_EQ(window.find(entry(1, 11)), Found::other_content);
    window.add(entry(1, 11), noon, noon);
    EXPECT_EQ(window.find(entry(1, 10)), Found::same_content);
    EXPECT_EQ(window.find(entry(1, 11)), Found::same_content);
    EXPECT_EQ(window.find(entry(1, 12)), Found::other_content);
}

TEST(DedupWindow, AClockThatWasSetBackForgetsNothing) {
    DedupWindow window(100, hours(24));
    window.add(entry(1), noon, noon);
    window.add(entry(2), noon - hours(100), noon - hours(100));
    window.add(entry(3), noon - hours(99), noon - hours(99));
    EXPECT_EQ(window.find(entry(1)), Found::same_content);
    EXPECT_EQ(window.find(entry(2)), Found::same_content);
}

TEST(DedupWindow, ForgetsByNumberOnlyWhereNoClockCanBeBelieved) {
    DedupWindow window(100, hours(24));
    window.add(entry(1), noon, std::nullopt);
    window.add(entry(2), noon + hours(24 * 365), std::nullopt);
    EXPECT_EQ(window.find(entry(1)), Found::same_content);
    DedupWindow guessed(100, hours(24));
    guessed.add(entry(1), {}, std::nullopt);
    guessed.add(entry(2), noon, noon);
    EXPECT_EQ(guessed.find(entry(1)), Found::same_content) << "1970 is no age";
    for (std::uint64_t n = 3; n < 300; ++n) guessed.add(entry(n), noon, noon);
    EXPECT_EQ(guessed.find(entry(1)), Found::no);
}

TEST(DedupHash, DependsOnSourceIdAndSeedAndIsNeverZero) {
    const std::uint64_t hash = dedup_hash("/stores/s/pos/t1", "a1", 5);
    EXPECT_EQ(dedup_hash("/stores/s/pos/t1", "a1", 5), hash);
    EXPECT_NE(dedup_hash("/stores/s/pos/t2", "a1", 5), hash);
    EXPECT_NE(dedup_hash("/stores/s/pos/t1", "a2", 5), hash);
    EXPECT_NE(dedup_hash("/stores/s/pos/t1", "a1", 6), hash);
    EXPECT_NE(dedup_hash("/stores/s/pos/t1a", "1", 5), hash);
    EXPECT_NE(dedup_hash("", "", 0), 0U);
}

}  // namespace
}  // namespace touchpoint::store
