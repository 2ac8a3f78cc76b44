// Keys and rows of the `events` environment: bytes <-> values. Pure. Each row ends with a checksum of itself;
// a decoder fails with damaged when it does not hold. On disk: store/README.md, "Tables".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/core/result.hpp"
#include "gateway/core/streams.hpp"
#include "store/dedup.hpp"
#include "store/event_store.hpp"
#include "store/journal.hpp"

namespace touchpoint::store {

inline constexpr std::uint32_t format_version = 1;

// What stands, little-endian, at the end of each row. LMDB has no checksums.
std::uint64_t row_checksum(std::string_view row);

// First byte of a key. The values stand in files: do not change them.
enum class Prefix : char {
    state = 0x00,
    consumer = 0x01,
    dedup = 0x02,
    erased = 0x03,
    chunk = 0x10,
    gap = 0x20
};

std::string state_key();
std::string consumer_key(std::string_view name);
std::string consumer_prefix();
std::string dedup_prefix();
std::string dedup_key(std::uint64_t commit);
std::string erased_prefix();
std::string erased_key(std::string_view pseudonym);
std::string chunk_key(Stream stream, Sequence first);
// Rows of one consumer ("": of all) stand together.
std::string gap_key(Stream stream, Sequence last, std::string_view consumer);
std::string gap_prefix(Stream stream);
// One past the last key of a stream's chunks or gap rows.
std::string chunk_end(Stream stream);
std::string gap_end(Stream stream);

bool is_chunk_of(std::string_view key, Stream stream);
bool is_gap_of(std::string_view key, Stream stream);
Sequence chunk_first(std::string_view key);            // REQUIRES: a chunk key
std::string_view consumer_name(std::string_view key);  // REQUIRES: a consumer key
Sequence gap_last(std::string_view key);               // REQUIRES: a gap key
std::string_view gap_consumer(std::string_view key);   // REQUIRES: a gap key

struct StateRow {
    std::string epoch;
    std::uint64_t commit = 0;
    std::uint64_t dedup_seed = 0;
    PerStream<Sequence> last;         // highest sequence given
    PerStream<std::uint64_t> events;  // held
    PerStream<std::uint64_t> bytes;   // of chunks held
    // Events of this epoch that were given up: by the bound, by age, and for single consumers.
    PerStream<std::uint64_t> shed;
    PerStream<std::uint64_t> expired;
    PerStream<std::uint64_t> released;
    std::uint64_t dedup_ids = 0;  // in dedup rows
    std::optional<JournalPosition> journal;
};
std::string encode(const StateRow& row);
Result<StateRow> decode_state(std::string_view bytes);  // damaged, format_too_new

std::string encode(const ConsumerState& row);
Result<ConsumerState> decode_consumer(std::string_view name, std::string_view bytes);

std::string encode(const Gap& gap);
Result<Gap> decode_gap(std::string_view key, std::string_view bytes);

// A person who was erased: what was given a number up to these leaves without him.
struct ErasedRow {
    PerStream<Sequence> last;
    UtcTime time;  // of the erasure, the last one if there were several; 0: our clock was not trusted
};
std::string encode(const ErasedRow& row);
Result<ErasedRow> decode_erased(std::string_view bytes);

struct DedupRow {
    UtcTime time;
    std::vector<DedupEntry> entries;
};
std::string encode(const DedupRow& row);
Result<DedupRow> decode_dedup(std::string_view bytes);
// How many ids a dedup row holds, by its length alone: also of a damaged one.
std::uint64_t dedup_ids_in(std::string_view bytes);

}  // namespace touchpoint::store
