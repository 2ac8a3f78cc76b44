#include "store/event_store.hpp"

#include <pthread.h>

#include <algorithm>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <random>
#include <thread>

#include "gateway/core/assert.hpp"
#include "gateway/core/json_text.hpp"
#include "gateway/core/log.hpp"
#include "store/event_log.hpp"
#include "store/event_reader.hpp"
#include "store/last_known.hpp"
#include "store/positions.hpp"
#include "store/reader_source.hpp"

namespace touchpoint::store {
namespace {

using Steady = std::chrono::steady_clock;  // only for how long the committer waits; never stored

constexpr std::uint64_t fill_ahead_bytes = 2u << 20;  // beyond what the next commit can need
constexpr std::chrono::seconds measure_live_every{5};
constexpr std::chrono::seconds retry_full_every{1};
constexpr std::size_t identities_waiting_max = 10'000;  // while the cache does not take them
constexpr std::size_t gaps_waiting_max = 20'000;        // twice the largest batch
// A group is committed at once when it has grown to this, even if nobody waits.
constexpr std::size_t group_events_due = 2'000;
constexpr std::size_t group_bytes_due = 1u << 20;

std::uint64_t system_random() {
    std::random_device device;
    return (static_cast<std::uint64_t>(device()) << 32) | device();
}

std::string hex16(std::uint64_t value) {
    constexpr char digits[] = "0123456789abcdef";
    std::string text(16, '0');
    for (std::size_t i = 16; i > 0; --i, value >>= 4) text[i - 1] = digits[value & 15];
    return text;
}

}  // namespace

class EventStore::Impl {
  public:
    Impl(Options options, Cache& cache, const Clock& clock)
        : options_(std::move(options)), cache_(cache), clock_(clock) {
        if (!options_.random) options_.random = system_random;
    }
    ~Impl() { stop(); }

    Result<void> open();
    void start(JournalPosition journal, std::function<void(HorizonNote)> on_horizon,
               std::function<void(Error)> on_failure);
    void stop();
    Result<void> submit(Submission&& submission);
    bool has_room(std::size_t events) const;
    bool disk_full() const;
    Result<void> acknowledge(const std::string& consumer, Stream stream, Sequence last);
    void record_gap(Gap gap);
    bool has_gap_room(std::size_t gaps) const;
    Sequence acknowledged(const std::string& consumer, Stream stream) const;
    StoreStats stats() const;

    std::optional<JournalPosition> journal_position_;
    std::string epoch_;
    std::shared_ptr<EventReader::Source> source_ = std::make_shared<EventReader::Source>();

  private:
    struct Work {
        std::vector<Event> events;
        std::vector<Identity> identities;
        std::uint64_t journal_end = 0;
        std::size_t bytes = 0;
        std::vector<Gap> gaps;
        std::vector<ConsumerState> consumers;  // rows to write
        // All of them as they will stand with this transaction: only what is written may decide a delete.
        Positions::ByName positions;
    };
    // Committed, and not yet known to be durable.
    struct Unflushed {
        bool any = false;
        std::uint64_t commit = 0;
        PerStream<Sequence> last;
        std::uint64_t journal_end = 0;
        std::vector<Settled> settled;
        std::size_t gaps = 0;
    };

    // The detail is for the gap rows of a new environment that follows on another; empty: there was none.
    Result<void> open_environment(const std::string& old_epoch_detail);
    void run();
    bool wait_for_work(Work& work);
    bool due(Steady::time_point now) const;  // REQUIRES: mutex_ held
    Result<void> commit(Work& work, Unflushed& done);
    void keep_back_what_has_no_room(Work& work);
    void put_back(Work&& work, const std::string& why);
    void keep_identities(Work& work, const Error& why);
    bool more_waits(Steady::time_point now) const;
    bool gives_up() const;
    Result<void> flush();
    void publish(Unflushed& done);
    void measure(Steady::time_point now);
    void refresh_stats();

