#include "gateway/profiles/load_pace.hpp"

#include <gtest/gtest.h>

namespace touchpoint::gateway {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr SteadyTime start{std::chrono::hours(1)};

TEST(LoadPaceTest, WhileEventsComeItWritesLittleAndPausesAsLongAsThatTook) {
    LoadPace pace;
    EXPECT_EQ(pace.changes(7, start), LoadPace::changes_beside_min);
    EXPECT_EQ(pace.changes(8, start + milliseconds(900)), LoadPace::changes_beside_min);
    EXPECT_EQ(pace.changes(8, start + milliseconds(1899)), LoadPace::changes_beside_min);
    EXPECT_EQ(pace.breath(milliseconds(7)), milliseconds(7));
    EXPECT_EQ(pace.breath(microseconds(3)), LoadPace::breath_min);
    EXPECT_EQ(pace.breath(milliseconds(700)), LoadPace::breath_max);
}

TEST(LoadPaceTest, WhereAFlushTakesLongMoreGoTogether) {
    LoadPace pace;
    std::uint64_t events = 0;
    const auto changes_after = [&](microseconds took, int times) {
        for (int i = 0; i < times; ++i) (void)pace.breath(took);
        return pace.changes(++events, start);
    };
    EXPECT_EQ(changes_after(microseconds(1100), 100), 2u);
    EXPECT_EQ(changes_after(milliseconds(4), 100), 7u);  // it comes near from below
    EXPECT_EQ(changes_after(milliseconds(200), 100), LoadPace::changes_alone);
    EXPECT_EQ(changes_after(microseconds(600), 100), 2u);
    EXPECT_EQ(changes_after(milliseconds(6), 1), 2u);  // one alone says little
}

TEST(LoadPaceTest, WhereNoneCameForASecondItWritesMany) {
    LoadPace pace;
    (void)pace.changes(7, start);
    EXPECT_EQ(pace.changes(7, start + LoadPace::beside_for), LoadPace::changes_alone);
    EXPECT_EQ(pace.breath(milliseconds(7)), LoadPace::breath_min);
    EXPECT_EQ(pace.changes(8, start + LoadPace::beside_for + milliseconds(1)), LoadPace::changes_beside_min);
}

}  // namespace
}  // namespace touchpoint::gateway
