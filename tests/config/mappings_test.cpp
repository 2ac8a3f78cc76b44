// Mapping files as a technician writes them, and those that are shipped.
#include "config/mappings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "config/loader.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace touchpoint::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr UtcTime mappings_now{1'790'000'000'000};

struct MappingFilesTest : testing::Test {
    std::vector<std::string> problems_of(const std::string& text, const std::string& name = "crm.toml") {
        tests::write_file(folder.path() / name, text);
        std::vector<Problem> problems;
        mappings = read_mappings(folder.path(), problems);
        std::vector<std::string> out;
        for (const Problem& problem : problems) out.push_back(to_text(problem));
        return out;
    }
    tests::TempFolder folder;
    std::vector<uplink::ProfileMapping> mappings;
};

TEST_F(MappingFilesTest, ARuleIsReadAsItIsWritten) {
    EXPECT_THAT(problems_of(R"(
each = ["/members/*"]
[[rule]]
name = "member"
when = { "/kind" = "member" }
id = ["/no"]
updated = ["/changed_s"]
numbers = "unix_s"
set = { tier = "/level" }
[[rule.alias]]
each = "/card"
scheme = "card"
)"),
                ElementsAre());
    ASSERT_EQ(mappings.size(), 1u);
    EXPECT_EQ(mappings[0].name, "crm");
    const auto items = uplink::map_profiles(
        mappings[0],
        R"({"members":[{"kind":"member","no":"c-1","changed_s":1790000000,"level":"gold","card":29}]})",
        mappings_now);
    EXPECT_EQ(items.at(0).line,
              R"({"op":"put","id":"c-1","version":1790000000000,"updated":"2026-09-21T14:13:20.000Z",)"
              R"("aliases":["card:29"],"traits":{"tier":"gold"}})");
}

TEST_F(MappingFilesTest, WhatIsWrongIsSaidWithItsPlaceAndTheFileIsLeftOut) {
    EXPECT_THAT(
        problems_of(
            "[[rule]]\nname = \"m\"\nid = [\"/no\", \"$x\"]\nupdated = [\"$received\"]\nop = \"putt\"\n"),
        ElementsAre(HasSubstr("crm.toml:5:6: error: rule.op must be one of"),
                    HasSubstr("crm.toml:3:14: error: each item of rule.id must be a pointer")));
    EXPECT_TRUE(mappings.empty());
    const auto one = [&](const std::string& rule) {
        const auto problems = problems_of("[[rule]]\nname=\"m\"\nid=[\"/no\"]\n" + rule);
        return problems.empty() ? std::string() : problems.front();
    };
    EXPECT_THAT(one(""), HasSubstr("which of two is newer"));
    EXPECT_THAT(one("op=\"merge\"\n"), HasSubstr("rule.from is for op"));
    EXPECT_THAT(one("version=[\"/v\"]\n[[rule.alias]]\neach=\"/a\"\n"),
                HasSubstr("rule.alias.scheme is missing"));
    EXPECT_THAT(one("version=[\"/v\"]\n[[rule.alias]]\nscheme=\"card\"\n"),
                HasSubstr("rule.alias.each is missing"));
    EXPECT_THAT(one("version=[\"/v\"]\n[[rule.consent]]\neach=\"/a\"\nstates={y=\"yes\"}\n"),
                HasSubstr("\"granted\""));
    EXPECT_THAT(one("version=[\"/v\"]\n[[rule.trait]]\neach=\"/a\"\nexept=[]\n"),
                HasSubstr("did you mean except?"));
    EXPECT_THAT(problems_of("each=[\"x\"]\n").front(), HasSubstr("must be a pointer"));
    EXPECT_THAT(problems_of("", "A B.toml"), testing::Contains(HasSubstr("a mapping file's name must be")));
}

TEST_F(MappingFilesTest, TheConfigurationNamesTheirFolder) {
    const auto file = folder.path() / "touchpoint.toml";
    const auto with = [&](const std::string& mappings_folder) {
        tests::write_file(
            file, "[gateway]\nid=\"gw-9\"\nstore=\"s9\"\n[profiles]\nmappings=\"" + mappings_folder + "\"\n");
        return load(file);
    };
    const Loaded good = with(SOURCE_DIR "/config/mappings");
    ASSERT_TRUE(good.settings) << to_text(good.problems.front());
    std::vector<std::string> names;
    for (const auto& mapping : good.settings->profiles.mappings) names.push_back(mapping.name);
    EXPECT_THAT(names, ElementsAre("segment", "unomi", "xdm"));
    const Loaded bad = with("/nowhere/mappings");
    EXPECT_FALSE(bad.settings);
    EXPECT_THAT(to_text(bad.problems.front()), HasSubstr("/nowhere/mappings: error: this folder"));
}

