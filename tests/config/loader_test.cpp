// The configuration as a technician writes it: what is right is taken, what is wrong is refused with its
// place.
#include "config/loader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <string>
#include <vector>

#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace touchpoint::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* head = "[gateway]\nid = \"gw-9\"\nstore = \"s9\"\n";  // lines 1 to 3

class LoaderTest : public testing::Test {
  protected:
    Loaded load_text(const std::string& text) {
        tests::write_file(file_, text);
        return load(file_);
    }
    // "4:7: text" of every problem, without the file's name.
    std::vector<std::string> problems(const std::string& text) {
        std::vector<std::string> out;
        for (const Problem& problem : load_text(text).problems)
            out.push_back(to_text(problem).substr(file_.string().size() + 1));
        return out;
    }
    void write_more(const std::string& name, const std::string& text) {
        std::filesystem::create_directories(folder_.path() / "conf.d");
        tests::write_file(folder_.path() / "conf.d" / name, text);
    }

    tests::TempFolder folder_;
    std::filesystem::path file_ = folder_.path() / "touchpoint.toml";
};

TEST_F(LoaderTest, TheKeysOfTheContractMeanWhatTheySay) {
    const Loaded loaded = load_text(std::string(head) + R"(
[mqtt]
url = "mqtts://broker:8883"
username = "gateway"
[store]
path = "/data"
journal_path = "/memory"
commit_interval_ms = 250
dedup_age_h = 48
[http.local]
listen = "[::1]:8081"
[control]
socket = "/tmp/control.sock"
[log]
level = "debug"
[[uplink.push]]
name = "platform"
url = "http://127.0.0.1:9000/events"
format = "ndjson"
compression = "gzip"
streams = ["sales"]
headers = { "X-Tenant" = "shop" }
)");
    ASSERT_TRUE(loaded.settings) << to_text(loaded.problems.front());
    const Settings& s = *loaded.settings;
    EXPECT_EQ(s.gateway.id, "gw-9");
    EXPECT_EQ(s.admission.store_id, "s9");
    EXPECT_EQ(s.link.url, "mqtts://broker:8883");
    EXPECT_EQ(s.link.client_id, "touchpoint-gw-9");
    EXPECT_EQ(s.store.path, "/data");
    EXPECT_EQ(s.store.journal_path, "/memory");
    EXPECT_EQ(s.store.commit_interval, std::chrono::milliseconds(250));
    EXPECT_EQ(s.store.dedup_age, std::chrono::hours(48));
    EXPECT_EQ(s.http_local.listen.address, "::1");
    EXPECT_EQ(s.http_local.listen.port, 8081);
    EXPECT_EQ(s.control.socket, "/tmp/control.sock");
    EXPECT_EQ(s.log_level, log::Level::debug);
    ASSERT_EQ(s.push.size(), 1u);
    EXPECT_EQ(s.push[0].format, uplink::Format::ndjson);
    EXPECT_EQ(s.push[0].compression, uplink::Compression::gzip);
    EXPECT_TRUE(s.push[0].streams[Stream::sales]);
    EXPECT_FALSE(s.push[0].streams[Stream::customer]);
    EXPECT_THAT(s.push[0].headers, ElementsAre(std::pair<std::string, std::string>("X-Tenant", "shop")));
}

struct Mistake {
    const char* text;       // behind `head`, so it begins in line 4
    const char* complaint;  // begins with line and column
};

class MistakeTest : public LoaderTest, public testing::WithParamInterface<Mistake> {};

TEST_P(MistakeTest, IsRefusedWithItsPlaceAndWhatWouldBeRight) {
    const auto found = problems(std::string(head) + GetParam().text);
    ASSERT_EQ(found.size(), 1u) << testing::PrintToString(found);
    EXPECT_THAT(found[0], testing::StartsWith(GetParam().complaint));
}

