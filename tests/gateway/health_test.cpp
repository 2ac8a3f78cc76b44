// Conditions as a technician reads them.
#include "gateway/health.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/gateway/pictures.hpp"

namespace touchpoint::gateway {
namespace {

using std::chrono::minutes;
using testing::AllOf;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using tests::healthy;

std::vector<std::string> codes(const Snapshot& s) {
    std::vector<std::string> out;
    for (const Condition& c : conditions(s)) out.push_back(c.code);
    return out;
}

TEST(HealthTest, NothingIsSaidWhenAllIsWell) {
    EXPECT_THAT(codes(healthy()), IsEmpty());
    EXPECT_EQ(status_line(healthy()), "taking events; platform idle");
    EXPECT_EQ(readyz(healthy()).status, 200u);
}

TEST(HealthTest, ARefusedCredentialSaysWhatWaitsAndWhatToDo) {
    Snapshot s = healthy();
    s.store.consumers[0].acknowledged[Stream::sales] = 0;
    s.store.first[Stream::sales] = 1;
    s.store.horizon[Stream::sales] = 1284;
    s.store.oldest[Stream::sales] = s.now - minutes(41);
    s.push[0].stats.state = uplink::PushState::paused;
    s.push[0].stats.last_status = 401;
    const auto list = conditions(s);
    ASSERT_EQ(list.size(), 1u);
    EXPECT_EQ(list[0].code, "uplink-credential");
    EXPECT_EQ(list[0].severity, Severity::error);
    EXPECT_EQ(list[0].what,
              "the platform refuses this gateway's credential (HTTP 401, ingest.example.net, destination "
              "platform)");
    EXPECT_EQ(list[0].effect,
              "1,284 events wait on disk, the oldest for 41 min; 3 % of the room is used. Nothing is lost.");
    EXPECT_THAT(list[0].remedy, HasSubstr("put the new token"));
    s.push[0].stats.last_status = 404;
    EXPECT_THAT(codes(s), ElementsAre("uplink-address"));
}

TEST(HealthTest, APlatformThatRefusesEveryEventIsNotCalledAWrongAddress) {
    Snapshot s = healthy();
    s.push[0].stats.state = uplink::PushState::paused;
    s.push[0].stats.last_status = 422;
    EXPECT_THAT(codes(s), ElementsAre("uplink-refused"));
    EXPECT_THAT(conditions(s)[0].what, HasSubstr("refuses whatever this gateway sends (HTTP 422"));
    s.push[0].stats.last_status = 301;
    EXPECT_THAT(codes(s), ElementsAre("uplink-address"));
}

TEST(HealthTest, AStoreThatTakesNothingIsFullWhateverItsPercentage) {
    Snapshot s = healthy();
    s.store.full = true;  // the disk itself, say
    s.link.connected = false;
    s.link.closed_for_room = true;
    s.link.since = s.started;
    EXPECT_THAT(codes(s), ElementsAre("store-full"));
    EXPECT_EQ(readyz(s).body, "{\"ready\":false,\"reasons\":[\"store-full\",\"intake-paused\"]}\n");
}

TEST(HealthTest, ACacheWhoseFlushFailedSaysThatANewStartFollows) {
    Snapshot s = healthy();
    s.cache_failed = true;
    ASSERT_THAT(codes(s), ElementsAre("cache-failed"));
    EXPECT_THAT(conditions(s).front().effect, HasSubstr("by itself ten minutes after its last start"));
}

TEST(HealthTest, WhatHealsByItselfIsShownOnlyWhenItLasts) {
    Snapshot s = healthy();
    s.link.connected = false;
    s.link.since = s.now - std::chrono::seconds(3);
    s.push[0].stats.state = uplink::PushState::retrying;
    s.push[0].stats.since = s.now - std::chrono::seconds(30);
    EXPECT_THAT(codes(s), IsEmpty());
    s.link.since = s.now - minutes(2);
    s.push[0].stats.since = s.now - minutes(2);
    EXPECT_THAT(codes(s), ElementsAre("broker-unreachable", "uplink-away"));
}

TEST(HealthTest, TheWorstStandsFirst) {
    Snapshot s = healthy();
    s.intake.rejected = 3;
    s.clock_trusted = false;
    s.store_failed = true;
    EXPECT_THAT(codes(s), ElementsAre("store-failed", "clock-untrusted", "rejected"));
    EXPECT_THAT(status_line(s), HasSubstr("the disk refused a write (touchpoint status)"));
}

TEST(HealthTest, ReadinessNamesItsReasons) {
    Snapshot s = healthy();
    s.link.connected = s.link.subscribed = false;
    s.store.live_bytes = s.store.limit_bytes;
    const HttpResponse answer = readyz(s);
    EXPECT_EQ(answer.status, 503u);
    EXPECT_EQ(answer.body, "{\"ready\":false,\"reasons\":[\"store-full\",\"broker-unreachable\"]}\n");
    EXPECT_EQ(healthz(s).status, 200u);
}

TEST(HealthTest, OneIsSpokenOfAsOne) {
    Snapshot s = healthy();
    s.intake.rejected = 1;
    s.push[0].stats.parked = 1;
    s.store.consumers[0].acknowledged[Stream::sales] = 999;
    s.store.first[Stream::sales] = 1000;
    s.store.consumers[0].configured = false;
    const auto list = conditions(s);
    ASSERT_THAT(codes(s), ElementsAre("uplink-parked", "consumer-removed", "rejected"));
    EXPECT_THAT(list[0].what, HasSubstr("refused 1 event for good"));
    EXPECT_THAT(list[1].effect, HasSubstr("1 event is kept for it"));
    EXPECT_EQ(list[2].what, "1 message broke a rule since the start");
}

TEST(HealthTest, TheFileThatAPersonIsToldToEditIsTheOneThatWasRead) {
    Snapshot s = healthy();
    s.config_file = "/srv/shop.toml";
    s.config_warnings = {"a warning"};
    s.push[0].stats.state = uplink::PushState::paused;
    s.push[0].stats.last_status = 404;
    for (const Condition& c : conditions(s)) {
        EXPECT_THAT(c.remedy, HasSubstr("/srv/shop.toml"));
        if (c.code == "configuration") {
            EXPECT_EQ(c.check, "touchpointd --config /srv/shop.toml --check-config");
        }
    }
}

TEST(HealthTest, WherePullingIsPossibleNobodyIsToldToConfigureIt) {
    Snapshot s = healthy();
    s.push.clear();
    const auto remedy = [&] {
        for (const Condition& c : conditions(s))
            if (c.code == "uplink-none") return c.remedy;
        return std::string();
    };
    EXPECT_THAT(remedy(), HasSubstr("or let the platform pull ([http.platform])"));
    s.http.listeners.emplace_back();
    s.http.listeners.back().name = "platform";
    EXPECT_THAT(remedy(), HasSubstr("give the platform its address and token"));
}

TEST(HealthTest, AnAnswerThatTookNothingIsNotCalledSuccess) {
    Snapshot s = healthy();
    s.push[0].stats.state = uplink::PushState::retrying;
    s.push[0].stats.last_status = 200;
    s.push[0].stats.last_error = "it took nothing (HTTP 200)";
    EXPECT_THAT(conditions(s)[0].what, HasSubstr("(it took nothing (HTTP 200), ingest.example.net"));
}

TEST(HealthTest, WithoutABrokerDevicesOfHttpAreNotForgotten) {
    Snapshot s = healthy();
    s.link.connected = s.link.subscribed = false;
    s.link.since = s.now - std::chrono::seconds(11);
    ASSERT_THAT(codes(s), ElementsAre("broker-unreachable"));
    EXPECT_THAT(conditions(s)[0].effect,
                testing::StartsWith("No event comes in over MQTT since 11 s; HTTP goes on."));
}

TEST(HealthTest, EveryConditionHasAllFourTexts) {
    Snapshot s = healthy();
    s.store_failed = s.cache_replaced = s.store.replaced = true;
    s.clock_trusted = false;
    s.store.live_bytes = s.store.limit_bytes;
    s.link.connected = false;
    s.link.since = s.started;
    s.push[0].stats.state = uplink::PushState::retrying;
    s.push[0].stats.parked = 2;
    s.intake.rejected = 1;
    s.config_warnings = {"a warning"};
    store::ConsumerState removed;
    removed.name = "old";
    removed.configured = false;
    removed.streams[Stream::sales] = true;
    s.store.consumers.push_back(removed);
    s.store.first[Stream::sales] = 1;
    s.http.tokens_trouble = "no such file";
    ListenerPicture listener;
    listener.tls = true;
    listener.certificate_trouble = "no certificate";
    s.http.listeners.push_back(listener);
    const auto list = conditions(s);
    EXPECT_EQ(list.size(), 14u);
    for (const Condition& c : list) {
        EXPECT_FALSE(c.what.empty()) << c.code;
        EXPECT_FALSE(c.effect.empty()) << c.code;
        EXPECT_FALSE(c.remedy.empty()) << c.code;
        EXPECT_FALSE(c.check.empty()) << c.code;
    }
}

TEST(HealthTest, ACertificateIsSpokenOfTwoWeeksBeforeItEnds) {
    Snapshot s = healthy();
    ListenerPicture listener;
    listener.name = "local";
    s.http.listeners.push_back(listener);
    EXPECT_THAT(conditions(s), testing::IsEmpty());  // plain
    s.http.listeners[0].tls = true;
    s.http.listeners[0].certificate_ends = s.now + std::chrono::hours(24 * 15);
    EXPECT_THAT(conditions(s), testing::IsEmpty());
    s.http.listeners[0].certificate_ends = s.now + std::chrono::hours(24 * 10);
    ASSERT_EQ(conditions(s).size(), 1u);
    EXPECT_EQ(conditions(s)[0].code, "certificate-ends");
    EXPECT_EQ(conditions(s)[0].severity, Severity::warning);
    EXPECT_THAT(conditions(s)[0].what, testing::HasSubstr("ends in 10 days"));
    s.http.listeners[0].certificate_ends = s.now - std::chrono::hours(48);
    EXPECT_EQ(conditions(s)[0].severity, Severity::error);
}

TEST(HealthTest, SheddingIsAnErrorAndWhatWasGivenUpIsCountedByStream) {
    Snapshot s = healthy();
    s.store.live_bytes = 905u << 20;
    s.store.shedding = true;
    s.store.shed[Stream::telemetry] = 1284;
    s.store.shed[Stream::quarantine] = 3;
    s.store.expired[Stream::interactions] = 12;
    EXPECT_THAT(codes(s), ElementsAre("store-shedding", "events-given-up"));
    EXPECT_EQ(
        conditions(s)[1].what,
        "1,284 of telemetry, 3 of quarantine were shed for want of room; 12 of interactions were too old");
    // The room is found again: what has gone is still said.
    s.store.shedding = false;
    s.store.live_bytes = 30u << 20;
    EXPECT_THAT(codes(s), ElementsAre("events-given-up"));
}

TEST(HealthTest, AReaderThatStaysAwayIsNamedAndOneIsEnough) {
    Snapshot s = healthy();
    s.push.clear();
    s.store.consumers.clear();
    EXPECT_THAT(codes(s), ElementsAre("uplink-none"));
    store::ConsumerState reader;
    reader.name = "warehouse";
    reader.kind = store::ConsumerKind::pull;
    reader.streams[Stream::sales] = true;
    reader.last_seen = s.now - std::chrono::hours(5);
    s.store.consumers.push_back(reader);
    EXPECT_THAT(codes(s), IsEmpty());  // nothing waits for it
    s.store.first[Stream::sales] = 990;
    EXPECT_THAT(codes(s), ElementsAre("consumer-away"));
    EXPECT_THAT(conditions(s)[0].what, HasSubstr("the reader warehouse has not pulled for 5 h"));
    s.store.consumers[0].kind = store::ConsumerKind::push;
    s.store.consumers[0].configured = false;
    EXPECT_THAT(codes(s), ElementsAre("uplink-none", "consumer-removed"));
}

TEST(HealthTest, ABacklogCountsOnlyWhatTheDestinationReadsAndTheStoreStillHolds) {
    Snapshot s = healthy();
    s.store.consumers[0].acknowledged = {};
    s.store.first[Stream::telemetry] = 901;  // the first 900 were shed
    EXPECT_EQ(backlog(s.store, "platform").events, 100u);
    EXPECT_EQ(backlog(s.store, "unknown").events, 0u);
}

TEST(HealthTest, NumbersAreWrittenForPeople) {
    EXPECT_EQ(grouped(999), "999");
    EXPECT_EQ(grouped(1234567), "1,234,567");
    EXPECT_EQ(counted(1, "event"), "1 event");
    EXPECT_EQ(counted(1284, "event"), "1,284 events");
    EXPECT_EQ(spoken(std::chrono::seconds(119)), "119 s");
    EXPECT_EQ(spoken(minutes(41)), "41 min");
    EXPECT_EQ(spoken(std::chrono::hours(72)), "3 days");
    EXPECT_EQ(spoken_bytes(3 * 1024 * 1024 / 2), "1.5 MiB");
}

TEST(HealthTest, AnAddressThatTheBoxDoesNotGetIsSaidWhenTheNetworkHadItsTime) {
    Snapshot s = healthy();
    ListenerPicture listener;
    listener.name = "local";
    listener.address = "192.168.7.2 port 8080";
    listener.address_missing = true;
    s.http.listeners = {listener};
    s.uptime = std::chrono::seconds(59);
    EXPECT_THAT(codes(s), IsEmpty());
    s.uptime = std::chrono::seconds(60);
    ASSERT_THAT(codes(s), ElementsAre("listener-address"));
    EXPECT_THAT(conditions(s)[0].what, HasSubstr("192.168.7.2 port 8080"));
    EXPECT_THAT(conditions(s)[0].remedy, HasSubstr("http.local.listen"));
}

TEST(HealthTest, ABrokerThatDoesNotLetUsReadIsSaidAtOnceAndIsNoBrokerThatIsAway) {
    Snapshot s = healthy();
    s.link.connected = s.link.subscribed = false;  // between two tries
    s.link.refusal = "Not authorized";
    ASSERT_THAT(codes(s), ElementsAre("subscription-refused"));
    EXPECT_EQ(conditions(s)[0].severity, Severity::error);
    EXPECT_THAT(conditions(s)[0].what, HasSubstr("(Not authorized)"));
    EXPECT_EQ(readyz(s).body, "{\"ready\":false,\"reasons\":[\"subscription-refused\"]}\n");
    EXPECT_THAT(status_line(s), HasSubstr("not taking events"));
}

TEST(HealthTest, AFullVaultSaysWhatIsNotKeptAndHowRoomIsMade) {
    Snapshot s = healthy();
    s.store.identities_trouble = "the identity vault is full";
    s.store.vault_full = true;
    s.store.identities_waiting = 1284;
    ASSERT_THAT(codes(s), ElementsAre("vault-full"));
    EXPECT_EQ(conditions(s)[0].what, "identity vault full");
    EXPECT_THAT(conditions(s)[0].effect, AllOf(HasSubstr("Events are complete"), HasSubstr("1,284")));
    EXPECT_THAT(conditions(s)[0].remedy, HasSubstr("rm -r /var/lib/touchpoint/cache"));
    s.store.vault_full = false;
    s.store.identities_trouble = "Input/output error";
    EXPECT_THAT(codes(s), ElementsAre("vault-unwritable"));
}

TEST(HealthTest, AKeyThatOthersCanReadIsNamedWithItsFile) {
    Snapshot s = healthy();
    s.keys.readable_by_others = {"/var/lib/touchpoint/keys/box.key"};
    ASSERT_THAT(codes(s), ElementsAre("key-readable"));
    EXPECT_EQ(conditions(s)[0].severity, Severity::warning);
    EXPECT_EQ(conditions(s)[0].subject, "/var/lib/touchpoint/keys/box.key");
    EXPECT_THAT(conditions(s)[0].remedy, HasSubstr("chmod 400 /var/lib/touchpoint/keys/box.key"));
}

TEST(HealthTest, ABoxKeyBesideTheDataIsWorthASentenceOnlyWhereACredentialIsThereToo) {
    Snapshot s = healthy();
    s.keys.box_from_credential = true;
    EXPECT_THAT(codes(s), IsEmpty());
    s.keys.box_also_in_file = true;
    ASSERT_THAT(codes(s), ElementsAre("box-key-on-disk"));
    EXPECT_EQ(conditions(s)[0].severity, Severity::info);
}

}  // namespace
}  // namespace touchpoint::gateway
