#include "store/pictures.hpp"

#include <limits>

#include "gateway/core/assert.hpp"
#include "store/bytes.hpp"
#include "store/cache.hpp"
#include "store/environment.hpp"
#include "store/sealed_box.hpp"

namespace touchpoint::store {
namespace {

constexpr std::string_view position_key = "position";  // no pseudonym has such a name
constexpr std::uint8_t position_format = 1;
constexpr std::size_t head_bytes = 8;

std::string context_of(std::string_view key) { return "picture" + std::string(key); }

}  // namespace

Result<std::optional<std::string>> Pictures::get(std::string_view key) const {
    const auto txn = cache_.environment().begin_read();
    if (!txn) return txn.error();
    const auto row = txn->get(cache_.tables().pictures, key);
    if (!row) return row.error();
    if (!*row || (*row)->size() < head_bytes) return std::optional<std::string>();
    auto plain = box_.open((*row)->substr(head_bytes), context_of(key));
    if (!plain) return std::optional<std::string>();
    return std::optional<std::string>(std::move(*plain));
}

Result<PicturesPosition> Pictures::position() const {
    const auto txn = cache_.environment().begin_read();
    if (!txn) return txn.error();
    const auto row = txn->get(cache_.tables().pictures, position_key);
    if (!row) return row.error();
    PicturesPosition position;
    if (!*row) return position;
    ByteReader in(**row);
    if (in.little<std::uint8_t>() != position_format) return position;
    PicturesPosition read;
    read.epoch = in.text();
    for (const Stream stream : all_streams) read.numbers[stream] = in.little<std::uint64_t>();
    return in.ok() ? read : position;
}

Result<bool> Pictures::let_one_go(Transaction& txn, UtcTime too_old, bool whatever_its_age) {
    const unsigned table = cache_.tables().pictures;
    std::string oldest;
    auto oldest_ms = std::numeric_limits<std::int64_t>::max();
    for (int seen = 0; seen < sample; ++seen) {
        const auto row = txn.seek(table, sweep_.empty() ? std::string(1, '\0') : sweep_);
        if (!row) return row.error();
        if (!*row) {
            sweep_.clear();
            break;
        }
        const std::string key((*row)->key);
        sweep_ = key + '\0';
        if (key == position_key) continue;
        const auto ms = (*row)->value.size() < head_bytes
                            ? 0
                            : static_cast<std::int64_t>(ByteReader((*row)->value).little<std::uint64_t>());
        if (ms < oldest_ms) oldest_ms = ms, oldest = key;
    }
    if (oldest.empty() || (!whatever_its_age && oldest_ms >= too_old.ms)) return false;
    const auto erased = txn.erase(table, oldest);
    if (!erased) return erased.error();
    return true;
}

Result<void> Pictures::write(std::span<const PictureRow> rows, const PicturesPosition& position,
                             UtcTime now) {
    TP_ASSERT(rows.size() <= rows_max);
    Environment& environment = cache_.environment();
    const unsigned table = cache_.tables().pictures;
    auto txn = environment.begin_write();
    if (!txn) return txn.error();
    const UtcTime too_old = now - options_.age_max;
    for (int gone = 0; gone < leaving_max; ++gone) {
        const auto pages = txn->pages(table);
        if (!pages) return pages.error();
        const auto left = let_one_go(*txn, too_old, *pages * environment.page_bytes() > options_.bytes_max);
        if (!left) return left.error();
        if (!*left) break;
    }
    for (const PictureRow& row : rows) {
        if (!row.plain) {
            if (const auto erased = txn->erase(table, row.key); !erased) return erased.error();
            continue;
        }
        std::string value;
        append_little(value, static_cast<std::uint64_t>(row.changed.ms));
        value += box_.seal(*row.plain, context_of(row.key));
        if (const auto put = txn->put(table, row.key, value); !put) return put.error();
    }
    std::string value;
    append_little(value, position_format);
    append_text(value, position.epoch);
    for (const Stream stream : all_streams) append_little(value, position.numbers[stream]);
    if (const auto put = txn->put(table, position_key, value); !put) return put.error();
    return txn->commit();
}

}  // namespace touchpoint::store
