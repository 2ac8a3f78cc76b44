// Paho 1.3 leaves Nagle's algorithm on and gives no way to its socket. A receipt would then wait in the
// kernel behind a PUBACK until the broker's kernel acknowledges that: up to 40 ms, or until the next event
// comes.
//
// Threads: any.
#pragma once

#include <cstdint>
#include <string_view>

namespace touchpoint::devices {

// Of "mqtt://host:1883"; the scheme's own where none stands in it.
std::uint16_t port_of(std::string_view url);

// Switches Nagle's algorithm off on every TCP connection of this process to that port. Returns how many.
int send_at_once(std::uint16_t peer_port);

}  // namespace touchpoint::devices
