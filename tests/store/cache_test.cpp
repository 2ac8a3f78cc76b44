#include "store/cache.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "store/environment.hpp"
#include "tests/store/store_fixture.hpp"
#include "tests/support/process.hpp"

namespace touchpoint::tests {
namespace {

using store::Cache;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

class CacheTest : public testing::Test {
  protected:
    void open(bool look_first = false) {
        cache_.reset();
        auto opened = Cache::open({.folder = folder_.path() / "cache",
                                   .bytes_max = bytes_max_,
                                   .registry_bytes = 2u << 20,
                                   .look_first = look_first});
        ASSERT_TRUE(opened) << opened.error().context;
        cache_ = std::move(*opened);
    }
    std::uint64_t bytes_max_ = 16u << 20;
    const TempFolder folder_{memory_folder()};
    std::unique_ptr<Cache> cache_;
};

TEST_F(CacheTest, IdentitiesStayAndAreErasedOneByOne) {
    open();
    const std::vector<Identity> two = {{"p1-aa", "sealed one"}, {"p1-bb", std::string("sealed\0two", 10)}};
    ASSERT_TRUE(cache_->put_identities(two));
    open();
    EXPECT_EQ(**cache_->sealed_identity("p1-aa"), "sealed one");
    EXPECT_EQ(**cache_->sealed_identity("p1-bb"), std::string("sealed\0two", 10));
    EXPECT_TRUE(*cache_->erase_identity("p1-aa"));
    EXPECT_FALSE(*cache_->erase_identity("p1-aa"));
    open();
    EXPECT_EQ(*cache_->sealed_identity("p1-aa"), std::nullopt);
    EXPECT_TRUE(cache_->sealed_identity("p1-bb")->has_value());
}

TEST_F(CacheTest, AnIdentityThatIsThereIsNotWrittenAgain) {
    open();
    ASSERT_TRUE(cache_->put_identities(std::vector<Identity>{{"p1-aa", "first"}}));
    ASSERT_TRUE(cache_->put_identities(std::vector<Identity>{{"p1-aa", "second"}}));
    EXPECT_EQ(**cache_->sealed_identity("p1-aa"), "first");
}

TEST_F(CacheTest, DevicesAreKeptAndReplaced) {
    open();
    EXPECT_THAT(*cache_->devices(), IsEmpty());
    using Rows = std::vector<std::pair<std::string, std::string>>;
    ASSERT_TRUE(cache_->put_devices(Rows{{"pos/t1", "{}"}, {"kiosk/k7", "{\"a\":1}"}}));
    ASSERT_TRUE(cache_->put_devices(Rows{{"pos/t1", "{\"b\":2}"}}));
    open();
    EXPECT_THAT(*cache_->devices(), ElementsAre(Pair("kiosk/k7", "{\"a\":1}"), Pair("pos/t1", "{\"b\":2}")));
}

TEST_F(CacheTest, ADamagedPageOfATableIsNoticedBeforeItIsFollowed) {
    open();
    std::vector<Identity> many;
    for (int i = 0; i < 2000; ++i) many.push_back({"p1-" + std::to_string(i), std::string(100, 'x')});
    ASSERT_TRUE(cache_->put_identities(many));
    open(true);
    EXPECT_FALSE(cache_->replaced()) << "a sound file stays";
    cache_.reset();
    std::string bytes = tests::read_file(folder_.path() / "cache" / "data.mdb");
    std::fill(bytes.begin() + 2 * 4096, bytes.begin() + 20 * 4096,
              '\xff');  // leaves of the vault, not its root
    tests::write_file(folder_.path() / "cache" / "data.mdb", bytes);
    open(true);
    EXPECT_TRUE(cache_->replaced());
    EXPECT_TRUE(cache_->put_identities(many));
}

TEST_F(CacheTest, ACacheThatWasCutOffIsSetAsideAndDoesNotEndTheProcess) {
    open();
    std::vector<Identity> many;
    for (int i = 0; i < 500; ++i) many.push_back({"p1-" + std::to_string(i), std::string(100, 'x')});
    ASSERT_TRUE(cache_->put_identities(many));
    cache_.reset();
    std::filesystem::resize_file(folder_.path() / "cache" / "data.mdb", 9'000);
    open();
    EXPECT_TRUE(cache_->replaced());
    EXPECT_TRUE(cache_->put_identities(many));
}

TEST_F(CacheTest, ADamagedCacheIsSetAsideAndBeginsAnew) {
    open();
    EXPECT_FALSE(cache_->replaced());
    cache_.reset();
    write_file(folder_.path() / "cache" / "data.mdb", std::string(50'000, 'x'));
    open();
    EXPECT_TRUE(cache_->replaced());
    EXPECT_TRUE(std::filesystem::exists(folder_.path() / "cache.damaged-1" / "data.mdb"));
    ASSERT_TRUE(cache_->put_identities(std::vector<Identity>{{"p1-aa", "x"}}));
    open();
    EXPECT_FALSE(cache_->replaced());
}

TEST_F(CacheTest, AFullVaultSaysSoTakesWhatItHasAndLeavesTheRegistryItsRoom) {
    bytes_max_ = 1u << 20;
    open();
    Result<void> put;
    int many = 0;
    while (put && many < 20'000) {
        std::vector<Identity> some;
        for (int i = 0; i < 100; ++i) some.push_back({"p1-" + std::to_string(many++), std::string(100, 'x')});
        put = cache_->put_identities(some);
    }
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().code, Errc::full);
    EXPECT_GE(cache_->used_bytes(), cache_->limit_bytes());
    // Who is known is no reason to complain.
    EXPECT_TRUE(cache_->put_identities(std::vector<Identity>{{"p1-7", "again"}, {"p1-8", "again"}}));
    std::vector<std::pair<std::string, std::string>> rows;
    for (int i = 0; i < 2000; ++i) rows.emplace_back("kiosk/k" + std::to_string(i), std::string(100, 'r'));
    EXPECT_TRUE(cache_->put_devices(rows));
    EXPECT_TRUE(cache_->put_devices(rows));
    // Room comes back with what is erased.
    for (int i = 0; i < many; ++i) ASSERT_TRUE(cache_->erase_identity("p1-" + std::to_string(i)));
    EXPECT_TRUE(cache_->put_identities(std::vector<Identity>{{"p1-new", "x"}}));
}

// An erasure of profiles takes rows out of the vault in a transaction of its own.
TEST_F(CacheTest, RoomThatOthersMadeInAFullVaultIsFound) {
    bytes_max_ = 256u << 10;
    open();
    Result<void> put;
    int many = 0;
    while (put && many < 20'000) {
        std::vector<Identity> some;
        for (int i = 0; i < 100; ++i) some.push_back({"p1-" + std::to_string(many++), std::string(100, 'x')});
        put = cache_->put_identities(some);
    }
    ASSERT_FALSE(put);
    auto txn = cache_->environment().begin_write();
    ASSERT_TRUE(txn);
    for (int i = 0; i < many; ++i) ASSERT_TRUE(txn->erase(cache_->tables().vault, "p1-" + std::to_string(i)));
    ASSERT_TRUE(txn->commit());
    EXPECT_TRUE(cache_->put_identities(std::vector<Identity>{{"p1-new", "x"}}));
}

TEST_F(CacheTest, ASecondGatewayIsRefused) {
    open();
    const auto second = Cache::open({.folder = folder_.path() / "cache"});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::locked);
}

}  // namespace
}  // namespace touchpoint::tests
