#include "devices/mask.hpp"

#include <gtest/gtest.h>

namespace touchpoint::devices {
namespace {

// 4111111111111111 is the card number that test systems use.
std::string masked(std::string json, std::size_t count) {
    const CardMask mask({"gtin", "code"});
    EXPECT_EQ(mask.mask_json(json), count) << json;
    return json;
}

TEST(CardMaskTest, ACardNumberInATextKeepsItsLastFourDigits) {
    EXPECT_EQ(masked(R"({"comment":"4111111111111111"})", 1), R"({"comment":"************1111"})");
    EXPECT_EQ(masked(R"({"comment":"card 4111 1111 1111 1111, ok"})", 1),
              R"({"comment":"card **** **** **** 1111, ok"})");
    EXPECT_EQ(masked(R"(["5500-0000-0000-0004"])", 1), R"(["****-****-****-0004"])");
    EXPECT_EQ(masked(R"({"a":"4111111111111111 5500000000000004"})", 2),
              R"({"a":"************1111 ************0004"})");
    EXPECT_EQ(masked(R"({"a":"17 4111111111111111"})", 1), R"({"a":"17 ************1111"})");
    EXPECT_EQ(masked(R"({"a":"\n4111111111111111\n"})", 1), R"({"a":"\n************1111\n"})");
}

TEST(CardMaskTest, EverythingElseKeepsItsBytes) {
    for (const char* json :
         {R"({"a":4111111111111111})", R"({"a":"4111111111111112"})", R"({"a":"411111111111"})",
          R"({"data":"020106a4111111111111111"})", R"({"a":"4111111111111111.50"})",
          R"({"a":"0.4111111111111111"})", R"({"a":"00000000000000000000"})", R"({"a":"0000000000000"})",
          R"({"a":"41111111111111111111111111"})", R"({"a":"2026-09-21T08:01:02.113Z"})",
          R"({"a":"550e8400-e29b-41d4-a716-446655440000"})", R"({"a":"4111  1111  1111  1111"})",
          R"({"a":"\u34111111111111111"})"})
        EXPECT_EQ(masked(json, 0), json);
}

TEST(CardMaskTest, DeclaredCodesAreNotCardsAlsoInsideThem) {
    EXPECT_EQ(masked(R"({"gtin":"4111111111111111","x":"4111111111111111"})", 1),
              R"({"gtin":"4111111111111111","x":"************1111"})");
    EXPECT_EQ(
        masked(R"({"lines":[{"code":["4111111111111111",{"y":"4111111111111111"}],"z":"4111111111111111"}]})",
               1),
        R"({"lines":[{"code":["4111111111111111",{"y":"4111111111111111"}],"z":"************1111"}]})");
    EXPECT_EQ(masked(R"([{"code":"4111111111111111"},"4111111111111111"])", 1),
              R"([{"code":"4111111111111111"},"************1111"])");
}

TEST(CardMaskTest, AMemberNameIsNotTouched) {
    EXPECT_EQ(masked(R"({"4111111111111111":1})", 0), R"({"4111111111111111":1})");
}

}  // namespace
}  // namespace touchpoint::devices
