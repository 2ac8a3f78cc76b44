// Persons who were erased while events of theirs wait: chunks are never rewritten, so a row says up to which
// number the events leave without them.

#include <algorithm>

#include "gateway/core/log.hpp"
#include "store/event_log.hpp"

namespace touchpoint::store {

Result<void> EventLog::count_erased(const Transaction& txn) {
    erased_persons_ = 0;
    std::string key = erased_prefix();
    for (;;) {
        const auto found = txn.seek(table_, key);
        if (!found) return found.error();
        if (!*found || !(*found)->key.starts_with(erased_prefix())) return {};
        ++erased_persons_;
        key = std::string((*found)->key) + '\0';
    }
}

bool EventLog::holds_through(const PerStream<Sequence>& last) const {
    return std::any_of(all_streams.begin(), all_streams.end(), [&](Stream stream) {
        const Sequence first = next_fronts_[stream].first;
        return first != 0 && first <= last[stream];
    });
}

Result<void> EventLog::erase_persons(Transaction& txn, const std::vector<std::string>& pseudonyms,
                                     UtcTime now, bool trusted) {
    if (!holds_through(next_.last)) return {};  // nothing waits, of nobody
    const std::string row = encode(ErasedRow{next_.last, trusted ? now : UtcTime{}});
    for (const std::string& pseudonym : pseudonyms) {
        const std::string key = erased_key(pseudonym);
        const auto there = txn.get(table_, key);
        if (!there) return there.error();
        if (!*there) ++next_erased_persons_;
        if (const auto put = txn.put(table_, key, row); !put) return put;
    }
    return {};
}

Result<void> EventLog::prune_erased(Transaction& txn) {
    if (next_erased_persons_ == 0) return {};
    if (erased_looked_.empty()) erased_looked_ = erased_prefix();
    for (std::size_t looked = 0; looked < erased_looked_at_max; ++looked) {
        const auto found = txn.seek(table_, erased_looked_);
        if (!found) return found.error();
        if (!*found || !(*found)->key.starts_with(erased_prefix())) {
            erased_looked_.clear();  // from the front again, with the next commit
            return {};
        }
        const std::string key((*found)->key);
        const auto row = decode_erased((*found)->value);
        erased_looked_ = key + '\0';
        if (row && holds_through(row->last)) continue;
        if (!row && holds_through(next_.last)) {
            // Readers take it for everything that is held; from here on it says so.
            log::error("store",
                       "the row of an erased person is damaged, all his events are given without him");
            if (const auto put = txn.put(table_, key, encode(ErasedRow{next_.last, {}})); !put) return put;
            continue;
        }
        const auto erased = txn.erase(table_, key);
        if (!erased) return erased.error();
        if (next_erased_persons_ > 0) --next_erased_persons_;
    }
    return {};
}

Result<std::size_t> EventLog::not_erased_yet(const Transaction& txn, Table table,
                                             const std::vector<std::string>& pseudonyms) {
    std::size_t fresh = 0;
    for (const std::string& pseudonym : pseudonyms) {
        const auto there = txn.get(table, erased_key(pseudonym));
        if (!there) return there.error();
        if (!*there) ++fresh;
    }
    return fresh;
}

}  // namespace touchpoint::store
