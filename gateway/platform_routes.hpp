// The routes of the platform's listener: pull, consumers, gaps. Values of HTTP to values of uplink/pull, and
// back. On the wire: uplink/README.md, "Pull".
//
// Threads: loop.
#pragma once

#include <vector>

#include "gateway/http.hpp"
#include "uplink/pull.hpp"

namespace touchpoint::gateway {

// All of it must outlive the servers that are given the routes.
struct PlatformParts {
    uplink::Pull& pull;
};

// GET /v1/consumers, GET PUT DELETE /v1/consumers/{name}, GET .../events, POST .../ack, POST .../seek,
// GET /v1/events, GET /v1/gaps. They name the roles that they serve; the listener must have a body limit of
// its own (nothing here needs more than platform_body_max).
std::vector<Route> platform_routes(const PlatformParts& parts);

// GET /v1/gaps alone, for a listener that serves technicians.
Route gaps_route(const PlatformParts& parts);

inline constexpr std::size_t platform_body_max = 8192;  // bytes of a request's body

}  // namespace touchpoint::gateway
