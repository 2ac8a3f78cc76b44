// What leaves the event log: what everybody has, and what is given up.

#include <algorithm>

#include "store/bounds.hpp"
#include "store/event_log.hpp"
#include "store/gap_rows.hpp"

namespace touchpoint::store {

Result<bool> EventLog::prune(Transaction& txn, const std::map<std::string, ConsumerState>& consumers,
                             const PerStream<Sequence>& followed, bool& held_back) {
    bool more = false;
    held_back = false;
    for (const Stream stream : all_streams) {
        bool held = false;
        Sequence through = next_.last[stream];
        for (const auto& [name, consumer] : consumers) {
            if (!consumer.streams[stream]) continue;
            held = true;
            through = std::min(through, let_go(consumer, stream));
        }
        const Sequence front = next_fronts_[stream].first;
        if (held && followed[stream] < through) {
            held_back = held_back || (front != 0 && front <= through);
            through = followed[stream];
        }
        if (held) {  // else nobody reads it yet: only the bound may delete
            const auto deleted = delete_chunks(txn, stream, through, deletes_pages_max);
            if (!deleted) return deleted.error();
        }
        const auto rows_left = prune_gaps(txn, stream, consumers);
        if (!rows_left) return rows_left.error();
        more = more || pages_deleted_ >= deletes_pages_max || *rows_left;
    }
    return more;
}

Result<EventLog::GivenUp> EventLog::delete_chunks(Transaction& txn, Stream stream, Sequence through,
                                                  std::uint64_t pages_max) {
    constexpr std::uint64_t page = 4096;
    GivenUp deleted;
    if (next_fronts_[stream].first == 0 || next_fronts_[stream].first > through) return deleted;
    while (deleted.pages < pages_max && pages_deleted_ < deletes_pages_max) {
        const auto row = txn.seek(table_, chunk_key(stream, 0));
        if (!row) return row.error();
        if (!*row || !is_chunk_of((*row)->key, stream)) break;
        const std::string key((*row)->key);
        const std::uint64_t bytes = (*row)->value.size();
        const auto header = read_header((*row)->value);
        std::uint64_t events = header ? header->events : 0;
        Sequence last = header ? header->last : 0;
        if (!header) {  // damaged: it ends where the next begins
            const auto next = txn.seek(table_, chunk_key(stream, chunk_first(key) + 1));
            if (!next) return next.error();
            last = *next && is_chunk_of((*next)->key, stream) ? chunk_first((*next)->key) - 1
                                                              : next_.last[stream];
            events = last - chunk_first(key) + 1;
        }
        if (last > through) break;
        if (const auto erased = txn.erase(table_, key); !erased) return erased.error();
        if (deleted.first == 0) deleted.first = chunk_first(key);
        deleted.last = last;
        deleted.pages += bytes / page + 1;
        pages_deleted_ += bytes / page + 1;
        next_.bytes[stream] -= std::min(next_.bytes[stream], bytes);
        next_.events[stream] -= std::min(next_.events[stream], events);
    }
    if (const auto front = find_front(txn, stream, next_fronts_); !front) return front.error();
    return deleted;
}

Result<EventLog::GivenUp> EventLog::give_up(Transaction& txn, Stream stream, Sequence through,
                                            std::uint64_t pages_max, const char* reason, UtcTime now) {
    const std::uint64_t before = next_.events[stream];
    const auto gone = delete_chunks(txn, stream, through, pages_max);
    if (!gone || gone->first == 0) return gone;
    const Gap gap{stream, "", gone->first, gone->last, reason, "", now};
    if (const auto written = gap_rows::grow(txn, table_, gap); !written) return written.error();
    const std::uint64_t events = before - next_.events[stream];
    (gap.reason == "shed" ? next_.shed : next_.expired)[stream] += events;
    return gone;
}

Result<void> EventLog::release(Transaction& txn, const Gap& gap) {
    next_.released[gap.stream] += gap.last - gap.first + 1;
    return gap_rows::grow(txn, table_, gap);
}

Result<Sequence> EventLog::older_than(const Transaction& txn, Stream stream, UtcTime too_old, UtcTime now,
                                      Sequence& looked) const {
    Sequence through = 0;
    std::string key = chunk_key(stream, looked);
    for (int i = 0; i < chunks_looked_at_max; ++i) {
        const auto row = txn.seek(table_, key);
        if (!row) return row.error();
        if (!*row || !is_chunk_of((*row)->key, stream)) {
            looked = 0;  // from the front again, by what came in the meantime
            return through;
        }
        const auto header = read_header((*row)->value);
        const bool sound = header && header->trusted && header->recorded <= now;
        if (sound && header->recorded >= too_old) {
            looked = 0;
            return through;
        }
        if (sound) through = header->last;
        looked = chunk_first((*row)->key) + 1;
        key = chunk_key(stream, looked);
    }
    return through;
}

// A consumer's own rows go when it has acknowledged them, those for everybody when all have.
Result<bool> EventLog::prune_gaps(Transaction& txn, Stream stream,
                                  const std::map<std::string, ConsumerState>& consumers) {
    bool more = false;
    const auto erase = [&](const std::string& owner, Sequence through) -> Result<void> {
        const auto erased =
            gap_rows::erase_through(txn, table_, stream, owner, through, gap_rows_deleted_max);
        if (!erased) return erased.error();
        more = more || *erased == gap_rows_deleted_max;
        return {};
    };
    std::optional<Sequence> all;
    for (const auto& [name, consumer] : consumers) {
        const Sequence acknowledged = consumer.acknowledged[stream];
        if (consumer.streams[stream]) all = std::min(all.value_or(acknowledged), acknowledged);
        if (const auto erased = erase(name, acknowledged); !erased) return erased.error();
    }
    if (!all) return more;
    if (const auto erased = erase("", *all); !erased) return erased.error();
    next_begins_with_gap_[stream] = next_begins_with_gap_[stream] && *all == 0;
    return more;
}

}  // namespace touchpoint::store
