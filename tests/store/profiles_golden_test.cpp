// Rows of the profile cache in each format that was ever written must be read for ever.
//
// tests/fixtures/store/profiles-format-N.txt was written once, by the test DISABLED_WritesTheGoldenRows
// below: a row of a table in each line, "table key value", in hexadecimal digits. Run it only for a new
// format; the files of older formats stay as they are.

#include <gmock/gmock.h>

#include <charconv>
#include <fstream>
#include <sstream>

#include "store/environment.hpp"
#include "tests/store/profiles_fixture.hpp"

namespace touchpoint::tests {
namespace {

using testing::UnorderedElementsAre;
using testing::UnorderedElementsAreArray;

constexpr int formats = 4;

std::string golden_rows(int format) {
    return std::string(SOURCE_DIR) + "/tests/fixtures/store/profiles-format-" + std::to_string(format) +
           ".txt";
}

class GoldenProfiles : public ProfilesFixture, public testing::WithParamInterface<int> {
  protected:
    std::vector<std::pair<std::string, store::Table>> tables() const {
        const store::Cache::Tables& all = cache_->tables();
        return {{"profiles", all.profiles},
                {"aliases", all.aliases},
                {"touched", all.touched},
                {"erasures", all.erasures},
                {"profile_counts", all.profile_counts}};
    }
    static std::string hex_of(std::string_view bytes) {
        constexpr char digits[] = "0123456789abcdef";
        std::string out;
        for (const char c : bytes) {
            out += digits[static_cast<unsigned char>(c) >> 4];
            out += digits[static_cast<unsigned char>(c) & 15];
        }
        return out;
    }
    static std::string bytes_of(const std::string& hex) {
        std::string out;
        for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
            unsigned byte = 0;
            std::from_chars(hex.data() + i, hex.data() + i + 2, byte, 16);
            out += static_cast<char>(byte);
        }
        return out;
    }
    void write_rows(const std::string& path) {
        const auto txn = cache_->environment().begin_read();
        std::ofstream file(path);
        for (const auto& [name, table] : tables()) {
            std::string place;
            for (auto row = txn->seek(table, place); row && *row; row = txn->seek(table, place)) {
                file << name << ' ' << hex_of((*row)->key) << ' ' << hex_of((*row)->value) << '\n';
                place = std::string((*row)->key) + '\0';
            }
        }
    }
    void read_rows(const std::string& path) {
        auto txn = cache_->environment().begin_write();
        std::ifstream file(path);
        ASSERT_TRUE(file) << path;
        std::string name, key, value;
        while (file >> name >> key >> value)
            for (const auto& [known, table] : tables())
                if (known == name) {
                    ASSERT_TRUE(txn->put(table, bytes_of(key), bytes_of(value)));
                }
        ASSERT_TRUE(txn->commit());
    }
};

// Formats before 4 were written with {"a":3}, and would not have kept what it refuses.
constexpr const char* c_3 =
    R"({"a":3,"consents":{"marketing":{"state":"denied","since":"2026-01-02T00:00:00Z"},"analytics":{"state":"revoked"}}})";

TEST_P(GoldenProfiles, DISABLED_WritesTheGoldenRows) {
    if (GetParam() != formats) GTEST_SKIP() << "older ones stay as they are";
    open();
    put("c-1", 5, {"card:1", "email:jane@example.com"}, R"({"traits":{"tier":"gold"},"x":1.50})");
    put("c-2", 7, {"card:2"}, R"({"traits":{"tier":"blue"}})");
    put("c-3", 2, {"card:3"}, c_3);
    merge("c-2", {"c-3"});
    merge("c-1", {"c-2", "c-unknown"});
    put("c-4", 9, {"card:4"});
    erase("c-4");
    erase("c-5");
    put("c-6", 1, {"card:6"}, R"({"a":6})");
    write_rows(golden_rows(GetParam()));
}

TEST_P(GoldenProfiles, SayWhatTheySaidWhenTheyWereWritten) {
    open();
    read_rows(golden_rows(GetParam()));
    open();
    for (const char* id : {"c-1", "c-2", "c-3", "c-unknown"}) {
        const auto look = by_id(id);
        ASSERT_EQ(look.kind, Kind::found) << id;
        EXPECT_EQ(look.profile.id, "c-1");
        EXPECT_EQ(look.profile.version, 5u);
        EXPECT_EQ(look.profile.json, R"({"traits":{"tier":"gold"},"x":1.50})");
        EXPECT_THAT(look.profile.merged_from, UnorderedElementsAre("c-2", "c-3", "c-unknown"));
    }
    const store::Refusal marketing{3, ConsentState::denied, *parse_rfc3339("2026-01-02T00:00:00Z")};
    const store::Refusal analytics{1, ConsentState::revoked, now_};
    EXPECT_THAT(by_id("c-1").profile.refused_by_merged,
                UnorderedElementsAreArray(GetParam() < 4 ? std::vector<store::Refusal>()
                                                         : std::vector{marketing, analytics}));
    for (const char* text : {"card:1", "card:2", "card:3", "email:jane@example.com"})
        EXPECT_EQ(whose(text), "c-1") << text;
    EXPECT_EQ(by_id("c-4").kind, Kind::erased);
    EXPECT_EQ(by_id("c-5").kind, Kind::erased);
    EXPECT_EQ(put("c-4", 9).verdict, Verdict::refused_erased);
    EXPECT_EQ(put("c-5", 1'000).verdict, Verdict::refused_erased);
    EXPECT_EQ(whose("card:6"), "c-6");
    EXPECT_EQ(profiles_->stats().profiles, 2u);
    EXPECT_EQ(profiles_->stats().merged, 3u);
    EXPECT_EQ(profiles_->stats().erasures, 2u);
    EXPECT_EQ(profiles_->stats().damaged, 0u);
}

TEST_P(GoldenProfiles, CanBeUndoneAsFarAsTheyKeepWhatThatNeeds) {
    open();
    read_rows(golden_rows(GetParam()));
    open();
    EXPECT_EQ(unmerge("c-1", {"c-2", "c-unknown"}).verdict, Verdict::unmerged);
    EXPECT_EQ(by_id("c-unknown").kind, Kind::missing);
    EXPECT_EQ(whose("card:2"), "c-2");
    const auto look = by_id("c-2");
    if (GetParam() == 1) {  // neither its document nor that c-3 came with it
        EXPECT_EQ(look.profile.json, "{}");
        EXPECT_EQ(look.profile.version, 0u);
        EXPECT_EQ(whose("card:3"), "c-1");
        EXPECT_EQ(by_alias("card:4").kind, Kind::missing);
    } else {
        EXPECT_EQ(look.profile.json, R"({"traits":{"tier":"blue"}})");
        EXPECT_EQ(look.profile.version, 7u);
        EXPECT_EQ(whose("card:3"), "c-2");
        EXPECT_EQ(by_alias("card:4").kind, Kind::erased);
    }
    EXPECT_EQ(put("c-2", 8, {"card:2"}).verdict, Verdict::replaced);
    EXPECT_EQ(erase("c-1").verdict, Verdict::erased);
    EXPECT_EQ(by_alias("card:1").kind, Kind::erased);
}

INSTANTIATE_TEST_SUITE_P(Formats, GoldenProfiles, testing::Range(1, formats + 1),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace touchpoint::tests