    Options options_;
    Cache& cache_;
    const Clock& clock_;
    JournalPosition journal_;
    std::function<void(HorizonNote)> on_horizon_;
    std::function<void(Error)> on_failure_;

    // Confined to the store thread once it runs.
    std::optional<EventLog> log_;
    std::size_t gaps_taken_ = 0;  // of source_->gaps: in a transaction that is not durable yet
    Steady::time_point live_measured_{};
    std::uint64_t live_bytes_ = 0;
    bool more_to_prune_ = false;

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    // Guarded by mutex_.
    Work waiting_;
    bool urgent_ = false;
    std::optional<Steady::time_point> deadline_;
    bool blocked_ = false;  // the disk has no room for events: deletes and acknowledgements go on
    bool stopping_ = false;
    Positions positions_;
    StoreStats stats_;

    std::thread thread_;
};

Result<void> EventStore::Impl::open() {
    const auto mark = options_.folder / "damaged";
    const std::string known = last_known(options_.folder);
    const std::string old_epoch = known.empty() ? "\"oldepoch\":null" : known;
    bool replaced = false;
    for (;;) {
        Result<void> opened = fail(Errc::damaged, "marked as damaged by an earlier run");
        if (options_.look_first && !replaced && !Environment::readable(options_.folder))
            opened = fail(Errc::damaged, "a page of data.mdb is damaged");
        else if (!std::filesystem::exists(mark))
            opened = open_environment(replaced ? old_epoch : known);
        if (opened) break;
        if (opened.error().code == Errc::full) return fail(Errc::io, opened.error().context);
        if (opened.error().code != Errc::damaged || replaced) return opened;
        source_->environment.reset();
        const auto aside = set_aside(options_.folder);
        if (!aside) return aside.error();
        log::error("store", "the event store is damaged, a new epoch begins",
                   {{"why", opened.error().context}, {"kept_in", aside->string()}});
        replaced = true;
    }
    // An empty or vanished folder, of which the note beside it still knows, is a loss as well.
    stats_.replaced = replaced || (!known.empty() && known.find(log_->state().epoch) == std::string::npos);
    if (stats_.replaced && !replaced)
        log::error("store", "the event store is gone, a new epoch begins",
                   {{"folder", options_.folder.string()}});
    epoch_ = log_->state().epoch;
    journal_position_ = log_->state().journal;
    positions_.reconcile(*log_, options_.consumers);
    // A restart after kill -9 sees commits that stand in the page cache only.
    if (const auto flushed = flush(); !flushed) return flushed;
    for (const Stream stream : all_streams)
        source_->horizon[static_cast<std::size_t>(stream)] = log_->state().last[stream];
    stats_.horizon = log_->state().last;
    measure(Steady::now());
    refresh_stats();
    write_last_known(options_.folder, epoch_, log_->state().last);
    return {};
}

Result<void> EventStore::Impl::open_environment(const std::string& old_epoch_detail) {
    auto environment = Environment::open({.folder = options_.folder,
                                          .map_bytes = options_.bytes_max + options_.reserve_bytes,
                                          .tables = 0,
                                          .no_meta_sync = true});
    if (!environment) return environment.error();
    source_->environment = std::move(*environment);
    // What is held can be read and acknowledged without room on the disk, and free pages can be used again.
    if (const auto filled = source_->environment->fill_ahead(fill_ahead_bytes); !filled)
        log::warning("store", "no room on disk ahead of the events", {{"why", filled.error().context}});
    auto txn = source_->environment->begin_write();
    if (!txn) return txn.error();
    const auto table = txn->open_table("");
    if (!table) return table.error();
    source_->table = *table;
    log_.emplace(options_.dedup_ids, options_.dedup_age);
    const auto loaded = log_->load(*txn, *table);
    if (loaded) return txn->commit();
    if (loaded.error().code != Errc::not_found) return loaded;
    const UtcTime now = clock_.utc();
    const auto created =
        log_->create(*txn, *table, hex16(options_.random()), options_.random(), now, old_epoch_detail);
    if (!created) return created;
    if (const auto committed = txn->commit(); !committed) return committed;
    log_->accept(now);
    return {};
}

void EventStore::Impl::start(JournalPosition journal, std::function<void(HorizonNote)> on_horizon,
                             std::function<void(Error)> on_failure) {
    TP_ASSERT(!thread_.joinable());
    journal_ = std::move(journal);
    on_horizon_ = std::move(on_horizon);
    on_failure_ = std::move(on_failure);
    thread_ = std::thread([this] {
        pthread_setname_np(pthread_self(), "store");
        run();
    });
}

void EventStore::Impl::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_one();
    if (!thread_.joinable()) return;
    thread_.join();
    write_last_known(options_.folder, epoch_, log_->state().last);
}

