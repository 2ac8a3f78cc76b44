#include "gateway/http_clients.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace touchpoint::gateway {
namespace {

constexpr std::string_view mapped_v4("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
constexpr std::string_view loopback_v6("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", 16);

}  // namespace

ClientAddress ClientAddress::of(std::string_view bytes) {
    ClientAddress out;
    if (bytes.size() == 16 && bytes.starts_with(mapped_v4)) bytes.remove_prefix(mapped_v4.size());
    if (bytes.size() != 4 && bytes.size() != 16) return out;
    out.loopback_v6_ = bytes == loopback_v6;
    out.size_ = bytes.size() == 4 ? 4 : 8;
    std::copy_n(bytes.begin(), out.size_, out.bytes_.begin());
    return out;
}

bool ClientAddress::loopback() const { return loopback_v6_ || (size_ == 4 && bytes_[0] == 127); }

bool ClientTable::limited(const ClientAddress& address) const {
    return !address.none() && (limits_.loopback || !address.loopback());
}

void ClientTable::make_room() {
    for (auto at = order_.end(); entries_.size() >= limits_.addresses_max && at != order_.begin();) {
        --at;
        if (at->connections != 0) continue;
        entries_.erase(at->address);
        at = order_.erase(at);
    }
}

ClientTable::Client& ClientTable::client(const ClientAddress& address, SteadyTime now) {
    const auto found = entries_.find(address);
    if (found != entries_.end()) {
        order_.splice(order_.begin(), order_, found->second);
        return order_.front();
    }
    make_room();
    Client fresh;
    fresh.address = address;
    fresh.left = limits_.requests_burst;
    fresh.filled = now;
    order_.push_front(fresh);
    entries_.emplace(address, order_.begin());
    return order_.front();
}

void ClientTable::refill(Client& client, SteadyTime now) const {
    const std::chrono::duration<double> passed = now - client.filled;
    client.filled = now;
    client.left =
        std::min<double>(limits_.requests_burst, client.left + passed.count() * limits_.requests_per_s);
}

ClientTable::Entry ClientTable::enter(const ClientAddress& address, SteadyTime now) {
    if (!limited(address)) return Entry::welcome;
    Client& one = client(address, now);
    if (one.connections >= limits_.connections_max) return Entry::too_many_connections;
    refill(one, now);
    // One that is shut out is heard: it is told so, which costs less than it costs the client.
    if (one.left < 1) return Entry::too_many_requests;
    one.left -= 1;
    ++one.connections;
    return Entry::welcome;
}

void ClientTable::leave(const ClientAddress& address) {
    const auto found = entries_.find(address);
    if (found != entries_.end() && found->second->connections != 0) --found->second->connections;
}

std::chrono::seconds ClientTable::request(const ClientAddress& address, SteadyTime now) {
    if (!limited(address)) return std::chrono::seconds(0);
    Client& one = client(address, now);
    if (one.shut_out_until > now) return std::chrono::ceil<std::chrono::seconds>(one.shut_out_until - now);
    refill(one, now);
    if (one.left < 1)
        return std::chrono::seconds(
            static_cast<std::int64_t>(std::ceil((1 - one.left) / limits_.requests_per_s)));
    one.left -= 1;
    return std::chrono::seconds(0);
}

void ClientTable::wrong_token(const ClientAddress& address, SteadyTime now) {
    if (!limited(address)) return;
    Client& one = client(address, now);
    if (one.wrong == 0 || now - one.first_wrong >= limits_.wrong_tokens_window) {
        one.wrong = 0;
        one.first_wrong = now;
    }
    if (++one.wrong < limits_.wrong_tokens_max) return;
    one.wrong = 0;
    one.shut_out_until = now + limits_.shut_out_for;
}

std::size_t ClientTable::shut_out(SteadyTime now) const {
    return static_cast<std::size_t>(
        std::count_if(order_.begin(), order_.end(), [&](const Client& c) { return c.shut_out_until > now; }));
}

}  // namespace touchpoint::gateway
