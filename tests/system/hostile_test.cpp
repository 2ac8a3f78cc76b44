// What a broken or hostile device may send, through a real Mosquitto to the real gateway: who sent it is told
// clearly, it is counted and kept in quarantine, and the sale right behind it is stored and receipted.
#include <gmock/gmock.h>

#include <string>

#include "tests/support/wait.hpp"
#include "tests/system/hostile_shop.hpp"

namespace touchpoint::tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Properties = MqttWire::Properties;

const std::string prefix = "touchpoint/v1/kiosk/k7/";

std::string repeated(std::size_t count, std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) out += text;
    return out;
}

struct Bad {
    const char* name;
    std::string payload;
    const char* type;
    const char* pointer = "";
    std::string topic = prefix + "event/search";
    Properties properties = {};
    bool told = true;  // false: no device stands in its topic, so nobody could be told
};
void PrintTo(const Bad& bad, std::ostream* out) { *out << bad.name; }

class BadMessageTest : public HostileShop, public testing::WithParamInterface<Bad> {};

TEST_P(BadMessageTest, IsToldCountedAndKeptAndTheNextSaleGoesThrough) {
    const Bad& bad = GetParam();
    MqttWire device(broker_port(), std::string("k7-") + bad.name);
    ASSERT_TRUE(device.subscribe(prefix + "rejected"));
    const double before = rejected(bad.type);
    ASSERT_EQ(device.publish(bad.topic, bad.payload, bad.properties), 0);
    if (bad.told) {
        const auto told = device.next(prefix + "rejected");
        ASSERT_TRUE(told) << gateway().log();
        EXPECT_THAT(told->payload,
                    AllOf(HasSubstr(std::string(R"("type":")") + bad.type + '"'), HasSubstr(R"("detail":")"),
                          HasSubstr(std::string(R"("pointer":")") + bad.pointer + '"')));
        EXPECT_LT(told->payload.size(), 1000u);
    }
    EXPECT_TRUE(wait_for([&] { return rejected(bad.type) >= before + 1; })) << bad.type;
    a_sale_goes_through();
    EXPECT_TRUE(wait_for([&] { return newest_in_quarantine().find(bad.type) != std::string::npos; }))
        << newest_in_quarantine();
}

INSTANTIATE_TEST_SUITE_P(
    Payload, BadMessageTest,
    testing::Values(
        Bad{"NotJson", "total: 12.30", "not-json"}, Bad{"Nothing", "", "not-json"},
        Bad{"CutOff", R"({"query":"oat)", "not-json"},
        Bad{"ALoneSurrogate", R"({"event_id":"\udc00"})", "not-json"}, Bad{"ANumber", "42", "not-an-object"},
        Bad{"ANumberInAnArray", R"([{"a":1},42])", "not-an-object", "/1"},
        Bad{"TooLarge", "{\"a\":\"" + std::string(HostileShop::message_bytes_max, 'x') + "\"}", "too-large"},
        Bad{"TooManyItems", "[0" + repeated(10'000, ",0") + "]", "too-many-items"},
        Bad{"InvalidUtf8", "{\"a\":\"\xc3\x28\"}", "invalid-utf8"},
        Bad{"InvalidUtf8InAName", "{\"\xff\":1}", "invalid-utf8"},
        Bad{"Nested10000Deep", "{\"a\":" + std::string(10'000, '[') + std::string(10'000, ']') + "}",
            "too-deep"},
        Bad{"Objects10000Deep", repeated(10'000, "{\"a\":") + "1" + std::string(10'000, '}'), "too-deep"},
        Bad{"AReservedKeyTwice", R"({"event_id":"a","event_id":"b"})", "duplicate-key", "/event_id"},
        Bad{"AReservedKeyTwiceByEscape", R"({"event_id":"a","event\u005fid":"b"})", "duplicate-key",
            "/event_id"},
        Bad{"AnObjectAsId", R"({"event_id":{"a":1}})", "bad-event-id", "/event_id"},
        Bad{"AListAsId", R"({"event_id":["a"]})", "bad-event-id", "/event_id"},
        Bad{"TrueAsTime", R"({"event_time":true})", "bad-event-time", "/event_time"},
        Bad{"ANumberAsCustomer", R"({"customer":2900000012345})", "bad-customer", "/customer"},
        Bad{"AListAsSession", R"({"session":[1]})", "bad-session", "/session"},
        Bad{"AHugeNumberAsTime", R"({"event_time":1e400})", "bad-event-time", "/event_time"},
        Bad{"ATimeBeyond64Bits", R"({"event_time":99999999999999999999})", "bad-event-time", "/event_time"},
        Bad{"TheYear10000", R"({"event_time":"10000-01-01T00:00:00Z"})", "bad-event-time", "/event_time"},
        Bad{"AnIdOf10Kb", R"({"event_id":")" + std::string(10'240, 'i') + "\"}", "bad-event-id", "/event_id"},
        Bad{"ACustomerOf10Kb", R"({"customer":"card:)" + std::string(10'240, '1') + "\"}", "bad-customer",
            "/customer"},
        Bad{"ASessionOf10Kb", R"({"session":")" + std::string(10'240, 's') + "\"}", "bad-session",
            "/session"}),
    [](const auto& one) { return std::string(one.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Topic, BadMessageTest,
    testing::Values(
        Bad{"WithoutAName", "{}", "bad-topic", "", prefix + "event/"},
        Bad{"WithALevelTooMany", "{}", "bad-topic", "", prefix + "event/a/b"},
        Bad{"WithASpaceInTheName", "{}", "bad-topic", "", prefix + "event/se arch"},
        Bad{"WithANameOf10Kb", "{}", "bad-topic", "", prefix + "event/" + std::string(10'240, 'n')},
        Bad{"WithLettersOfOtherScripts", "{}", "bad-topic", "", prefix + "event/\xd0\xbf\xd0\xbe"},
        Bad{"With150Levels", "{}", "bad-topic", "", prefix + "event/" + std::string(150, '/')},
        Bad{"OfAKindInCapitals", "{}", "bad-topic", "", "touchpoint/v1/KIOSK/k7/event/x", {}, false},
        Bad{"OfTheGatewayItself", "{}", "bad-topic", "", "touchpoint/v1/gateway/gw-test/event/x", {}, false},
        Bad{"OfADeviceOf10Kb",
            "{}",
            "bad-topic",
            "",
            "touchpoint/v1/kiosk/" + std::string(10'240, 'd') + "/event/x",
            {},
            false}),
    [](const auto& one) { return std::string(one.param.name); });

const std::string search = prefix + "event/search";
INSTANTIATE_TEST_SUITE_P(
    Property, BadMessageTest,
    testing::Values(
        Bad{"AnIdOf10Kb",
            "{}",
            "bad-event-id",
            "",
            search,
            {{}, {}, {}, {{"event_id", std::string(10'240, 'i')}}}},
        Bad{"AnIdForSeveral", "[{},{}]", "bad-event-id", "", search, {{}, {}, {}, {{"event_id", "a"}}}},
        // As much as the broker lets through, with next to no payload.
        Bad{"300Kb",
            "{}",
            "too-large",
            "",
            search,
            {{},
             {},
             {},
             std::vector<std::pair<std::string, std::string>>(5, {"k", std::string(60'000, 'v')})}},
        Bad{"Empty50000Times",
            "{}",
            "too-large",
            "",
            search,
            {{}, {}, {}, std::vector<std::pair<std::string, std::string>>(50'000)}}),
    [](const auto& one) { return "Of" + std::string(one.param.name); });

struct Strange {
    const char* name;
    std::string payload;
    std::string kept;  // in the stored event
};
void PrintTo(const Strange& strange, std::ostream* out) { *out << strange.name; }
class StrangeMessageTest : public HostileShop, public testing::WithParamInterface<Strange> {};

TEST_P(StrangeMessageTest, IsAnEventAllTheSameAndKeptAsItCame) {
    MqttWire device(broker_port(), std::string("k8-") + GetParam().name);
    ASSERT_EQ(device.publish("touchpoint/v1/kiosk/k8/event/strange", GetParam().payload), 0);
    EXPECT_THAT(stored("interactions", GetParam().kept), HasSubstr("store.kiosk.strange.v1"));
    a_sale_goes_through();
}

INSTANTIATE_TEST_SUITE_P(
    Kept, StrangeMessageTest,
    testing::Values(Strange{"TwoKeysOfTheSameName", R"({"a":1,"a":2})", R"("data":{"a":1,"a":2})"},
                    Strange{
                        "NumbersBeyondADouble",
                        R"({"n":1e999999,"m":-0.0000000000000000000000000000000000000000000000000012345})",
                        R"("data":{"n":1e999999,"m":-0.00000000000000000000000000000000000000000000000000)"
                        R"(12345})"},
                    Strange{"ANumberOf10000Digits", R"({"d":)" + std::string(10'000, '9') + "}",
                            std::string(10'000, '9')},
                    Strange{"TheYear1970", R"({"event_time":"1970-01-01T00:00:00Z","y":1970})",
                            R"("time":"1970-01-01T00:00:00.000Z","timesource":"device")"},
                    // The device's word where our own clock is not trusted, else noted beside ours.
                    Strange{"TheYear9999", R"({"event_time":"9999-12-31T23:59:59Z","y":9999})",
                            R"(time":"9999-12-31T23:59:59.000Z")"}),
    [](const auto& one) { return std::string(one.param.name); });

class HostileDeviceTest : public HostileShop {};

TEST_F(HostileDeviceTest, WhatTheBrokerRefusesIsToldByTheBroker) {
    MqttWire device(broker_port(), "k7");
    const auto code = device.publish(search, "{\"a\":\"" + std::string(262'144, 'x') + "\"}");
    EXPECT_TRUE(!code || *code >= 0x80) << *code;
    MqttWire more(broker_port(), "k7-more");
    Properties far_too_many;
    far_too_many.user.assign(7, {"k", std::string(60'000, 'v')});
    EXPECT_NE(more.publish(search, "{}", far_too_many), 0);
    a_sale_goes_through();
}

TEST_F(HostileDeviceTest, AResponseTopicOfOthersIsAsIfNotAsked) {
    MqttWire victim(broker_port(), "k8");
    // (k7/../k8 would be below the own prefix: MQTT knows no parent.)
    const std::vector<std::string> topics{"touchpoint/v1/kiosk/k8/res/1", "other/x",
                                          "touchpoint/v1/kiosk/k7/event/again",
                                          "touchpoint/v1/kiosk/k7/status"};
    for (const std::string& topic : topics) ASSERT_TRUE(victim.subscribe(topic));
    ASSERT_TRUE(victim.subscribe("touchpoint/v1/gateway/status"));
    ASSERT_TRUE(victim.subscribe("other/end"));
    int asked = 0;
    std::vector<std::string> all = topics;
    all.insert(all.end(), {"touchpoint/v1/gateway/status", "$SYS/broker/x", "touchpoint/v1/kiosk/k7/+"});
    for (const std::string& others : all) {
        const std::string id = "others-" + std::to_string(++asked);
        MqttWire device(broker_port(), "k7-" + std::to_string(asked));
        const auto code = device.publish(search, R"({"event_id":")" + id + "\"}", {others, "c", {}, {}});
        // Mosquitto may refuse a wildcard there itself, or end the connection for it (2.0.21).
        if (others.ends_with('+') && code != 0) continue;
        ASSERT_EQ(code, 0) << others;
        EXPECT_THAT(stored("interactions", id), HasSubstr("store.kiosk.search.v1")) << others;
    }
    a_sale_goes_through();
    // Behind everything that the gateway has said until now.
    ASSERT_EQ(MqttWire(broker_port(), "k7").publish("other/end", "{}"), 0);
    ASSERT_TRUE(victim.next("other/end"));
    for (const std::string& topic : topics) EXPECT_EQ(victim.waiting(topic), 0u) << topic;
    while (victim.waiting("touchpoint/v1/gateway/status") > 0)
        EXPECT_THAT(victim.next("touchpoint/v1/gateway/status")->payload, HasSubstr("\"accepting\":"));
}

// Mosquitto ends the connection of whoever publishes to a topic of more than 200 levels, and the gateway was
// deaf from then on.
TEST_F(HostileDeviceTest, AResponseTopicThatTheBrokerPunishesIsNotAnsweredOn) {
    const double connects = metric("touchpoint_mqtt_connects_total");
    MqttWire device(broker_port(), "k7");
    // 2.0.21 ends the connection of whoever only names such a topic; 2.0.11 passes it on.
    const auto code = device.publish(search, "{}", {prefix + std::string(300, '/'), {}, {}, {}});
    EXPECT_TRUE(!code || *code == 0) << *code;
    a_sale_goes_through();
    EXPECT_EQ(metric("touchpoint_mqtt_connects_total"), connects);
}

// The broker says DISCONNECT to the one who was there before; after that word Paho is silent.
TEST_F(HostileDeviceTest, WhoTakesTheGatewaysPlaceAtTheBrokerHasItForAMomentOnly) {
    const double connects = metric("touchpoint_mqtt_connects_total");
    {
        MqttWire thief(broker_port(), "touchpoint-gw-test");
        ASSERT_TRUE(thief.connected());
        EXPECT_TRUE(thief.hung_up());  // the gateway is back
    }
    ASSERT_TRUE(wait_for([&] {
        return metric("touchpoint_mqtt_connects_total") > connects &&
               metric("touchpoint_mqtt_connected") == 1;
    })) << gateway().log();
    // Its subscription is on the way; the broker keeps no event for a session that it has just lost.
    MqttWire asks(broker_port(), "t2");
    ASSERT_TRUE(asks.subscribe("touchpoint/v1/pos/t2/receipt"));
    EXPECT_TRUE(wait_for([&] {
        asks.publish("touchpoint/v1/pos/t2/event/sale", "{\"event_id\":\"back\"}");
        return asks.next("touchpoint/v1/pos/t2/receipt", std::chrono::milliseconds(200)).has_value();
    }));
    a_sale_goes_through();
}

TEST_F(HostileDeviceTest, ARetainedEventIsTakenOnceAndNotAgainAfterARestart) {
    MqttWire device(broker_port(), "k7");
    ASSERT_EQ(device.publish(search, R"({"note":"kept by the broker"})", {}, true), 0);
    ASSERT_THAT(stored("interactions", "kept by the broker"), HasSubstr("\"stream\":\"interactions\""));
    const double before = horizon("interactions");
    gateway().stop();
    gateway().start();
    a_sale_goes_through();
    EXPECT_EQ(horizon("interactions"), before);
    ASSERT_EQ(device.publish(search, "", {}, true), 0);  // an empty one takes it back, and is no event
}

TEST_F(HostileDeviceTest, StatusThatIsNotUnderstoodChangesNothing) {
    MqttWire device(broker_port(), "s7");
    const std::string topic = "touchpoint/v1/kiosk/s7/status";
    ASSERT_EQ(device.publish(topic, R"({"state":"online","session":1})", {}, true), 0);
    ASSERT_TRUE(wait_for([&] { return metric("touchpoint_devices_online") == 1; }));
    for (const std::string& payload :
         {std::string("\xff\xfe"), std::string(R"({"state":7})"), std::string(10'000, '['),
          "{\"state\":\"offline\",\"x\":\"" + std::string(262'000, 'x') + "\"}"})
        ASSERT_EQ(device.publish(topic, payload, {}, true), 0);
    a_sale_goes_through();
    EXPECT_EQ(metric("touchpoint_devices_online"), 1);
}

TEST_F(HostileDeviceTest, AStormOfLastWillsIsHeardAndDisturbsNobody) {
    constexpr int devices = 200;
    const double before = metric("touchpoint_devices");
    {
        std::vector<MqttWire> all;
        for (int i = 0; i < devices; ++i) {
            const std::string name = "will-" + std::to_string(i);
            all.emplace_back(broker_port(), name,
                             MqttWire::Will{"touchpoint/v1/sensor/" + name + "/status", "offline"});
            ASSERT_TRUE(all.back().connected());
        }
        // Each ends without a DISCONNECT.
    }
    EXPECT_TRUE(wait_for([&] { return metric("touchpoint_devices") == before + devices; }));
    a_sale_goes_through();
}

TEST_F(HostileDeviceTest, FramesThatAreNoMqttEndTheirSenderOnly) {
    const auto publish = [](std::uint8_t first_byte, const std::string& topic) {
        return MqttWire::packet(first_byte, MqttWire::text(topic) + "\1\1" + '\0');
    };
    for (const std::string& bytes : {
             repeated(20, "GET / HTTP/1.1\r\n"), std::string(64, '\xff'),
             std::string("\x10\xff\xff\xff\xff\x01"),                                 // a length without end
             MqttWire::packet(0x10, std::string_view("\0\4MQTT\x63", 7)),             // of a later version
             MqttWire::connect_packet("again"),                                       // a second greeting
             publish(0x32, "touchpoint/v1/kiosk/k7/event/+"), publish(0x36, search),  // QoS 3
             publish(0x32, std::string("a\0b", 3)), publish(0x32, "a\xed\xa0\x80")    // half a surrogate
         }) {
        MqttWire wire(broker_port(), "frames");
        ASSERT_TRUE(wire.connected());
        wire.send(bytes);
        EXPECT_TRUE(wire.hung_up()) << testing::PrintToString(bytes);
    }
    a_sale_goes_through();
}

}  // namespace
}  // namespace touchpoint::tests
