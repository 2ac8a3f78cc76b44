// The door to the disk for events. It owns the `store` thread (the committer), which makes every write and
// flush.
//
//     submit ──> group ──> commit (one transaction) ──> flush ──> horizon ──> on_horizon
//
// Promised
//   Durable   Nothing beyond the durable horizon is ever shown: on_horizon and EventReader speak only of what
//   a
//             power cut cannot take back. The horizon is one flush behind the commit (MDB_NOMETASYNC); an
//             idle committer flushes again at once.
//   Ordered   Each stream counts 1, 2, 3 ... without holes within an epoch.
//   Once      An id that the device gave, seen within the dedup window, is stored once.
//   Whole     A transaction holds events, gap rows, dedup rows, consumer rows, deletes and the journal
//   position.
// Not promised
//   The platform may see an event twice (its answer can be lost): it recognises (gateway, epoch, stream,
//   sequence).
//
// Threads: every public function from any thread; callbacks run on the store thread and must not block.
// On disk: store/README.md, format 1.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/core/clock.hpp"
#include "gateway/core/event.hpp"
#include "gateway/core/result.hpp"
#include "store/cache.hpp"
#include "store/commit_times.hpp"
#include "store/journal.hpp"

namespace touchpoint::store {

class EventReader;

// A named reader with a position: each push destination is one, each pull client is one.
struct ConsumerSpec {
    std::string name;  // [a-z0-9-]{1,64}
    // The streams it reads and holds. `quarantine` only when the destination asks for it.
    PerStream<bool> streams;
};

// The values stand in files: do not change them.
enum class ConsumerKind : std::uint8_t { push = 0, pull = 1 };

struct ConsumerState {
    std::string name;
    PerStream<bool> streams;
    PerStream<Sequence> acknowledged;
    bool configured = true;  // false: a push destination that was removed from the configuration
    ConsumerKind kind = ConsumerKind::push;
    // Events up to here are not held for it any more: what of them it has not acknowledged comes as gaps.
    PerStream<Sequence> released = {};
    UtcTime since = {};  // made; 0: when our clock was not trusted
    // pull: last sign of life (written hourly, or with other changes). push: when it was found removed from
    // the configuration. 0: never yet, or our clock was not trusted.
    UtcTime last_seen = {};
};

// Where a new pull consumer begins: before the oldest event held, or behind the horizon.
enum class From : std::uint8_t { oldest, latest };

// A range that will not come, and why. Empty consumer: for all of them.
struct Gap {
    Stream stream = Stream::telemetry;
    std::string consumer;
    Sequence first = 0;
    Sequence last = 0;
    std::string reason;  // shed, expired, damaged, parked, rejected, epoch; missing: no row explains it
    std::string detail;  // JSON members without braces, may be empty
    UtcTime time;        // when its newest number was given up
    UtcTime since = {};  // when its oldest was, where a row grew; else 0
};

// What loop hands over: events in order, and how far the journal is covered by them.
struct Submission {
    std::vector<Event> events;
    std::vector<Identity> identities;  // durable before the events that name them
    std::uint64_t journal_end = 0;     // all frames before it are in this or an earlier submission; 0: none
    // Pseudonyms of persons who were erased. Events of theirs in this and in every earlier submission leave
    // without them from this commit on (store/README.md, "Erased person"), and their identities among what
    // was submitted and is not in the vault yet are dropped.
    std::vector<std::string> erased;
};

struct HorizonNote {
    std::uint64_t commit = 0;  // every commit up to this one is durable
    PerStream<Sequence> horizon;
    std::uint64_t journal_end = 0;  // cut the journal up to here
    std::vector<Settled> settled;   // the answers that may now be given, in order of submission
};

struct StoreStats {  // one consistent picture, taken between commits
    std::string epoch;
    bool replaced = false;  // damaged or gone at this start: set aside, and a new epoch began
    std::uint64_t commits = 0;
    std::uint64_t flushes = 0;
    CommitTimes commit_times;
    std::uint64_t duplicates = 0;
    std::uint64_t ids_reused = 0;
    PerStream<Sequence> horizon;
    PerStream<Sequence> first;        // oldest sequence still held; horizon + 1 when none
    PerStream<std::uint64_t> events;  // held
    PerStream<std::uint64_t> bytes;   // of chunks held
    PerStream<UtcTime> oldest;        // recorded time of the oldest held; 0 when none
    // Of each consumer for which something waits: the recorded time of the first chunk that holds an event
    // behind its position; 0 where nothing does.
    std::map<std::string, PerStream<UtcTime>> waiting_since;
    std::uint64_t file_bytes = 0;
    std::uint64_t live_bytes = 0;   // used pages
    std::uint64_t limit_bytes = 0;  // of live_bytes: from here on no events are taken
    std::uint64_t shed_bytes = 0;   // of live_bytes: from here on the oldest chunks are shed
    bool full = false;              // no events are taken now
    bool shedding = false;          // live_bytes came to shed_bytes, and is not below the low water yet
    bool disk_full = false;         // the disk has no room to make the file longer: its length is the limit
    // Events of this epoch that were given up: by the bound, by age, for single consumers.
    PerStream<std::uint64_t> shed;
    PerStream<std::uint64_t> expired;
    PerStream<std::uint64_t> released;
    // Push destinations that were removed from the configuration and are not waited for any more: those of
    // this run, at most forgotten_max. Removed ones that are waited for stand among the consumers.
    std::vector<std::string> forgotten;
    static constexpr std::size_t forgotten_max = 32;
    std::uint64_t dedup_ids = 0;
    std::uint64_t erased_persons = 0;  // of whom events may be held
    // Raw identifiers: why the cache takes none now (empty: it does), whether for want of room, how many wait
    // for the next try, and how many were given up because more than identities_waiting_max waited.
    std::string identities_trouble;
    bool vault_full = false;
    std::uint64_t identities_waiting = 0;
    std::uint64_t identities_lost = 0;
    static constexpr std::size_t identities_waiting_max = 10'000;
    std::vector<ConsumerState> consumers;
};

class EventStore {
  public:
    struct Options {
        std::filesystem::path folder;  // {store.path}/events
        // Of used pages: here intake stops, and at nine tenths of it shedding begins. The file can become
        // larger by the two that follow (store/README.md, "Bounds").
        std::uint64_t bytes_max = 4ull << 30;
        // The journal's hard bound: what it holds has been taken over from the broker and still fits.
        std::uint64_t journal_bytes = 64u << 20;
        std::uint64_t reserve_bytes = 32u << 20;  // for deletes and positions only
        // Older events expire, for everybody. 0: no age limit.
        PerStream<std::chrono::hours> age_max;
        // A pull consumer that was not seen for longer, or (0: off) holds more than so many bytes alone, is
        // given gaps for what waits for it. 0 hours: it may stay away.
        std::chrono::hours consumer_age_max{30 * 24};
        std::uint64_t consumer_bytes_max = 0;
        // A push destination that is not configured any more is waited for this long.
        std::chrono::hours removed_age_max{7 * 24};
        // How long an event that nobody waits for may wait for company: a commit costs 33 to 60 KB of flash
        // whatever it holds.
        std::chrono::milliseconds commit_interval{1000};
        // Dedup window: an id is remembered this long, or until so many newer ones came, whichever is first.
        // At most 19 bytes of memory and 12 bytes of disk an id.
        std::chrono::hours dedup_age{24};
        std::uint64_t dedup_ids = 1'000'000;
        std::string boot_id;
        std::vector<ConsumerSpec> consumers;
        // After an end that was not orderly: a child walks through the file first (Environment::readable), so
        // that a damaged page costs an epoch and not every start.
        bool look_first = false;
        // Somebody in this program follows the log (live pictures): what all consumers have is kept until he
        // has it durably, too (followed_to()). Only age and the bound take it before.
        bool followed = false;
        // Bounds of what waits in memory for the committer; submit() says full beyond them.
        std::size_t waiting_events_max = 20'000;
        std::size_t waiting_bytes_max = 16u << 20;
        // Taken by value, for tests: a fixed epoch and dedup seed. Empty: random.
        std::function<std::uint64_t()> random;
    };

