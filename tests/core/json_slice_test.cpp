#include "gateway/core/json_slice.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace touchpoint {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(JsonSliceTest, TheDevicesBytesComeOutUnchanged) {
    const std::string text =
        " { \"a\" : 1.0e+002 , \"b\":[1, {\"x\":\"}]\\\"\"} ],\"c\\u0064\":null,\"e\":\"\xC3\xA4\" }\n";
    ASSERT_FALSE(validate_json(text));
    const auto members = json_members(text);
    ASSERT_EQ(members.size(), 4u);
    EXPECT_EQ(members[0].value, "1.0e+002");
    EXPECT_EQ(members[1].value, R"([1, {"x":"}]\""} ])");
    EXPECT_EQ(members[2].key, R"("c\u0064")");
    EXPECT_TRUE(members[2].is("cd"));
    EXPECT_EQ(members[3].value, "\"\xC3\xA4\"");
}

TEST(JsonSliceTest, AQuoteEndsATextOnlyBehindAnEvenNumberOfBackslashes) {
    const std::string text = R"({"":"","\\":"\\\\","\"":"\\\"}","x\\\"y\\":["\"","\\",{"]":"[\\"}],"z":1})";
    ASSERT_FALSE(validate_json(text));
    const auto members = json_members(text);
    ASSERT_EQ(members.size(), 5u);
    EXPECT_EQ(members[0].value, R"("")");
    EXPECT_EQ(members[1].key, R"("\\")");
    EXPECT_EQ(members[1].value, R"("\\\\")");
    EXPECT_EQ(members[2].value, R"("\\\"}")");
    EXPECT_EQ(members[3].key, R"("x\\\"y\\")");
    EXPECT_EQ(members[3].value, R"(["\"","\\",{"]":"[\\"}])");
    EXPECT_EQ(members[4].value, "1");
    EXPECT_THAT(json_members(R"({"a":"b)"), testing::SizeIs(1)) << "damaged, and no byte behind it is read";
    EXPECT_THAT(json_items(R"(["\)", 9), testing::SizeIs(1));
}

TEST(JsonSliceTest, ItemsOfAnArrayAreCutAtTheTopLevelOnly) {
    EXPECT_THAT(json_items(R"([{"a":[1,2]}, 3 ,"x,y",[],{} ])", 100),
                ElementsAre(R"({"a":[1,2]})", "3", R"("x,y")", "[]", "{}"));
    EXPECT_THAT(json_items(" [ ] ", 100), ElementsAre());
    EXPECT_EQ(json_items("[1,2,3,4]", 2).size(), 3u);  // one more than allowed: enough to know
}

TEST(JsonSliceTest, WhatIsNotExactlyOneJsonValueIsRefusedWithItsPlace) {
    for (const char* text : {"", " ", "{", "{\"a\":}", "{\"a\":1,}", "[1 2]", "nul", "'a'", "{a:1}", "01",
                             "1.", "\"\t\"", "{} {}", "{}x", "// c\n{}", "NaN", "\"\\x\"", "\"\\ud800\""})
        EXPECT_TRUE(validate_json(text)) << text;
    const auto fault = validate_json("{\"a\":1} x");
    ASSERT_TRUE(fault);
    EXPECT_EQ(fault->position, 8u);
    EXPECT_THAT(fault->text, HasSubstr("byte 8"));
}

TEST(JsonSliceTest, BrokenUtf8IsToldApartFromBrokenJson) {
    const auto fault = validate_json("{\"a\":\"\xC3\x28\"}");
    ASSERT_TRUE(fault);
    EXPECT_EQ(fault->kind, JsonFault::Kind::invalid_utf8);
    EXPECT_EQ(validate_json("{\"a\":b}")->kind, JsonFault::Kind::not_json);
    EXPECT_FALSE(valid_utf8("\xED\xA0\x80"));      // a surrogate
    EXPECT_FALSE(valid_utf8("\xC0\xAF"));          // overlong
    EXPECT_FALSE(valid_utf8("\xF4\x90\x80\x80"));  // above U+10FFFF
    EXPECT_TRUE(valid_utf8("\xF0\x9F\x9B\x92"));
}

TEST(JsonSliceTest, NestingHasABound) {
    const std::string deep = std::string(json_depth_max, '[') + std::string(json_depth_max, ']');
    EXPECT_FALSE(validate_json(deep));
    const auto fault = validate_json('[' + deep + ']');
    ASSERT_TRUE(fault);
    EXPECT_EQ(fault->kind, JsonFault::Kind::too_deep);
}

TEST(JsonSliceTest, EscapesMeanWhatRfc8259Says) {
    EXPECT_EQ(json_unescape(R"("a\"\\\/\b\f\n\r\tz")"), "a\"\\/\b\f\n\r\tz");
    EXPECT_EQ(json_unescape(R"("\u00e4\u20AC")"), "\xC3\xA4\xE2\x82\xAC");
    EXPECT_EQ(json_unescape(R"("\ud83d\uded2")"), "\xF0\x9F\x9B\x92");
    EXPECT_EQ(json_unescape("\"\""), "");
}

}  // namespace
}  // namespace touchpoint
