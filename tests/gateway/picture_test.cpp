// What one event says of a customer, and the picture that many make.
#include <gmock/gmock.h>

#include "gateway/profiles/picture.hpp"
#include "gateway/profiles/picture_json.hpp"
#include "gateway/profiles/profile_document.hpp"
#include "gateway/profiles/touch.hpp"

namespace touchpoint::gateway {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr UtcTime noon{1'790'000'000'000};

std::string members(const std::string& type, const std::string& data, const std::string& more = "") {
    return R"("id":"1","source":"/stores/s1/kiosk/k7","type":")" + type +
           R"(","time":"2026-09-21T14:13:20.000Z","subject":"pseudonym/p1_a")" + more + ",\"data\":" + data;
}

class PictureTest : public testing::Test {
  protected:
    Told told(Stream stream, const std::string& type, const std::string& data, const std::string& more = "") {
        now_ = now_ + std::chrono::seconds(1);
        auto found = read_touch(stream, ++sequence_, now_, members(type, data, more));
        EXPECT_TRUE(found) << type;
        return found.value_or(Told{});
    }
    void happens(Stream stream, const std::string& type, const std::string& data) {
        fold(picture_, told(stream, type, data), "e1");
    }
    void cart(const std::string& data) { happens(Stream::interactions, "store.kiosk.cart.v1", data); }
    std::string json(const Seen& seen = {}) const {
        return with_picture(R"({"traits":{}})", unseen(picture_, seen, "e1"), {});
    }

    UtcTime now_ = noon;
    Sequence sequence_ = 0;
    Picture picture_;
};

TEST_F(PictureTest, AnEventThatNamesNobodyIsNoTouch) {
    EXPECT_FALSE(
        read_touch(Stream::interactions, 1, noon, R"("id":"1","type":"store.kiosk.view.v1","data":{})"));
    EXPECT_FALSE(read_touch(Stream::interactions, 1, noon, R"("subject":"pseudonym/p1_a", damaged)"));
    EXPECT_FALSE(read_touch(Stream::customer, 1, noon, members("store.system.gap.v1", "{}")));
    const auto ours = read_touch(Stream::customer, 1, noon, members("store.system.merge.v1", "{}"));
    ASSERT_TRUE(ours);
    EXPECT_FALSE(ours->tells.empty());
    EXPECT_EQ(ours->person, "");
    EXPECT_TRUE(read_touch(Stream::interactions, 1, noon, R"("id":"1","session":"s","data":{})"));
}

// A CloudEvent's type may be longer than what is shown of it.
TEST_F(PictureTest, AnEventIsWhatTheWholeOfItsTypeSays) {
    const std::string type = "com." + std::string(80, 'x') + ".consent.v1";
    const Told found = told(Stream::customer, type, R"({"purpose":"marketing","state":"denied"})");
    ASSERT_TRUE(found.consent);
    EXPECT_EQ(found.touch.type.size(), touch_word_bytes_max);
}

TEST_F(PictureTest, ATouchIsOneLineThatAPersonCanRead) {
    const Told found =
        told(Stream::interactions, "store.kiosk.search.v1", R"({"results":12,"query":"oat milk"})");
    EXPECT_EQ(found.touch.line, "search: oat milk");
    EXPECT_EQ(found.touch.device, "kiosk/k7");
    EXPECT_EQ(found.person, "p1_a");
    const std::string words(500, 'w');
    EXPECT_EQ(told(Stream::interactions, "store.kiosk.search.v1", R"({"query":")" + words + "\"}")
                  .touch.line.size(),
              touch_line_bytes_max);
    EXPECT_EQ(cut("a\xc3\xa4", 2), "a");
}

TEST_F(PictureTest, ACartIsFilledAndASaleEmptiesIt) {
    cart(R"({"action":"add","item":"milk","quantity":"2"})");
    cart(R"({"action":"add","item":"cheese","quantity":0.42})");
    cart(R"({"action":"remove","item":"milk"})");
    cart(R"({"action":"remove","item":"never there"})");
    EXPECT_THAT(json(),
                HasSubstr(R"("lines":[{"item":"milk","quantity":1},{"item":"cheese","quantity":0.42}])"));
    happens(Stream::sales, "store.pos.sale.v1", R"({"total":"9.00"})");
    EXPECT_THAT(json(), HasSubstr(R"("cart":{"lines":[])"));
    cart(R"({"action":"set","item":"bread","quantity":3})");
    EXPECT_THAT(json(), HasSubstr(R"("lines":[{"item":"bread","quantity":3}])"));
    cart(R"({"action":"clear"})");
    EXPECT_THAT(json(), HasSubstr(R"("cart":{"lines":[])"));
}

