#include "store/gap_rows.hpp"

#include <algorithm>
#include <utility>

#include "gateway/core/assert.hpp"
#include "store/records.hpp"

namespace touchpoint::store::gap_rows {
namespace {

// A row as it stands, if its key is of this list.
Result<std::optional<KeyValue>> row_from(const Transaction& txn, Table table, Stream stream,
                                         const std::string& consumer, Sequence from) {
    auto row = txn.seek(table, gap_key(stream, from, consumer));
    if (!row) return row.error();
    if (!*row || !is_gap_of((*row)->key, stream) || gap_consumer((*row)->key) != consumer)
        return std::optional<KeyValue>{};
    return row;
}

}  // namespace

Result<std::optional<Gap>> from(const Transaction& txn, Table table, Stream stream,
                                const std::string& consumer, Sequence from) {
    for (;;) {
        const auto row = row_from(txn, table, stream, consumer, from);
        if (!row) return row.error();
        if (!*row) return std::optional<Gap>{};
        if (auto gap = decode_gap((*row)->key, (*row)->value)) return std::optional<Gap>(std::move(*gap));
        from = gap_last((*row)->key) + 1;
    }
}

Result<std::vector<Gap>> list(const Transaction& txn, Table table, Stream stream, const std::string& consumer,
                              Sequence after, std::size_t max) {
    std::vector<Gap> rows;
    while (rows.size() < max) {
        auto gap = from(txn, table, stream, consumer, after + 1);
        if (!gap) return gap.error();
        if (!*gap) break;
        after = (*gap)->last;
        rows.push_back(std::move(**gap));
    }
    return rows;
}

Result<std::vector<std::string>> owners(const Transaction& txn, Table table, Stream stream) {
    std::vector<std::string> names;
    std::string key = gap_prefix(stream);
    for (;;) {
        const auto row = txn.seek(table, key);
        if (!row) return row.error();
        if (!*row || !is_gap_of((*row)->key, stream)) return names;
        names.emplace_back(gap_consumer((*row)->key));
        key = gap_prefix(stream) + names.back() + '\x01';  // behind all of its rows
    }
}

Result<void> put(Transaction& txn, Table table, const Gap& gap) {
    TP_ASSERT(gap.first >= 1 && gap.first <= gap.last);
    // What it covers, and what it cuts.
    for (;;) {
        const auto found = from(txn, table, gap.stream, gap.consumer, gap.first);
        if (!found) return found.error();
        if (!*found || (*found)->first > gap.last) break;
        Gap old = **found;
        if (const auto erased = txn.erase(table, gap_key(old.stream, old.last, old.consumer)); !erased)
            return erased.error();
        if (old.last > gap.last) {
            Gap behind = old;
            behind.first = gap.last + 1;
            if (const auto kept = txn.put(table, gap_key(old.stream, old.last, old.consumer), encode(behind));
                !kept)
                return kept;
        }
        if (old.first < gap.first) {
            Gap before = old;
            before.last = gap.first - 1;
            if (const auto kept =
                    txn.put(table, gap_key(old.stream, before.last, old.consumer), encode(before));
                !kept)
                return kept;
        }
        if (old.last > gap.last) break;
    }
    return txn.put(table, gap_key(gap.stream, gap.last, gap.consumer), encode(gap));
}

Result<void> grow(Transaction& txn, Table table, Gap gap) {
    const auto before = from(txn, table, gap.stream, gap.consumer, gap.first - 1);
    if (!before) return before.error();
    if (*before && (*before)->first <= gap.first && (*before)->last <= gap.last) {
        const Gap& old = **before;
        bool join = old.reason == gap.reason;
        if (!join && old.reason != "epoch") {
            const auto rows = list(txn, table, gap.stream, gap.consumer, 0, rows_max);
            if (!rows) return rows.error();
            join = rows->size() >= rows_max;
        }
        if (join) {
            if (const auto erased = txn.erase(table, gap_key(old.stream, old.last, old.consumer)); !erased)
                return erased.error();
            gap.first = std::min(gap.first, old.first);
            gap.since = old.since == UtcTime{} ? old.time : old.since;
        }
    }
    return put(txn, table, gap);
}

Result<std::size_t> erase_through(Transaction& txn, Table table, Stream stream, const std::string& consumer,
                                  Sequence through, std::size_t max) {
    std::size_t erased = 0;
    for (; erased < max; ++erased) {
        const auto row = row_from(txn, table, stream, consumer, 0);
        if (!row) return row.error();
        if (!*row || gap_last((*row)->key) > through) break;
        if (const auto gone = txn.erase(table, std::string((*row)->key)); !gone) return gone.error();
    }
    return erased;
}

}  // namespace touchpoint::store::gap_rows
