// Rows of customers' live pictures (gateway/profiles/picture.hpp): what this store knows of a person since
// the platform has seen it last. Sealed texts under keys that name nobody, and how far the event log is in
// them.
//
// Promised
//   The rows and the position of one write() are there together or not at all, and survive a power cut: what
//   is behind the position is read again from the log, and nothing is counted twice.
//   Bounded: above `bytes_max` of pages those that changed longest ago leave, of a sample, and more than came
//   with the same write(), and those with a refusal after the others: invented customers push out what a real
//   one did here, but not what he has forbidden. Those older than `age_max` leave, too. A row that does not
//   open is as if it were not there.
//
// Threads: get() from any; write() from one at a time.
// On disk: store/README.md, "cache".
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "gateway/core/clock.hpp"
#include "gateway/core/result.hpp"
#include "gateway/core/streams.hpp"

namespace touchpoint::store {

class Cache;
class SealedBox;
class Transaction;

// Up to where the log is in the pictures, numbers of `epoch`.
struct PicturesPosition {
    std::string epoch;
    PerStream<Sequence> numbers;
    std::string untold;  // what the log has told up to there and nobody was told of yet; sealed on the disk
};

struct PictureRow {
    std::string key;
    std::optional<std::string> plain;  // empty: it goes
    UtcTime changed;
    bool refusal = false;  // a consent was refused: of what leaves for want of room it leaves last
};

class Pictures {
  public:
    struct Options {
        std::uint64_t bytes_max = 32u << 20;  // Cache::Options::pictures_bytes: the map has room for it
        std::chrono::hours age_max{30 * 24};
    };
    static constexpr std::size_t rows_max = 8192;  // in one transaction
    // Besides them, so often in one transaction: of some rows those that changed longest ago leave, as many
    // as it takes that altogether twice as many may leave as came (their pages do not become empty at once).
    static constexpr std::size_t looks_max = 256;
    static constexpr std::size_t sample = 32;         // rows of a look
    static constexpr std::size_t sample_of_each = 4;  // where more than sample / 4 of them leave

    // Both outlive it.
    Pictures(Cache& cache, const SealedBox& box, Options options)
        : cache_(cache), box_(box), options_(options) {}

    // Fails with io.
    Result<std::optional<std::string>> get(std::string_view key) const;
    Result<PicturesPosition> position() const;
    // One transaction. Fails with full, io. REQUIRES: rows.size() <= rows_max
    Result<void> write(std::span<const PictureRow> rows, const PicturesPosition& position, UtcTime now);

  private:
    // Of the next rows those that changed longest ago leave, `most` of them. Returns how many did.
    Result<std::size_t> let_go(Transaction& txn, std::size_t most, UtcTime too_old, bool whatever_its_age);

    Cache& cache_;
    const SealedBox& box_;
    const Options options_;
    std::string sweep_;  // where the search goes on
};

}  // namespace touchpoint::store