// Streams are read one after the other: the sale may be met before what was put into the cart.
TEST_F(PictureTest, ACartAndTheTypesOfTouchesHaveAnEnd) {
    for (int i = 0; i < 60; ++i) cart(R"({"action":"add","item":"i-)" + std::to_string(i) + "\"}");
    EXPECT_EQ(picture_.cart.size(), Picture::cart_lines_max);
    cart(R"({"action":"remove","item":"i-0"})");
    cart(R"({"action":"add","item":"i-59"})");
    EXPECT_EQ(picture_.cart.size(), Picture::cart_lines_max) << "there was room again";
    for (int i = 0; i < 400; ++i)
        happens(Stream::interactions, "store.kiosk.t" + std::to_string(i % 40) + ".v1", "{}");
    EXPECT_LE(picture_.older.size(), Picture::types_max + 1);
    std::uint64_t counted = picture_.touches.size();
    for (const auto& [type, count] : picture_.older) counted += count.count;
    EXPECT_EQ(counted, 462u) << "none is lost: beyond the types they are others";
    EXPECT_TRUE(picture_.older.contains("other"));
}

TEST_F(PictureTest, WhoLeavesAZoneIsNowhereUnlessHeHasComeToAnother) {
    const auto entered = [&](const std::string& zone) {
        happens(Stream::telemetry, "store.beacon.entered.v1", R"({"zone":")" + zone + "\"}");
    };
    entered("dairy");
    EXPECT_THAT(json(), HasSubstr(R"("place":{"zone":"dairy")"));
    entered("wine");
    happens(Stream::telemetry, "store.beacon.left.v1", R"({"zone":"dairy"})");
    EXPECT_THAT(json(), HasSubstr(R"("place":{"zone":"wine")")) << "beacons overlap";
    happens(Stream::telemetry, "store.beacon.left.v1", R"({"zone":"wine"})");
    EXPECT_THAT(json(), Not(HasSubstr("place")));
    entered("dairy");
    happens(Stream::telemetry, "store.door.left.v1", "{}");
    EXPECT_THAT(json(), Not(HasSubstr("place"))) << "the shop, as it seems";
}

TEST_F(PictureTest, WhatWasInTheCartBeforeASaleIsPaidInWhateverOrderTheyAreRead) {
    const Told milk = told(Stream::interactions, "store.kiosk.cart.v1", R"({"action":"add","item":"milk"})");
    happens(Stream::sales, "store.pos.sale.v1", "{}");
    fold(picture_, milk, "e1");
    EXPECT_THAT(json(), HasSubstr(R"("cart":{"lines":[])"));
}

TEST_F(PictureTest, OfManyTouchesTheLastOnesHaveTheirLineAndAllOfThemCount) {
    for (int i = 0; i < 200; ++i)
        happens(Stream::interactions, "store.kiosk.view.v1", R"({"item":"n)" + std::to_string(i) + "\"}");
    EXPECT_EQ(picture_.touches.size(), Picture::touches_max);
    const std::string all = json();
    EXPECT_THAT(all, HasSubstr(R"("counts":{"store.kiosk.view.v1":200})"));
    EXPECT_THAT(all, HasSubstr("view: n180"));
    EXPECT_THAT(all, Not(HasSubstr("view: n179")));
    EXPECT_LT(all.find("n199"), all.find("n180"));  // the latest first
}

TEST_F(PictureTest, WhatThePlatformHasSeenIsNotCountedOnceMore) {
    for (int i = 0; i < 10; ++i) happens(Stream::interactions, "store.kiosk.view.v1", R"({"item":"x"})");
    Seen seen;
    seen.by_numbers = true;
    seen.numbers[Stream::interactions] = 7;
    EXPECT_THAT(json(seen), HasSubstr(R"("counts":{"store.kiosk.view.v1":3})"));
    seen.by_numbers = false;
    seen.time = noon + std::chrono::seconds(9);
    EXPECT_THAT(json(seen), HasSubstr(R"("counts":{"store.kiosk.view.v1":1})"));
    seen.time = noon + std::chrono::hours(1);
    EXPECT_EQ(json(seen), R"({"traits":{}})");
    // Numbers of an epoch that is over say nothing about this one.
    seen.by_numbers = true;
    seen.time = {};
    seen.numbers[Stream::interactions] = 1000;
    EXPECT_EQ(unseen(picture_, seen, "e2").touches.size(), 10u);
}

