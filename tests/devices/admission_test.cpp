#include "devices/admission.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <string>
#include <vector>

#include "devices/event_type.hpp"
#include "devices/json_slice.hpp"
#include "gateway/core/event_text.hpp"
#include "store/chunk.hpp"

namespace touchpoint::devices {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

struct AdmissionTest : testing::Test {
    AdmissionTest() {
        message.received = clock.utc();
        message.since_boot = clock.since_boot();
        message.clock_trusted = true;
        message.topic = "touchpoint/v1/kiosk/k7/event/search";
        report.data = R"({"query":"oat milk"})";
    }
    Admission::Admitted admit(Report what) {
        return admission.admit(address, name, std::move(what), message, Now::of(clock), ticket);
    }
    // A member of the event that would be stored.
    static std::string member(const Event& event, std::string_view key) {
        const std::string text = '{' + event.members + '}';
        EXPECT_FALSE(validate_json(text)) << text;
        const auto value = json_find(json_members(text), key);
        return !value ? "" : is_string(*value) ? json_unescape(*value) : std::string(*value);
    }

    // What is sealed of a quarantined message.
    std::string opened(const Event& event) const {
        const std::string data = member(event, "data");
        const auto found = json_find(json_members(data), "sealed");
        const std::string text = found ? json_unescape(*found) : "";
        std::string bytes(text.size(), '\0');
        const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                         reinterpret_cast<const unsigned char*>(text.data()),
                                         static_cast<int>(text.size()));
        EXPECT_GE(size, 0);
        bytes.resize(static_cast<std::size_t>(size) -
                     static_cast<std::size_t>(std::count(text.begin(), text.end(), '=')));
        const auto plain = box.open(bytes, "quarantine");
        EXPECT_TRUE(plain);
        return plain ? *plain : "?";
    }

    ManualClock clock;
    store::SealedBox box{std::string(32, 'b')};
    AdmissionOptions options{"s1", "gw-s1"};
    std::uint64_t random = 0;
    Admission admission{options, Pseudonymiser(std::string(32, 'k'), "p1"), box, [this] { return ++random; }};
    DeviceAddress address{"kiosk", "k7"};
    std::string name = "search";
    store::Incoming message;
    Report report;
    Ticket ticket = 0;
};

TEST_F(AdmissionTest, ThePlainestEventGetsItsEnvelope) {
    const Event event = admit(report).event;
    EXPECT_EQ(event.stream, Stream::interactions);
    EXPECT_FALSE(event.device_gave_id);
    EXPECT_EQ(event.id.size(), 26u);
    EXPECT_EQ(event.source, "/stores/s1/kiosk/k7");
    EXPECT_FALSE(event.urgent);
    EXPECT_EQ(event.members,
              "\"id\":\"" + event.id +
                  R"(","source":"/stores/s1/kiosk/k7","type":"store.kiosk.search.v1","time":")" +
                  to_rfc3339(clock.utc()) + R"(","timesource":"gateway","data":{"query":"oat milk"})");
}

TEST_F(AdmissionTest, StreamsFollowKindAndName) {
    EXPECT_EQ(stream_of("pos", "sale", ""), Stream::sales);
    EXPECT_EQ(stream_of("beacon", "seen", ""), Stream::telemetry);
    EXPECT_EQ(stream_of("sensor", "shelf", ""), Stream::telemetry);
    for (const char* kind : {"kiosk", "signage", "locker", "desk", "robot"})
        EXPECT_EQ(stream_of(kind, "view", ""), Stream::interactions) << kind;
    for (const char* event : {"identify", "consent", "session", "merge", "erasure"})
        EXPECT_EQ(stream_of("pos", event, ""), Stream::customer) << event;
    EXPECT_EQ(stream_of("pos", "Consent", ""), Stream::customer) << "its type is store.pos.consent.v1";
    EXPECT_EQ(stream_of("kiosk", "x", "org.example.consent"), Stream::customer);
    EXPECT_EQ(stream_of("kiosk", "x", "store.kiosk.identify.v2"), Stream::customer);
    EXPECT_EQ(stream_of("kiosk", "x", "v1"), Stream::interactions);
}

TEST_F(AdmissionTest, TypesAreLowerCaseWords) {
    EXPECT_EQ(type_of("kiosk", "Search"), "store.kiosk.search.v1");
    EXPECT_EQ(type_of("price-tag", "low-Battery_2"), "store.price_tag.low_battery_2.v1");
}

