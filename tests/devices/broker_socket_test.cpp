#include "devices/broker_socket.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace touchpoint::devices {
namespace {

struct Socket {
    int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    Socket() = default;
    Socket(const Socket&) = delete;
    ~Socket() { ::close(fd); }
};

bool sends_at_once(const Socket& socket) {
    int on = 0;
    socklen_t size = sizeof on;
    EXPECT_EQ(::getsockopt(socket.fd, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
    return on != 0;
}

TEST(BrokerSocket, TakesThePortFromTheUrlOrTheSchemesOwn) {
    EXPECT_EQ(port_of("mqtt://127.0.0.1:1884"), 1884);
    EXPECT_EQ(port_of("mqtts://[::1]:8884"), 8884);
    EXPECT_EQ(port_of("mqtt://broker"), 1883);
    EXPECT_EQ(port_of("mqtts://broker"), 8883);
    EXPECT_EQ(port_of("mqtt://[::1]"), 1883);
}

TEST(BrokerSocket, SendsAtOnceOnTheConnectionToThatPortAndOnNoOther) {
    const Socket listening;
    const Socket ours;
    const Socket other;  // connected to nothing
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ASSERT_EQ(::bind(listening.fd, reinterpret_cast<const sockaddr*>(&address), size), 0);
    ASSERT_EQ(::listen(listening.fd, 1), 0);
    ASSERT_EQ(::getsockname(listening.fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
    ASSERT_EQ(::connect(ours.fd, reinterpret_cast<const sockaddr*>(&address), size), 0);
    ASSERT_FALSE(sends_at_once(ours));

    EXPECT_EQ(send_at_once(ntohs(address.sin_port)), 1);
    EXPECT_TRUE(sends_at_once(ours));
    EXPECT_FALSE(sends_at_once(other));
    EXPECT_FALSE(sends_at_once(listening));
}

}  // namespace
}  // namespace touchpoint::devices
