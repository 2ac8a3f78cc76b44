// Reading profiles over HTTP: GET /v1/profiles/{id}, where an id is one or "scheme:value", POST
// /v1/profiles/lookup, and GET /v1/profiles/wanted.
//
// On the wire: devices/README.md, "Reading a profile"; uplink/README.md, "Profiles down".
//
// Threads: confined to loop.
#pragma once

#include <vector>

#include "gateway/http.hpp"
#include "gateway/profiles/profile_reads.hpp"

namespace touchpoint::gateway {

inline constexpr std::size_t lookup_bytes_max = 8192;

// For the local listener and the platform's. `reads` outlives the routes.
std::vector<Route> profile_read_routes(ProfileReads& reads);
// GET /v1/profiles/wanted: in front of those.
Route wanted_route(const ProfileReads& reads);

}  // namespace touchpoint::gateway