TEST_F(AdmissionTest, OnlyWhoWaitsOrWhatMustNotWaitStartsACommit) {
    EXPECT_FALSE(admit(report).event.urgent);
    ticket = 9;
    EXPECT_TRUE(admit(report).event.urgent);
    EXPECT_EQ(admit(report).event.ticket, 9u);
    ticket = 0;
    address.kind = "pos";
    EXPECT_TRUE(admit(report).event.urgent);
    address.kind = "beacon";
    EXPECT_FALSE(admit(report).event.urgent);
    name = "identify";
    EXPECT_TRUE(admit(report).event.urgent);
}

TEST_F(AdmissionTest, TheDevicesTimeIsBelievedUnlessItIsInTheFutureOfATrustedClock) {
    report.time = clock.utc() - std::chrono::hours(24 * 365 * 10);
    EXPECT_EQ(member(admit(report).event, "time"), to_rfc3339(*report.time));
    EXPECT_EQ(member(admit(report).event, "timesource"), "device");
    report.time = clock.utc() + std::chrono::minutes(5);
    EXPECT_EQ(member(admit(report).event, "timesource"), "device");
    report.time = clock.utc() + std::chrono::minutes(5) + std::chrono::milliseconds(1);
    Event event = admit(report).event;
    EXPECT_EQ(member(event, "time"), to_rfc3339(clock.utc()));
    EXPECT_EQ(member(event, "timesource"), "gateway");
    EXPECT_EQ(member(event, "devicetime"), to_rfc3339(*report.time));
    clock.set_trusted(false);
    message.clock_trusted = false;
    event = admit(report).event;
    EXPECT_EQ(member(event, "time"), to_rfc3339(*report.time));
    EXPECT_EQ(member(event, "timesource"), "device");
}

TEST_F(AdmissionTest, AMessageThatCameUnderAWrongClockIsDatedByTheRightOne) {
    message.clock_trusted = false;
    message.received = UtcTime{1000};
    clock.advance(std::chrono::seconds(90));
    EXPECT_EQ(member(admit(report).event, "time"), to_rfc3339(clock.utc() - std::chrono::seconds(90)));
    message.clock_trusted = true;
    EXPECT_EQ(member(admit(report).event, "time"), to_rfc3339(UtcTime{1000}));
}

TEST_F(AdmissionTest, TheCustomerLeavesOnlyItsPseudonymAndOneSealedIdentity) {
    report.customer = "Card: 2900000012345 ";
    const auto first = admit(report);
    ASSERT_EQ(first.identities.size(), 1u);
    EXPECT_EQ(member(first.event, "subject"), "pseudonym/" + first.identities[0].pseudonym);
    EXPECT_THAT(first.event.members, Not(HasSubstr("2900000012345")));
    EXPECT_THAT(first.identities[0].sealed, Not(HasSubstr("2900000012345")));
    const auto opened = box.open(first.identities[0].sealed, "identity");
    ASSERT_TRUE(opened);
    EXPECT_EQ(*opened, "card:2900000012345");

    EXPECT_TRUE(admit(report).identities.empty());  // known by now
    admission.forget(first.identities[0].pseudonym);
    EXPECT_EQ(admit(report).identities.size(), 1u);  // its vault row was erased
}

// Loop does not ask the vault, which is on a disk: it hands the identity over, and the vault knows whom it
// has.
TEST_F(AdmissionTest, ACustomerWhoWasNotSeenLatelyIsHandedToTheVaultAgain) {
    report.customer = "card:2900000012345";
    ASSERT_EQ(admit(report).identities.size(), 1u);
    Report other = report;
    for (std::size_t i = 0; i < KnownPseudonyms::pseudonyms_max; ++i) {
        other.customer = "card:" + std::to_string(i);
        ASSERT_EQ(admit(other).identities.size(), 1u);
    }
    EXPECT_EQ(admit(report).identities.size(), 1u);
}

// Who he is by now is decided when the event leaves: nothing on the disk has to be changed for that.
TEST_F(AdmissionTest, SeveralNamesOfOneCustomerStandAsPseudonymsInTheirOrder) {
    report.customer = "card:2900000012345";
    report.also = {"email:Jane.Doe@example.com"};
    const auto admitted = admit(report);
    ASSERT_EQ(admitted.identities.size(), 2u);
    EXPECT_EQ(member(admitted.event, "subject"), "pseudonym/" + admitted.identities[0].pseudonym);
    EXPECT_EQ(member(admitted.event, "sameas"), "pseudonym/" + admitted.identities[1].pseudonym);
    EXPECT_EQ(*box.open(admitted.identities[1].sealed, "identity"), "email:jane.doe@example.com");
    EXPECT_THAT(admitted.event.members, Not(HasSubstr("jane")));
    report.also = {"email:other@example.com"};
    EXPECT_NE(admit(report).event.content_hash, admitted.event.content_hash);
}

