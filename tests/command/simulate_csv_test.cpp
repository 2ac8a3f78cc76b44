// Reading CSV as shops export it: quoted, with either line end, plain or packed, and broken.
#include <gtest/gtest.h>
#include <zlib.h>

#include "gateway/command/simulate_csv.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace touchpoint::simulate {
namespace {

using Records = std::vector<std::vector<std::string>>;

class CsvTest : public testing::Test {
  protected:
    Result<Records> read(const std::string& text) {
        tests::write_file(path(), text);
        return read_file();
    }
    Result<Records> read_file() {
        auto csv = CsvReader::open(path());
        if (!csv) return csv.error();
        Records records;
        std::vector<std::string> fields;
        for (;;) {
            const auto more = csv->next(fields);
            if (!more) return more.error();
            if (!*more) return records;
            records.push_back(fields);
            lines_.push_back(csv->line());
        }
    }
    std::filesystem::path path() const { return folder_.path() / "file.csv"; }

    tests::TempFolder folder_;
    std::vector<std::uint64_t> lines_;
};

TEST_F(CsvTest, QuotedFieldsKeepCommasQuotesAndLineEnds) {
    const auto records = read("a,\"b,c\",\"7\"\" single\"\r\n\"two\r\nlines\",,\"\"\r\n");
    ASSERT_TRUE(records) << records.error().context;
    EXPECT_EQ(*records, (Records{{"a", "b,c", "7\" single"}, {"two\r\nlines", "", ""}}));
}

TEST_F(CsvTest, BothLineEndsAndALastLineWithoutOneAreUnderstood) {
    const auto records = read("a,b\nc,d\r\n\ne,f");
    ASSERT_TRUE(records) << records.error().context;
    EXPECT_EQ(*records, (Records{{"a", "b"}, {"c", "d"}, {"e", "f"}}));
    EXPECT_EQ(lines_, (std::vector<std::uint64_t>{1, 2, 4}));
}

TEST_F(CsvTest, NothingIsTrimmedAndAByteOrderMarkIsNoText) {
    const auto records = read("\xEF\xBB\xBF name , x\"y\n");
    ASSERT_TRUE(records) << records.error().context;
    EXPECT_EQ(*records, (Records{{" name ", " x\"y"}}));
}

TEST_F(CsvTest, AnEmptyFileHasNoRecords) {
    const auto records = read("");
    ASSERT_TRUE(records) << records.error().context;
    EXPECT_TRUE(records->empty());
}

TEST_F(CsvTest, AQuoteThatDoesNotEndIsNamedWithItsLine) {
    const auto records = read("a\nb\n\"c\n");
    ASSERT_FALSE(records);
    EXPECT_EQ(records.error().code, Errc::damaged);
    EXPECT_NE(records.error().context.find("line 3"), std::string::npos) << records.error().context;
}

TEST_F(CsvTest, TextBehindAClosingQuoteIsRefused) {
    const auto records = read("\"a\"b,c\n");
    ASSERT_FALSE(records);
    EXPECT_EQ(records.error().code, Errc::damaged);
}

TEST_F(CsvTest, ARecordBeyondTheBoundIsRefused) {
    const auto records = read(std::string(CsvReader::record_bytes_max + 1, 'x'));
    ASSERT_FALSE(records);
    EXPECT_EQ(records.error().code, Errc::damaged);
}

TEST_F(CsvTest, GzipIsReadAndATornOneIsToldFromAWholeOne) {
    std::string text;
    for (int i = 0; i < 20'000; ++i) text += std::to_string(i * 7919) + ",value\n";
    gzFile file = gzopen(path().c_str(), "wb");
    ASSERT_EQ(gzwrite(file, text.data(), static_cast<unsigned>(text.size())), static_cast<int>(text.size()));
    gzclose(file);
    const auto whole = read_file();
    ASSERT_TRUE(whole) << whole.error().context;
    EXPECT_EQ(whole->size(), 20'000u);

    std::filesystem::resize_file(path(), std::filesystem::file_size(path()) / 2);
    const auto torn = read_file();
    ASSERT_FALSE(torn);
    EXPECT_EQ(torn.error().code, Errc::damaged);
}

TEST_F(CsvTest, AMissingFileIsAnIoError) {
    const auto csv = CsvReader::open(folder_.path() / "absent.csv");
    ASSERT_FALSE(csv);
    EXPECT_EQ(csv.error().code, Errc::io);
}

TEST(CsvColumns, AreFoundByNameAndAMissingOneIsNamed) {
    const auto places = columns({"a", "b", "c"}, {"c", "a"});
    ASSERT_TRUE(places);
    EXPECT_EQ(*places, (std::vector<std::size_t>{2, 0}));
    const auto missing = columns({"a"}, {"a", "price"});
    ASSERT_FALSE(missing);
    EXPECT_NE(missing.error().context.find("price"), std::string::npos);
}

}  // namespace
}  // namespace touchpoint::simulate