TEST_F(LoaderTest, ProfilesHaveTheirRoomAndTheirRules) {
    const std::string table = std::string(head) + "[profiles]\n";
    const Loaded loaded = load_text(
        table +
        "bytes = 1048576\nstale_h = 2\nunknown_consent = \"granted\"\nwanted_max = 0\nmisses_per_min = 5\n"
        "answer_within_ms = 80\npurpose_interactions = \"operation\"\npurpose_sales = \"marketing\"\n");
    ASSERT_TRUE(loaded.settings);
    EXPECT_EQ(loaded.settings->profiles.bytes, 1u << 20);
    EXPECT_EQ(loaded.settings->profiles.stale, std::chrono::hours(2));
    EXPECT_TRUE(loaded.settings->profiles.unknown_consent_granted);
    EXPECT_EQ(loaded.settings->profiles.event_purposes[Stream::interactions], "operation");
    EXPECT_EQ(loaded.settings->profiles.event_purposes[Stream::sales], "marketing");
    EXPECT_EQ(loaded.settings->profiles.event_purposes[Stream::telemetry], "analytics");
    EXPECT_FALSE(load_text(table + "purpose_sales = \"selling\"\n").settings);
    EXPECT_EQ(loaded.settings->profiles.wanted_max, 0u);
    EXPECT_EQ(loaded.settings->profiles.misses_per_min, 5u);
    EXPECT_EQ(loaded.settings->profiles.answer_within, std::chrono::milliseconds(80));
    EXPECT_FALSE(load_text(table + "answer_within_ms = 4\n").settings);
    EXPECT_FALSE(load_text(table + "answer_within_ms = 1001\n").settings);
    EXPECT_FALSE(load_text(table + "unknown_consent = \"maybe\"\n").settings);
}

TEST_F(LoaderTest, ThePlatformsListenerExistsOnlyWithItsTable) {
    EXPECT_FALSE(load_text(head).settings->http_platform);
    const Loaded loaded = load_text(std::string(head) + "[http.platform]\nconnections_max = 5\n");
    ASSERT_TRUE(loaded.settings && loaded.settings->http_platform);
    EXPECT_EQ(loaded.settings->http_platform->connections_max, 5u);
    EXPECT_EQ(loaded.settings->http_platform->listen.port, 8443);
    EXPECT_EQ(loaded.settings->http_platform->body_bytes_max, 8u << 20);
}

TEST_F(LoaderTest, TokensOpenTheListenersToOtherMachinesAndPlainHttpIsWarnedOf) {
    const std::string some = (folder_.path() / "some").string();
    tests::write_file(some, "x\n");
    const std::string auth = "[auth]\ntokens_file = \"" + some + "\"\n";
    const std::string listen = "[http.platform]\nlisten = \"0.0.0.0:8443\"\n";
    const Loaded plain = load_text(std::string(head) + auth + listen);
    ASSERT_TRUE(plain.settings && plain.settings->http_platform);
    EXPECT_EQ(plain.settings->http_platform->listen.address, "0.0.0.0");
    ASSERT_EQ(plain.problems.size(), 1u);
    EXPECT_THAT(to_text(plain.problems[0]),
                HasSubstr("7:10: warning: http.platform.listen: tokens and answers cross"));
    const std::string tls = "tls_cert = \"" + some + "\"\ntls_key = \"" + some + "\"\n";
    EXPECT_THAT(problems(std::string(head) + auth + listen + tls), IsEmpty());
}

TEST_F(LoaderTest, ATokensFileThatIsNotThereYetIsSaidAndNoError) {
    const auto found = problems(std::string(head) + "[auth]\ntokens_file = \"/nowhere/tokens.toml\"\n");
    EXPECT_THAT(found, ElementsAre(HasSubstr("5:15: warning: auth.tokens_file: there is no file")));
}

constexpr const char* push =
    "[[uplink.push]]\nname = \"p\"\nurl = \"https://x.example/e\"\n";  // lines 4 to 6
const std::string with_push = push;