struct ShippedMappingsTest : testing::Test {
    void SetUp() override {
        std::vector<Problem> problems;
        mappings = read_mappings(SOURCE_DIR "/config/mappings", problems);
        for (const Problem& problem : problems) ADD_FAILURE() << to_text(problem);
    }
    std::string line(const std::string& name, const std::string& document) {
        for (const auto& mapping : mappings)
            if (mapping.name == name) {
                const auto items = uplink::map_profiles(mapping, document, mappings_now);
                return items.at(0).line + items.at(0).problem;
            }
        return "no such mapping";
    }
    std::vector<uplink::ProfileMapping> mappings;
};

TEST_F(ShippedMappingsTest, SegmentsIdentifyIsLaidOverWhatIsThereAndAliasMerges) {
    EXPECT_EQ(line("segment",
                   R"({"batch":[{"type":"identify","userId":"u-1","anonymousId":"a-1",)"
                   R"("traits":{"email":"jane@example.com","plan":"premium","logins":5},)"
                   R"("context":{"consent":{"categoryPreferences":{"Advertising":true,"Analytics":false}}},)"
                   R"("timestamp":"2026-09-21T08:00:00Z"}]})"),
              R"({"op":"patch","id":"u-1","version":1789977600000,"updated":"2026-09-21T08:00:00.000Z",)"
              R"("add_aliases":["user:u-1","anonymous:a-1","email:jane@example.com"],"create":true,)"
              R"("traits":{"plan":"premium","logins":5},"consents":{)"
              R"("marketing":{"state":"granted","since":"2026-09-21T08:00:00.000Z","until":null},)"
              R"("analytics":{"state":"denied","since":"2026-09-21T08:00:00.000Z","until":null}}})"
              "");
    EXPECT_EQ(line("segment", R"({"type":"alias","previousId":"a-1","userId":"u-1"})"),
              R"({"op":"merge","id":"u-1","from":["a-1"]})");
    EXPECT_EQ(line("segment", R"({"type":"track","event":"Seen","userId":"u-1"})"), "");
}

TEST_F(ShippedMappingsTest, AProfileOfUnomiKeepsItsConsents) {
    EXPECT_EQ(
        line(
            "unomi",
            R"({"itemId":"p-1","itemType":"profile","properties":{"firstName":"Jane","email":"jane@example.com"},)"
            R"("systemProperties":{"lastUpdated":"2026-09-21T08:00:00Z"},"segments":["vip"],"consents":{)"
            R"("shop/newsletter":{"scope":"shop","typeIdentifier":"newsletter","status":"REVOKED",)"
            R"("statusDate":"2026-05-22T09:27:09Z","revokeDate":"2028-05-21T09:27:09Z"}}})"),
        R"({"op":"put","id":"p-1","version":1789977600000,"updated":"2026-09-21T08:00:00.000Z",)"
        R"("aliases":["unomi:p-1","email:jane@example.com"],"traits":{"firstName":"Jane"},"segments":["vip"],)"
        R"("consents":{"marketing":{"state":"revoked","since":"2026-05-22T09:27:09.000Z",)"
        R"("until":"2028-05-21T09:27:09.000Z"}}})");
}

TEST_F(ShippedMappingsTest, AnXdmProfileKeepsItsIdentities) {
    EXPECT_EQ(
        line(
            "xdm",
            R"({"xdm:identityMap":{"ECID":[{"xdm:id":"923"}],"Email":[{"xdm:id":"jane@example.com"}]},)"
            R"("xdm:person":{"xdm:name":{"xdm:firstName":"Jane"}},"xdm:consents":{"xdm:collect":{"xdm:val":"VI"},)"
            R"("xdm:personalize":{"xdm:content":{"xdm:val":"y"}},"xdm:marketing":{"xdm:any":{"xdm:val":"n"}},)"
            R"("xdm:metadata":{"xdm:time":"2026-09-21T08:00:00+00:00"}}})"),
        R"({"op":"put","id":"923","version":1789977600000,"updated":"2026-09-21T08:00:00.000Z",)"
        R"("aliases":["ecid:923","email:jane@example.com"],"traits":{"first_name":"Jane"},"segments":[],"consents":{)"
        R"("personalisation":{"state":"granted","since":"2026-09-21T08:00:00.000Z"},)"
        R"("marketing":{"state":"denied","since":"2026-09-21T08:00:00.000Z"}}})");
}

}  // namespace
}  // namespace touchpoint::config
