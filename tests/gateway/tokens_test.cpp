// The file of access tokens, on a real disk.
#include "gateway/tokens.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <future>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace touchpoint::gateway {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class TokensTest : public testing::Test {
  protected:
    std::string create(Role role = Role::technician, const std::string& device = {},
                       const std::string& note = {}) {
        const auto made = create_token(file_, {role, device, note}, {1'790'000'000'123}, "");
        EXPECT_TRUE(made) << made.error().context;
        return made ? *made : std::string();
    }
    Error refused(const NewToken& wanted) {
        const auto made = create_token(file_, wanted, {}, "");
        EXPECT_FALSE(made);
        return made ? Error{} : made.error();
    }
    // With the file's mode put right.
    Result<TokenSet> read_text(const std::string& text) {
        tests::write_file(file_, text);
        ::chmod(file_.c_str(), 0640);
        return read_tokens(file_);
    }
    mode_t mode() const {
        struct stat info {};
        ::stat(file_.c_str(), &info);
        return info.st_mode & 07777;
    }

    tests::TempFolder folder_;
    std::filesystem::path file_ = folder_.path() / "tokens.toml";
};

TEST_F(TokensTest, AMadeTokenIsFoundAndTheFileHoldsOnlyItsHash) {
    const std::string token = create(Role::device, "pos/t1", "till at the \"door\" \\ 1");
    EXPECT_TRUE(std::regex_match(token, std::regex("tp_[a-z0-9]{10}_[A-Za-z0-9_-]{43}"))) << token;
    const auto set = read_tokens(file_);
    ASSERT_TRUE(set) << set.error().context;
    const Token* found = set->find(token);
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->role, Role::device);
    EXPECT_EQ(found->device, "pos/t1");
    EXPECT_EQ(found->note, "till at the \"door\" \\ 1");
    EXPECT_EQ(found->created, (UtcTime{1'790'000'000'123}));
    const std::string secret = token.substr(14);
    EXPECT_THAT(tests::read_file(file_), AllOf(Not(HasSubstr(secret)), HasSubstr("sha256:")));
}

