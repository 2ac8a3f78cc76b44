// Many profiles at once: the body of a batch, and lines of the change feed.
//
// Threads: as each says.
#pragma once

#include <span>
#include <string_view>

#include "gateway/http.hpp"
#include "gateway/profiles/load_pace.hpp"
#include "gateway/profiles/profile_routes.hpp"

namespace touchpoint::gateway {

// Of many changes those that share a transaction.
static_assert(LoadPace::changes_alone <= store::Profiles::changes_max);

// POST /v1/profiles/batch, with or without a mapping. On loop; the work is the writer's.
void profile_batch(const ProfileParts& parts, const HttpRequest& request, const Reply& reply);

}  // namespace touchpoint::gateway
