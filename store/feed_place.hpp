// How far the change feed of profiles has been followed: one row of the `cache`. Behind uplink/profile_feed.
//
// Written only after the lines that it stands behind: what is read again after a power cut is known already.
//
// Threads: any; write_feed_place() blocks for a flush. On disk: store/README.md, "cache".
#pragma once

#include <cstddef>
#include <string>

#include "gateway/core/clock.hpp"
#include "gateway/core/result.hpp"

namespace touchpoint::store {

class Cache;

struct FeedPlace {
    static constexpr std::size_t token_bytes_max = 2048;

    std::string url;       // a place in another feed is none in this one
    std::string token;     // empty: from the beginning
    UtcTime resync_since;  // 0: no resync is under way
};

// Nothing was written, or it cannot be read: an empty place. Fails with io.
Result<FeedPlace> read_feed_place(Cache& cache);
// Fails with io, full. REQUIRES: token.size() <= token_bytes_max
Result<void> write_feed_place(Cache& cache, const FeedPlace& place);

}  // namespace touchpoint::store
