// What an address may do, with a clock that the test moves.
#include "gateway/http_clients.hpp"

#include <gtest/gtest.h>

#include <string>

namespace touchpoint::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Entry = ClientTable::Entry;

ClientAddress v4(unsigned last) {
    const std::string bytes = {'\x0a', '\x00', static_cast<char>(last >> 8), static_cast<char>(last)};
    return ClientAddress::of(bytes);
}

std::string v6(char network, char host) {
    std::string bytes(16, '\0');
    bytes[0] = '\x20';
    bytes[7] = network;
    bytes[15] = host;
    return bytes;
}

class ClientTableTest : public testing::Test {
  protected:
    SteadyTime now_{seconds(1000)};
    ClientLimits limits_;
};

TEST_F(ClientTableTest, AnAddressHasSoManyConnectionsAtATime) {
    limits_.connections_max = 2;
    ClientTable table(limits_);
    EXPECT_EQ(table.enter(v4(1), now_), Entry::welcome);
    EXPECT_EQ(table.enter(v4(1), now_), Entry::welcome);
    EXPECT_EQ(table.enter(v4(1), now_), Entry::too_many_connections);
    EXPECT_EQ(table.enter(v4(2), now_), Entry::welcome);
    table.leave(v4(1));
    EXPECT_EQ(table.enter(v4(1), now_), Entry::welcome);
}

TEST_F(ClientTableTest, AfterItsBurstAnAddressGoesOnAtItsRate) {
    limits_.requests_per_s = 10;
    limits_.requests_burst = 20;
    ClientTable table(limits_);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(table.request(v4(1), now_), seconds(0));
    EXPECT_EQ(table.request(v4(1), now_), seconds(1));
    EXPECT_EQ(table.request(v4(2), now_), seconds(0));
    now_ += milliseconds(500);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(table.request(v4(1), now_), seconds(0));
    EXPECT_NE(table.request(v4(1), now_), seconds(0));
}

TEST_F(ClientTableTest, AConnectionCountsLikeARequest) {
    limits_.requests_per_s = 1;
    limits_.requests_burst = 2;
    ClientTable table(limits_);
    EXPECT_EQ(table.enter(v4(1), now_), Entry::welcome);
    table.leave(v4(1));
    EXPECT_EQ(table.request(v4(1), now_), seconds(0));
    EXPECT_EQ(table.enter(v4(1), now_), Entry::too_many_requests);
}

TEST_F(ClientTableTest, WrongTokensShutAnAddressOutForAMinute) {
    limits_.requests_per_s = 1000;
    limits_.requests_burst = 1000;
    ClientTable table(limits_);
    for (int i = 0; i < 9; ++i) table.wrong_token(v4(1), now_);
    EXPECT_EQ(table.request(v4(1), now_), seconds(0));
    table.wrong_token(v4(1), now_);
    EXPECT_EQ(table.request(v4(1), now_), seconds(60));
    EXPECT_EQ(table.shut_out(now_), 1u);
    EXPECT_EQ(table.request(v4(2), now_), seconds(0));
    now_ += milliseconds(59'500);
    EXPECT_EQ(table.request(v4(1), now_), seconds(1));
    now_ += milliseconds(500);
    EXPECT_EQ(table.request(v4(1), now_), seconds(0));
    EXPECT_EQ(table.shut_out(now_), 0u);
}

TEST_F(ClientTableTest, AFewWrongTokensNowAndThenAreForgotten) {
    ClientTable table(limits_);
    for (int i = 0; i < 9; ++i) table.wrong_token(v4(1), now_);
    now_ += seconds(60);
    for (int i = 0; i < 9; ++i) table.wrong_token(v4(1), now_);
    EXPECT_EQ(table.request(v4(1), now_), seconds(0));
}

TEST_F(ClientTableTest, TheHostsOfAnIpv6NetworkAreOneAddress) {
    EXPECT_EQ(ClientAddress::of(v6(1, 1)), ClientAddress::of(v6(1, 2)));
    EXPECT_NE(ClientAddress::of(v6(1, 1)), ClientAddress::of(v6(2, 1)));
}

TEST_F(ClientTableTest, AnIpv4AddressInsideIpv6IsTheIpv4Address) {
    std::string mapped(10, '\0');
    mapped += "\xff\xff";
    mapped += {'\x0a', '\x00', '\x00', '\x01'};
    EXPECT_EQ(ClientAddress::of(mapped), v4(1));
    EXPECT_TRUE(ClientAddress::of("").none());
}

TEST_F(ClientTableTest, LoopbackIsLimitedOnlyWhenAskedFor) {
    limits_.requests_burst = 1;
    std::string one_v6(16, '\0');
    one_v6.back() = '\x01';
    for (const ClientAddress& home :
         {ClientAddress::of(std::string{'\x7f', '\0', '\0', '\x01'}), ClientAddress::of(one_v6)}) {
        EXPECT_TRUE(home.loopback());
        limits_.loopback = false;
        ClientTable free(limits_);
        for (int i = 0; i < 100; ++i) EXPECT_EQ(free.request(home, now_), seconds(0));
        EXPECT_EQ(free.size(), 0u);
        limits_.loopback = true;
        ClientTable bound(limits_);
        EXPECT_EQ(bound.request(home, now_), seconds(0));
        EXPECT_NE(bound.request(home, now_), seconds(0));
    }
}

// A flood from everywhere must not fill the memory, nor make the table forget who is connected.
TEST_F(ClientTableTest, TheTableForgetsWhoWasQuietForLongestAndNobodyWhoIsConnected) {
    limits_.addresses_max = 100;
    limits_.connections_max = 1;
    limits_.requests_burst = 1;
    ClientTable table(limits_);
    ASSERT_EQ(table.enter(v4(1), now_), Entry::welcome);
    for (unsigned i = 2; i < 10'000; ++i) EXPECT_EQ(table.request(v4(i), now_), seconds(0));
    EXPECT_EQ(table.size(), 100u);
    EXPECT_EQ(table.enter(v4(1), now_), Entry::too_many_connections);
    EXPECT_NE(table.request(v4(9999), now_), seconds(0));  // remembered: the burst is used
    EXPECT_EQ(table.request(v4(2), now_), seconds(0));     // forgotten
}

}  // namespace
}  // namespace touchpoint::gateway
