// The invented shop: believable, repeatable, and a third of it plain.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <map>
#include <set>

#include "gateway/command/simulate_beacons.hpp"
#include "gateway/command/simulate_shop.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace touchpoint::simulate {
namespace {

std::vector<Draft> a_day(std::uint64_t seed, std::size_t events) {
    Shop shop({1000, 30, 6, seed});
    std::vector<Draft> drafts;
    SteadyTime now;
    while (drafts.size() < events) {
        if (auto draft = shop.next(now, UtcTime{1'790'000'000'000}))
            drafts.push_back(std::move(*draft));
        else
            now += std::chrono::milliseconds(1);
    }
    return drafts;
}

TEST(SimulatedShop, TheSameSeedSaysTheSameThingsAndAnotherSeedOthers) {
    const auto said = [](std::uint64_t seed) {
        std::string all;
        for (const Draft& draft : a_day(seed, 200))
            all += draft.kind + draft.device + draft.name + draft.members;
        return all;
    };
    EXPECT_EQ(said(7), said(7));
    EXPECT_NE(said(7), said(8));
}

TEST(SimulatedShop, EveryKindSpeaksInJsonOfAFewHundredBytesAndAThirdOfItsDevicesIsPlain) {
    std::map<std::string, std::set<std::string>> devices, plain;
    std::set<std::string> names;
    std::size_t bytes = 0;
    const auto drafts = a_day(1, 5000);
    for (const Draft& draft : drafts) {
        boost::system::error_code error;
        const auto value = boost::json::parse("{" + draft.members + "}", error);
        ASSERT_FALSE(error) << draft.members;
        ASSERT_TRUE(value.is_object());
        bytes += draft.members.size();
        names.insert(draft.kind + "." + draft.name);
        devices[draft.kind].insert(draft.device);
        if (!draft.identified) plain[draft.kind].insert(draft.device);
    }
    EXPECT_EQ(names,
              (std::set<std::string>{"beacon.seen", "beacon.telemetry", "kiosk.cart", "kiosk.identify",
                                     "kiosk.scan", "kiosk.search", "kiosk.view", "pos.payment", "pos.sale"}));
    EXPECT_EQ(devices["pos"].size(), 6u);
    for (const auto& [kind, all] : devices) EXPECT_EQ(plain[kind].size() * 3, all.size()) << kind;
    EXPECT_GT(bytes / drafts.size(), 180u);
    EXPECT_LT(bytes / drafts.size(), 320u);
}

TEST(SimulatedShop, KeepsItsRateAndDoesNotMakeUpForALongPause) {
    Shop shop({100, 10, 0, 1});
    const auto drain = [&](SteadyTime now) {
        int count = 0;
        while (shop.next(now, {})) ++count;
        return count;
    };
    const SteadyTime start(std::chrono::hours(1));
    EXPECT_EQ(drain(start), 1);
    EXPECT_EQ(drain(start + std::chrono::milliseconds(505)), 50);
    EXPECT_LE(drain(start + std::chrono::minutes(10)), 102);
}

TEST(SimulatedShop, ItsArticleNumbersHaveTheirCheckDigit) {
    EXPECT_EQ(ean13(400638133393), "4006381333931");
    EXPECT_EQ(ean13(12345), "0000000123457");
    EXPECT_EQ(money(1234), "12.34");
    EXPECT_EQ(money(5), "0.05");
}

TEST(BeaconRecording, BecomesTelemetryOfItsReceivers) {
    const tests::TempFolder folder;
    const auto path = folder.path() / "beacons.csv";
    tests::write_file(path,
                      "x_m,unix_time,sensor_mac,beacon_mac,rssi_dbm\n"
                      "1,1569304545.6960,aa,ee,-79\n"
                      "1,1569304545.6963,bb,ee,-75\n"
                      "1,1569304545.6972,cc,ee,-84\n"
                      "1,1569304545.6975,aa,ee,-80\n");
    auto file = BeaconFile::open({path, 1000, 0});
    ASSERT_TRUE(file) << file.error().context;
    std::vector<Draft> drafts;
    for (SteadyTime now; !file->finished(); now += std::chrono::milliseconds(1))
        if (auto draft = file->next(now, {})) drafts.push_back(std::move(*draft));
    ASSERT_EQ(drafts.size(), 4u);
    EXPECT_EQ(drafts[0].device, "rx-aa");
    EXPECT_EQ(drafts[0].members, R"("beacon":"ee","rssi_dbm":"-79","heard_at":"1569304545.6960")");
    EXPECT_TRUE(drafts[0].identified && drafts[1].identified && drafts[3].identified);
    EXPECT_FALSE(drafts[2].identified);
    EXPECT_FALSE(file->error());
}

}  // namespace
}  // namespace touchpoint::simulate