TEST_F(TokensTest, AnythingButTheWholeTokenIsWrong) {
    const std::string token = create();
    create();
    const auto set = read_tokens(file_).value();
    ASSERT_NE(set.find(token), nullptr);
    std::string other = token;
    other.back() = other.back() == 'A' ? 'B' : 'A';
    for (const std::string& wrong :
         {std::string(), std::string("tp_"), other, token + "A", token + " ", token.substr(0, 13),
          token.substr(0, token.size() - 1), token.substr(3), "tp_" + token, std::string(100'000, 'x'),
          token + std::string(100'000, 'x'), "TP" + token.substr(2)})
        EXPECT_EQ(set.find(wrong), nullptr) << wrong.substr(0, 80);
}

TEST_F(TokensTest, AnEmptySetKnowsNobody) {
    EXPECT_EQ(TokenSet().find("tp_a_b"), nullptr);
    EXPECT_EQ(TokenSet().find(""), nullptr);
}

TEST_F(TokensTest, ARevokedTokenIsGoneAndTheOthersStay) {
    const std::string first = create();
    const std::string second = create();
    const std::string id = read_tokens(file_).value().find(first)->id;
    ASSERT_TRUE(revoke_token(file_, id));
    const auto set = read_tokens(file_).value();
    EXPECT_EQ(set.find(first), nullptr);
    EXPECT_NE(set.find(second), nullptr);
    const auto again = revoke_token(file_, id);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, Errc::not_found);
}

TEST_F(TokensTest, TheFirstTokenMakesTheFileForItsGroupOnlyAndLaterOnesKeepItsMode) {
    create();
    EXPECT_EQ(mode(), 0640u);
    ::chmod(file_.c_str(), 0600);
    create();
    EXPECT_EQ(mode(), 0600u);
    EXPECT_EQ(read_tokens(file_).value().tokens().size(), 2u);
}

TEST_F(TokensTest, AFileThatOthersMayReadOrWriteIsRefused) {
    create();
    for (const mode_t open : {0644u, 0660u, 0642u, 0601u}) {
        ::chmod(file_.c_str(), open);
        const auto read = read_tokens(file_);
        ASSERT_FALSE(read) << std::oct << open;
        EXPECT_EQ(read.error().code, Errc::refused);
        EXPECT_THAT(read.error().context, HasSubstr("chmod 0640"));
        EXPECT_FALSE(create_token(file_, {Role::app, "", ""}, {}, ""));
        EXPECT_EQ(mode(), open);
    }
    ::chmod(file_.c_str(), 0640);
    EXPECT_TRUE(read_tokens(file_));
}

TEST_F(TokensTest, ADeviceNeedsItsNameAndNobodyElseHasOne) {
    EXPECT_EQ(refused({Role::device, "", ""}).code, Errc::invalid_argument);
    for (const char* wrong : {"t1", "pos/", "/t1", "POS/t1", "pos/t1/x", "pos/t 1", "gateway/x", "pos/#"})
        EXPECT_EQ(refused({Role::device, wrong, ""}).code, Errc::invalid_argument) << wrong;
    EXPECT_EQ(refused({Role::app, "pos/t1", ""}).code, Errc::invalid_argument);
    EXPECT_EQ(refused({Role::app, "", "two\nlines"}).code, Errc::invalid_argument);
    EXPECT_EQ(refused({Role::app, "", "\xff"}).code, Errc::invalid_argument);
    EXPECT_EQ(refused({Role::app, "", std::string(201, 'n')}).code, Errc::invalid_argument);
    EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(TokensTest, AMistakeInTheFileIsNamedWithItsPlaceAndWithoutItsText) {
    const std::string good =
        "[[token]]\nid = \"a1\"\nrole = \"app\"\nhash = \"sha256:" + std::string(64, '0') + "\"\n";
    ASSERT_TRUE(read_text(good));
    struct Mistake {
        std::string text;
        const char* complaint;
    };
    const std::vector<Mistake> mistakes = {
        {good + "secret = \"geheim\"\n", ":5:10: a token has id, role"},
        {good + "role = \"geheim\"\n", ":5:"},  // twice: TOML itself
        {"[[token]]\nid = \"a1\"\n", ":1:1: a token needs id, role and hash"},
        {"[[token]]\nrole = \"geheim\"\n", ":2:8: role must be device, app"},
        {"[[token]]\nid = \"geheim!\"\n", ":2:6: id must be"},
        {"[[token]]\nhash = \"geheim\"\n", ":2:8: hash must be sha256:"},
        {"[[token]]\nid = 7\n", ":2:6: every value of a token is a text"},
        {"[token]\nid = \"a\"\n", ": here stand [[token]] tables only"},
        {good + "device = \"pos/t1\"\n", ":1:1: a token has a device if its role is device"},
        {good + good, ": the id a1 stands twice"},
        {"geheim\n", ":1:"},
    };
    for (const Mistake& mistake : mistakes) {
        const auto read = read_text(mistake.text);
        ASSERT_FALSE(read) << mistake.text;
        EXPECT_EQ(read.error().code, Errc::damaged);
        EXPECT_THAT(read.error().context, AllOf(HasSubstr(mistake.complaint), Not(HasSubstr("geheim"))));
    }
}

TEST_F(TokensTest, ABrokenFileIsNotWrittenOver) {
    ASSERT_FALSE(read_text("[[token]]\nid = 7\n"));
    EXPECT_FALSE(create_token(file_, {Role::app, "", ""}, {}, ""));
    EXPECT_FALSE(revoke_token(file_, "a"));
    EXPECT_EQ(tests::read_file(file_), "[[token]]\nid = 7\n");
}

TEST_F(TokensTest, AChangeOfTheFileIsSeenFromItsMark) {
    EXPECT_EQ(look_at_tokens(file_), TokenFileMark{});
    create();
    const TokenFileMark first = look_at_tokens(file_);
    EXPECT_EQ(look_at_tokens(file_), first);
    create();
    const TokenFileMark second = look_at_tokens(file_);
    EXPECT_NE(second, first);
    ::chmod(file_.c_str(), 0600);
    EXPECT_NE(look_at_tokens(file_), second);
}

// Several technicians, or a script: none of their tokens may get lost, and nothing else stays in the folder.
TEST_F(TokensTest, WritersAtTheSameTimeWaitForEachOther) {
    std::vector<std::future<std::string>> writers;
    for (int i = 0; i < 8; ++i)
        writers.push_back(std::async(std::launch::async, [this] {
            std::string last;
            for (int n = 0; n < 5; ++n) last = create_token(file_, {Role::app, "", ""}, {}, "").value();
            return last;
        }));
    std::set<std::string> tokens;
    for (auto& writer : writers) tokens.insert(writer.get());
    const auto set = read_tokens(file_).value();
    EXPECT_EQ(set.tokens().size(), 40u);
    for (const std::string& token : tokens) EXPECT_NE(set.find(token), nullptr);
    const auto begin = std::filesystem::directory_iterator(folder_.path());
    EXPECT_EQ(std::distance(begin, std::filesystem::directory_iterator()), 1);
}

TEST_F(TokensTest, ALinkStaysALink) {
    const auto link = folder_.path() / "link.toml";
    create();
    std::filesystem::create_symlink(file_, link);
    ASSERT_TRUE(create_token(link, {Role::app, "", ""}, {}, ""));
    EXPECT_TRUE(std::filesystem::is_symlink(link));
    EXPECT_EQ(read_tokens(file_).value().tokens().size(), 2u);
}

TEST_F(TokensTest, WhatAKilledWriterLeftIsNoObstacle) {
    create();
    tests::write_file(folder_.path() / ".tokens.toml.new", "half a fi");
    create();
    EXPECT_EQ(read_tokens(file_).value().tokens().size(), 2u);
    EXPECT_FALSE(std::filesystem::exists(folder_.path() / ".tokens.toml.new"));
}

}  // namespace
}  // namespace touchpoint::gateway
