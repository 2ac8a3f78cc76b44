#include "store/keys.hpp"

#include <gtest/gtest.h>

#include "store/sealed_box.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace touchpoint::tests {
namespace {

using std::filesystem::perms;
using store::open_keys;
using store::SealedBox;

TEST(Keys, AreMadeOnceAndForTheirOwnerOnly) {
    const TempFolder folder;
    const auto made = open_keys(folder.path() / "keys");
    ASSERT_TRUE(made) << made.error().context;
    EXPECT_EQ(made->pseudonym.size(), 32U);
    EXPECT_EQ(made->box.size(), 32U);
    EXPECT_NE(made->pseudonym, made->box);
    EXPECT_EQ(made->pseudonym_id, "p1");
    EXPECT_EQ(std::filesystem::status(folder.path() / "keys").permissions(), perms::owner_all);
    int files = 0;
    for (const auto& file : std::filesystem::directory_iterator(folder.path() / "keys")) {
        EXPECT_EQ(file.status().permissions(), perms::owner_read) << file.path();
        ++files;
    }
    EXPECT_EQ(files, 2);
    EXPECT_EQ(made->profiles.size(), 32U);
    EXPECT_NE(made->profiles, made->box);
    const auto again = open_keys(folder.path() / "keys");
    EXPECT_EQ(again->pseudonym, made->pseudonym);
    EXPECT_EQ(again->box, made->box);
    EXPECT_EQ(again->profiles, made->profiles);
}

TEST(Keys, TwoBoxesHaveDifferentOnes) {
    const TempFolder folder;
    EXPECT_NE(open_keys(folder.path() / "a")->pseudonym, open_keys(folder.path() / "b")->pseudonym);
}

// A key that was cut short must not be used, nor replaced: every pseudonym would change.
TEST(Keys, AKeyOfAnotherLengthIsRefusedAndLeftAlone) {
    for (const std::size_t length : {0, 31, 33}) {
        const TempFolder folder;
        std::filesystem::create_directories(folder.path() / "keys");
        const auto path = folder.path() / "keys" / "box.key";
        write_file(path, std::string(length, 'k'));
        const auto opened = open_keys(folder.path() / "keys");
        ASSERT_FALSE(opened);
        EXPECT_EQ(opened.error().code, Errc::damaged);
        EXPECT_EQ(opened.error().context.find('k' + std::string(3, 'k')), std::string::npos);
        EXPECT_EQ(read_file(path), std::string(length, 'k'));
    }
}

TEST(Keys, ALeftoverOfAnInterruptedStartDoesNotMatter) {
    const TempFolder folder;
    std::filesystem::create_directories(folder.path() / "keys");
    write_file(folder.path() / "keys" / "box.key.new", "half");
    EXPECT_TRUE(open_keys(folder.path() / "keys"));
    EXPECT_FALSE(std::filesystem::exists(folder.path() / "keys" / "box.key.new"));
}

TEST(SealedBox, OpensWhatItSealedInTheSamePlaceOnly) {
    const SealedBox box(std::string(32, 'k'));
    for (const std::string& plain :
         {std::string(), std::string("card:2900000012345"), std::string(5'000, 'x')}) {
        const std::string sealed = box.seal(plain, "p1-aa");
        EXPECT_EQ(*box.open(sealed, "p1-aa"), plain);
        EXPECT_EQ(box.open(sealed, "p1-bb").error().code, Errc::damaged);
        EXPECT_EQ(SealedBox(std::string(32, 'l')).open(sealed, "p1-aa").error().code, Errc::damaged);
    }
}

TEST(SealedBox, EveryFlippedBitAndEveryMissingByteIsNoticed) {
    const SealedBox box(std::string(32, 'k'));
    const std::string good = box.seal("card:29", "c");
    for (std::size_t at = 0; at < good.size(); ++at) {
        EXPECT_FALSE(box.open(good.substr(0, at), "c"));
        for (int bit = 0; bit < 8; ++bit) {
            std::string bad = good;
            bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
            EXPECT_FALSE(box.open(bad, "c")) << "byte " << at;
        }
    }
}

TEST(SealedBox, SealsTheSameTextDifferentlyEachTime) {
    const SealedBox box(std::string(32, 'k'));
    const std::string one = box.seal("card:2900000012345", "c");
    EXPECT_NE(one, box.seal("card:2900000012345", "c"));
    EXPECT_EQ(one.find("2900000012345"), std::string::npos);
}

}  // namespace
}  // namespace touchpoint::tests
