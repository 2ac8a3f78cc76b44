// Documents of other platforms come in through the shipped mapping files and are read back over HTTP.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>

#include "config/mappings.hpp"
#include "gateway/core/json_slice.hpp"
#include "tests/gateway/profile_shop.hpp"

namespace touchpoint::tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class ProfileMappingsTest : public ProfileShop {
  protected:
    void SetUp() override {
        std::vector<config::Problem> problems;
        mappings_ = config::read_mappings(SOURCE_DIR "/config/mappings", problems);
        ASSERT_TRUE(problems.empty());
        ProfileShop::SetUp();
    }
    HttpAnswer bring(const std::string& mapping, const std::string& documents) {
        return ask("POST", "/v1/profiles/batch?mapping=" + mapping, documents);
    }
    // The documented examples, by name.
    // The last first: a message without a time is as new as its arrival, and one with a time came before.
    using Documents = std::map<std::string, std::string, std::greater<>>;
    Documents documents(const std::string& file) {
        Documents out;
        std::ifstream in(std::string(std::getenv("TOUCHPOINT_DATA")) + "/profiles/" + file);
        for (std::string line; std::getline(in, line);) {
            const auto members = json_members(line);
            out[json_unescape(*json_find(members, "name"))] = std::string(*json_find(members, "payload"));
        }
        EXPECT_FALSE(out.empty()) << file;
        return out;
    }
};

TEST_F(ProfileMappingsTest, TraitsOfSegmentGatherAndOneBadDocumentDoesNotSpoilTheOthers) {
    const std::string first =
        R"({"type":"identify","userId":"u-1","anonymousId":"a-1","traits":{"email":"jane@example.com","plan":"gold"},"timestamp":"2026-09-21T08:00:00Z"})";
    const std::string second =
        R"({"type":"identify","userId":"u-1","anonymousId":"a-2","traits":{"logins":5.10},"timestamp":"2026-09-21T09:00:00Z"})";
    const HttpAnswer answer = bring("segment", first + "\n" + second + "\n" + R"({"type":"identify"})" +
                                                   "\nno\n" + R"({"type":"page"})" + "\n" + first);
    EXPECT_EQ(answer.status, 200);
    EXPECT_THAT(
        answer.body,
        AllOf(
            HasSubstr(R"({"index":0,"item":0,"status":201,"id":"u-1","outcome":"created")"),
            HasSubstr(R"({"index":1,"item":0,"status":200,"id":"u-1","outcome":"replaced")"),
            HasSubstr(
                R"({"index":2,"item":0,"status":400,"error":{"type":"bad-request","detail":"rule identify, id: there is none"})"),
            HasSubstr(R"({"index":3,"item":0,"status":400)"),
            HasSubstr(R"({"index":4,"item":0,"status":200,"outcome":"passed-over"})"),
            HasSubstr(R"({"index":5,"item":0,"status":409)")));
    for (const char* alias : {"user:u-1", "anonymous:a-1", "anonymous:a-2", "email:jane@example.com"})
        EXPECT_THAT(ask("GET", "/v1/profiles/" + std::string(alias)).body,
                    HasSubstr(R"("traits":{"plan":"gold","logins":5.10})"))
            << alias;
}

TEST_F(ProfileMappingsTest, ADocumentMayStandOnSeveralLinesAndHoldSeveralItems) {
    const HttpAnswer answer = bring("segment",
                                    "{\n \"batch\": [\n{\"type\":\"identify\",\"userId\":\"u-1\"},\n"
                                    "{\"type\":\"identify\",\"userId\":\"u-2\"},\n"
                                    "{\"type\":\"alias\",\"userId\":\"u-2\",\"previousId\":\"u-1\"}]\n}\n");
    EXPECT_THAT(answer.body, AllOf(HasSubstr(R"({"index":0,"item":1,"status":201)"),
                                   HasSubstr(R"("item":2,"status":200,"id":"u-2","outcome":"merged")")));
    EXPECT_THAT(ask("GET", "/v1/profiles/user:u-1").body, HasSubstr(R"("id":"u-2")"));
}