Result<void> EventStore::Impl::submit(Submission&& submission) {
    std::size_t bytes = 0;
    bool urgent = false;
    for (const Event& event : submission.events) {
        TP_ASSERT(!event.members.empty());
        bytes += event.members.size();
        urgent = urgent || event.urgent;
    }
    {
        const std::lock_guard lock(mutex_);
        const bool first = waiting_.events.empty();
        if (stopping_) return fail(Errc::stopped, "the store is stopping");
        if (!first && (waiting_.events.size() + submission.events.size() > options_.waiting_events_max ||
                       waiting_.bytes + bytes > options_.waiting_bytes_max))
            return fail(Errc::full, "too much waits for the disk");
        std::move(submission.events.begin(), submission.events.end(), std::back_inserter(waiting_.events));
        std::move(submission.identities.begin(), submission.identities.end(),
                  std::back_inserter(waiting_.identities));
        waiting_.journal_end = std::max(waiting_.journal_end, submission.journal_end);
        waiting_.bytes += bytes;
        urgent_ = urgent_ || urgent;
        if (!deadline_) deadline_ = Steady::now() + options_.commit_interval;
    }
    wake_.notify_one();
    return {};
}

bool EventStore::Impl::has_room(std::size_t events) const {
    const std::lock_guard lock(mutex_);
    // What is larger than the bound alone goes when nothing waits, as submit() takes it.
    return !blocked_ &&
           (waiting_.events.empty() || (waiting_.events.size() + events <= options_.waiting_events_max &&
                                        waiting_.bytes < options_.waiting_bytes_max));
}

bool EventStore::Impl::disk_full() const {
    const std::lock_guard lock(mutex_);
    return blocked_;
}

Result<void> EventStore::Impl::acknowledge(const std::string& consumer, Stream stream, Sequence last) {
    if (last > source_->horizon_of(stream))
        return fail(Errc::invalid_argument, "acknowledgement beyond the horizon");
    {
        const std::lock_guard lock(mutex_);
        const std::optional<bool> moved = positions_.acknowledge(consumer, stream, last);
        if (!moved) return fail(Errc::not_found, "no such consumer");
        if (!*moved) return {};
        if (!deadline_) deadline_ = Steady::now() + options_.commit_interval;
    }
    wake_.notify_one();
    return {};
}

void EventStore::Impl::record_gap(Gap gap) {
    const std::lock_guard lock(mutex_);
    if (!deadline_) deadline_ = Steady::now() + options_.commit_interval;
    const std::lock_guard readers(source_->mutex);
    TP_ASSERT(source_->gaps.size() < gaps_waiting_max);
    source_->gaps.push_back(std::move(gap));
    wake_.notify_one();
}

bool EventStore::Impl::has_gap_room(std::size_t gaps) const {
    const std::lock_guard readers(source_->mutex);
    return source_->gaps.size() + gaps <= gaps_waiting_max;
}

Sequence EventStore::Impl::acknowledged(const std::string& consumer, Stream stream) const {
    const std::lock_guard lock(mutex_);
    return positions_.acknowledged(consumer, stream);
}

