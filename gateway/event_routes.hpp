// POST /v1/events: events from devices without MQTT, and from kiosks that are a browser. The contract:
// devices/README.md, "Without MQTT".
#pragma once

#include <vector>

#include "devices/direct_intake.hpp"
#include "gateway/http.hpp"

namespace touchpoint::gateway {

// `intake` outlives the routes.
std::vector<Route> event_routes(devices::DirectIntake& intake);

}  // namespace touchpoint::gateway