INSTANTIATE_TEST_SUITE_P(
    Table, MistakeTest,
    testing::Values(
        Mistake{"[store]\npth = \"/x\"\n", "5:1: error: store.pth is not known; did you mean path?"},
        Mistake{"[stroe]\npath = \"/x\"\n", "4:2: error: stroe is not known; did you mean store?"},
        Mistake{"[[uplink.push]]\nname = \"p\"\nurl = \"https://x/e\"\ntoken_file = \"/x\"\n",
                "7:1: error: uplink.push.token_file is not known; did you mean bearer_token_file?"},
        Mistake{"[store]\npath = 7\n", "5:8: error: store.path must be a text in quotes, not a whole number"},
        Mistake{"[store]\ncommit_interval_ms = \"1s\"\n",
                "5:22: error: store.commit_interval_ms must be a whole number, not a text in quotes"},
        Mistake{"[store]\ncommit_interval_ms = 1.5\n",
                "5:22: error: store.commit_interval_ms must be a whole number, not a number with a fraction"},
        Mistake{"[store]\ncommit_interval_ms = 60001\n",
                "5:22: error: store.commit_interval_ms must be 0 to 20000 ms, not 60001"},
        Mistake{"[store]\nbytes = 1000\n",
                "5:9: error: store.bytes must be 0 (from the free disk) or at least"},
        Mistake{"[store]\npath = \"data\"\n", "5:8: error: store.path must be a path from the root"},
        Mistake{"[store]\njournal_soft_bytes = 67108864\n",
                "4:1: error: store.journal_hard_bytes must be at least"},
        Mistake{"[mqtt]\nurl = \"http://127.0.0.1\"\n",
                "5:7: error: mqtt.url must be mqtt://host:port or mqtts://"},
        Mistake{"[mqtt]\nurl = \"mqtt://me:secret@host\"\n", "5:7: error: mqtt.url must be mqtt://host:port"},
        Mistake{"[mqtt]\nusername = \"g\"\npassword_file = \"/nowhere/pw\"\n",
                "6:17: error: mqtt.password_file: there is no file /nowhere/pw"},
        Mistake{"[mqtt]\nretry_first_ms = 6000\n", "4:1: error: mqtt.retry_max_ms must not be less than"},
        Mistake{"[http.local]\nlisten = \"8080\"\n",
                "5:10: error: http.local.listen must be an IP address and a port"},
        Mistake{"[http.local]\nlisten = \"127.0.0.1:70000\"\n",
                "5:10: error: http.local.listen must be an IP"},
        Mistake{"[http.local]\nallowed_origins = [\"*\"]\n",
                "5:20: error: each item of http.local.allowed_origins must be the origin of a page"},
        Mistake{"[http.local]\nallowed_origins = [\"https://kiosk.example/\"]\n",
                "5:20: error: each item of http.local.allowed_origins must be the origin"},
        Mistake{"[http.local]\nallowed_origins = [\"https://kiosk.example:443\"]\n",
                "5:20: error: each item of http.local.allowed_origins must be the origin"},
        Mistake{"[http.local]\nlimit_loopback = 1\n",
                "5:18: error: http.local.limit_loopback must be true or false"},
        Mistake{"[http.local]\ntls_cert = \"/etc/passwd\"\n",
                "5:12: error: http.local.tls_cert and http.local.tls_key belong together"},
        Mistake{"[http.platform]\nclient_ca_file = \"/etc/passwd\"\n",
                "5:18: error: http.platform.client_ca_file needs tls_cert"},
        Mistake{"[http.platform]\nallowed_origins = []\n",
                "5:1: error: http.platform.allowed_origins is not known"},
        Mistake{
            "[log]\nlevel = \"warn\"\n",
            "5:9: error: log.level must be one of \"error\", \"warning\", \"info\", \"debug\"; did you mean "
            "\"warning\"?"},
        Mistake{"[devices]\nreceipt_kinds = [\"POS\"]\n",
                "5:18: error: each item of devices.receipt_kinds must be"},
        Mistake{"[uplink.push]\nname = \"p\"\n", "4:1: error: uplink.push must be a list of tables"},
        Mistake{"[[uplink.push]]\nname = \"Plat form\"\nurl = \"https://x/e\"\n",
                "5:8: error: uplink.push.name must be 1 to 64 characters of a-z, 0-9 and -"},
        Mistake{"[[uplink.push]]\nname = \"p\"\nurl = \"ftp://x/e\"\n",
                "6:7: error: uplink.push.url must be an address"},
        Mistake{
            "[[uplink.push]]\nname = \"p\"\nurl = \"https://x/e\"\nheaders = { Authorization = \"x\" }\n",
            "7:13: error: each name in uplink.push.headers must be one that the gateway does not set itself"},
        Mistake{"[[uplink.push]]\nname = \"p\"\nurl = \"https://x/e\"\nstreams = [\"sale\"]\n",
                "7:12: error: each item of uplink.push.streams must be one of \"customer\""},
        Mistake{"[[uplink.push]]\nname = \"p\"\nurl = \"https://x/e\"\nusername = \"u\"\n",
                "7:12: error: uplink.push.username and uplink.push.password_file belong together"},
        Mistake{"[[uplink.push]]\nname = \"p\"\nurl = \"https://x/e\"\n[[uplink.push]]\nname = \"p\"\nurl = "
                "\"https://y/e\"\n",
                "7:1: error: uplink.push: the name \"p\" stands twice (first in line 4)"},
        Mistake{"[mqtt\n", "4:"}));

