#include "store/event_store.hpp"

#include <pthread.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <random>

#include "gateway/core/assert.hpp"
#include "gateway/core/log.hpp"
#include "store/committer.hpp"
#include "store/event_reader.hpp"
#include "store/last_known.hpp"

namespace touchpoint::store {
namespace {

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

Result<void> EventStore::Impl::open() {
    const auto mark = options_.folder / "damaged";
    const std::string known = last_known(options_.folder);
    const std::string old_epoch = known.empty() ? "\"oldepoch\":null" : known;
    bool replaced = false;
    for (;;) {
        Result<void> opened = fail(Errc::damaged, "marked as damaged by an earlier run");
        if (options_.look_first && !replaced && !Environment::readable(options_.folder))
            opened = fail(Errc::damaged, "a page of data.mdb is damaged");
        else if (std::error_code looked; !std::filesystem::exists(mark, looked))
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
    positions_.reconcile(*log_, options_.consumers, now());
    opened_since_boot_ = clock_.since_boot();
    for (const Stream stream : all_streams) followed_[stream] = options_.followed ? 0 : ~Sequence{0};
    // A restart after kill -9 sees commits that stand in the page cache only.
    if (const auto flushed = flush(); !flushed) return flushed;
    for (const Stream stream : all_streams)
        source_->horizon[static_cast<std::size_t>(stream)] = log_->state().last[stream];
    stats_.horizon = log_->state().last;
    source_->erased_persons = log_->erased_persons();
    marks_ = marks(room_.bytes_max, room_.journal_bytes, std::nullopt);
    measure(Steady::now());
    watch_bound();
    refresh_stats();
    refresh_waiting(Steady::now());
    write_last_known(options_.folder, epoch_, log_->state().last);
    return {};
}

Result<void> EventStore::Impl::open_environment(const std::string& old_epoch_detail) {
    room_ =
        fit_address_space({options_.bytes_max, journal_room(options_.journal_bytes), options_.reserve_bytes},
                          sizeof(void*) * 8);
    auto environment = Environment::open(
        {.folder = options_.folder, .map_bytes = room_.map_bytes(), .tables = 0, .no_meta_sync = true});
    if (!environment) return environment.error();
    source_->environment = std::move(*environment);
    // What is held can be read and acknowledged without room on the disk, and free pages can be used again.
    if (const auto filled = source_->environment->fill_ahead(fill_ahead_bytes); !filled) {
        if (filled.error().code != Errc::full) return filled;
        log::warning("store", "no room on disk ahead of the events", {{"why", filled.error().context}});
    }
    auto txn = source_->environment->begin_write();
    if (!txn) return txn.error();
    const auto table = txn->open_table("");
    if (!table) return table.error();
    source_->table = *table;
    log_.emplace(options_.dedup_ids, options_.dedup_age);
    const auto loaded = log_->load(*txn, *table);
    if (loaded) return txn->commit();
    if (loaded.error().code != Errc::not_found) return loaded;
    const UtcTime time = clock_.utc();
    const auto created =
        log_->create(*txn, *table, hex16(options_.random()), options_.random(), time, old_epoch_detail);
    if (!created) return created;
    if (const auto committed = txn->commit(); !committed) return committed;
    log_->accept();
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
    if (!thread_.joinable()) return end_waiters(fail(Errc::stopped, "the store has stopped"));
    thread_.join();
    write_last_known(options_.folder, epoch_, log_->state().last);
}

Result<void> EventStore::Impl::submit(Submission&& submission) {
    std::size_t bytes = 0;
    bool urgent = false;
    for (const std::string& pseudonym : submission.erased)
        if (pseudonym.empty() || pseudonym.size() > pseudonym_bytes_max)
            return fail(Errc::invalid_argument, "a pseudonym is 1 to 64 bytes");
    for (const Event& event : submission.events) {
        TP_ASSERT(!event.members.empty());
        bytes += event.members.size();
        urgent = urgent || event.urgent;
    }
    {
        const std::lock_guard lock(mutex_);
        const bool first = waiting_.events.empty();
        if (stopping_) return fail(Errc::stopped, "the store is stopping");
        if (!first && !submission.events.empty() &&
            (waiting_.events.size() + submission.events.size() > options_.waiting_events_max ||
             waiting_.bytes + bytes > options_.waiting_bytes_max))
            return fail(Errc::full, "too much waits for the disk");
        if (const auto room = room_to_erase(submission.erased); !room) return room;
        std::move(submission.events.begin(), submission.events.end(), std::back_inserter(waiting_.events));
        std::move(submission.identities.begin(), submission.identities.end(),
                  std::back_inserter(waiting_.identities));
        std::move(submission.erased.begin(), submission.erased.end(), std::back_inserter(waiting_.erased));
        waited_ = waited_ || !waiting_.erased.empty();  // also where events have no room
        waiting_.journal_end = std::max(waiting_.journal_end, submission.journal_end);
        waiting_.bytes += bytes;
        waiting_.parts.push_back({waiting_.events.size(), submission.journal_end, bytes});
        urgent_ = urgent_ || urgent;
        write_soon();
    }
    wake_.notify_one();
    return {};
}

// Which of them are new is asked of the file only where it matters.
Result<void> EventStore::Impl::room_to_erase(const std::vector<std::string>& pseudonyms) const {
    if (pseudonyms.empty()) return {};
    const std::uint64_t before =
        source_->erased_persons.load(std::memory_order_acquire) + waiting_.erased.size();
    if (before + pseudonyms.size() <= erased_max) return {};
    const auto txn = source_->environment->begin_read();
    if (!txn) return txn.error();
    const auto fresh = EventLog::not_erased_yet(*txn, source_->table, pseudonyms);
    if (!fresh) return fresh.error();
    if (*fresh == 0 || before + *fresh <= erased_max) return {};
    return fail(Errc::full, "events of " + std::to_string(erased_max) +
                                " erased persons wait; let them be taken, or discard them");
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
    return blocked_ || closed_;
}

Result<void> EventStore::Impl::acknowledge(const std::string& consumer, Stream stream, Sequence last) {
    if (last > source_->horizon_of(stream))
        return fail(Errc::invalid_argument, "acknowledgement beyond the horizon");
    {
        const std::lock_guard lock(mutex_);
        const std::optional<bool> moved = positions_.acknowledge(consumer, stream, last, now());
        if (!moved) return fail(Errc::not_found, "no such consumer");
        if (!*moved) return {};
        write_soon();
    }
    wake_.notify_one();
    return {};
}

void EventStore::Impl::followed_to(const PerStream<Sequence>& last) {
    {
        const std::lock_guard lock(mutex_);
        bool moved = false;
        for (const Stream stream : all_streams) {
            if (last[stream] <= followed_[stream]) continue;
            followed_[stream] = last[stream];
            moved = true;
        }
        if (!moved || !follower_holds_) return;
        follower_moved_ = true;
        write_soon();
    }
    wake_.notify_one();
}

void EventStore::Impl::write_soon() {
    if (!deadline_) deadline_ = Steady::now() + options_.commit_interval;
}

Result<void> EventStore::Impl::put_consumer(const ConsumerSpec& spec, From from) {
    PerStream<Sequence> horizon;
    for (const Stream stream : all_streams) horizon[stream] = source_->horizon_of(stream);
    {
        const std::lock_guard lock(mutex_);
        const auto changed = positions_.put(spec, from, oldest_, horizon, now());
        if (!changed) return changed.error();
        if (!*changed) return {};
        write_soon();
    }
    wake_.notify_one();
    return {};
}

Result<void> EventStore::Impl::erase_consumer(const std::string& name) {
    {
        const std::lock_guard lock(mutex_);
        if (const auto erased = positions_.erase(name); !erased) return erased;
        write_soon();
    }
    wake_.notify_one();
    return {};
}

Result<void> EventStore::Impl::seek(const std::string& consumer,
                                    const PerStream<std::optional<Sequence>>& acknowledged) {
    for (const Stream stream : all_streams)
        if (acknowledged[stream] > source_->horizon_of(stream))
            return fail(Errc::invalid_argument, "a position beyond the horizon");
    {
        const std::lock_guard lock(mutex_);
        if (const auto moved = positions_.seek(consumer, acknowledged, now()); !moved) return moved;
        write_soon();
    }
    wake_.notify_one();
    return {};
}

void EventStore::Impl::touch(const std::string& consumer) {
    {
        const std::lock_guard lock(mutex_);
        if (!positions_.touch(consumer, now())) return;
        write_soon();
    }
    wake_.notify_one();
}

void EventStore::Impl::when_durable(Done done) {
    std::optional<Error> refused;
    {
        const std::lock_guard lock(mutex_);
        if (ended_) {
            refused = fail(Errc::stopped, "the store has stopped");
        } else if (waiting_.waiters.size() >= durable_waiting_max) {
            refused = fail(Errc::full, "too many wait for the disk");
        } else {
            waiting_.waiters.push_back(std::move(done));
            waited_ = true;
        }
    }
    if (refused) return done(*refused);
    wake_.notify_one();
}

void EventStore::Impl::answer(std::vector<Done>& waiters, const Result<void>& result) {
    for (const Done& done : std::exchange(waiters, {})) done(result);
}

void EventStore::Impl::end_waiters(const Error& why) {
    std::vector<Done> waiters;
    {
        const std::lock_guard lock(mutex_);
        ended_ = true;
        waiters = std::exchange(waiting_.waiters, {});
    }
    answer(waiters, why);
}

void EventStore::Impl::record_gap(Gap gap) {
    const std::lock_guard lock(mutex_);
    write_soon();
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

StoreStats EventStore::Impl::stats() const {
    const std::lock_guard lock(mutex_);
    StoreStats copy = stats_;
    copy.full = blocked_ || closed_;
    for (const auto& [name, consumer] : positions_.all()) copy.consumers.push_back(consumer);
    return copy;
}

EventStore::EventStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EventStore::~EventStore() = default;

Result<std::unique_ptr<EventStore>> EventStore::open(Options options, Cache& cache, const Clock& clock) {
    if (!options.random) options.random = system_random;
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
Result<void> EventStore::put_consumer(const ConsumerSpec& spec, From from) {
    return impl_->put_consumer(spec, from);
}
Result<void> EventStore::erase_consumer(const std::string& name) { return impl_->erase_consumer(name); }
Result<void> EventStore::seek(const std::string& consumer,
                              const PerStream<std::optional<Sequence>>& acknowledged) {
    return impl_->seek(consumer, acknowledged);
}
void EventStore::followed_to(const PerStream<Sequence>& last) { impl_->followed_to(last); }
void EventStore::touch(const std::string& consumer) { impl_->touch(consumer); }
void EventStore::when_durable(std::function<void(Result<void>)> done) {
    impl_->when_durable(std::move(done));
}
bool EventStore::has_gap_room(std::size_t gaps) const { return impl_->has_gap_room(gaps); }
void EventStore::record_gap(Gap gap) { impl_->record_gap(std::move(gap)); }
std::uint64_t EventStore::persons_generation() const noexcept {
    return impl_->source_->persons_generation.load(std::memory_order_acquire);
}
void EventStore::note_persons_changed() noexcept {
    impl_->source_->persons_generation.fetch_add(1, std::memory_order_acq_rel);
}
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