bool EventStore::Impl::due(Steady::time_point now) const {
    const bool group = !blocked_ && (urgent_ || waiting_.events.size() >= group_events_due ||
                                     waiting_.bytes >= group_bytes_due);
    return group || (deadline_ && *deadline_ <= now) || (stopping_ && deadline_);
}

// Waits until there is something to write and takes it. False: stopping, and everything is written.
bool EventStore::Impl::wait_for_work(Work& work) {
    std::unique_lock lock(mutex_);
    for (;;) {
        if (due(Steady::now())) break;
        if (stopping_) return false;
        if (deadline_)
            wake_.wait_until(lock, *deadline_);
        else
            wake_.wait(lock);
    }
    work = Work{};
    std::swap(work, waiting_);
    urgent_ = false;
    deadline_.reset();
    work.consumers = positions_.take_changed();
    work.positions = positions_.all();
    const std::lock_guard readers(source_->mutex);
    work.gaps.assign(source_->gaps.begin() + static_cast<std::ptrdiff_t>(gaps_taken_), source_->gaps.end());
    gaps_taken_ += work.gaps.size();
    return true;
}

void EventStore::Impl::run() {
    Unflushed before;
    for (Work work; wait_for_work(work);) {
        keep_back_what_has_no_room(work);
        Unflushed done;
        const bool nothing = work.events.empty() && work.journal_end == 0 && work.gaps.empty() &&
                             work.consumers.empty() && !more_to_prune_;
        const Result<void> committed = nothing ? Result<void>{} : commit(work, done);
        if (!committed && committed.error().code != Errc::full) {
            if (committed.error().code == Errc::damaged) std::ofstream(options_.folder / "damaged") << "1\n";
            on_failure_(committed.error());
            return;
        }
        if (!committed) put_back(std::move(work), committed.error().context);
        // The flush inside this commit made the one before it durable (store/README.md, "Horizon").
        if (committed && done.any && before.any) publish(before);
        if (committed && done.any) before = std::move(done);
        const auto now = Steady::now();
        const bool giving_up = gives_up();
        if (before.any && (giving_up || !more_waits(now))) {
            if (const auto flushed = flush(); !flushed) {
                on_failure_(flushed.error());
                return;
            }
            publish(before);
            before = Unflushed{};
        }
        measure(now);
        refresh_stats();
        if (giving_up)
            return;  // no room, and no time to wait for it: the journal keeps what could not be written
    }
}

bool EventStore::Impl::more_waits(Steady::time_point now) const {
    const std::lock_guard lock(mutex_);
    return due(now);
}

bool EventStore::Impl::gives_up() const {
    const std::lock_guard lock(mutex_);
    return stopping_ && blocked_;
}

// Disk space is looked for before the transaction: a commit must not meet a full disk half-way. Without room
// the events wait, and acknowledgements and deletes go on, so that room can come.
void EventStore::Impl::keep_back_what_has_no_room(Work& work) {
    if (work.events.empty()) return;
    Result<void> room;
    if (live_bytes_ + 2 * work.bytes > options_.bytes_max)
        room = fail(Errc::full, "the event store has reached its bound");
    else
        room = source_->environment->fill_ahead(2 * work.bytes + fill_ahead_bytes);
    if (room) {
        const std::lock_guard lock(mutex_);
        if (blocked_) log::info("store", "room on disk again, intake goes on", {{"live_bytes", live_bytes_}});
        blocked_ = false;
        return;
    }
    Work events;
    events.events = std::move(work.events);
    events.identities = std::move(work.identities);
    events.journal_end = std::exchange(work.journal_end, 0);
    events.bytes = std::exchange(work.bytes, 0);
    work.events.clear();
    work.identities.clear();
    put_back(std::move(events), room.error().context);
}

