// Rows of live pictures on a real LMDB file in a folder of its own.
#include "store/pictures.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "store/bytes.hpp"
#include "store/cache.hpp"
#include "store/environment.hpp"
#include "store/keys.hpp"
#include "store/sealed_box.hpp"
#include "tests/support/temp_folder.hpp"

namespace touchpoint::tests {
namespace {

class PicturesTest : public testing::Test {
  protected:
    static constexpr std::uint64_t bytes_max = 4u << 20;

    void SetUp() override {
        auto cache = store::Cache::open({.folder = folder_.path() / "cache", .pictures_bytes = bytes_max});
        ASSERT_TRUE(cache) << cache.error().context;
        cache_ = std::move(*cache);
        pictures_ = std::make_unique<store::Pictures>(*cache_, box_,
                                                      store::Pictures::Options{.bytes_max = bytes_max});
    }
    // Spread over the table, as pseudonyms are.
    static std::string key(int customer) { return store::keyed_hash("names", std::to_string(customer)); }
    // So many customers who were not here before, each a second after the one before.
    void come(int customers, std::size_t bytes = 1'000) {
        std::vector<store::PictureRow> rows;
        for (int i = 0; i < customers; ++i, ++came_) {
            now_ = now_ + std::chrono::seconds(1);
            rows.push_back({key(came_), std::string(bytes, 'x'), now_});
        }
        const auto written = pictures_->write(rows, {}, now_);
        ASSERT_TRUE(written) << written.error().context;
    }
    std::uint64_t bytes() const {
        const auto txn = cache_->environment().begin_read();
        return *txn->pages(cache_->tables().pictures) * cache_->environment().page_bytes();
    }
    int kept(int from, int through) const {
        int out = 0;
        for (int i = from; i < through; ++i) out += pictures_->get(key(i))->has_value() ? 1 : 0;
        return out;
    }

    const TempFolder folder_;
    const store::SealedBox box_{std::string(32, 'b')};
    std::unique_ptr<store::Cache> cache_;
    std::unique_ptr<store::Pictures> pictures_;
    UtcTime now_{1'790'000'000'000};
    int came_ = 0;
};

// Else they would take the room of profiles and vault, which lie in the same file.
TEST_F(PicturesTest, StayBelowTheirBoundHoweverManyNewOnesComeAtOnce) {
    for (const int customers : {1'000, 2'000, 8'192, 300, 8'192, 1, 1'000}) {
        come(customers);
        EXPECT_LE(bytes(), bytes_max) << "behind " << customers;
    }
    for (int i = 0; i < 20; ++i) come(1'000);
    EXPECT_LE(bytes(), bytes_max);
}

TEST_F(PicturesTest, AboveTheBoundThoseThatChangedLongestAgoLeave) {
    for (int i = 0; i < 20; ++i) come(500);
    EXPECT_GE(bytes(), bytes_max / 8 * 7);  // and not more than must
    EXPECT_GE(kept(came_ - 500, came_), 450);
    EXPECT_LE(kept(0, 5'000), 50);
}

// Whoever invents customers pushes out what real ones did, but not what they have forbidden.
TEST_F(PicturesTest, ARefusalLeavesAfterWhatIsYounger) {
    for (int customer = -100; customer < 0; ++customer)
        ASSERT_TRUE(
            pictures_->write(std::vector<store::PictureRow>{{key(customer), "no", now_, true}}, {}, now_));
    for (int i = 0; i < 40; ++i) come(1'000);
    EXPECT_LE(bytes(), bytes_max);
    EXPECT_EQ(kept(-100, 0), 100);
    EXPECT_LT(kept(0, 20'000), 4'000);
    now_ = now_ + std::chrono::hours(24 * 31);
    for (int i = 0; i < 100; ++i) come(10);
    EXPECT_LT(kept(-100, 0), 100) << "but nothing is kept for ever";
}

TEST_F(PicturesTest, WhatNobodyWasToldOfIsSealedBesideThePosition) {
    store::PicturesPosition position{.epoch = "e1", .numbers = {}, .untold = "card and mail are one"};
    position.numbers[Stream::sales] = 7;
    ASSERT_TRUE(pictures_->write({}, position, now_));
    const auto read = pictures_->position();
    ASSERT_TRUE(read);
    EXPECT_EQ(read->epoch, "e1");
    EXPECT_EQ(read->numbers, position.numbers);
    EXPECT_EQ(read->untold, position.untold);
    std::ifstream file(folder_.path() / "cache" / "data.mdb", std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    EXPECT_NE(bytes.find("position"), std::string::npos);
    EXPECT_EQ(bytes.find("card and mail"), std::string::npos);
}

// Of a release that did not write it.
TEST_F(PicturesTest, APositionOfFormat1IsRead) {
    std::string row;
    store::append_little(row, std::uint8_t{1});
    store::append_text(row, "e1");
    for (std::uint64_t number = 1; number <= stream_count; ++number) store::append_little(row, number);
    auto txn = cache_->environment().begin_write();
    ASSERT_TRUE(txn);
    ASSERT_TRUE(txn->put(cache_->tables().pictures, "position", row));
    ASSERT_TRUE(txn->commit());
    const auto read = pictures_->position();
    ASSERT_TRUE(read);
    EXPECT_EQ(read->epoch, "e1");
    EXPECT_EQ(read->numbers.values.back(), stream_count);
    EXPECT_EQ(read->untold, "");
}

TEST_F(PicturesTest, WithoutATouchForALongTimeTheyLeaveThoughThereIsRoom) {
    come(1'000);
    now_ = now_ + std::chrono::hours(31 * 24);
    for (int i = 0; i < 20; ++i) come(1);
    EXPECT_EQ(kept(0, 1'000), 0);
    EXPECT_EQ(kept(1'000, came_), 20);
}

}  // namespace
}  // namespace touchpoint::tests
