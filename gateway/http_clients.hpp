// What each client address may still do: connections at a time, requests per second, wrong tokens.
//
// An address is an IPv4 address, or the first 64 bits of an IPv6 address: a household or a shop is given that
// many at least, so single ones mean nothing. The table is bounded; when it is full, the address that was
// quiet for longest is forgotten, with what it did. Addresses with open connections are not forgotten.
//
// Threads: none; time is an argument.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <string_view>

#include "gateway/core/clock.hpp"

namespace touchpoint::gateway {

struct ClientLimits {
    std::size_t connections_max = 16;
    // A new connection counts like a request: a TLS handshake costs more than most of them.
    std::uint32_t requests_per_s = 50;
    std::uint32_t requests_burst = 100;   // so many at once after a pause
    std::uint32_t wrong_tokens_max = 10;  // within wrong_tokens_window; then nothing is answered but 429
    std::chrono::seconds wrong_tokens_window{60};
    std::chrono::seconds shut_out_for{60};
    std::size_t addresses_max = 4096;  // about 200 bytes each
    bool loopback = false;             // whether clients on this machine are limited, too
};

class ClientAddress {
  public:
    // Of 4 or 16 bytes in network order; an IPv4 address inside an IPv6 one is the IPv4 address. Anything
    // else, such as a Unix socket's, is none.
    static ClientAddress of(std::string_view bytes);

    bool none() const { return size_ == 0; }
    bool loopback() const;
    auto operator<=>(const ClientAddress&) const = default;

  private:
    std::array<unsigned char, 8> bytes_{};
    std::uint8_t size_ = 0;  // 4 or 8
    bool loopback_v6_ = false;
};

class ClientTable {
  public:
    explicit ClientTable(ClientLimits limits) : limits_(limits) {}

    enum class Entry { welcome, too_many_connections, too_many_requests };
    // A connection begins. leave() must follow for each one that was welcome.
    Entry enter(const ClientAddress& address, SteadyTime now);
    void leave(const ClientAddress& address);

    // A request begins. Zero: it may; else how long to wait.
    std::chrono::seconds request(const ClientAddress& address, SteadyTime now);
    void wrong_token(const ClientAddress& address, SteadyTime now);

    std::size_t size() const { return entries_.size(); }
    std::size_t shut_out(SteadyTime now) const;  // addresses, for wrong tokens

  private:
    struct Client {
        ClientAddress address;
        std::size_t connections = 0;
        double left = 0;  // requests
        SteadyTime filled;
        std::uint32_t wrong = 0;
        SteadyTime first_wrong;
        SteadyTime shut_out_until;
    };
    using Order = std::list<Client>;  // the one that was heard last is in front

    bool limited(const ClientAddress& address) const;
    Client& client(const ClientAddress& address, SteadyTime now);
    void refill(Client& client, SteadyTime now) const;
    void make_room();

    ClientLimits limits_;
    Order order_;
    std::map<ClientAddress, Order::iterator> entries_;
};

}  // namespace touchpoint::gateway
