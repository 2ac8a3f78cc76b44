#include "store/records.hpp"

#include <xxhash.h>

#include "gateway/core/assert.hpp"
#include "store/bytes.hpp"

namespace touchpoint::store {
namespace {

std::string prefix(Prefix p) { return std::string(1, static_cast<char>(p)); }
std::string stream_prefix(Prefix p, Stream stream) {
    return std::string(1, static_cast<char>(static_cast<char>(p) + static_cast<char>(stream)));
}
// The next possible first byte: the end of everything under this one.
std::string after(std::string key) {
    ++key[0];
    return key;
}

// LMDB has no checksums: each row ends with the XXH3-64 of what stands before it.
constexpr std::size_t checksum_bytes = 8;
// prefix 1, consumer, zero 1, last 8
constexpr std::size_t gap_key_bytes_min = 10;

std::string sealed(std::string row) {
    append_little(row, row_checksum(row));
    return row;
}

// The row without its checksum, which held; else empty, which no row is.
std::string_view unsealed(std::string_view bytes) {
    if (bytes.size() <= checksum_bytes) return {};
    const std::string_view row = bytes.substr(0, bytes.size() - checksum_bytes);
    ByteReader sum(bytes.substr(row.size()));
    return sum.little<std::uint64_t>() == row_checksum(row) ? row : std::string_view{};
}

}  // namespace

std::uint64_t row_checksum(std::string_view row) { return XXH3_64bits(row.data(), row.size()); }

std::string state_key() { return prefix(Prefix::state); }
std::string consumer_prefix() { return prefix(Prefix::consumer); }
std::string consumer_key(std::string_view name) { return prefix(Prefix::consumer) + std::string(name); }
std::string dedup_prefix() { return prefix(Prefix::dedup); }

std::string erased_prefix() { return prefix(Prefix::erased); }
std::string erased_key(std::string_view pseudonym) { return prefix(Prefix::erased) + std::string(pseudonym); }

std::string dedup_key(std::uint64_t commit) {
    std::string key = prefix(Prefix::dedup);
    append_big(key, commit);
    return key;
}

std::string chunk_key(Stream stream, Sequence first) {
    std::string key = stream_prefix(Prefix::chunk, stream);
    append_big(key, first);
    return key;
}

std::string gap_key(Stream stream, Sequence last, std::string_view consumer) {
    std::string key = stream_prefix(Prefix::gap, stream);
    key += consumer;
    key += '\0';  // sorts before every character of a name
    append_big(key, last);
    return key;
}
std::string gap_prefix(Stream stream) { return stream_prefix(Prefix::gap, stream); }

std::string chunk_end(Stream stream) { return after(stream_prefix(Prefix::chunk, stream)); }
std::string gap_end(Stream stream) { return after(stream_prefix(Prefix::gap, stream)); }

bool is_chunk_of(std::string_view key, Stream stream) {
    return key.size() == 9 && key.starts_with(stream_prefix(Prefix::chunk, stream));
}
bool is_gap_of(std::string_view key, Stream stream) {
    return key.size() >= gap_key_bytes_min && key[key.size() - 9] == '\0' &&
           key.starts_with(stream_prefix(Prefix::gap, stream));
}
Sequence chunk_first(std::string_view key) {
    TP_ASSERT(key.size() == 9);
    return read_big<std::uint64_t>(key.substr(1));
}
std::string_view consumer_name(std::string_view key) { return key.substr(1); }
Sequence gap_last(std::string_view key) {
    TP_ASSERT(key.size() >= gap_key_bytes_min);
    return read_big<std::uint64_t>(key.substr(key.size() - 8));
}
std::string_view gap_consumer(std::string_view key) {
    TP_ASSERT(key.size() >= gap_key_bytes_min);
    return key.substr(1, key.size() - gap_key_bytes_min);
}

std::string encode(const StateRow& row) {
    std::string out;
    append_little(out, format_version);
    append_text(out, row.epoch);
    append_little(out, row.commit);
    append_little(out, row.dedup_seed);
    append_little(out, static_cast<std::uint8_t>(stream_count));
    for (const Stream stream : all_streams) {
        append_little(out, row.last[stream]);
        append_little(out, row.events[stream]);
        append_little(out, row.bytes[stream]);
        append_little(out, row.shed[stream]);
        append_little(out, row.expired[stream]);
        append_little(out, row.released[stream]);
    }
    append_little(out, row.dedup_ids);
    append_text(out, row.journal ? row.journal->journal_id : "");
    append_text(out, row.journal ? row.journal->boot_id : "");
    append_little(out, row.journal ? row.journal->offset : std::uint64_t{0});
    return sealed(std::move(out));
}

Result<StateRow> decode_state(std::string_view bytes) {
    ByteReader in(unsealed(bytes));
    const auto version = in.little<std::uint32_t>();
    if (in.ok() && version > format_version)
        return fail(Errc::format_too_new, "the event store has format " + std::to_string(version) +
                                              ", this release knows " + std::to_string(format_version));
    StateRow row;
    row.epoch = in.text();
    row.commit = in.little<std::uint64_t>();
    row.dedup_seed = in.little<std::uint64_t>();
    const auto streams = in.little<std::uint8_t>();
    for (const Stream stream : all_streams) {
        row.last[stream] = in.little<std::uint64_t>();
        row.events[stream] = in.little<std::uint64_t>();
        row.bytes[stream] = in.little<std::uint64_t>();
        row.shed[stream] = in.little<std::uint64_t>();
        row.expired[stream] = in.little<std::uint64_t>();
        row.released[stream] = in.little<std::uint64_t>();
    }
    row.dedup_ids = in.little<std::uint64_t>();
    JournalPosition journal;
    journal.journal_id = in.text();
    journal.boot_id = in.text();
    journal.offset = in.little<std::uint64_t>();
    if (!journal.journal_id.empty()) row.journal = std::move(journal);
    if (!in.ok() || version != format_version || streams != stream_count)
        return fail(Errc::damaged, "state row");
    return row;
}

std::string encode(const ConsumerState& row) {
    std::string out;
    append_little(out, std::uint8_t{1});  // version of this row
    append_little(out, static_cast<std::uint8_t>(row.kind));
    append_little(out, static_cast<std::uint8_t>(row.configured ? 1 : 0));
    append_little(out, static_cast<std::uint64_t>(row.since.ms));
    append_little(out, static_cast<std::uint64_t>(row.last_seen.ms));
    for (const Stream stream : all_streams) {
        append_little(out, static_cast<std::uint8_t>(row.streams[stream] ? 1 : 0));
        append_little(out, row.acknowledged[stream]);
        append_little(out, row.released[stream]);
    }
    return sealed(std::move(out));
}

Result<ConsumerState> decode_consumer(std::string_view name, std::string_view bytes) {
    ByteReader in(unsealed(bytes));
    const auto version = in.little<std::uint8_t>();
    ConsumerState row;
    row.name = name;
    const auto kind = in.little<std::uint8_t>();
    row.kind =
        kind == static_cast<std::uint8_t>(ConsumerKind::pull) ? ConsumerKind::pull : ConsumerKind::push;
    row.configured = in.little<std::uint8_t>() != 0;
    row.since.ms = static_cast<std::int64_t>(in.little<std::uint64_t>());
    row.last_seen.ms = static_cast<std::int64_t>(in.little<std::uint64_t>());
    for (const Stream stream : all_streams) {
        row.streams[stream] = in.little<std::uint8_t>() != 0;
        row.acknowledged[stream] = in.little<std::uint64_t>();
        row.released[stream] = in.little<std::uint64_t>();
    }
    if (!in.ok() || version != 1 || kind > static_cast<std::uint8_t>(ConsumerKind::pull))
        return fail(Errc::damaged, "consumer row");
    return row;
}

std::string encode(const Gap& gap) {
    std::string out;
    append_little(out, std::uint8_t{1});
    append_little(out, gap.first);
    append_little(out, static_cast<std::uint64_t>(gap.time.ms));
    append_little(out, static_cast<std::uint64_t>(gap.since.ms));
    append_text(out, gap.reason);
    append_text(out, gap.detail);
    return sealed(std::move(out));
}

Result<Gap> decode_gap(std::string_view key, std::string_view bytes) {
    ByteReader in(unsealed(bytes));
    const auto version = in.little<std::uint8_t>();
    Gap gap;
    gap.stream = static_cast<Stream>(key[0] - static_cast<char>(Prefix::gap));
    gap.last = gap_last(key);
    gap.consumer = gap_consumer(key);
    gap.first = in.little<std::uint64_t>();
    gap.time.ms = static_cast<std::int64_t>(in.little<std::uint64_t>());
    gap.since.ms = static_cast<std::int64_t>(in.little<std::uint64_t>());
    gap.reason = in.text();
    gap.detail = in.text();
    if (!in.ok() || version != 1 || gap.first == 0 || gap.first > gap.last)
        return fail(Errc::damaged, "gap row");
    return gap;
}

std::string encode(const ErasedRow& row) {
    std::string out;
    append_little(out, std::uint8_t{1});
    append_little(out, static_cast<std::uint64_t>(row.time.ms));
    for (const Stream stream : all_streams) append_little(out, row.last[stream]);
    return sealed(std::move(out));
}

Result<ErasedRow> decode_erased(std::string_view bytes) {
    ByteReader in(unsealed(bytes));
    const auto version = in.little<std::uint8_t>();
    ErasedRow row;
    row.time.ms = static_cast<std::int64_t>(in.little<std::uint64_t>());
    for (const Stream stream : all_streams) row.last[stream] = in.little<std::uint64_t>();
    if (!in.ok() || version != 1) return fail(Errc::damaged, "row of an erased person");
    return row;
}

std::string encode(const DedupRow& row) {
    std::string out;
    out.reserve(8 + row.entries.size() * 12 + checksum_bytes);
    append_little(out, static_cast<std::uint64_t>(row.time.ms));
    for (const DedupEntry& entry : row.entries) {
        append_little(out, entry.id_hash);
        append_little(out, entry.content_hash);
    }
    return sealed(std::move(out));
}

std::uint64_t dedup_ids_in(std::string_view bytes) {
    constexpr std::size_t around = sizeof(std::uint64_t) + checksum_bytes;
    return bytes.size() < around ? 0 : (bytes.size() - around) / 12;
}

Result<DedupRow> decode_dedup(std::string_view bytes) {
    ByteReader in(unsealed(bytes));
    DedupRow row;
    row.time.ms = static_cast<std::int64_t>(in.little<std::uint64_t>());
    row.entries.reserve(dedup_ids_in(bytes));
    while (in.ok() && !in.at_end()) {
        const auto id_hash = in.little<std::uint64_t>();
        const auto content_hash = in.little<std::uint32_t>();
        row.entries.push_back({id_hash, content_hash});
    }
    if (!in.ok()) return fail(Errc::damaged, "dedup row");
    return row;
}

}  // namespace touchpoint::store
