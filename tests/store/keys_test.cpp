#include "store/keys.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <string>

#include "store/hex.hpp"
#include "store/sealed_box.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace touchpoint::tests {
namespace {

using std::filesystem::perms;
using store::open_keys;
using store::SealedBox;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
namespace files = std::filesystem;

// {store.path}/keys, and the folder that systemd makes for credentials.
class BoxKeyTest : public testing::Test {
  protected:
    BoxKeyTest() { files::create_directories(credentials_); }

    void give(const std::string& bytes) { write_file(credentials_ / "touchpoint-box-key", bytes); }
    void take_away() { files::remove(credentials_ / "touchpoint-box-key"); }
    Result<store::Keys> open() const { return open_keys(keys_, credentials_); }
    // The box key that a start has, or why there is none.
    std::string box() const {
        const auto opened = open();
        return opened ? opened->box : opened.error().context;
    }
    std::string refusal() const {
        const auto opened = open();
        EXPECT_FALSE(opened);
        if (opened) return {};
        EXPECT_EQ(opened.error().code, Errc::damaged);  // the program ends with 78
        return opened.error().context;
    }

    const TempFolder folder_;
    const files::path keys_ = folder_.path() / "data" / "keys";
    const files::path credentials_ = folder_.path() / "credentials";
    const std::string one_ = std::string(31, 'k') + '\n';
    const std::string other_ = std::string(32, 'o');
};

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
    EXPECT_EQ(files, 3);  // with box.id
    EXPECT_FALSE(made->box_from_credential);
    EXPECT_TRUE(made->readable_by_others.empty());
    EXPECT_EQ(made->profiles.size(), 32U);
    EXPECT_NE(made->profiles, made->box);
    const auto again = open_keys(folder.path() / "keys");
    EXPECT_EQ(again->pseudonym, made->pseudonym);
    EXPECT_EQ(again->box, made->box);
    EXPECT_EQ(again->profiles, made->profiles);
}

// RFC 4231, test cases 1, 2 and 6: a key that is longer than a block of the hash.
TEST(KeyedHash, IsHmacSha256) {
    EXPECT_EQ(store::hex(store::keyed_hash(std::string(20, '\x0b'), "Hi There")),
              "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    EXPECT_EQ(store::hex(store::keyed_hash("Jefe", "what do ya want for nothing?")),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    EXPECT_EQ(store::hex(store::keyed_hash(std::string(131, '\xaa'),
                                           "Test Using Larger Than Block-Size Key - Hash Key First")),
              "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
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

TEST_F(BoxKeyTest, OfACredentialIsNotWrittenToTheDisk) {
    give(one_);
    const auto opened = open();
    ASSERT_TRUE(opened) << opened.error().context;
    EXPECT_EQ(opened->box, one_);
    EXPECT_TRUE(opened->box_from_credential);
    EXPECT_FALSE(opened->box_also_in_file);
    for (const auto& file : files::recursive_directory_iterator(folder_.path() / "data"))
        if (file.is_regular_file()) {
            EXPECT_THAT(read_file(file.path()), Not(HasSubstr(one_.substr(0, 8)))) << file.path();
        }
    EXPECT_FALSE(files::exists(keys_ / "box.key"));
    EXPECT_EQ(box(), one_);
}

TEST_F(BoxKeyTest, IsTheSameAsBytesAndAsDigits) {
    const std::string bytes = "\x01\xAB" + std::string(30, 'k');
    std::string digits = "01aB";
    for (int i = 0; i < 30; ++i) digits += "6b";
    for (const std::string& text : {digits, digits + "\n", bytes}) {
        give(text);
        EXPECT_EQ(box(), bytes);
    }
}

