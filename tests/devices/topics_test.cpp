#include "devices/topics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace touchpoint::devices {
namespace {

TEST(TopicTest, EveryRoleSurvivesTheWayToTextAndBack) {
    const DeviceAddress k7{"kiosk", "k7"};
    const std::vector<Topic> topics = {
        {TopicRole::event, k7, "search"},   {TopicRole::status, k7, ""},
        {TopicRole::ack, k7, ""},           {TopicRole::request, k7, "profile"},
        {TopicRole::command, k7, "reload"}, {TopicRole::response, k7, "r1"},
        {TopicRole::receipt, k7, ""},       {TopicRole::rejected, k7, ""},
        {TopicRole::gateway_status, {}, ""}};
    for (const Topic& topic : topics) {
        const auto parsed = Topic::parse(topic.build());
        ASSERT_TRUE(parsed) << topic.build();
        EXPECT_EQ(*parsed, topic) << topic.build();
    }
    EXPECT_EQ(topics[0].build(), "touchpoint/v1/kiosk/k7/event/search");
    EXPECT_EQ(topics[8].build(), "touchpoint/v1/gateway/status");
}

TEST(TopicTest, WhatIsNotSpelledLikeATopicOfOursIsRefused) {
    for (const char* text : {"", "touchpoint/v1", "touchpoint/v1/", "touchpoint/v2/kiosk/k7/event/search",
                             "touchpoint/v1/Kiosk/k7/event/search", "touchpoint/v1/kiosk/k 7/event/search",
                             "touchpoint/v1/kiosk//event/search", "touchpoint/v1/kiosk/k7/event",
                             "touchpoint/v1/kiosk/k7/event/", "touchpoint/v1/kiosk/k7/event/a/b",
                             "touchpoint/v1/kiosk/k7/status/x", "touchpoint/v1/kiosk/k7/events/search",
                             "xtouchpoint/v1/kiosk/k7/event/search", "touchpoint/v1/kiosk/k7/event/s\xC3\xA4",
                             "touchpoint/v1/gateway/status/x", "touchpoint/v1/gateway/gw-s1/event/started",
                             "touchpoint/v1/gateway/gw-s1/status", "touchpoint/v1/system/k7/event/gap"})
        EXPECT_FALSE(Topic::parse(text)) << text;
    EXPECT_FALSE(Topic::parse("touchpoint/v1/" + std::string(33, 'k') + "/k7/status"));
    EXPECT_TRUE(Topic::parse("touchpoint/v1/" + std::string(32, 'k') + "/k7/status"));
    EXPECT_FALSE(Topic::parse("touchpoint/v1/kiosk/" + std::string(65, 'k') + "/status"));
}

TEST(TopicTest, ADeviceIsFoundInATopicThatIsWrongBehindIt) {
    EXPECT_EQ(address_in("touchpoint/v1/kiosk/k7/event/a/b"), (DeviceAddress{"kiosk", "k7"}));
    EXPECT_EQ(address_in("touchpoint/v1/kiosk/k 7/event/a"), std::nullopt);
    EXPECT_EQ(address_in("touchpoint/v1/kiosk"), std::nullopt);
}

TEST(TopicTest, AnAnswerGoesOnlyBelowTheDevicesOwnPrefixAndNeverBackToUs) {
    const DeviceAddress k7{"kiosk", "k7"};
    EXPECT_TRUE(may_answer_on("touchpoint/v1/kiosk/k7/receipt", k7));
    EXPECT_TRUE(may_answer_on("touchpoint/v1/kiosk/k7/res/r1", k7));
    EXPECT_TRUE(may_answer_on("touchpoint/v1/kiosk/k7/my/own/place", k7));
    // Mosquitto ends the connection of who publishes to more than 200 levels: an answer would end ours.
    const std::string many_levels = "touchpoint/v1/kiosk/k7/res" + std::string(17 - 4, '/') + "x";
    const std::string far_too_many = "touchpoint/v1/kiosk/k7/res" + std::string(300, '/');
    EXPECT_TRUE(may_answer_on("touchpoint/v1/kiosk/k7/res" + std::string(16 - 4, '/') + "x", k7));
    for (const std::string& text : std::vector<std::string>{
             "", "touchpoint/v1/kiosk/k7", "touchpoint/v1/kiosk/k7/", "touchpoint/v1/kiosk/k8/receipt",
             "touchpoint/v1/kiosk/k77/receipt", "other", "touchpoint/v1/kiosk/k7/event/search",
             "touchpoint/v1/kiosk/k7/event", "touchpoint/v1/kiosk/k7/status", "touchpoint/v1/kiosk/k7/req/x",
             "touchpoint/v1/kiosk/k7/+", "touchpoint/v1/kiosk/k7/#", many_levels, far_too_many})
        EXPECT_FALSE(may_answer_on(text, k7)) << text;
}

TEST(TopicTest, EventsAreSubscribedWithoutAndStatusWithRetainedMessagesAndQuestionsAreNotKept) {
    const auto all = subscriptions();
    ASSERT_EQ(all.size(), 3u);
    EXPECT_EQ(all[0].qos, 1);
    EXPECT_EQ(all[1].qos, 1);
    EXPECT_EQ(all[2].filter, "touchpoint/v1/+/+/req/profile");
    EXPECT_FALSE(all[2].send_retained);
    EXPECT_EQ(all[2].qos, 0);
    EXPECT_EQ(all[0].filter, "touchpoint/v1/+/+/event/#");
    EXPECT_FALSE(all[0].send_retained);
    EXPECT_EQ(all[1].filter, "touchpoint/v1/+/+/status");
    EXPECT_TRUE(all[1].send_retained);
}

}  // namespace
}  // namespace touchpoint::devices
