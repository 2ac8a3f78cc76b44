#include "store/event_log.hpp"

#include <algorithm>

#include "gateway/core/assert.hpp"
#include "gateway/core/log.hpp"
#include "store/gap_rows.hpp"

namespace touchpoint::store {

Result<void> EventLog::load(const Transaction& txn, Table table) {
    table_ = table;
    const auto row = txn.get(table, state_key());
    if (!row) return row.error();
    if (!*row) return fail(Errc::not_found, "state row");
    auto state = decode_state(**row);
    if (!state) return state.error();
    state_ = std::move(*state);

    std::string key = consumer_prefix();
    for (;;) {
        const auto found = txn.seek(table, key);
        if (!found) return found.error();
        if (!*found || !(*found)->key.starts_with(consumer_prefix())) break;
        // A damaged row costs its position, not the store: configured again, it begins at the oldest event
        // held and meets events twice. Not configured, it stops holding events.
        if (const auto consumer = decode_consumer(consumer_name((*found)->key), (*found)->value); consumer)
            loaded_consumers_[consumer->name] = *consumer;
        else
            log::error("store", "consumer row damaged, it begins at the oldest event",
                       {{"consumer", consumer_name((*found)->key)}, {"code", name(consumer.error().code)}});
        key = std::string((*found)->key) + '\0';
    }
    key = dedup_prefix();
    for (;;) {
        const auto found = txn.seek(table, key);
        if (!found) return found.error();
        if (!*found || !(*found)->key.starts_with(dedup_prefix())) break;
        // A damaged row costs its ids, not the start.
        if (const auto dedup = decode_dedup((*found)->value); dedup)
            for (const DedupEntry& entry : dedup->entries) window_.add(entry, dedup->time, std::nullopt);
        else
            log::error("store", "dedup row damaged, its ids are forgotten",
                       {{"code", name(dedup.error().code)}});
        key = std::string((*found)->key) + '\0';
    }
    if (const auto counted = count_erased(txn); !counted) return counted;
    for (const Stream stream : all_streams) {
        if (const auto front = find_front(txn, stream, fronts_); !front) return front.error();
        const auto gap = txn.get(table, gap_key(stream, 1, ""));
        if (!gap) return gap.error();
        begins_with_gap_[stream] = gap->has_value();
    }
    abandon();
    return {};
}

Result<void> EventLog::create(Transaction& txn, Table table, std::string epoch, std::uint64_t dedup_seed,
                              UtcTime now, const std::string& old_epoch_detail) {
    table_ = table;
    state_.epoch = std::move(epoch);
    state_.dedup_seed = dedup_seed;
    abandon();
    if (!old_epoch_detail.empty()) {
        for (const Stream stream : all_streams) {
            const Gap gap{stream, "", 1, 1, "epoch", old_epoch_detail, now};
            if (const auto put = put_gap(txn, gap); !put) return put.error();
            next_.last[stream] = 1;
            next_begins_with_gap_[stream] = true;
        }
    }
    if (const auto put = put_state(txn, std::nullopt); !put) return put.error();
    return {};
}

DedupWindow::Found EventLog::find_repeat(DedupEntry entry) const {
    DedupWindow::Found found = window_.find(entry);
    const auto [from, to] = fresh_index_.equal_range(entry.id_hash);
    for (auto it = from; it != to && found != DedupWindow::Found::same_content; ++it)
        found = it->second == entry.content_hash ? DedupWindow::Found::same_content
                                                 : DedupWindow::Found::other_content;
    return found;
}

Result<EventLog::Outcome> EventLog::append(Transaction& txn, const std::vector<Event>& events, UtcTime now,
                                           bool trusted, std::optional<UtcTime> settled) {
    Outcome outcome;
    fresh_time_ = trusted ? now : UtcTime{};
    settled_ = settled;
    PerStream<std::string> lines;
    PerStream<Sequence> first;
    const auto flush_chunk = [&](Stream stream) -> Result<void> {
        if (lines[stream].empty()) return {};
        ChunkHeader header;
        header.first = first[stream];
        header.last = next_.last[stream];
        header.events = static_cast<std::uint32_t>(header.last - header.first + 1);
        header.raw_bytes = static_cast<std::uint32_t>(lines[stream].size());
        header.recorded = now;
        header.trusted = trusted;
        const std::string_view packed = packer_.pack(header, lines[stream]);
        if (const auto put = txn.put(table_, chunk_key(stream, header.first), packed); !put)
            return put.error();
        next_.bytes[stream] += packed.size();
        next_.events[stream] += header.events;
        if (next_fronts_[stream].first == 0) next_fronts_[stream] = {header.first, now, trusted};
        lines[stream].clear();
        return {};
    };

    for (const Event& event : events) {
        bool reused = false;
        if (event.device_gave_id) {
            const DedupEntry entry{
                dedup_hash(event.source, event.id, state_.dedup_seed),
                static_cast<std::uint32_t>(event.content_hash ^ (event.content_hash >> 32))};
            const DedupWindow::Found found = find_repeat(entry);
            if (found == DedupWindow::Found::same_content) {
                ++outcome.duplicates;
                if (event.ticket != 0)
                    outcome.settled.push_back({event.ticket, event.id, Verdict::duplicate});
                continue;
            }
            reused = found == DedupWindow::Found::other_content;
            fresh_.push_back(entry);
            fresh_index_.emplace(entry.id_hash, entry.content_hash);
        }
        std::string& text = lines[event.stream];
        const std::size_t line_bytes = event.members.size() + 20;
        if (!text.empty() && text.size() + line_bytes > chunk_raw_bytes_max)
            if (const auto flushed = flush_chunk(event.stream); !flushed) return flushed.error();
        const Sequence sequence = ++next_.last[event.stream];
        if (text.empty()) first[event.stream] = sequence;
        if (reused) {
            ++outcome.ids_reused;
            text += "\"idreused\":true,";
        }
        const std::size_t at = text.size();
        text += event.members;
        // In valid JSON a raw line break can only be white space between tokens; here it ends a line.
        for (const char line_end : {'\n', '\r'})
            if (text.find(line_end, at) != std::string::npos)
                std::replace(text.begin() + static_cast<std::ptrdiff_t>(at), text.end(), line_end, ' ');
        text += '\n';
        if (event.ticket != 0)
            outcome.settled.push_back(
                {event.ticket, event.id, reused ? Verdict::stored_id_reused : Verdict::stored});
    }
    for (const Stream stream : all_streams)
        if (const auto flushed = flush_chunk(stream); !flushed) return flushed.error();

    if (!fresh_.empty()) {
        const DedupRow row{fresh_time_, fresh_};
        if (const auto put = txn.put(table_, dedup_key(state_.commit + 1), encode(row)); !put)
            return put.error();
        next_.dedup_ids += fresh_.size();
    }
    if (const auto pruned = prune_dedup(txn, settled); !pruned) return pruned.error();
    return outcome;
}

Result<void> EventLog::prune_dedup(Transaction& txn, std::optional<UtcTime> settled) {
    for (int i = 0; i < dedup_rows_deleted_max; ++i) {
        const auto oldest = txn.seek(table_, dedup_prefix());
        if (!oldest) return oldest.error();
        if (!*oldest || !(*oldest)->key.starts_with(dedup_prefix())) return {};
        const auto row = decode_dedup((*oldest)->value);
        const std::uint64_t ids = row ? row->entries.size() : dedup_ids_in((*oldest)->value);
        const bool too_old = !row || (settled && row->time != UtcTime{} && row->time < *settled - dedup_age_);
        if (!too_old && next_.dedup_ids - std::min(next_.dedup_ids, ids) < dedup_ids_) return {};
        if (const auto erased = txn.erase(table_, std::string((*oldest)->key)); !erased)
            return erased.error();
        next_.dedup_ids -= std::min(next_.dedup_ids, ids);
    }
    return {};
}

Result<void> EventLog::put_gap(Transaction& txn, const Gap& gap) { return gap_rows::put(txn, table_, gap); }

Result<void> EventLog::put_consumer(Transaction& txn, const ConsumerState& consumer) {
    return txn.put(table_, consumer_key(consumer.name), encode(consumer));
}

Result<void> EventLog::erase_consumer(Transaction& txn, const std::string& name) {
    const auto erased = txn.erase(table_, consumer_key(name));
    if (!erased) return erased.error();
    for (const Stream stream : all_streams) {
        const auto rows = gap_rows::erase_through(txn, table_, stream, name, ~Sequence{0}, ~std::size_t{0});
        if (!rows) return rows.error();
    }
    return {};
}

Sequence EventLog::before_oldest(Stream stream) const {
    const Sequence first = fronts_[stream].first;
    const Sequence before = first == 0 ? state_.last[stream] : first - 1;
    return before == 1 && begins_with_gap_[stream] ? 0 : before;
}

Result<UtcTime> EventLog::recorded_behind(const Transaction& txn, Stream stream, Sequence after) const {
    auto row =
        txn.before(table_, chunk_key(stream, after + 2));  // the chunk that begins at after + 1 or before
    if (!row) return row.error();
    auto header = *row && is_chunk_of((*row)->key, stream) ? read_header((*row)->value)
                                                           : fail(Errc::not_found, "no chunk");
    if (!header || header->last <= after) {
        row = txn.seek(table_, chunk_key(stream, after + 1));
        if (!row) return row.error();
        if (!*row || !is_chunk_of((*row)->key, stream)) return UtcTime{};
        header = read_header((*row)->value);
    }
    return header ? header->recorded : UtcTime{};
}

Result<void> EventLog::find_front(const Transaction& txn, Stream stream, PerStream<Front>& fronts) const {
    fronts[stream] = {};
    const auto row = txn.seek(table_, chunk_key(stream, 0));
    if (!row) return row.error();
    if (!*row || !is_chunk_of((*row)->key, stream)) return {};
    const auto header = read_header((*row)->value);
    fronts[stream] = {chunk_first((*row)->key), header ? header->recorded : UtcTime{},
                      header && header->trusted};
    return {};
}

Result<UtcTime> EventLog::last_alive(const Transaction& txn, UtcTime until) const {
    UtcTime newest;
    for (const auto& [name, consumer] : loaded_consumers_)
        if (consumer.last_seen <= until) newest = std::max(newest, consumer.last_seen);
    for (const Stream stream : all_streams) {
        std::string key = chunk_end(stream);
        for (int i = 0; i < chunks_looked_at_max; ++i) {
            const auto row = txn.before(table_, key);
            if (!row) return row.error();
            if (!*row || !is_chunk_of((*row)->key, stream)) break;
            const auto header = read_header((*row)->value);
            if (header && header->trusted && header->recorded <= until) {
                newest = std::max(newest, header->recorded);
                break;
            }
            key = std::string((*row)->key);
        }
    }
    return newest;
}

Result<void> EventLog::put_state(Transaction& txn, const std::optional<JournalPosition>& journal) {
    next_.commit = state_.commit + 1;
    if (journal) next_.journal = journal;
    return txn.put(table_, state_key(), encode(next_));
}

void EventLog::accept() {
    state_ = next_;
    pages_deleted_ = 0;
    fronts_ = next_fronts_;
    begins_with_gap_ = next_begins_with_gap_;
    erased_persons_ = next_erased_persons_;
    for (const DedupEntry& entry : fresh_) window_.add(entry, fresh_time_, settled_);
    fresh_.clear();
    fresh_index_.clear();
}

void EventLog::abandon() {
    next_ = state_;
    pages_deleted_ = 0;
    next_fronts_ = fronts_;
    next_begins_with_gap_ = begins_with_gap_;
    next_erased_persons_ = erased_persons_;
    fresh_.clear();
    fresh_index_.clear();
}

}  // namespace touchpoint::store
