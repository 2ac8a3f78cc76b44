// What one commit does to the tables: the steps, in a write transaction that the caller began. It knows the
// numbers (state row, front of each stream) and no thread, no clock, no flush.
//
// Threads: confined to the store thread; load() before it starts.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "gateway/core/event.hpp"
#include "gateway/core/result.hpp"
#include "store/chunk.hpp"
#include "store/dedup.hpp"
#include "store/environment.hpp"
#include "store/event_store.hpp"
#include "store/records.hpp"

namespace touchpoint::store {

class EventLog {
  public:
    // One delete transaction frees at most this many pages: more makes free-list records that the next
    // commits must rewrite (a free-list page holds 509 ids).
    static constexpr std::uint64_t deletes_pages_max = 400;
    // Dedup rows taken out by one commit; each commit adds one.
    static constexpr int dedup_rows_deleted_max = 8;
    // Gap rows of one list that one commit deletes.
    static constexpr std::size_t gap_rows_deleted_max = 1'000;

    struct Front {           // oldest chunk held
        Sequence first = 0;  // 0: none
        UtcTime recorded;
        bool trusted = true;  // our clock was, then
    };
    // Chunks that were deleted before somebody had them, as one range.
    struct GivenUp {
        Sequence first = 0;  // 0: none
        Sequence last = 0;
        std::uint64_t pages = 0;
    };

    EventLog(std::uint64_t dedup_ids, std::chrono::milliseconds dedup_age)
        : dedup_ids_(dedup_ids), dedup_age_(dedup_age), window_(dedup_ids, dedup_age) {}

    // Reads the state row, the consumers and the dedup rows. Empty state row: not_found.
    Result<void> load(const Transaction& txn, Table table);
    // Writes the first state row of a new environment. `old` (when this one replaces another) becomes a gap
    // row with sequence 1 in every stream that names it.
    Result<void> create(Transaction& txn, Table table, std::string epoch, std::uint64_t dedup_seed,
                        UtcTime now, const std::string& old_epoch_detail);

    struct Outcome {
        std::vector<Settled> settled;
        std::uint64_t duplicates = 0;
        std::uint64_t ids_reused = 0;
    };
    // Decides repeats, gives sequences, writes chunks and the dedup row. The numbers in state() and the
    // window change only with accept(); after a failure or an aborted transaction nothing has happened.
    // `settled` is a time that can be believed: only by it ids are too old for the dedup window.
    Result<Outcome> append(Transaction& txn, const std::vector<Event>& events, UtcTime now, bool trusted,
                           std::optional<UtcTime> settled);
    // Events of these persons that have a number by now leave without them. After append().
    Result<void> erase_persons(Transaction& txn, const std::vector<std::string>& pseudonyms, UtcTime now,
                               bool trusted);
    // Takes out rows of erased persons of whom no event can be held any more; looks at erased_looked_at_max.
    Result<void> prune_erased(Transaction& txn);
    static constexpr std::size_t erased_looked_at_max = 64;
    // Which of them have no row yet.
    static Result<std::size_t> not_erased_yet(const Transaction& txn, Table table,
                                              const std::vector<std::string>& pseudonyms);
    std::uint64_t erased_persons() const { return erased_persons_; }
    Result<void> put_gap(Transaction& txn, const Gap& gap);
    Result<void> put_consumer(Transaction& txn, const ConsumerState& consumer);
    // With the gap rows that are its own.
    Result<void> erase_consumer(Transaction& txn, const std::string& name);
    // Deletes chunks and gap rows that every consumer of their stream has acknowledged, oldest first, within
    // deletes_pages_max. True: there is more.
    // Not beyond `followed`; `held_back`: that alone held something.
    Result<bool> prune(Transaction& txn, const std::map<std::string, ConsumerState>& consumers,
                       const PerStream<Sequence>& followed, bool& held_back);
    // Deletes the oldest chunks of a stream up to `through`, at most about `pages_max` pages of them, and
    // writes the gap row for everybody, which grows while this goes on. `reason`: shed or expired.
    Result<GivenUp> give_up(Transaction& txn, Stream stream, Sequence through, std::uint64_t pages_max,
                            const char* reason, UtcTime now);
    // The gap row for one consumer for whom a range is not held any more.
    Result<void> release(Transaction& txn, const Gap& gap);
    // The last number of the chunks at the front that were recorded before `too_old`; 0: none. A chunk whose
    // time was guessed, or is later than `now`, is as old as the next one whose time is sound. `looked` is
    // where the last look ended, for the next to go on: it sees at most chunks_looked_at_max.
    Result<Sequence> older_than(const Transaction& txn, Stream stream, UtcTime too_old, UtcTime now,
                                Sequence& looked) const;
    static constexpr int chunks_looked_at_max = 1'000;
    // The last moment before `until` at which the gateway was alive, as far as the file tells: the newest
    // time of a chunk that a trusted clock wrote, and of a consumer as load() found it. 0: it does not tell.
    Result<UtcTime> last_alive(const Transaction& txn, UtcTime until) const;
    // Last step before Transaction::commit().
    Result<void> put_state(Transaction& txn, const std::optional<JournalPosition>& journal);

