#include "gateway/profiles/profile_document.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/profiles/merge_patch.hpp"

namespace touchpoint::gateway {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

struct ProfileDocumentTest : testing::Test {
    const devices::Pseudonymiser names{std::string(32, 'k'), "p1"};
    UtcTime now{1'790'000'000'000};  // 2026-09-21

    store::Profile profile(const std::string& body, const std::string& id = "c-1") {
        const auto put = profile_put(body, id, names);
        EXPECT_TRUE(put) << put.error().words;
        store::Profile out;
        if (!put) return out;
        out.id = put->id;
        out.version = put->version;
        out.updated = put->updated;
        out.received = now;
        out.json = put->json;
        out.aliases = put->aliases;
        return out;
    }
    std::string seen(const std::string& body, ProfileView view) {
        return profile_json(profile(body), view, now);
    }
    std::string wrong(const std::string& body) {
        const auto put = profile_put(body, "c-1", names);
        EXPECT_FALSE(put) << body;
        return put ? std::string() : put.error().words;
    }
};

// RFC 7396, appendix A.
TEST(MergePatchTest, DoesWhatTheExamplesOfItsDocumentDo) {
    const struct {
        const char *target, *patch, *result;
    } examples[] = {{R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
                    {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
                    {R"({"a":"b"})", R"({"a":null})", R"({})"},
                    {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
                    {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
                    {R"({"a":"c"})", R"({"a":["b"]})", R"({"a":["b"]})"},
                    {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
                    {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
                    {R"(["a","b"])", R"(["c","d"])", R"(["c","d"])"},
                    {R"({"a":"b"})", R"(["c"])", R"(["c"])"},
                    {R"({"a":"foo"})", "null", "null"},
                    {R"({"a":"foo"})", R"("bar")", R"("bar")"},
                    {R"({"e":null})", R"({"a":1})", R"({"e":null,"a":1})"},
                    {R"([1,2])", R"({"a":"b","c":null})", R"({"a":"b"})"},
                    {R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"}};
    for (const auto& example : examples)
        EXPECT_EQ(merge_patch(example.target, example.patch), example.result)
            << example.target << " with " << example.patch;
}

TEST(MergePatchTest, LeavesTheBytesOfWhatItDoesNotTouchAndKnowsNamesHoweverTheyAreWritten) {
    EXPECT_EQ(merge_patch(R"({"x":1.500, "\u0061":1})", R"({"a":2})"), R"({"x":1.500,"\u0061":2})");
}

TEST_F(ProfileDocumentTest, WhatItDoesNotKnowIsKeptByteForByte) {
    const auto put = profile_put(
        R"({"id":"c-1","version":41,"updated":"2026-09-21T08:00:00Z","loyalty" : {"points": 1.50e2},"traits":{}})",
        "c-1", names);
    ASSERT_TRUE(put) << put.error().words;
    EXPECT_EQ(put->version, 41u);
    EXPECT_EQ(to_rfc3339(put->updated), "2026-09-21T08:00:00.000Z");
    EXPECT_EQ(put->json, R"({"loyalty":{"points": 1.50e2},"traits":{}})");
}

TEST_F(ProfileDocumentTest, AliasesAreNormalisedAsThoseOfEventsAre) {
    const auto put = profile_put(
        R"({"version":"7","aliases":["Card: 2900000012345 ",{"scheme":"email","value":"Jane@Example.com"}]})",
        "c-1", names);
    ASSERT_TRUE(put) << put.error().words;
    EXPECT_EQ(put->version, 7u);
    ASSERT_EQ(put->aliases.size(), 2u);
    EXPECT_EQ(put->aliases[0].text, "card:2900000012345");
    EXPECT_EQ(put->aliases[0].key, names.pseudonym({"card", "2900000012345"}));
    EXPECT_EQ(put->aliases[1].text, "email:jane@example.com");
}

TEST_F(ProfileDocumentTest, WhatIsWrongIsSaidInASentence) {
    EXPECT_THAT(wrong("{"), HasSubstr("must be a JSON object"));
    EXPECT_THAT(wrong("[]"), HasSubstr("must be a JSON object"));
    EXPECT_THAT(wrong("{}"), HasSubstr("'version' must be there"));
    EXPECT_THAT(wrong(R"({"version":-1})"), HasSubstr("'version' must be a whole number"));
    EXPECT_THAT(wrong(R"({"version":9007199254740992})"), HasSubstr("'version' must be a whole number"));
    EXPECT_THAT(wrong(R"({"version":1.5})"), HasSubstr("'version' must be a whole number"));
    EXPECT_THAT(wrong(R"({"version":1,"version":2})"), HasSubstr("twice"));
    EXPECT_THAT(wrong(R"({"version":1,"id":"c-2"})"), HasSubstr("not the one of the path"));
    EXPECT_THAT(wrong(R"({"version":1,"aliases":["jane"]})"), HasSubstr("'aliases' must be"));
    EXPECT_THAT(wrong(R"({"version":1,"traits":[]})"), HasSubstr("'traits' must be"));
    EXPECT_THAT(wrong(R"({"version":1,"segments":{}})"), HasSubstr("'segments' must be"));
    EXPECT_THAT(wrong(R"({"version":1,"consents":{"marketing":true}})"), HasSubstr("'consents' must be"));
    EXPECT_THAT(wrong(R"({"version":1,"consents":{"marketing":{"state":"maybe"}}})"),
                HasSubstr("'consents'"));
    EXPECT_THAT(wrong(R"({"version":1,"consents":{"marketing":{"state":"granted","until":"soon"}}})"),
                HasSubstr("'consents'"));
    EXPECT_THAT(
        wrong(R"({"version":1,"consents":{"marketing":{"state":"granted"},"marketing":{"state":"denied"}}})"),
        HasSubstr("'consents'"));
    EXPECT_THAT(wrong(R"({"version":1,"updated":"yesterday"})"), HasSubstr("'updated'"));
    EXPECT_THAT(profile_put(R"({"version":1})", "local.p1_a", names).error().words,
                HasSubstr("gateway's own"));
    EXPECT_THAT(profile_erase(R"({"alias":["card:1"]})", "c-1", names).error().words,
                HasSubstr("another one"));
    EXPECT_TRUE(profile_erase(R"({"aliases":["card:1"],"version":7})", "c-1", names));
    for (const char* seen : {"[]", "17", R"({"gw-1":17})", R"({"gw-1":{"customer":17}})",
                             R"({"gw-1":{"epoch":7,"customer":17}})", R"({"gw-1":{"epoch":"e","sale":17}})",
                             R"({"gw-1":{"epoch":"e","sales":-1}})", R"({"gw-1":{"epoch":"e","sales":{}}})",
                             R"({"gw-1":{"epoch":"e","sales":1,"sales":2}})"})
        EXPECT_THAT(wrong(R"({"version":1,"seen":)" + std::string(seen) + "}"), HasSubstr("'seen'")) << seen;
    EXPECT_THAT(wrong(R"({"version":1,"x":")" + std::string(70'000, 'x') + "\"}"),
                HasSubstr("at most 65536"));
    std::string many = R"({"version":1,"aliases":[)";
    for (int i = 0; i < 65; ++i) many += (i == 0 ? "\"card:" : ",\"card:") + std::to_string(i) + "\"";
    EXPECT_THAT(wrong(many + "]}"), HasSubstr("at most 64"));
    for (const char* id : {"", "a/b", "card:1", "a b", "lookup"}) EXPECT_FALSE(is_profile_id(id)) << id;
}

TEST_F(ProfileDocumentTest, APatchChangesTheDocumentAndItsAliases) {
    const auto patch = profile_patch(
        R"({"version":2,"aliases":["card:2"],"traits":{"tier":"gold","old":null},"updated":"2026-09-21T08:00:00Z"})",
        "c-1", names);
    ASSERT_TRUE(patch) << patch.error().words;
    EXPECT_EQ(patch->version, 2u);
    const auto put =
        patch->edit(profile(R"({"version":1,"aliases":["card:1"],"traits":{"old":1,"n":1.0},"x":[ 1 ]})"));
    ASSERT_TRUE(put) << put.error().context;
    EXPECT_EQ(put->json, R"({"traits":{"n":1.0,"tier":"gold"},"x":[ 1 ]})");
    ASSERT_EQ(put->aliases.size(), 1u);
    EXPECT_EQ(put->aliases[0].text, "card:2");
    EXPECT_EQ(to_rfc3339(put->updated), "2026-09-21T08:00:00.000Z");
    const auto twice = profile_patch(
        R"({"version":2,"consents":{"marketing":{"state":"denied"},"marketing":{"state":"granted"}}})", "c-1",
        names);
    EXPECT_FALSE(twice);
    const auto wrong = profile_patch(R"({"version":2,"traits":[1]})", "c-1", names);
    EXPECT_FALSE(wrong->edit(profile(R"({"version":1})")));
}

TEST_F(ProfileDocumentTest, LinesOfABatchNameWhatIsToBeDone) {
    EXPECT_TRUE(std::holds_alternative<store::ProfilePut>(
        *profile_line(R"({"op":"put","id":"c-1","version":1,"traits":{}})", names)));
    EXPECT_EQ(
        std::get<store::ProfilePut>(*profile_line(R"({"op":"put","id":"c-1","version":1})", names)).json,
        "{}");
    EXPECT_TRUE(std::holds_alternative<store::ProfilePatch>(
        *profile_line(R"({"op":"patch","id":"c-1","version":1})", names)));
    EXPECT_EQ(std::get<store::ProfileErase>(*profile_line(R"({"op":"delete","id":"c-1","version":4})", names))
                  .version,
              4u);
    EXPECT_THAT(
        std::get<store::ProfileMerge>(*profile_line(R"({"op":"merge","id":"c-1","from":["c-2"]})", names))
            .from,
        testing::ElementsAre("c-2"));
    EXPECT_EQ(std::get<store::ProfileErase>(
                  *profile_line(R"({"op":"delete","id":"c-1","aliases":["card:1"]})", names))
                  .aliases.front()
                  .text,
              "card:1");
    EXPECT_FALSE(profile_line(R"({"op":"burn","id":"c-1"})", names));
    EXPECT_THAT(profile_line(R"([{"op":"put"}])", names).error().words,
                HasSubstr("each item on a line of its own"));
    EXPECT_FALSE(profile_line(R"({"op":"put","version":1})", names));
    EXPECT_FALSE(profile_line(R"({"op":"merge","id":"c-1","from":[]})", names));
    EXPECT_THAT(
        std::get<store::ProfileUnmerge>(*profile_line(R"({"op":"unmerge","id":"c-1","ids":["c-2"]})", names))
            .ids,
        testing::ElementsAre("c-2"));
    EXPECT_FALSE(profile_line(R"({"op":"unmerge","id":"c-1","from":["c-2"]})", names));
    EXPECT_FALSE(profile_line(R"({"op":"unmerge","id":"c-1","ids":["card:2"]})", names));
}

constexpr const char* rich =
    R"({"version":3,"aliases":["card:2900000012345"],"traits":{"tier":"gold"},"segments":["vip"],"offers":[{"id":"o-1"}],)"
    R"("note":7,"consents":{"personalisation":{"state":"granted","since":"2026-01-01T00:00:00Z"},)"
    R"("marketing":{"state":"granted","until":"2026-09-01T00:00:00Z"},"analytics":{"state":"revoked"}}})";

TEST_F(ProfileDocumentTest, EachPurposeSeesWhatItNeedsAndTheRestIsNamed) {
    EXPECT_THAT(seen(rich, {}),
                AllOf(HasSubstr(R"("aliases":[{"scheme":"card","value":"..2345"}])"), HasSubstr("gold"),
                      HasSubstr("\"note\":7"), Not(HasSubstr("vip")), Not(HasSubstr("o-1")),
                      HasSubstr(R"("withheld":["segments","offers"])")));
    EXPECT_THAT(seen(rich, {.purpose = Purpose::personalisation}),
                AllOf(HasSubstr("gold"), HasSubstr("vip"), HasSubstr("o-1"), HasSubstr(R"("withheld":[])")));
}

TEST_F(ProfileDocumentTest, WithoutConsentOnlyTheConsentsAreSeen) {
    const auto nothing = AllOf(Not(HasSubstr("gold")), Not(HasSubstr("vip")), Not(HasSubstr("2345")),
                               HasSubstr("\"consents\":"),
                               HasSubstr(R"("withheld":["aliases","traits","segments","offers","note"])"));
    EXPECT_THAT(seen(rich, {.purpose = Purpose::marketing}), nothing) << "it ended";
    EXPECT_THAT(seen(rich, {.purpose = Purpose::analytics}), nothing) << "it was revoked";
    now = {0};
    EXPECT_THAT(seen(rich, {.purpose = Purpose::personalisation}), nothing) << "it has not begun";
}

TEST_F(ProfileDocumentTest, WhatNobodyWasAskedIsDeniedUnlessTheShopSaysOtherwise) {
    const char* plain = R"({"version":1,"traits":{"tier":"gold"}})";
    EXPECT_THAT(seen(plain, {}), HasSubstr("gold")) << "the shop's own operation needs none";
    EXPECT_THAT(seen(plain, {.purpose = Purpose::marketing}), Not(HasSubstr("gold")));
    EXPECT_THAT(seen(plain, {.purpose = Purpose::marketing, .unknown_granted = true}), HasSubstr("gold"));
    EXPECT_THAT(
        seen(R"({"version":1,"traits":{"tier":"gold"},"consents":{"operation":{"state":"denied"}}})", {}),
        Not(HasSubstr("gold")));
}

TEST_F(ProfileDocumentTest, ATechnicianSeesNoPersonAndThePlatformSeesItsAliases) {
    EXPECT_THAT(
        seen(rich, {.persons = false}),
        AllOf(HasSubstr(R"({"id":"c-1","version":3,)"), Not(HasSubstr("gold")), Not(HasSubstr("granted")),
              HasSubstr(R"("withheld":["aliases","traits","segments","offers","note","consents"])")));
    EXPECT_THAT(seen(rich, {.whole_aliases = true}), HasSubstr("2900000012345"));
}

TEST_F(ProfileDocumentTest, AMaskCutsNoLetterInTwo) {
    EXPECT_THAT(seen(R"({"version":1,"aliases":["name:Jos\u00e9\u00e9x","card:12"]})", {}),
                AllOf(HasSubstr("\"value\":\"..\xc3\xa9x\""), HasSubstr("\"value\":\"..\"")));
}

}  // namespace
}  // namespace touchpoint::gateway
