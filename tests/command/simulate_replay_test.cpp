// From lines of invoices to sales and returns, with amounts that stay the file's own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <set>

#include "gateway/command/simulate_replay.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace touchpoint::simulate {
namespace {

const std::string header =
    "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

class ReplayTest : public testing::Test {
  protected:
    std::vector<InvoiceRun> runs(const std::string& lines) {
        tests::write_file(path(), header + lines);
        auto file = InvoiceFile::open(path());
        EXPECT_TRUE(file) << file.error().context;
        std::vector<InvoiceRun> all;
        for (;;) {
            auto run = file->next();
            EXPECT_TRUE(run) << run.error().context;
            if (!run || !*run) return all;
            all.push_back(std::move(**run));
        }
    }
    std::filesystem::path path() const { return folder_.path() / "retail.csv"; }
    tests::TempFolder folder_;
};

TEST_F(ReplayTest, ConsecutiveLinesOfAnInvoiceAreOneRunAndALaterReturnToItIsAnother) {
    const auto all = runs(
        "7,a,x,1,2010-12-01 08:26:00,2.55,17850.0,France\n"
        "7,b,y,2,2010-12-01 08:26:00,1.1,17850.0,France\n"
        "8,c,z,3,2010-12-01 08:27:00,5,,France\n"
        "7,d,w,4,2010-12-01 08:28:00,0.001,17850.0,France\n");
    ASSERT_EQ(all.size(), 3u);
    EXPECT_EQ(all[0].lines.size(), 2u);
    EXPECT_EQ(all[0].number, 1u);
    EXPECT_EQ(all[1].invoice, "8");
    EXPECT_EQ(all[2].invoice, "7");
    EXPECT_EQ(all[2].number, 2u);
    EXPECT_EQ(to_rfc3339(all[2].date), "2010-12-01T08:28:00.000Z");
}

TEST_F(ReplayTest, ASaleCarriesTheFilesOwnDecimalStrings) {
    const auto all = runs(
        "536477,22041,\"RECORD FRAME 7\"\" SINGLE\",48,2010-12-01 12:27:00,2.1,16210.0,United Kingdom\n");
    ASSERT_EQ(all.size(), 1u);
    const auto drafts = to_drafts(all[0], 10, std::chrono::hours(1), 200'000);
    ASSERT_EQ(drafts.size(), 1u);
    EXPECT_EQ(drafts[0].kind, "pos");
    EXPECT_EQ(drafts[0].name, "sale");
    EXPECT_EQ(drafts[0].id, "536477-1");
    EXPECT_EQ(to_rfc3339(drafts[0].time), "2010-12-01T13:27:00.000Z");
    EXPECT_EQ(
        "{" + drafts[0].members + "}",
        R"({"invoice":"536477","run":1,"customer":"loyalty:16210","country":"United Kingdom","currency":"GBP",)"
        R"("total":"100.80","lines":[{"item":"22041","description":"RECORD FRAME 7\" SINGLE","quantity":48,)"
        R"("unit_price":"2.1"}]})");
}

TEST_F(ReplayTest, AnInvoiceThatBeginsWithCIsAReturnAndNoCustomerIsNoMember) {
    const auto all = runs("C536379,D,Discount,-1,2010-12-01 09:41:00,27.5,,United Kingdom\n");
    const auto drafts = to_drafts(all.at(0), 10, std::chrono::hours(0), 200'000);
    EXPECT_EQ(drafts.at(0).name, "return");
    EXPECT_EQ(drafts[0].members.find("customer"), std::string::npos);
    EXPECT_NE(drafts[0].members.find("\"quantity\":-1,"), std::string::npos);
    EXPECT_NE(drafts[0].members.find("\"total\":\"-27.50\""), std::string::npos) << drafts[0].members;
}

TEST_F(ReplayTest, ALargeRunIsSplitIntoPartsThatHoldEveryLineOnce) {
    InvoiceRun run;
    run.invoice = "9";
    for (int i = 0; i < 100; ++i) run.lines.push_back({"item" + std::to_string(i), "text", "1", "1.00"});
    const auto drafts = to_drafts(run, 3, std::chrono::hours(0), 1000);
    ASSERT_GT(drafts.size(), 3u);
    std::set<std::string> ids, items;
    for (std::size_t i = 0; i < drafts.size(); ++i) {
        EXPECT_LE(drafts[i].members.size(), 1000u);
        ids.insert(drafts[i].id);
        const auto value = boost::json::parse("{" + drafts[i].members + "}");
        EXPECT_EQ(value.at("part").as_int64(), static_cast<std::int64_t>(i) + 1);
        EXPECT_EQ(value.at("parts").as_int64(), static_cast<std::int64_t>(drafts.size()));
        for (const auto& line : value.at("lines").as_array())
            items.insert(std::string(line.at("item").as_string()));
    }
    EXPECT_EQ(ids.size(), drafts.size());
    EXPECT_EQ(items.size(), 100u);
}

TEST_F(ReplayTest, WithoutKeepDatesTheLastDateIsNow) {
    tests::write_file(path(), header +
                                  "1,a,x,1,2010-12-01 08:00:00,1,,F\n"
                                  "2,a,x,1,2010-12-03 08:00:00,1,,F\n"
                                  "3,a,x,1,2010-12-02 08:00:00,1,,F\n");
    const UtcTime now{1'790'000'000'000};
    auto replay = Replay::open({path(), 0, 10, false}, now);
    ASSERT_TRUE(replay) << replay.error().context;
    std::vector<UtcTime> times;
    while (auto draft = replay->next(SteadyTime(), now)) times.push_back(draft->time);
    EXPECT_THAT(times, testing::ElementsAre(now - std::chrono::hours(48), now, now - std::chrono::hours(24)));
    EXPECT_TRUE(replay->finished());
}

TEST_F(ReplayTest, AtASpeedAnEventComesWhenItsTimeHasCome) {
    tests::write_file(path(), header +
                                  "1,a,x,1,2010-12-01 08:00:00,1,,F\n"
                                  "2,a,x,1,2010-12-01 08:01:00,1,,F\n");
    auto replay = Replay::open({path(), 60, 10, true}, UtcTime{});
    ASSERT_TRUE(replay) << replay.error().context;
    const SteadyTime start(std::chrono::seconds(100));
    EXPECT_TRUE(replay->next(start, {}));
    EXPECT_FALSE(replay->next(start + std::chrono::milliseconds(999), {}));
    EXPECT_FALSE(replay->finished());
    EXPECT_TRUE(replay->next(start + std::chrono::milliseconds(1000), {}));
    EXPECT_TRUE(replay->finished());
}

TEST_F(ReplayTest, ADamagedLineEndsTheReplayWithItsNumber) {
    tests::write_file(path(), header + "1,a,x,1,2010-12-01 08:00:00,1,,F\n2,a,x\n");
    auto replay = Replay::open({path(), 0, 10, true}, UtcTime{});
    ASSERT_TRUE(replay) << replay.error().context;
    while (replay->next(SteadyTime(), {})) {
    }
    EXPECT_TRUE(replay->finished());
    ASSERT_TRUE(replay->error());
    EXPECT_NE(replay->error()->context.find("line 3"), std::string::npos) << replay->error()->context;
}

TEST(ExactTotal, IsExactWhereBinaryFloatingPointIsNot) {
    const auto total = [](std::vector<InvoiceLine> lines) { return exact_total(lines).value_or("none"); };
    EXPECT_EQ(total({{"", "", "3", "0.1"}}), "0.30");
    EXPECT_EQ(total({{"", "", "6", "2.55"}, {"", "", "6", "3.39"}}), "35.64");
    EXPECT_EQ(total({{"", "", "1", "0.001"}}), "0.001");
    EXPECT_EQ(total({{"", "", "80995", "2.08"}}), "168469.60");
    EXPECT_EQ(total({{"", "", "-1", "11062.06"}, {"", "", "1", "0.06"}}), "-11062.00");
    EXPECT_EQ(total({{"", "", "0", "1.5"}}), "0.00");
    EXPECT_EQ(total({}), "0.00");
    EXPECT_EQ(total({{"", "", "2", "1e3"}}), "none");
    EXPECT_EQ(total({{"", "", "", "1"}}), "none");
}

TEST(CustomerAlias, LosesTheTrailingZeroOfTheExportAndNothingElse) {
    EXPECT_EQ(customer_alias("17850.0"), "loyalty:17850");
    EXPECT_EQ(customer_alias("17850"), "loyalty:17850");
    EXPECT_EQ(customer_alias("17850.5"), "loyalty:17850.5");
    EXPECT_EQ(customer_alias(""), "");
}

TEST(RetailData, TheWholeFileIsReadAndEveryLineIsInOneRun) {
    const char* data = std::getenv("TOUCHPOINT_DATA");
    if (data == nullptr) GTEST_SKIP() << "TOUCHPOINT_DATA names no folder with the real data";
    const auto path = std::filesystem::path(data) / "retail/online-retail-2010-12_2011-06.csv.gz";
    auto file = InvoiceFile::open(path);
    ASSERT_TRUE(file) << file.error().context;
    std::size_t lines = 0, count = 0;
    std::set<std::string> invoices;
    for (;;) {
        const auto run = file->next();
        ASSERT_TRUE(run) << run.error().context;
        if (!*run) break;
        ++count;
        lines += (*run)->lines.size();
        invoices.insert((*run)->invoice);
    }
    EXPECT_EQ(lines, 245'903u);
    EXPECT_EQ(invoices.size(), 12'795u);
    EXPECT_EQ(count, 12'796u);  // one invoice is interrupted by another
}

}  // namespace
}  // namespace touchpoint::simulate