Result<void> EventStore::Impl::commit(Work& work, Unflushed& done) {
    const UtcTime now = clock_.utc();
    // The raw identifiers first: an event that names a pseudonym must not be durable before its vault row is.
    if (const auto put = cache_.put_identities(work.identities); !put) keep_identities(work, put.error());
    auto txn = source_->environment->begin_write();
    if (!txn) return txn.error();
    const auto steps = [&]() -> Result<void> {
        auto outcome = log_->append(*txn, work.events, now);
        if (!outcome) return outcome.error();
        for (const Gap& gap : work.gaps)
            if (const auto put = log_->put_gap(*txn, gap); !put) return put;
        for (const ConsumerState& consumer : work.consumers)
            if (const auto put = log_->put_consumer(*txn, consumer); !put) return put;
        const auto pruned = log_->prune(*txn, work.positions);
        if (!pruned) return pruned.error();
        more_to_prune_ = *pruned;
        std::optional<JournalPosition> journal;
        if (work.journal_end != 0) {
            journal = journal_;
            journal->offset = work.journal_end;
        }
        if (const auto put = log_->put_state(*txn, journal); !put) return put;
        done.settled = std::move(outcome->settled);
        const std::lock_guard lock(mutex_);
        stats_.duplicates += outcome->duplicates;
        stats_.ids_reused += outcome->ids_reused;
        return {};
    };
    Result<void> result = steps();
    if (result) result = txn->commit();
    if (!result) {
        log_->abandon();
        done = Unflushed{};
        return result;
    }
    log_->accept(now);
    live_bytes_ += work.bytes / 2;  // until it is measured again
    done.any = true;
    done.commit = log_->state().commit;
    done.last = log_->state().last;
    done.journal_end = work.journal_end;
    done.gaps = work.gaps.size();
    const std::lock_guard lock(mutex_);
    ++stats_.commits;
    ++stats_.flushes;
    // A stop does not wait for deletes: they go on with the next start's commits.
    if (more_to_prune_ && !deadline_ && !stopping_) deadline_ = Steady::now() + options_.commit_interval;
    return {};
}

// The cache does not take them now: they are offered with the next commit again. Their events do not wait for
// it.
void EventStore::Impl::keep_identities(Work& work, const Error& why) {
    const std::lock_guard lock(mutex_);
    const std::size_t room =
        identities_waiting_max - std::min(identities_waiting_max, waiting_.identities.size());
    const std::size_t kept = std::min(room, work.identities.size());
    log::error("store", "identities not written, their events go on under the pseudonym",
               {{"identities", work.identities.size()}, {"kept_for_later", kept}, {"why", why.context}});
    std::move(work.identities.begin(), work.identities.begin() + static_cast<std::ptrdiff_t>(kept),
              std::back_inserter(waiting_.identities));
}

void EventStore::Impl::put_back(Work&& work, const std::string& why) {
    const std::lock_guard lock(mutex_);
    if (!blocked_) log::error("store", "no room on disk, intake stops", {{"why", why}});
    blocked_ = true;
    std::move(waiting_.events.begin(), waiting_.events.end(), std::back_inserter(work.events));
    std::move(waiting_.identities.begin(), waiting_.identities.end(), std::back_inserter(work.identities));
    waiting_.events = std::move(work.events);
    waiting_.identities = std::move(work.identities);
    waiting_.journal_end = std::max(waiting_.journal_end, work.journal_end);
    waiting_.bytes += work.bytes;
    positions_.not_written(work.consumers);
    gaps_taken_ -= work.gaps.size();
    deadline_ = Steady::now() + retry_full_every;
}

Result<void> EventStore::Impl::flush() {
    const auto flushed = source_->environment->sync();
    const std::lock_guard lock(mutex_);
    ++stats_.flushes;
    return flushed;
}