// An id stands in subjects of events, in logs, and in what tills read.
TEST_F(ProfileMappingsTest, WhoIsKnownByAnAddressOnlyGetsAnIdThatTellsNothing) {
    const std::string id = "of." + names_.pseudonym(devices::normalise("email:jane@example.com"));
    EXPECT_THAT(
        bring("xdm", R"({"xdm:identityMap":{"EMAIL":[{"xdm:id":"Jane@Example.com"}]},"@id":"https://x/1"})")
            .body,
        AllOf(HasSubstr("\"id\":\"" + id + "\",\"outcome\":\"created\""), Not(HasSubstr("ane@"))));
    EXPECT_THAT(bring("xdm", R"({"xdm:loyalty":{"xdm:loyaltyID":["ALT-1"],"xdm:tier":"gold"}})").body,
                HasSubstr("\"id\":\"of.p1_"));
    EXPECT_THAT(ask("GET", "/v1/profiles/email:jane@example.com").body, HasSubstr("\"id\":\"" + id + "\""));
    EXPECT_THAT(
        ask("POST", "/v1/profiles/batch",
            R"({"op":"patch","id_of":"email:jane@example.com","version":9007199254740991,"x":1})"
            "\n"
            R"({"op":"put","id_of":"jane","version":1})")
            .body,
        AllOf(HasSubstr("\"id\":\"" + id + "\",\"outcome\":\"replaced\""), HasSubstr("'id_of' must be")));
    EXPECT_THAT(ask("GET", "/v1/profiles/" + id).body, Not(HasSubstr("id_of")));
    EXPECT_THAT(bring("xdm", R"({"xdm:identityMap":{},"@id":"https://x/1"})").body,
                HasSubstr("rule profile, id: there is none but a URL"));
}

TEST_F(ProfileMappingsTest, AMappingThatIsNotThereIsSaid) {
    EXPECT_EQ(bring("nobody", "{}").status, 400);
    EXPECT_EQ(ask("POST", "/v1/profiles/batch?map=x", "{}").status, 400);
    EXPECT_EQ(bring("xdm", "").status, 400);
}

TEST_F(ProfileMappingsTest, DocumentedProfilesOfThreePlatformsAreReadBackWithIdentitiesAndConsents) {
    if (std::getenv("TOUCHPOINT_DATA") == nullptr)
        GTEST_SKIP() << "TOUCHPOINT_DATA names no folder with the real data";
    clock_.step_utc(std::chrono::milliseconds(
        1'527'000'000'000 - 1'790'000'000'000));  // 2018-05-22, while the documented consent holds
    auto segment = documents("segment-spec-messages.jsonl");
    std::string lines;
    for (const auto& [name, document] : segment) lines += document + "\n";
    EXPECT_THAT(bring("segment", lines).body, Not(HasSubstr("\"status\":400")));
    EXPECT_THAT(ask("GET", "/v1/profiles/anonymous:507f191e810c19729de860ea").body,
                AllOf(HasSubstr(R"("id":"97980cfea0067")"), HasSubstr(R"("plan":"premium")")));
    EXPECT_THAT(ask("GET", "/v1/profiles/email:peter@example.com").body,
                HasSubstr(R"("id":"97980cfea0067")"));

    auto unomi = documents("unomi-requests-consents.jsonl");
    lines.clear();
    for (const auto& [name, document] : unomi) lines += document + "\n";
    EXPECT_THAT(bring("unomi", lines).body, Not(HasSubstr("\"status\":400")));
    EXPECT_THAT(
        ask("GET", "/v1/profiles/unomi:18afb5e3-48cf-4f8b-96c4-854cfaadf889?purpose=marketing").body,
        AllOf(HasSubstr(R"("consents":{"marketing":{"state":"granted","since":"2018-05-22T09:27:09.000Z",)"
                        R"("until":"2020-05-21T09:27:09.000Z"}})"),
              HasSubstr(R"("value":"18afb5e3-48cf-4f8b-96c4-854cfaadf889")"), Not(HasSubstr("\"aliases\","))))
        << "marketing sees him";
    EXPECT_THAT(ask("GET", "/v1/profiles/email:bill@acme.com").body,
                AllOf(HasSubstr(R"("id":"f7d1f1b9-4415-4ff1-8fee-407b109364f7")"),
                      HasSubstr(R"("city":"Las Vegas")")));

    auto xdm = documents("xdm-profile-consent-commerce.jsonl");
    lines.clear();
    for (const auto& [name, document] : xdm) lines += document + "\n";
    EXPECT_THAT(bring("xdm", lines).body, Not(HasSubstr("\"status\":400")));
    EXPECT_THAT(ask("GET", "/v1/profiles/email:jane@doe.com").body,
                AllOf(HasSubstr(R"("id":"92312748749128")"), HasSubstr(R"("full_name":"Jane F. Doe")"),
                      HasSubstr(R"("sms":{"state":"granted"})")));
    EXPECT_THAT(ask("GET", "/v1/profiles/loyalty:ALT-12345").body,
                HasSubstr("\"xdm:lifetimePurchases\":2399.95"));
    // Field groups are laid beside each other: identities of one example, consents of another.
    const auto& consents = xdm["components/fieldgroups/profile/profile-consents.example.1.json"];
    EXPECT_THAT(bring("xdm", "{\"xdm:identityMap\":" +
                                 xdm["components/fieldgroups/shared/identitymap.example.2.json"] + "," +
                                 consents.substr(1))
                    .body,
                HasSubstr(R"("id":"2394509340-30453470347","outcome":"created")"));
    clock_.step_utc(std::chrono::milliseconds(1'600'000'000'000 - 1'527'000'000'000));
    EXPECT_THAT(
        ask("GET", "/v1/profiles/crm:2394509340-30453470347?purpose=personalisation").body,
        HasSubstr(R"("consents":{"personalisation":{"state":"granted","since":"2019-01-01T15:52:25.000Z"},)"
                  R"("marketing":{"state":"granted","since":"2019-01-01T15:52:25.000Z"})"));
}

}  // namespace
}  // namespace touchpoint::tests