TEST_F(LoaderTest, AllProblemsAreReportedNotOnlyTheFirst) {
    const auto found = problems("[gateway]\nid = \"GW\"\n[mqtt]\nurl = 1\n[stor]\nx = 1\n");
    EXPECT_THAT(found, ElementsAre(HasSubstr("1:1: error: gateway.store is missing"),
                                   HasSubstr("2:6: error: gateway.id"), HasSubstr("4:7: error: mqtt.url"),
                                   HasSubstr("5:2: error: stor is not known")));
}

TEST_F(LoaderTest, CertificateNeedsItsKeyAndBearerExcludesBasic) {
    const std::string some = (folder_.path() / "some").string();
    tests::write_file(some, "x\n");
    const std::string quoted = " = \"" + some + "\"\n";
    EXPECT_THAT(problems(head + with_push + "cert_file" + quoted), ElementsAre(HasSubstr("belong together")));
    EXPECT_THAT(
        problems(head + with_push + "bearer_token_file" + quoted + "username = \"u\"\npassword_file" +
                 quoted),
        ElementsAre(HasSubstr("7:21: error: uplink.push: bearer_token_file and username (Basic) exclude")));
    EXPECT_THAT(problems(head + with_push + "cert_file" + quoted + "key_file" + quoted), IsEmpty());
}

TEST_F(LoaderTest, LaterFilesMergeTablesAppendDestinationsAndReplaceKeysWithoutAWarning) {
    write_more("20-b.toml", "[[uplink.push]]\nname = \"second\"\nurl = \"https://b.example/\"\n");
    write_more("10-a.toml", "[store]\ndedup_ids = 5000\ncommit_interval_ms = 20\n");
    write_more("ignored.txt", "this is no TOML");
    const Loaded loaded = load_text(std::string(head) + "[store]\ncommit_interval_ms = 10\n" + push);
    ASSERT_TRUE(loaded.settings);
    EXPECT_EQ(loaded.settings->store.dedup_ids, 5000u);
    EXPECT_EQ(loaded.settings->store.commit_interval, std::chrono::milliseconds(20));
    ASSERT_EQ(loaded.settings->push.size(), 2u);
    EXPECT_EQ(loaded.settings->push[1].name, "second");
    EXPECT_TRUE(loaded.problems.empty());
}