// Everything up to `done` is durable: now it may be told.
void EventStore::Impl::publish(Unflushed& done) {
    for (const Stream stream : all_streams)
        source_->horizon[static_cast<std::size_t>(stream)].store(done.last[stream],
                                                                 std::memory_order_release);
    if (done.gaps > 0) {
        const std::lock_guard readers(source_->mutex);
        source_->gaps.erase(source_->gaps.begin(),
                            source_->gaps.begin() + static_cast<std::ptrdiff_t>(done.gaps));
        gaps_taken_ -= done.gaps;
    }
    {
        const std::lock_guard lock(mutex_);
        stats_.horizon = done.last;
    }
    if (on_horizon_) on_horizon_({done.commit, done.last, done.journal_end, std::move(done.settled)});
}

void EventStore::Impl::measure(Steady::time_point now) {
    {
        const std::lock_guard lock(mutex_);
        if (live_measured_ != Steady::time_point{} && now - live_measured_ < measure_live_every && !blocked_)
            return;
    }
    live_measured_ = now;
    source_->environment->drop_dead_readers();
    const auto txn = source_->environment->begin_read();
    if (!txn) return;
    const auto free = txn->free_pages();
    if (!free) return;
    const std::uint64_t used = source_->environment->used_bytes();
    live_bytes_ = used - std::min(used, *free * source_->environment->page_bytes());
}

void EventStore::Impl::refresh_stats() {
    const std::lock_guard lock(mutex_);
    stats_.epoch = epoch_;
    stats_.events = log_->state().events;
    stats_.bytes = log_->state().bytes;
    for (const Stream stream : all_streams) {
        const EventLog::Front& front = log_->fronts()[stream];
        stats_.first[stream] = front.first == 0 ? log_->state().last[stream] + 1 : front.first;
        stats_.oldest[stream] = front.recorded;
    }
    stats_.live_bytes = live_bytes_;
    stats_.limit_bytes = options_.bytes_max;
    stats_.file_bytes = source_->environment->used_bytes();
    stats_.dedup_ids = log_->dedup_ids();
}

StoreStats EventStore::Impl::stats() const {
    const std::lock_guard lock(mutex_);
    StoreStats copy = stats_;
    copy.full = blocked_;
    for (const auto& [name, consumer] : positions_.all()) copy.consumers.push_back(consumer);
    return copy;
}

EventStore::EventStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EventStore::~EventStore() = default;

Result<std::unique_ptr<EventStore>> EventStore::open(Options options, Cache& cache, const Clock& clock) {
    auto impl = std::make_unique<Impl>(std::move(options), cache, clock);
    if (const auto opened = impl->open(); !opened) return opened.error();
    return std::unique_ptr<EventStore>(new EventStore(std::move(impl)));
}

std::optional<JournalPosition> EventStore::journal_position() const { return impl_->journal_position_; }
void EventStore::start(JournalPosition journal, std::function<void(HorizonNote)> on_horizon,
                       std::function<void(Error)> on_failure) {
    impl_->start(std::move(journal), std::move(on_horizon), std::move(on_failure));
}
void EventStore::stop() { impl_->stop(); }
Result<void> EventStore::submit(Submission&& submission) { return impl_->submit(std::move(submission)); }
bool EventStore::has_room(std::size_t events) const { return impl_->has_room(events); }
bool EventStore::disk_full() const { return impl_->disk_full(); }
Result<void> EventStore::acknowledge(const std::string& consumer, Stream stream, Sequence last) {
    return impl_->acknowledge(consumer, stream, last);
}
bool EventStore::has_gap_room(std::size_t gaps) const { return impl_->has_gap_room(gaps); }
void EventStore::record_gap(Gap gap) { impl_->record_gap(std::move(gap)); }
Sequence EventStore::horizon(Stream stream) const noexcept { return impl_->source_->horizon_of(stream); }
Sequence EventStore::acknowledged(const std::string& consumer, Stream stream) const {
    return impl_->acknowledged(consumer, stream);
}
const std::string& EventStore::epoch() const noexcept { return impl_->epoch_; }
StoreStats EventStore::stats() const { return impl_->stats(); }
std::unique_ptr<EventReader> EventStore::make_reader() const {
    return std::make_unique<EventReader>(impl_->source_);
}

}  // namespace touchpoint::store
