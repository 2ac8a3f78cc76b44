// The retained status by which devices see that the gateway is there and takes events. Pure.
//
// On the wire: devices/README.md.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "uplink/stats.hpp"

namespace touchpoint::gateway {

// Its JSON members without braces and time: equal ones need not be said again. Only "online" takes events.
std::string gateway_status_members(std::string_view state,
                                   const std::vector<uplink::PushState>& destinations);

}  // namespace touchpoint::gateway
