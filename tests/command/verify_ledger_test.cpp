// tools/verify-ledger: says yes to a whole platform file, and no, with a sentence, to each way of breaking
// it.
#include <gtest/gtest.h>

#include "gateway/command/simulate_ledger.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace touchpoint::simulate {
namespace {

class VerifyLedgerTest : public testing::Test {
  protected:
    void SetUp() override {
        auto ledger = Ledger::open(ledger_path(), "run", UtcTime{});
        ASSERT_TRUE(ledger);
        ledger->note("kiosk", "k1", "search", "a", "", Outcome::receipted, 1);
        ledger->note("kiosk", "k1", "view", "b", "", Outcome::duplicate, 2);
        ledger->note("kiosk", "k3", "view", "", "m1", Outcome::pubacked, 1);
        ledger->note("kiosk", "k3", "view", "", "m2", Outcome::pubacked, 2);
        ledger->note("kiosk", "k1", "view", "c", "", Outcome::unknown, 3);
        ASSERT_TRUE(ledger->close());
        lines_ = {event(1, "k1", "a", "{}"), event(2, "k1", "b", "{}"), event(3, "k3", "u1", R"({"n":"m1"})"),
                  event(4, "k3", "u2", R"({"n":"m2"})")};
    }
    static std::string event(int sequence, const std::string& device, const std::string& id,
                             const std::string& data, const std::string& more = {},
                             const std::string& type = "store.kiosk.view.v1") {
        return R"({"specversion":"1.0","id":")" + id + R"(","source":"/stores/s1/kiosk/)" + device +
               R"(","type":")" + type +
               R"(","gatewayid":"g","epoch":"e","stream":"interactions","sequence":")" +
               std::string(19, '0') + std::to_string(sequence) + "\"," + more + "\"data\":" + data + "}";
    }
    int verify() {
        std::string text;
        for (const std::string& line : lines_) text += line + "\n";
        tests::write_file(folder_.path() / "events", text);
        // Without the machine's own site packages: looking for them takes longer than the comparison.
        tests::Process process({"python3", "-I", "-S", SOURCE_DIR "/tools/verify-ledger", "--ledger",
                                ledger_path().string(), "--events", (folder_.path() / "events").string()},
                               folder_.path() / "output");
        const auto status = process.wait();
        output_ = tests::read_file(folder_.path() / "output");
        return status.value_or(-1);
    }
    std::filesystem::path ledger_path() const { return folder_.path() / "ledger"; }

    tests::TempFolder folder_;
    std::vector<std::string> lines_;
    std::string output_;
};

TEST_F(VerifyLedgerTest, AcceptsAWholeFileWithEqualRepeats) {
    lines_.push_back(lines_[1]);
    EXPECT_EQ(verify(), 0) << output_;
    EXPECT_NE(output_.find("kept"), std::string::npos);
}

TEST_F(VerifyLedgerTest, MissesAReceiptedEvent) {
    lines_[0] = event(1, "k1", "z", "{}");
    EXPECT_EQ(verify(), 1);
    EXPECT_NE(output_.find("holds a receipt for a,"), std::string::npos) << output_;
}

TEST_F(VerifyLedgerTest, MissesAnAcknowledgedPlainEvent) {
    lines_[2] = event(3, "k3", "u1", R"({"n":"m9"})");
    EXPECT_EQ(verify(), 1);
    EXPECT_NE(output_.find("m1 was taken"), std::string::npos) << output_;
}

TEST_F(VerifyLedgerTest, SeesARepeatWithOtherContent) {
    lines_.push_back(event(2, "k1", "b", R"({"x":1})"));
    EXPECT_EQ(verify(), 1);
    EXPECT_NE(output_.find("other content"), std::string::npos) << output_;
}

TEST_F(VerifyLedgerTest, SeesAHoleUnlessAGapExplainsIt) {
    lines_.push_back(event(7, "k1", "c", "{}"));
    EXPECT_EQ(verify(), 1);
    EXPECT_NE(output_.find("interactions 5 to 6 never came"), std::string::npos) << output_;
    lines_.insert(lines_.end() - 1, event(6, "gw", "gap", R"({"first":5,"last":6,"reason":"shed"})", "",
                                          "store.system.gap.v1"));
    EXPECT_EQ(verify(), 0) << output_;
}

TEST_F(VerifyLedgerTest, SeesAStreamOutOfOrder) {
    std::swap(lines_[0], lines_[1]);
    EXPECT_EQ(verify(), 1);
    EXPECT_NE(output_.find("arrives in order"), std::string::npos) << output_;
}

TEST_F(VerifyLedgerTest, SeesAnIdStoredTwice) {
    lines_.push_back(event(5, "k1", "a", "{}"));
    EXPECT_EQ(verify(), 1);
    EXPECT_NE(output_.find("stored 2 times"), std::string::npos) << output_;
}

TEST_F(VerifyLedgerTest, AllowsAPlainCopyThatIsMarkedOrTheDevicesOwnDoingAndNoOther) {
    lines_.push_back(event(5, "k3", "u3", R"({"n":"m2"})"));  // sent twice
    lines_.push_back(event(6, "k3", "u4", R"({"n":"m1"})", "\"possiblerepeat\":true,"));
    EXPECT_EQ(verify(), 0) << output_;
    lines_.push_back(event(7, "k3", "u5", R"({"n":"m1"})"));
    EXPECT_EQ(verify(), 1);
    EXPECT_NE(output_.find("marked possiblerepeat"), std::string::npos) << output_;
}

TEST_F(VerifyLedgerTest, RefusesALedgerWithoutItsEnd) {
    std::string text = tests::read_file(ledger_path());
    text.resize(text.rfind("{\"summary\""));
    tests::write_file(ledger_path(), text);
    EXPECT_EQ(verify(), 1);
    EXPECT_NE(output_.find("no summary line"), std::string::npos) << output_;
}

TEST_F(VerifyLedgerTest, RefusesATornFile) {
    lines_.back().resize(20);
    EXPECT_EQ(verify(), 2) << output_;
}

}  // namespace
}  // namespace touchpoint::simulate