    // Opens or makes the environment. A damaged one is moved aside (events.damaged-N) and a new epoch begins
    // with a gap row in every stream. `cache` and `clock` must outlive the store.
    // Fails with io, locked, format_too_new, wrong_machine: the box needs a person.
    static Result<std::unique_ptr<EventStore>> open(Options options, Cache& cache, const Clock& clock);
    ~EventStore();  // stop()

    // The journal position that stands in LMDB: read before the journal is opened. Empty in a new store.
    std::optional<JournalPosition> journal_position() const;
    // Starts the store thread. The journal id is written with every position from now on. `on_horizon` is
    // called after every flush, `on_failure` once if the disk refuses a write or flush that must not be
    // repeated: the caller ends the program (systemd starts it again, the journal holds what was not
    // durable).
    void start(JournalPosition journal, std::function<void(HorizonNote)> on_horizon,
               std::function<void(Error)> on_failure);
    // Commits and flushes everything submitted, then ends the thread. Idempotent.
    void stop();

    // Fails with full: keep it, and try again after the next on_horizon (what waits has a bound). One that
    // erases persons begins a commit at once; it fails with full, too, when erased_max would be passed:
    // nothing was erased then. `erased` with invalid_argument: a pseudonym that is empty or longer than
    // pseudonym_bytes_max.
    Result<void> submit(Submission&& submission);
    // True while submit() has room for `events` more.
    bool has_room(std::size_t events) const;
    // True while the disk or the bound has no room for more events: close the link to the broker, answer 503.
    // What was taken over before is still to be submitted: has_room() says whether. Deletes go on.
    bool disk_full() const;