TEST_F(PictureTest, TheLaterConsentCounts) {
    const std::string type = "store.kiosk.consent.v1";
    const Told granted =
        told(Stream::customer, type, R"({"purpose":["analytics","marketing"],"state":"granted"})");
    happens(Stream::customer, type, R"({"purpose":"marketing","state":"revoked"})");
    fold(picture_, granted, "e1");
    const std::string all = json();
    EXPECT_THAT(all, HasSubstr(R"("analytics":{"state":"granted")"));
    EXPECT_THAT(all, HasSubstr(R"("marketing":{"state":"revoked")"));
    EXPECT_FALSE(told(Stream::customer, type, R"({"purpose":"marketing","state":"maybe"})").consent);
    EXPECT_TRUE(
        told(Stream::customer, type, R"({"purpose":["marketing","analitics"],"state":"revoked"})").consent)
        << "taken by an earlier release, and obeyed for what is spelled right";
    EXPECT_FALSE(consented(all, Purpose::marketing, false, now_));
    EXPECT_TRUE(consented(all, Purpose::analytics, false, now_));
    EXPECT_FALSE(consented(all, Purpose::personalisation, false, now_));
    EXPECT_TRUE(consented(all, Purpose::operation, false, now_));
}

TEST_F(PictureTest, APictureIsTheSameAfterItWasWrittenAndRead) {
    cart(R"({"action":"add","item":"milk","quantity":"2"})");
    happens(Stream::sales, "store.pos.sale.v1", R"({"total":"9.00"})");
    cart(R"({"action":"add","item":"tea"})");
    happens(Stream::telemetry, "store.beacon.entered.v1", R"({"zone":"dairy"})");
    happens(Stream::customer, "store.kiosk.consent.v1",
            R"({"purpose":"marketing","state":"granted","until":"2027-01-01T00:00:00Z"})");
    for (int i = 0; i < 200; ++i) happens(Stream::interactions, "store.kiosk.view.v1", "{}");
    picture_.names = {"p1_a", "p1_b"};
    picture_.owner = "p1_a";
    const std::string bytes = write_picture(picture_);
    const auto read = read_picture(bytes);
    ASSERT_TRUE(read);
    EXPECT_EQ(*read, picture_);
    for (std::size_t cut_at = 0; cut_at < bytes.size(); cut_at += 7)
        EXPECT_FALSE(read_picture(bytes.substr(0, cut_at)));
}

TEST_F(PictureTest, PicturesOfSeveralNamesAreOnePerson) {
    cart(R"({"action":"add","item":"milk"})");
    Picture other;
    fold(other, told(Stream::interactions, "store.kiosk.cart.v1", R"({"action":"add","item":"milk"})"), "e1");
    fold(other, told(Stream::interactions, "store.kiosk.view.v1", R"({"item":"tea"})"), "e1");
    const std::string all = with_picture("{}", together({picture_, other}), {});
    EXPECT_THAT(all, HasSubstr(R"("lines":[{"item":"milk","quantity":2}])"));
    EXPECT_THAT(all, HasSubstr(R"("counts":{"store.kiosk.cart.v1":2,"store.kiosk.view.v1":1})"));
    // Who paid by one name has paid what he put there by another.
    fold(other, told(Stream::sales, "store.pos.sale.v1", "{}"), "e1");
    EXPECT_THAT(with_picture("{}", together({picture_, other}), {}), HasSubstr(R"("cart":{"lines":[])"));
}

// Two names had put milk there, one before the other paid and one after: lines that become one know no time.
TEST_F(PictureTest, WhatOneNameHasPaidIsTakenOutOfEachCartBeforeTheyAreOne) {
    cart(R"({"action":"add","item":"milk"})");
    Picture payer;
    fold(payer, told(Stream::sales, "store.pos.sale.v1", "{}"), "e1");
    Picture third;
    fold(third, told(Stream::interactions, "store.kiosk.cart.v1", R"({"action":"add","item":"milk"})"), "e1");
    EXPECT_THAT(with_picture("{}", together({picture_, third, payer}), {}),
                HasSubstr(R"("lines":[{"item":"milk","quantity":1}])"));
}

}  // namespace
}  // namespace touchpoint::gateway