    void accept();   // the transaction is committed
    void abandon();  // it is not

    const StateRow& state() const { return state_; }
    const std::map<std::string, ConsumerState>& consumers() const { return loaded_consumers_; }
    const PerStream<Front>& fronts() const { return fronts_; }
    // The position of a consumer that begins at the oldest event held. The gap row of a new epoch stands
    // before the first chunk and belongs to everybody: while it is there, that is 0.
    Sequence before_oldest(Stream stream) const;
    // When the first chunk that holds an event behind `after` was recorded; 0: there is none, or it is
    // damaged.
    Result<UtcTime> recorded_behind(const Transaction& txn, Stream stream, Sequence after) const;
    std::uint64_t dedup_ids() const { return window_.size(); }

  private:
    // Within deletes_pages_max, whatever deleted before in this transaction.
    Result<GivenUp> delete_chunks(Transaction& txn, Stream stream, Sequence through, std::uint64_t pages_max);
    Result<bool> prune_gaps(Transaction& txn, Stream stream,
                            const std::map<std::string, ConsumerState>& consumers);
    Result<void> prune_dedup(Transaction& txn, std::optional<UtcTime> settled);
    Result<void> count_erased(const Transaction& txn);
    bool holds_through(const PerStream<Sequence>& last) const;
    Result<void> find_front(const Transaction& txn, Stream stream, PerStream<Front>& fronts) const;
    DedupWindow::Found find_repeat(DedupEntry entry) const;

    Table table_ = 0;
    std::uint64_t dedup_ids_;
    std::chrono::milliseconds dedup_age_;
    StateRow state_;
    StateRow next_;  // state_ as this transaction leaves it
    PerStream<Front> fronts_;
    PerStream<Front> next_fronts_;
    PerStream<bool> begins_with_gap_;  // a gap row for everybody stands at sequence 1
    PerStream<bool> next_begins_with_gap_;
    DedupWindow window_;
    std::vector<DedupEntry> fresh_;  // of this transaction: not in the window before accept()
    UtcTime fresh_time_;             // 0: our clock is not trusted
    std::optional<UtcTime> settled_;
    std::unordered_multimap<std::uint64_t, std::uint32_t> fresh_index_;
    std::uint64_t erased_persons_ = 0;  // rows
    std::uint64_t next_erased_persons_ = 0;
    std::string erased_looked_;        // where prune_erased() goes on
    std::uint64_t pages_deleted_ = 0;  // by this transaction
    std::map<std::string, ConsumerState> loaded_consumers_;
    ChunkPacker packer_;
};

}  // namespace touchpoint::store