TEST_F(BoxKeyTest, ACredentialThatIsNoKeyIsRefusedWithoutShowingIt) {
    for (const std::string& text :
         {std::string(), std::string("none"), std::string(31, 'k'), std::string(33, 'k'),
          std::string(64, 'k'), std::string(66, 'a'), std::string(5'000, 'a')}) {
        give(text);
        EXPECT_THAT(refusal(), AllOf(HasSubstr("touchpoint-box-key is not a box key"),
                                     HasSubstr("64 hex digits"), Not(HasSubstr("kkk"))));
        EXPECT_FALSE(files::exists(keys_ / "box.key"));
    }
}

TEST_F(BoxKeyTest, WithoutTheCredentialAmongTheCredentialsItIsAFileAsBefore) {
    const std::string made = box();
    EXPECT_EQ(made, read_file(keys_ / "box.key"));
    EXPECT_EQ(open_keys(keys_)->box, made);
    EXPECT_EQ(open_keys(keys_, folder_.path() / "nowhere")->box, made);
}

TEST_F(BoxKeyTest, MovesFromTheFileIntoACredentialAndBack) {
    const std::string made = box();
    give(made);
    ASSERT_TRUE(open()) << open().error().context;
    EXPECT_TRUE(open()->box_from_credential);
    EXPECT_TRUE(open()->box_also_in_file);
    files::remove(keys_ / "box.key");
    EXPECT_EQ(box(), made);
    EXPECT_FALSE(open()->box_also_in_file);

    write_file(keys_ / "box.key", made);
    take_away();
    EXPECT_EQ(box(), made);
    EXPECT_FALSE(open()->box_from_credential);
}

TEST_F(BoxKeyTest, ACredentialThatDiffersFromTheFileIsRefusedAndBothStay) {
    const std::string made = box();
    give(other_);
    EXPECT_THAT(refusal(),
                AllOf(HasSubstr("are different keys"), HasSubstr("sealed under the file"),
                      HasSubstr("make the credential from that file"), HasSubstr("docs/operating.md")));
    EXPECT_EQ(read_file(keys_ / "box.key"), made);
    take_away();
    EXPECT_EQ(box(), made);
}

TEST_F(BoxKeyTest, AFileThatDiffersFromTheCredentialSaysWhichOfThemIsRight) {
    give(one_);
    ASSERT_EQ(box(), one_);
    write_file(keys_ / "box.key", other_);
    EXPECT_THAT(refusal(), HasSubstr("sealed under the credential"));
    give(std::string(32, 'x'));
    EXPECT_THAT(refusal(), HasSubstr("sealed under neither"));
}

// A new one would close vault, profiles and quarantine for ever, and nobody would have been asked.
TEST_F(BoxKeyTest, OfACredentialThatWasThereBeforeIsNeverMadeAnew) {
    give(one_);
    ASSERT_EQ(box(), one_);
    take_away();
    EXPECT_THAT(refusal(), AllOf(HasSubstr("the box key is missing"), HasSubstr("touchpoint-box-key"),
                                 HasSubstr("backup"), HasSubstr("box.id")));
    EXPECT_THAT(open_keys(keys_).error().context, HasSubstr("the box key is missing"));
    EXPECT_FALSE(files::exists(keys_ / "box.key"));
    give(one_);
    EXPECT_EQ(box(), one_);
}

TEST_F(BoxKeyTest, OfAFileThatIsGoneIsNotMadeAnewEither) {
    const std::string made = box();
    files::remove(keys_ / "box.key");
    EXPECT_THAT(refusal(), HasSubstr("the box key is missing"));
    write_file(keys_ / "box.key", made);
    EXPECT_EQ(box(), made);
}

TEST_F(BoxKeyTest, ThatIsNotTheOneOfThisBoxIsRefused) {
    give(one_);
    ASSERT_EQ(box(), one_);
    give(other_);
    EXPECT_THAT(
        refusal(),
        HasSubstr("the credential touchpoint-box-key is not the key under which this box's data was sealed"));
    take_away();
    write_file(keys_ / "box.key", other_);
    EXPECT_THAT(refusal(), HasSubstr("box.key is not the key under which this box's data was sealed"));
}

TEST_F(BoxKeyTest, ThatIsLostForGoodIsGivenUpByAPerson) {
    const std::string made = box();
    files::remove(keys_ / "box.key");
    files::remove(keys_ / "box.id");
    // The key of the pseudonyms tells still that there was one.
    EXPECT_THAT(refusal(), AllOf(HasSubstr("the box key is missing"), HasSubstr("pseudonym-p1.key"),
                                 HasSubstr("customers get other pseudonyms")));
    EXPECT_FALSE(files::exists(keys_ / "box.key"));
    files::remove(keys_ / "pseudonym-p1.key");
    EXPECT_EQ(box().size(), 32u);
    EXPECT_NE(box(), made);
}

// As a box of before there was a box.id has it.
TEST_F(BoxKeyTest, WithoutItsNameGetsOne) {
    const std::string made = box();
    const std::string name = read_file(keys_ / "box.id");
    EXPECT_EQ(name.size(), 16u);
    files::remove(keys_ / "box.id");
    EXPECT_EQ(box(), made);
    EXPECT_EQ(read_file(keys_ / "box.id"), name);
}

TEST_F(BoxKeyTest, ANameThatIsDamagedIsSaidAndNothingIsMade) {
    give(one_);
    ASSERT_EQ(box(), one_);
    for (const std::string& text : {std::string(), std::string("0123"), std::string(16, 'x')}) {
        files::remove(keys_ / "box.id");
        write_file(keys_ / "box.id", text);
        EXPECT_THAT(refusal(), HasSubstr("box.id is not the name of a key"));
    }
}

TEST_F(BoxKeyTest, AKeyFileThatOthersCanReadIsNoted) {
    ASSERT_TRUE(open());
    const auto path = keys_ / "box.key";
    for (const auto& [mode, noted] : {std::pair(0400, false), std::pair(0600, false), std::pair(0440, true),
                                      std::pair(0604, true), std::pair(0420, true)}) {
        files::permissions(path, static_cast<perms>(mode));
        EXPECT_EQ(!open()->readable_by_others.empty(), noted) << std::oct << mode;
    }
    // What is sealed tells nobody anything.
    files::permissions(keys_ / "pseudonym-p1.key", static_cast<perms>(0644));
    EXPECT_THAT(open()->readable_by_others, ElementsAre(path));
}

class PseudonymKeyTest : public BoxKeyTest {
  protected:
    std::string pseudonym() const {
        const auto opened = open();
        return opened ? opened->pseudonym : opened.error().context;
    }
    std::string on_disk() const { return read_file(file_); }
    void lay(const std::string& bytes) {
        files::remove(file_);
        write_file(file_, bytes);
    }

    const files::path file_ = keys_ / "pseudonym-p1.key";
};

// With it every card number could be tried out against the names in events, vault and aliases.
TEST_F(PseudonymKeyTest, IsNotOnTheDiskInTheClear) {
    give(one_);
    const std::string key = pseudonym();
    ASSERT_EQ(key.size(), 32u);
    for (const auto& file : files::recursive_directory_iterator(folder_.path() / "data"))
        if (file.is_regular_file()) {
            EXPECT_EQ(read_file(file.path()).find(key.substr(0, 8)), std::string::npos) << file.path();
        }
    EXPECT_EQ(on_disk().size(), 61u);
    EXPECT_EQ(*SealedBox(one_).open(on_disk(), "pseudonym-p1.key"), key);
}

// As every release from this one on must read it.
TEST_F(PseudonymKeyTest, OfTheGoldenFileOpens) {
    give(std::string(32, 'k'));
    files::create_directories(keys_);
    const std::string sealed = *store::unhex(
        "01000102030405060708090a0b1aad845e74a0f60533eb23fa14b57828889eca14ec16ecf5df0c99d5805ae458"
        "3c2740f268854d02be5eb4a064467934");
    lay(sealed);
    EXPECT_EQ(pseudonym(), std::string(32, 'p'));
    EXPECT_EQ(on_disk(), sealed);
}

TEST_F(PseudonymKeyTest, InTheClearIsSealedOnceAndStaysTheSameKey) {
    const std::string made = box();
    const std::string clear(32, 'p');
    lay(clear);
    write_file(keys_ / "pseudonym-p1.key.new", "half");  // a power cut ended the first try
    EXPECT_EQ(pseudonym(), clear);
    const std::string sealed = on_disk();
    EXPECT_EQ(*SealedBox(made).open(sealed, "pseudonym-p1.key"), clear);
    EXPECT_EQ(files::status(file_).permissions(), perms::owner_read);
    EXPECT_FALSE(files::exists(keys_ / "pseudonym-p1.key.new"));
    EXPECT_EQ(pseudonym(), clear);
    EXPECT_EQ(on_disk(), sealed);
}

// A full disk: events go on, under the same pseudonyms.
TEST_F(PseudonymKeyTest, ThatCannotBeSealedNowIsUsedAndSealedAtALaterStart) {
    ASSERT_TRUE(open());
    const std::string clear(32, 'p');
    lay(clear);
    files::create_directories(keys_ / "pseudonym-p1.key.new" / "in the way");
    EXPECT_EQ(pseudonym(), clear);
    EXPECT_EQ(on_disk(), clear);
    files::remove_all(keys_ / "pseudonym-p1.key.new");
    EXPECT_EQ(pseudonym(), clear);
    EXPECT_EQ(on_disk().size(), 61u);
}

TEST_F(PseudonymKeyTest, ThatAnotherBoxKeySealedIsRefusedAndNothingIsMade) {
    give(one_);
    const std::string key = pseudonym();
    const std::string sealed = on_disk();
    give(other_);
    files::remove(keys_ / "box.id");
    EXPECT_THAT(refusal(),
                AllOf(HasSubstr("pseudonym-p1.key does not open with the box key that is here"),
                      HasSubstr("Bring back that box key"), HasSubstr("customers get other pseudonyms")));
    EXPECT_EQ(on_disk(), sealed);
    EXPECT_FALSE(files::exists(keys_ / "box.id"));  // the wrong key did not become this box's own
    give(one_);
    EXPECT_EQ(pseudonym(), key);
}

TEST_F(PseudonymKeyTest, ThatIsDamagedIsRefusedAndLeftAlone) {
    const std::string key = pseudonym();
    const std::string good = on_disk();
    for (std::size_t at = 0; at < good.size(); ++at) {
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ 1);
        lay(bad);
        EXPECT_THAT(refusal(), HasSubstr("does not open")) << "byte " << at;
        EXPECT_EQ(on_disk(), bad);
    }
    for (const std::size_t length : {0, 31, 33, 60, 62}) {
        lay(std::string(length, 'p'));
        EXPECT_THAT(refusal(), AllOf(HasSubstr("is not a key"), HasSubstr("backup"), Not(HasSubstr("ppp"))));
        EXPECT_EQ(on_disk().size(), length);
    }
    lay(good);
    EXPECT_EQ(pseudonym(), key);
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
