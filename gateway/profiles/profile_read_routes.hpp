// Reading profiles over HTTP: GET /v1/profiles/{id}, where an id is one or "scheme:value", POST
// /v1/profiles/lookup, and GET /v1/profiles/wanted. Who accepts text/event-stream is told of changes, too
// (Server-Sent Events), until he closes the connection.
//
// On the wire: devices/README.md, "Reading a profile"; uplink/README.md, "Profiles down".
//
// Threads: confined to loop.
#pragma once

#include <functional>
#include <vector>

#include "gateway/core/clock.hpp"
#include "gateway/http.hpp"
#include "gateway/profiles/profile_followers.hpp"
#include "gateway/profiles/profile_reads.hpp"

namespace touchpoint::gateway {

inline constexpr std::size_t lookup_bytes_max = 8192;

struct ProfileReadParts {  // all outlive the routes
    ProfileReads& reads;
    ProfileFollowers& followers;
    const Clock& clock;
    // Whether what is begun now is too late for a till; it is told so at once. Empty: nobody is in a hurry.
    std::function<bool()> late{};
};

// For the local listener and the platform's.
std::vector<Route> profile_read_routes(const ProfileReadParts& parts);
// GET /v1/profiles/wanted: in front of those.
Route wanted_route(const ProfileReads& reads);

}  // namespace touchpoint::gateway
