#include "store/feed_place.hpp"

#include "gateway/core/assert.hpp"
#include "store/bytes.hpp"
#include "store/cache.hpp"
#include "store/environment.hpp"

namespace touchpoint::store {
namespace {

constexpr std::string_view row_key = "feed";

}  // namespace

Result<FeedPlace> read_feed_place(Cache& cache) {
    const auto txn = cache.environment().begin_read();
    if (!txn) return txn.error();
    const auto row = txn->get(cache.tables().profile_counts, row_key);
    if (!row) return row.error();
    if (!*row) return FeedPlace{};
    ByteReader in(**row);
    FeedPlace place;
    place.resync_since.ms = static_cast<std::int64_t>(in.little<std::uint64_t>());
    place.url = in.text();
    place.token = in.text();
    if (!in.ok() || !in.at_end()) return FeedPlace{};
    return place;
}

Result<void> write_feed_place(Cache& cache, const FeedPlace& place) {
    TP_ASSERT(place.token.size() <= FeedPlace::token_bytes_max);
    std::string row;
    append_little(row, static_cast<std::uint64_t>(place.resync_since.ms));
    append_text(row, place.url);
    append_text(row, place.token);
    auto txn = cache.environment().begin_write();
    if (!txn) return txn.error();
    if (const auto put = txn->put(cache.tables().profile_counts, row_key, row); !put) return put.error();
    return txn->commit();
}

}  // namespace touchpoint::store
