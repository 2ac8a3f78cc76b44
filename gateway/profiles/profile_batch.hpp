// Many profiles at once: the body of a batch, and lines of the change feed.
//
// Threads: as each says.
#pragma once

#include <span>
#include <string_view>

#include "gateway/http.hpp"
#include "gateway/profiles/profile_routes.hpp"

namespace touchpoint::gateway {

// Of many changes those that share a transaction. Its pages are flushed under the lock that the committer
// waits for; a quarter of what the store allows.
inline constexpr std::size_t changes_at_once = 16;
static_assert(changes_at_once <= store::Profiles::changes_max);

// POST /v1/profiles/batch, with or without a mapping. On loop; the work is the writer's.
void profile_batch(const ProfileParts& parts, const HttpRequest& request, const Reply& reply);

}  // namespace touchpoint::gateway