TEST_F(AdmissionTest, TheLeastRecentlySeenAreForgotten) {
    KnownPseudonyms known;
    EXPECT_FALSE(known.note("first"));
    for (std::size_t i = 0; i < KnownPseudonyms::pseudonyms_max - 1; ++i) known.note(std::to_string(i));
    EXPECT_TRUE(known.note("first"));  // and is the most recent now
    known.note("one more");
    EXPECT_TRUE(known.note("first"));
    EXPECT_FALSE(known.note("0"));
}

TEST_F(AdmissionTest, TheContentHashIsOverWhatTheDeviceSaid) {
    report.id = "a1";
    const Event one = admit(report).event;
    EXPECT_TRUE(one.device_gave_id);
    EXPECT_EQ(one.id, "a1");
    clock.advance(std::chrono::seconds(1));
    message.dup = true;
    EXPECT_EQ(admit(report).event.content_hash, one.content_hash);
    Report other = report;
    other.data = R"({"query":"oat milk "})";
    EXPECT_NE(admit(other).event.content_hash, one.content_hash);
    other = report;
    other.customer = "card:1";
    EXPECT_NE(admit(other).event.content_hash, one.content_hash);
    name = "view";
    EXPECT_NE(admit(report).event.content_hash, one.content_hash);
}

TEST_F(AdmissionTest, ACopyThatTheBrokerMayHaveGivenBeforeIsMarked) {
    EXPECT_EQ(member(admit(report).event, "possiblerepeat"), "");
    message.dup = true;
    EXPECT_EQ(member(admit(report).event, "possiblerepeat"), "true");
}

TEST_F(AdmissionTest, CardNumbersAreMaskedInDataSubjectAndExtensions) {
    report.data = R"({"comment":"4111111111111111","gtin":"4111111111111111"})";
    report.subject = "4111111111111111";
    report.extensions = {{"note", "\"4111111111111111\""}, {"n", "4111111111111111"}};
    const auto out = admit(report);
    EXPECT_EQ(out.masked, 3u);
    EXPECT_EQ(member(out.event, "data"), R"({"comment":"************1111","gtin":"4111111111111111"})");
    EXPECT_EQ(member(out.event, "subject"), "************1111");
    EXPECT_EQ(member(out.event, "note"), "************1111");
}

TEST_F(AdmissionTest, AnEventIsAlwaysOneLine) {
    report.data = "{\n\"a\":\r\n 1.50 }";
    const Event event = admit(report).event;
    EXPECT_EQ(event.members.find_first_of("\r\n"), std::string::npos);
    EXPECT_EQ(member(event, "data"), "{ \"a\":   1.50 }");
}

TEST_F(AdmissionTest, ACloudEventKeepsWhatIsItsOwn) {
    report = {};
    report.id = "c1";
    report.type = "org.example.tapped";
    report.source_path = "/scanner";
    report.session = "s-9";
    report.subject = "shelf-3";
    report.datacontenttype = "image/png";
    report.dataschema = "https://example.org/s";
    report.data = "\"AQID\"";
    report.base64 = true;
    report.extensions = {{"traceparent", "\"00-ab\""}};
    const Event event = admit(report).event;
    EXPECT_EQ(event.source, "/stores/s1/kiosk/k7/scanner");
    EXPECT_EQ(member(event, "type"), "org.example.tapped");
    EXPECT_EQ(member(event, "session"), "s-9");
    EXPECT_EQ(member(event, "subject"), "shelf-3");
    EXPECT_EQ(member(event, "datacontenttype"), "image/png");
    EXPECT_EQ(member(event, "dataschema"), "https://example.org/s");
    EXPECT_EQ(member(event, "traceparent"), "00-ab");
    EXPECT_EQ(member(event, "data_base64"), "AQID");
    EXPECT_EQ(member(event, "data"), "");
    report.data.clear();
    EXPECT_EQ(member(admit(report).event, "data_base64"), "");
}