    // The platform has everything of `stream` up to and including `last`. Seen by has-acknowledged readers at
    // once, written with the next commit; after a power cut it may have to be said again. Never moves back.
    // Fails with not_found (no such consumer) or invalid_argument (beyond the horizon).
    Result<void> acknowledge(const std::string& consumer, Stream stream, Sequence last);
    // Makes a pull consumer that begins at `from`, or gives an existing one these streams (a stream that it
    // did not read before begins at `from`, but not before where it stood). The same again changes nothing.
    // Fails with invalid_argument (a name outside [a-z0-9-]{1,64}, a push destination's name, no stream) or
    // full (consumers_max).
    Result<void> put_consumer(const ConsumerSpec& spec, From from);
    // A pull consumer, or a push destination that is no longer configured: what it alone held is deleted.
    // Fails with not_found or refused (a configured push destination).
    Result<void> erase_consumer(const std::string& name);
    // Moves positions, also back; streams without a value stay. What is not held any more comes as gaps.
    // Fails with not_found, or invalid_argument (beyond the horizon, or a stream that it does not read):
    // nothing was moved then.
    Result<void> seek(const std::string& consumer, const PerStream<std::optional<Sequence>>& acknowledged);
    // A sign of life of a pull consumer; acknowledge() is one, too.
    void touch(const std::string& consumer);
    // All of these are seen by readers at once and written with the next commit.

    // Calls `done` on the store thread once a flush covers everything that was said before (submit,
    // acknowledge, record_gap, put_consumer, erase_consumer, seek), and begins a commit at once if one is
    // needed. Events that wait for room on the disk are not waited for. After a stop or a failure `done`
    // gets an error: stopped, or the disk's. Calls it with full, or stopped, before it returns when
    // durable_waiting_max wait already, or the store thread has ended.
    void when_durable(std::function<void(Result<void>)> done);
    static constexpr std::size_t durable_waiting_max = 1'000;
    static constexpr std::size_t consumers_max = 32;  // pull consumers
    // Erased persons of whom events may be held, about 130 bytes of the file each.
    static constexpr std::uint64_t erased_max = 100'000;
    static constexpr std::size_t pseudonym_bytes_max = 64;

    // Who follows the log needs nothing up to these numbers again, also after a power cut. Never moves back.
    // A commit is made for it only where it lets something go. REQUIRES: Options::followed
    void followed_to(const PerStream<Sequence>& last);

    // Rows for what was parked or rejected by one consumer; seen by readers at once, and committed before the
    // acknowledgement that passes it. REQUIRES: has_gap_room(1)
    void record_gap(Gap gap);
    // What waits to be written has a bound; without room, try again after the next on_horizon.
    bool has_gap_room(std::size_t gaps) const;

    // Changes whenever events may be read with less of a person than before. What was read under an earlier
    // number must not be sent again: read it anew. Take the number before reading.
    std::uint64_t persons_generation() const noexcept;
    // What somebody else decides about persons (a consent) has changed. Call it once readers see the change.
    void note_persons_changed() noexcept;

    Sequence horizon(Stream stream) const noexcept;
    Sequence acknowledged(const std::string& consumer, Stream stream) const;
    const std::string& epoch() const noexcept;
    StoreStats stats() const;

    // For reading between a position and the horizon. Each thread that reads makes its own.
    std::unique_ptr<EventReader> make_reader() const;

  private:
    class Impl;
    explicit EventStore(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace touchpoint::store