TEST_F(LoaderTest, ListeningOutsideLoopbackIsReplacedByLoopbackAndSaidSo) {
    const Loaded loaded = load_text(std::string(head) + "[http.local]\nlisten = \"0.0.0.0:8088\"\n");
    ASSERT_TRUE(loaded.settings);
    EXPECT_EQ(loaded.settings->http_local.listen.address, "127.0.0.1");
    EXPECT_EQ(loaded.settings->http_local.listen.port, 8088);
    ASSERT_EQ(loaded.problems.size(), 1u);
    EXPECT_THAT(to_text(loaded.problems[0]),
                HasSubstr(":5:10: warning: http.local.listen: without access tokens"));
}

TEST_F(LoaderTest, MissingFileIsNamed) {
    const Loaded loaded = load(folder_.path() / "none.toml");
    EXPECT_FALSE(loaded.settings);
    ASSERT_EQ(loaded.problems.size(), 1u);
    EXPECT_THAT(to_text(loaded.problems[0]), HasSubstr("none.toml: error: there is no such file"));
}

TEST_F(LoaderTest, SecretsInAnAddressAreNotRepeatedInTheMessage) {
    const auto found = problems(std::string(head) + "[mqtt]\nurl = \"mqtt://me:geheim@host\"\n");
    ASSERT_EQ(found.size(), 1u);
    EXPECT_THAT(found[0], testing::Not(HasSubstr("geheim")));
}

TEST_F(LoaderTest, TheControlSocketIsFoundAlsoWhenTheRestIsWrong) {
    tests::write_file(file_, "[control]\nsocket = \"/tmp/c.sock\"\n[nonsense]\nx = 1\n");
    EXPECT_EQ(control_socket(file_), "/tmp/c.sock");
    EXPECT_EQ(control_socket(folder_.path() / "none.toml"), "/run/touchpoint/control.sock");
}

TEST_F(LoaderTest, AFeedOfProfilesIsReadWithItsCredentials) {
    const auto secret = folder_.path() / "token";
    tests::write_file(secret, "x\n");
    const Loaded loaded =
        load_text(std::string(head) + "[profiles.feed]\nurl = \"https://p.example/changes\"\n" +
                  "wanted_url = \"https://p.example/wanted\"\nwait_s = 10\nidentifiers = \"raw\"\n" +
                  "bearer_token_file = \"" + secret.string() + "\"\n");
    ASSERT_TRUE(loaded.settings) << to_text(loaded.problems.front());
    ASSERT_TRUE(loaded.settings->profiles.feed);
    const uplink::FeedOptions& feed = *loaded.settings->profiles.feed;
    EXPECT_EQ(feed.connection.url, "https://p.example/changes");
    EXPECT_EQ(feed.wanted_url, "https://p.example/wanted");
    EXPECT_EQ(feed.wait, std::chrono::seconds(10));
    EXPECT_EQ(feed.connection.identifiers, uplink::Identifiers::raw);
    EXPECT_EQ(feed.connection.bearer_token_file, secret.string());
    EXPECT_FALSE(load_text(head).settings->profiles.feed);
    EXPECT_THAT(
        problems(std::string(head) + "[profiles.feed]\nwait_s = 0\nmapping = \"crm\"\nusername = \"u\"\n"),
        testing::UnorderedElementsAre(HasSubstr("profiles.feed.url is missing"),
                                      HasSubstr("profiles.feed.wait_s must be 1 to 120"),
                                      HasSubstr("there is no crm.toml in"),
                                      HasSubstr("profiles.feed.username and profiles.feed.password_file")));
}

// The shipped file, and the same with every key switched on.
class ShippedFileTest : public LoaderTest {
  protected:
    const std::string shipped_ = tests::read_file(std::string(SOURCE_DIR) + "/config/touchpoint.toml");
    std::string switched_on() const {
        return std::regex_replace(shipped_, std::regex("(^|\n)#(?=[a-z_]+ = |\\[)"), "$1");
    }
};

TEST_F(ShippedFileTest, IsTakenAsItComes) {
    const Loaded loaded = load_text(shipped_);
    ASSERT_TRUE(loaded.settings) << to_text(loaded.problems.front());
    ASSERT_EQ(loaded.problems.size(), 1u);
    EXPECT_THAT(to_text(loaded.problems[0]), HasSubstr("gateway.id is still the shipped example"));
    EXPECT_THAT(loaded.settings->push, IsEmpty());
}