TEST_F(AdmissionTest, ARejectedMessageIsKeptWholeAndSealed) {
    message.user_properties = {{"customer", "jane"}};
    const Rejection rejection{Problem::bad_customer, "a text like card:1 is expected", "/customer", "a1",
                              R"({"customer":"jane"})"};
    const Event event = admission.quarantine(address, rejection, message, Now::of(clock));
    EXPECT_EQ(event.stream, Stream::quarantine);
    EXPECT_FALSE(event.device_gave_id);
    EXPECT_FALSE(event.urgent);
    EXPECT_EQ(member(event, "type"), "store.kiosk.quarantined.v1");
    EXPECT_THAT(event.members, Not(HasSubstr("jane")));
    EXPECT_THAT(member(event, "data"), HasSubstr(R"("type":"bad-customer")"));
    EXPECT_THAT(member(event, "data"), HasSubstr(R"("topic":"touchpoint/v1/kiosk/k7/event/search")"));
    EXPECT_THAT(member(event, "data"), HasSubstr(R"("sealed_properties":")"));

    EXPECT_THAT(event.members, Not(HasSubstr("persons"))) << "jane is no customer";

    message.topic = "touchpoint/\xFF";
    const Event nobody = admission.quarantine(std::nullopt, rejection, message, Now::of(clock));
    EXPECT_EQ(nobody.source, "/stores/s1/gateway/gw-s1");
    EXPECT_EQ(member(nobody, "type"), "store.gateway.quarantined.v1");
}

TEST_F(AdmissionTest, AQuarantinedMessageIsMarkedWithThePersonsItSpeaksOf) {
    const Pseudonymiser names(std::string(32, 'k'), "p1");
    const auto persons_of = [&](const std::string& raw) {
        const Rejection rejection{Problem::not_json, "", "", "", raw};
        const Event event = admission.quarantine(address, rejection, message, Now::of(clock));
        return member(event, "persons");
    };
    const std::string card = '"' + names.pseudonym({"card", "2900"}) + '"';
    const std::string mail = '"' + names.pseudonym({"email", "jane@example.com"}) + '"';
    EXPECT_EQ(persons_of(R"({"customer":"card:2900","x":)"), '[' + card + ']');
    EXPECT_EQ(
        persons_of(
            R"([{"customer" : "card:2900"},{"customer":"email:Jane@Example.com"},{"customer":"card:2900"}])"),
        '[' + card + ',' + mail + ']');
    EXPECT_EQ(persons_of(R"({"data":{"customer":["card:2\u00390\u0030", "email:jane@example.com"]}})"),
              '[' + card + ',' + mail + ']');
    for (const char* nobody :
         {"", "no JSON", R"({"customer":)", R"({"customer":"card:2900)", R"({"customer":7})",
          R"({"customer":[)", R"("customer")", R"({"customer":"jane"})"})
        EXPECT_EQ(persons_of(nobody), "") << nobody;
    EXPECT_EQ(persons_of(R"({"customer":"card :2900"})"), '[' + card + ']') << "a blank is what is wrong";
    EXPECT_THAT(persons_of(R"({"customer":"card:29 00 "})"), HasSubstr(card));
    EXPECT_EQ(persons_of(R"({"specversion":"1.0","subject":"card:2900","type":)"), '[' + card + ']');
    message.user_properties = {{"customer", "card:2900"}};
    EXPECT_EQ(persons_of("no JSON"), '[' + card + ']');
    message.user_properties.clear();
    EXPECT_EQ(persons_of(R"({"\u0063ustomer":"card:2900","x":)"), '[' + card + ']');
    EXPECT_EQ(persons_of(R"({"c\u0075stom\u0065r":["\u0063ard:2900"],"x":)"), '[' + card + ']');
    EXPECT_EQ(persons_of(R"({"\u00":"\u00zz","customer\u00":"card:1","\u0022customer":"card:2)"), "");
}

// What could not be erased any more is not kept.
TEST_F(AdmissionTest, AQuarantinedMessageIsCutBeforeThosePersonsForWhomThereIsNoRoom) {
    const auto crowd = [](std::size_t count) {
        std::string text = "[";
        for (std::size_t i = 0; i < count; ++i) text += R"({"customer":"card:)" + std::to_string(i) + "\"},";
        return text;
    };
    const auto kept = [&](const std::string& raw) {
        const Event event =
            admission.quarantine(address, {Problem::not_json, "", "", "", raw}, message, Now::of(clock));
        const std::string listed = member(event, "persons");
        EXPECT_EQ(std::count(listed.begin(), listed.end(), ',') + 1, std::ptrdiff_t{persons_max});
        EXPECT_LT(event.members.size() + 1024, store::event_line_bytes_max);
        return opened(event);
    };
    EXPECT_EQ(kept(crowd(persons_max)), crowd(persons_max));
    const std::string more = kept(crowd(persons_max + 1) + R"({"subject":"card:0"})");
    EXPECT_THAT(more, HasSubstr("card:" + std::to_string(persons_max - 1) + '"'));
    EXPECT_THAT(more, Not(HasSubstr("card:" + std::to_string(persons_max) + '"')));
    EXPECT_EQ(kept(crowd(persons_max) + R"({"\u0063ustomer":"card:other"})"), "")
        << "where it stands is not known";
    EXPECT_THAT(kept(crowd(persons_max + 1) + "\\u0061"), HasSubstr("card:0"))
        << "the letter is behind the cut";
}

