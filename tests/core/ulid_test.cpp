#include "gateway/core/ulid.hpp"

#include <gtest/gtest.h>

#include <set>

namespace touchpoint {
namespace {

TEST(UlidTest, TheTimeStandsInFront) {
    UlidMaker maker([] { return 0; });
    // 2016-07-30T23:54:10.259Z: the example of the ULID specification.
    EXPECT_EQ(maker.make({1'469'922'850'259}).substr(0, 10), "01ARZ3NDEK");
    EXPECT_EQ(maker.make({1'469'922'850'260}), "01ARZ3NDEM0000000000000000");
}

TEST(UlidTest, IdsOfOneMillisecondCountUp) {
    UlidMaker maker([] { return 41; });
    const std::string first = maker.make({5});
    const std::string second = maker.make({5});
    EXPECT_LT(first, second);
    EXPECT_EQ(first.substr(0, 25), second.substr(0, 25));
}

TEST(UlidTest, TheCounterCarriesAndNeverRepeats) {
    UlidMaker maker([] { return ~std::uint64_t{0}; });
    const std::string last = maker.make({5});
    const std::string wrapped = maker.make({5});
    EXPECT_NE(last, wrapped);
    EXPECT_EQ(wrapped.size(), 26u);
}

TEST(UlidTest, AClockThatGoesBackDoesNotMakeIdsGoBack) {
    std::uint64_t seed = 1;
    UlidMaker maker([&seed] { return seed = seed * 6364136223846793005u + 1442695040888963407u; });
    std::set<std::string> ids;
    std::string before = maker.make({1'000'000});
    ids.insert(before);
    for (int i = 0; i < 1000; ++i) {
        std::string id = maker.make({1'000'000 - i});
        EXPECT_LT(before, id);
        ids.insert(id);
        before = std::move(id);
    }
    EXPECT_EQ(ids.size(), 1001u);
}

}  // namespace
}  // namespace touchpoint
