#include "uplink/profile_mapping.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace touchpoint::uplink {
namespace {

using testing::HasSubstr;

constexpr UtcTime mapping_now{1'790'000'000'000};  // 2026-09-21T14:13:20Z

MappingSource source_of(const std::string& text) {
    const auto source = mapping_source(text);
    EXPECT_TRUE(source) << text;
    return source.value_or(MappingSource{});
}
std::vector<std::string> pattern_of(const std::string& text) {
    return mapping_pattern(text).value_or(std::vector<std::string>{});
}

ProfileMapping crm() {
    MappingRule rule;
    rule.name = "member";
    rule.when.has = {source_of("/no")};
    rule.id = {{source_of("/no"), {}}};
    rule.updated = {source_of("/changed"), source_of("$received")};
    rule.set = {
        {"points", source_of("/points")}, {"shop", source_of("$root/shop")}, {"kind", source_of("member")}};
    rule.aliases.push_back(
        {pattern_of("/ids/*/*"), source_of(""), source_of("$1"), {{"C", "card"}, {"M", "email"}}});
    rule.segments.push_back({pattern_of("/groups/*"), {}, source_of("/name")});
    MappingConsent consent;
    consent.each = pattern_of("/agreed/*");
    consent.purpose = source_of("$1");
    consent.state = source_of("");
    consent.purposes = {{"ads", "marketing"}, {"letter", "marketing"}};
    consent.states = {{"true", "granted"}, {"false", "denied"}, {"?", "unknown"}};
    rule.consents.push_back(consent);
    return {"crm", {pattern_of("/members/*")}, {rule}};
}

TEST(ProfileMappingTest, ADocumentBecomesALineForEachOfItsItemsAndNumbersKeepTheirText) {
    const auto items = map_profiles(crm(), R"({"shop":"s 1","members":[
        {"no":17,"changed":"2026-09-21T10:00:00+02:00","points":1.50e+2,"ids":{"C":["29","29"],"M":["a@b.c"],"X":["y"]},
         "groups":[{"name":"vip"},{"name":"vip"}],"agreed":{"ads":true,"other":false}},
        {"no":"18","points":12345678901234567890.10}]})",
                                    mapping_now);
    ASSERT_EQ(items.size(), 2u);
    EXPECT_EQ(
        items[0].line,
        R"({"op":"put","id":"17","version":1789977600000,"updated":"2026-09-21T08:00:00.000Z",)"
        R"("aliases":["card:29","email:a@b.c"],"traits":{"points":1.50e+2,"shop":"s 1","kind":"member"},)"
        R"("segments":["vip"],"consents":{"marketing":{"state":"granted"},"other":{"state":"denied"}}})");
    EXPECT_THAT(items[1].line, HasSubstr("12345678901234567890.10"));
    EXPECT_THAT(items[1].line, HasSubstr("\"version\":1790000000000")) << "as new as its arrival";
}

TEST(ProfileMappingTest, ABadItemIsSaidWithoutItsValuesAndTheOthersGoOn) {
    const auto items = map_profiles(
        crm(),
        R"({"members":[{"no":{"secret":1}},{"no":"1","changed":"soon"},{"no":"2","ids":{"C":[{}]}},)"
        R"({"no":"3","agreed":{"ads":"perhaps"}},{"else":1},{"no":"4"}]})",
        mapping_now);
    ASSERT_EQ(items.size(), 6u);
    EXPECT_EQ(items[0].problem, "rule member, id: there is none");
    EXPECT_EQ(items[1].problem, "rule member, updated: not a time");
    EXPECT_EQ(items[2].problem, "rule member, alias: without a value");
    EXPECT_EQ(items[3].problem, "rule member, consent: a state that 'states' does not name");
    EXPECT_EQ(items[4].problem + items[4].line, "") << "no rule is for it";
    EXPECT_THAT(items[5].line, HasSubstr("\"id\":\"4\""));
    EXPECT_THAT(map_profiles(crm(), "{", mapping_now).at(0).problem, HasSubstr("not a document"));
}

TEST(ProfileMappingTest, WhoSaidNoToAPartOfAPurposeHasSaidNo) {
    for (const char* agreed : {R"({"ads":true,"letter":false})", R"({"letter":false,"ads":true})"}) {
        const auto items =
            map_profiles(crm(), R"({"no":1,"agreed":)" + std::string(agreed) + "}", mapping_now);
        EXPECT_THAT(items.at(0).line, HasSubstr(R"("consents":{"marketing":{"state":"denied"}})")) << agreed;
    }
    EXPECT_THAT(map_profiles(crm(), R"({"no":1,"agreed":{"ads":"?"}})", mapping_now).at(0).line,
                HasSubstr(R"("consents":{})"));
}

TEST(ProfileMappingTest, APatchSpeaksOnlyOfWhatItsDocumentSpeaksOf) {
    ProfileMapping mapping = crm();
    mapping.rules[0].op = "patch";
    const auto line = map_profiles(mapping, R"({"no":1,"agreed":{"ads":true}})", mapping_now).at(0).line;
    EXPECT_EQ(line, R"({"op":"patch","id":"1","version":1790000000000,"updated":"2026-09-21T14:13:20.000Z",)"
                    R"("add_aliases":[],"create":true,"traits":{"kind":"member"},)"
                    R"("consents":{"marketing":{"state":"granted","since":null,"until":null}}})");
    EXPECT_THAT(map_profiles(mapping, R"({"no":1,"groups":[]})", mapping_now).at(0).line,
                HasSubstr("\"segments\":[]"));
}

TEST(ProfileMappingTest, AMergeNamesWhoIsMerged) {
    ProfileMapping mapping = crm();
    mapping.rules[0].op = "merge";
    mapping.rules[0].from = pattern_of("/was/*");
    EXPECT_EQ(map_profiles(mapping, R"({"no":1,"was":["7","8"]})", mapping_now).at(0).line,
              R"({"op":"merge","id":"1","from":["7","8"]})");
    EXPECT_EQ(map_profiles(mapping, R"({"no":1})", mapping_now).at(0).problem,
              "rule member, from: there is none");
}

TEST(ProfileMappingTest, ADocumentIsBounded) {
    std::string many = "{\"members\":[";
    for (std::size_t i = 0; i <= mapped_items_max; ++i) many += i == 0 ? "1" : ",1";
    EXPECT_EQ(map_profiles(crm(), many + "]}", mapping_now).at(0).problem, "more than 10000 items");
    std::string one = R"({"no":1,"ids":{"C":[)";
    for (std::size_t i = 0; i <= mapped_matches_max; ++i) one += i == 0 ? "1" : ",1";
    EXPECT_EQ(map_profiles(crm(), one + "]}}", mapping_now).at(0).problem,
              "rule member, alias: more than 1024");
}

TEST(ProfileMappingTest, WhatIsNoSourceIsRefused) {
    for (const char* wrong : {"$", "$0", "$x", "$17", "/~2", "$itemx"})
        EXPECT_FALSE(mapping_source(wrong)) << wrong;
    EXPECT_FALSE(mapping_pattern("a"));
    EXPECT_EQ(mapping_pattern("/a~1b/~0/*"), (std::vector<std::string>{"a/b", "~", "*"}));
}

}  // namespace
}  // namespace touchpoint::uplink