TEST_F(AdmissionTest, OfAQuarantinedMessageNobodyIsKeptWhoseNameDoesNotEnd) {
    const auto quarantined = [&](const std::string& raw) {
        return admission.quarantine(address, {Problem::not_json, "", "", "", raw}, message, Now::of(clock));
    };
    const Pseudonymiser names(std::string(32, 'k'), "p1");
    const Event cut = quarantined(R"({"a":1,"customer":"anna@x.example)");
    EXPECT_EQ(opened(cut), R"({"a":1,)");
    EXPECT_THAT(member(cut, "data"), HasSubstr(R"("kept_bytes":7)"));
    // Whom the first one means is not known.
    EXPECT_EQ(opened(quarantined(R"({"customer":"card:1,"customer":"card:2"})")), "{");
    EXPECT_EQ(opened(quarantined(R"({"customer":["card:1" "card:2"]})")), "{");
    EXPECT_EQ(opened(quarantined(R"({"customer":[null,"card:2"]})")), "{");
    const std::string broken = "{\"customer\":\"card:2\r\n\"}";
    EXPECT_EQ(opened(quarantined(broken)), broken);
    EXPECT_EQ(member(quarantined(broken), "persons"), "[\"" + names.pseudonym({"card", "2"}) + "\"]");
    const std::string fine =
        R"({"subject":["card:1","email:a@b.example"],"customer":7,"x":{"customer":[]}} and more)";
    EXPECT_EQ(opened(quarantined(fine)), fine);
    message.user_properties = {{"customer", R"(["card:1", "email:a@b.example"])"}};
    EXPECT_EQ(member(quarantined("x"), "persons"), "[\"" + names.pseudonym({"card", "1"}) + "\",\"" +
                                                       names.pseudonym({"email", "a@b.example"}) + "\"]");
}

TEST_F(AdmissionTest, PropertiesOfMorePersonsThanCanBeNotedAreNotKept) {
    for (std::size_t i = 0; i <= persons_max; ++i)
        message.user_properties.emplace_back("customer", "a:" + std::to_string(i));
    const auto quarantined = [&](bool first) {
        return admission.quarantine(address, {Problem::not_json, "", "", "", "x"}, message, Now::of(clock),
                                    first);
    };
    EXPECT_THAT(member(quarantined(true), "data"),
                AllOf(HasSubstr("kept_bytes"), Not(HasSubstr("sealed_properties"))));
    // A thousand bad items of one message must not say all of it a thousand times.
    EXPECT_EQ(member(quarantined(false), "persons"), "");
    message.user_properties.pop_back();
    EXPECT_THAT(member(quarantined(true), "data"),
                AllOf(HasSubstr("sealed_properties"), Not(HasSubstr("kept_bytes"))));
    EXPECT_LT(quarantined(false).members.size(), 2048u);
}

// message_bytes_max is a mebibyte at most (config/), and as much again may be properties: what of them is
// kept in quarantine must fit into one event.
TEST_F(AdmissionTest, TheLargestMessageOfAllFitsIntoOneEventAlsoInQuarantine) {
    const std::size_t all = (1u << 20) + (64u << 10);
    const std::string topic = "touchpoint/v1/kiosk/k7/event/" + std::string(60'000, '\x01');
    Rejection rejection{Problem::not_json, "", "", "", ""};
    for (const std::size_t properties : {std::size_t{0}, all - topic.size()}) {
        message.topic = topic;
        message.user_properties = {{"p", std::string(properties, '\\')}};
        rejection.raw = std::string(all - topic.size() - properties, 'x');
        const Event event = admission.quarantine(address, rejection, message, Now::of(clock));
        EXPECT_LT(event.members.size() + 1024, store::event_line_bytes_max);
    }
    rejection.raw = std::string(16u << 20, 'x');  // of a journal that an earlier release wrote
    EXPECT_LT(admission.quarantine(address, rejection, message, Now::of(clock)).members.size() + 1024,
              store::event_line_bytes_max);
}

}  // namespace
}  // namespace touchpoint::devices
