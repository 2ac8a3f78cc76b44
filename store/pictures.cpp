#include "store/pictures.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "gateway/core/assert.hpp"
#include "store/bytes.hpp"
#include "store/cache.hpp"
#include "store/environment.hpp"
#include "store/sealed_box.hpp"

namespace touchpoint::store {
namespace {

constexpr std::string_view position_key = "position";  // no pseudonym has such a name
constexpr std::string_view untold_context = "pictures untold";
constexpr std::uint8_t position_format = 2;
constexpr std::uint8_t position_format_without_untold = 1;
constexpr std::size_t head_bytes = 8;  // the time, and in its highest bit whether there is a refusal
constexpr std::uint64_t refusal_bit = 1ull << 63;

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
    const auto format = in.little<std::uint8_t>();
    if (format != position_format && format != position_format_without_untold) return position;
    PicturesPosition read;
    read.epoch = in.text();
    for (const Stream stream : all_streams) read.numbers[stream] = in.little<std::uint64_t>();
    if (format == position_format)
        if (const std::string_view sealed = in.text(); !sealed.empty())
            if (auto untold = box_.open(sealed, untold_context)) read.untold = std::move(*untold);
    return in.ok() ? read : position;
}

Result<std::size_t> Pictures::let_go(Transaction& txn, std::size_t most, UtcTime too_old,
                                     bool whatever_its_age) {
    const unsigned table = cache_.tables().pictures;
    const std::size_t wanted = std::max(sample, most * sample_of_each);
    struct Candidate {
        bool refusal = false;
        std::int64_t ms = 0;  // when it changed
        std::string key;
        auto operator<=>(const Candidate&) const = default;
    };
    std::vector<Candidate> seen;
    const std::string from = sweep_;
    for (bool turned = false; seen.size() < wanted;) {
        const auto row = txn.seek(table, sweep_.empty() ? std::string(1, '\0') : sweep_);
        if (!row) return row.error();
        if (!*row) {
            sweep_.clear();
            if (from.empty() || std::exchange(turned, true)) break;
            continue;
        }
        std::string key((*row)->key);
        if (turned && key >= from) break;  // once around
        sweep_ = key + '\0';
        if (key == position_key) continue;
        const std::uint64_t head =
            (*row)->value.size() < head_bytes ? 0 : ByteReader((*row)->value).little<std::uint64_t>();
        seen.push_back(
            {(head & refusal_bit) != 0, static_cast<std::int64_t>(head & ~refusal_bit), std::move(key)});
    }
    std::sort(seen.begin(), seen.end());
    std::size_t gone = 0;
    for (const Candidate& one : seen) {
        if (gone == most) break;
        if (!whatever_its_age && one.ms >= too_old.ms) continue;
        const auto erased = txn.erase(table, one.key);
        if (!erased) return erased.error();
        ++gone;
    }
    return gone;
}

Result<void> Pictures::write(std::span<const PictureRow> rows, const PicturesPosition& position,
                             UtcTime now) {
    TP_ASSERT(rows.size() <= rows_max);
    Environment& environment = cache_.environment();
    const unsigned table = cache_.tables().pictures;
    auto txn = environment.begin_write();
    if (!txn) return txn.error();
    for (const PictureRow& row : rows) {
        if (!row.plain) {
            if (const auto erased = txn->erase(table, row.key); !erased) return erased.error();
            continue;
        }
        std::string value;
        append_little(value, static_cast<std::uint64_t>(row.changed.ms) | (row.refusal ? refusal_bit : 0));
        value += box_.seal(*row.plain, context_of(row.key));
        if (const auto put = txn->put(table, row.key, value); !put) return put.error();
    }
    // Behind the new ones: what is committed is below the bound, whatever came.
    const std::size_t of_each_look = 1 + 2 * rows.size() / looks_max;
    for (std::size_t look = 0; look < looks_max; ++look) {
        const auto pages = txn->pages(table);
        if (!pages) return pages.error();
        const auto gone = let_go(*txn, of_each_look, now - options_.age_max,
                                 *pages * environment.page_bytes() > options_.bytes_max);
        if (!gone) return gone.error();
        if (*gone == 0) break;
    }
    std::string value;
    append_little(value, position_format);
    append_text(value, position.epoch);
    for (const Stream stream : all_streams) append_little(value, position.numbers[stream]);
    append_text(value, position.untold.empty() ? std::string() : box_.seal(position.untold, untold_context));
    if (const auto put = txn->put(table, position_key, value); !put) return put.error();
    return txn->commit();
}

}  // namespace touchpoint::store