TEST_F(ShippedFileTest, HoldsEveryKeyThatTheLoaderKnowsAndNoOther) {
    // No other: the loader would complain about an unknown key.
    for (const Problem& problem : load_text(switched_on()).problems)
        EXPECT_THAT(problem.text, testing::Not(HasSubstr("is not known")));
    // Every one: collected from the text.
    std::vector<std::string> keys;
    std::string table;
    std::smatch found;
    std::string rest = switched_on();
    const std::regex line("(^|\n)(\\[+([a-z.]+)\\]+|([a-z_]+) = )");
    while (std::regex_search(rest, found, line)) {
        if (found[3].matched)
            table = found[3];
        else
            keys.push_back(table + "." + found[4].str());
        rest = found.suffix();
    }
    std::sort(keys.begin(), keys.end());
    EXPECT_EQ(keys, known_keys());
}

TEST_F(ShippedFileTest, ShowsTheDefaultsAsTheyAre) {
    // What needs a file on the disk, or is marked as an example, is no default.
    std::string text = std::regex_replace(
        switched_on(),
        std::regex(
            "\n[a-z_]*(_file|username|proxy|headers|mapping|tls_cert|tls_key|allowed_origins)[ =][^\n]*"),
        "");
    text = std::regex_replace(text, std::regex("\nclient_id[^\n]*"), "");
    const Loaded loaded = load_text(text);
    ASSERT_TRUE(loaded.settings) << to_text(loaded.problems.front());
    const Settings& shown = *loaded.settings;
    const Settings truth;
    EXPECT_EQ(shown.gateway.heartbeat, truth.gateway.heartbeat);
    EXPECT_EQ(shown.link.url, truth.link.url);
    EXPECT_EQ(shown.link.session_expiry, truth.link.session_expiry);
    EXPECT_EQ(shown.link.keepalive, truth.link.keepalive);
    EXPECT_EQ(shown.link.retry_first, truth.link.retry_first);
    EXPECT_EQ(shown.link.retry_max, truth.link.retry_max);
    EXPECT_EQ(shown.admission.receipt_kinds, truth.admission.receipt_kinds);
    EXPECT_EQ(shown.admission.code_fields, truth.admission.code_fields);
    EXPECT_EQ(shown.admission.future_max, truth.admission.future_max);
    EXPECT_EQ(shown.admission.message_bytes_max, truth.admission.message_bytes_max);
    EXPECT_EQ(shown.admission.array_items_max, truth.admission.array_items_max);
    EXPECT_EQ(shown.store.path, truth.store.path);
    EXPECT_EQ(shown.store.journal_path, truth.store.journal_path);
    EXPECT_EQ(shown.store.journal_soft_bytes, truth.store.journal_soft_bytes);
    EXPECT_EQ(shown.store.journal_hard_bytes, truth.store.journal_hard_bytes);
    EXPECT_EQ(shown.store.bytes, truth.store.bytes);
    EXPECT_EQ(shown.store.commit_interval, truth.store.commit_interval);
    EXPECT_EQ(shown.store.dedup_age, truth.store.dedup_age);
    EXPECT_EQ(shown.store.dedup_ids, truth.store.dedup_ids);
    EXPECT_EQ(shown.profiles.bytes, truth.profiles.bytes);
    EXPECT_EQ(shown.profiles.stale, truth.profiles.stale);
    EXPECT_EQ(shown.profiles.unknown_consent_granted, truth.profiles.unknown_consent_granted);
    EXPECT_EQ(shown.profiles.wanted_max, truth.profiles.wanted_max);
    EXPECT_EQ(shown.profiles.misses_per_min, truth.profiles.misses_per_min);
    EXPECT_EQ(shown.profiles.answer_within, truth.profiles.answer_within);
    EXPECT_EQ(shown.http_local.listen.port, truth.http_local.listen.port);
    EXPECT_EQ(shown.http_local.connections_max, truth.http_local.connections_max);
    EXPECT_EQ(shown.http_local.body_bytes_max, truth.http_local.body_bytes_max);
    EXPECT_EQ(shown.http_local.idle, truth.http_local.idle);
    EXPECT_EQ(shown.http_local.read, truth.http_local.read);
    EXPECT_EQ(shown.http_local.write, truth.http_local.write);
    EXPECT_EQ(shown.http_local.client_connections_max, truth.http_local.client_connections_max);
    EXPECT_EQ(shown.http_local.client_requests_per_s, truth.http_local.client_requests_per_s);
    EXPECT_EQ(shown.http_local.client_requests_burst, truth.http_local.client_requests_burst);
    EXPECT_EQ(shown.http_local.client_wrong_tokens_max, truth.http_local.client_wrong_tokens_max);
    EXPECT_EQ(shown.http_local.limit_loopback, truth.http_local.limit_loopback);
    ASSERT_TRUE(shown.http_platform);
    const HttpSettings platform = platform_defaults();
    EXPECT_EQ(shown.http_platform->listen.address, platform.listen.address);
    EXPECT_EQ(shown.http_platform->listen.port, platform.listen.port);
    EXPECT_EQ(shown.http_platform->connections_max, platform.connections_max);
    EXPECT_EQ(shown.http_platform->body_bytes_max, platform.body_bytes_max);
    EXPECT_EQ(shown.http_platform->client_connections_max, platform.client_connections_max);
    EXPECT_EQ(shown.control.socket, truth.control.socket);
    EXPECT_EQ(shown.control.group, truth.control.group);
    EXPECT_EQ(shown.log_level, truth.log_level);
    ASSERT_EQ(shown.push.size(), 1u);
    const uplink::PushOptions default_push;
    EXPECT_EQ(shown.push[0].format, default_push.format);
    EXPECT_EQ(shown.push[0].compression, default_push.compression);
    EXPECT_EQ(shown.push[0].identifiers, default_push.identifiers);
    EXPECT_EQ(shown.push[0].streams, default_push.streams);
    EXPECT_EQ(shown.push[0].batch_events_max, default_push.batch_events_max);
    EXPECT_EQ(shown.push[0].batch_bytes_max, default_push.batch_bytes_max);
    EXPECT_EQ(shown.push[0].timeout, default_push.timeout);
    EXPECT_EQ(shown.push[0].retry_first, default_push.retry_first);
    EXPECT_EQ(shown.push[0].retry_max, default_push.retry_max);
    EXPECT_EQ(shown.push[0].probe, default_push.probe);
    EXPECT_EQ(shown.push[0].linger, default_push.linger);
}

// Above these the gateway ended: an event that no chunk takes, a body that the unit's memory does not hold.
TEST_F(LoaderTest, WhatTheGatewayCannotBearIsNoLimit) {
    const auto limits = [](int message, int body) {
        return std::string(head) + "[devices]\nmessage_bytes_max = " + std::to_string(message) +
               "\n[http.local]\nbody_bytes_max = " + std::to_string(body) + "\n";
    };
    EXPECT_THAT(problems(limits(1'048'577, 16'777'217)),
                ElementsAre(HasSubstr("1048576"), HasSubstr("16777216")));
    EXPECT_TRUE(load_text(limits(1'048'576, 16'777'216)).settings);
}

// An event may wait so long for company, and the watchdog takes a committer that has not moved for 30 s for
// one that hangs.
TEST_F(LoaderTest, ACommitIntervalThatTheWatchdogWouldNotBearIsRefused) {
    const std::string store = std::string(head) + "[store]\ncommit_interval_ms = ";
    EXPECT_THAT(problems(store + "20001\n"), ElementsAre(HasSubstr("20000")));
    EXPECT_TRUE(load_text(store + "20000\n").settings);
}

}  // namespace
}  // namespace touchpoint::config
