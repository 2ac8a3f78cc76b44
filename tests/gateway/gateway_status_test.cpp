// What devices read about the gateway.
#include "gateway/gateway_status.hpp"

#include <gtest/gtest.h>

namespace touchpoint::gateway {
namespace {

using uplink::PushState;

TEST(GatewayStatus, SaysWhichStreamsItTakes) {
    EXPECT_EQ(gateway_status_members("online", {PushState::idle}),
              R"("state":"online","uplink":"online","accepting":true,)"
              R"("streams":["customer","sales","interactions","telemetry"])");
}

TEST(GatewayStatus, TakesNothingUnlessItIsOnline) {
    EXPECT_EQ(gateway_status_members("full", {}),
              R"("state":"full","uplink":"none","accepting":false,"streams":[])");
}

TEST(GatewayStatus, OneDestinationThatTakesEventsIsAnUplink) {
    const std::string away = gateway_status_members("online", {PushState::retrying, PushState::paused});
    const std::string there = gateway_status_members("online", {PushState::retrying, PushState::delivering});
    EXPECT_NE(away.find(R"("uplink":"offline")"), std::string::npos);
    EXPECT_NE(there.find(R"("uplink":"online")"), std::string::npos);
}

}  // namespace
}  // namespace touchpoint::gateway
