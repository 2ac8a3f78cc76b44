#include "store/committer.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "gateway/core/event_text.hpp"
#include "gateway/core/log.hpp"

namespace touchpoint::store {
namespace {

constexpr std::chrono::seconds measure_live_every{5};
constexpr std::chrono::milliseconds retry_full_every{1000};
constexpr std::chrono::seconds waiting_since_every{1};
// Identities that the cache did not take are tried again after the first pause, doubling up to the last.
constexpr std::chrono::seconds identities_pause_first{1};
constexpr std::chrono::seconds identities_pause_last{300};
// A group is committed at once when it has grown to this, even if nobody waits.
constexpr std::size_t group_events_due = 2'000;
constexpr std::size_t group_bytes_due = 1u << 20;

}  // namespace

bool EventStore::Impl::due(Steady::time_point now) const {
    const bool group = !blocked_ && (urgent_ || waiting_.events.size() >= group_events_due ||
                                     waiting_.bytes >= group_bytes_due);
    if (shed_again_ && !stopping_) return true;
    return group || waited_ || (deadline_ && *deadline_ <= now) || (stopping_ && deadline_);
}

// Waits until there is something to write and takes it. False: stopping, and everything is written.
bool EventStore::Impl::wait_for_work(Work& work) {
    std::unique_lock lock(mutex_);
    // Room on the disk comes back without anybody saying so.
    const std::chrono::milliseconds idle = closed_ ? retry_full_every : Retention::look_every;
    const auto look_at = Steady::now() + idle;
    while (!due(Steady::now()) && Steady::now() < look_at) {
        if (stopping_) return false;
        wake_.wait_until(lock, deadline_ ? std::min(*deadline_, look_at) : look_at);
    }
    work = Work{};
    std::swap(work, waiting_);
    urgent_ = waited_ = false;
    deadline_.reset();
    work.look = retention_.look(clock_);
    if (work.look.due) settled_now_ = work.look.now;
    leave_out_absence();
    forget_removed(work.look);
    work.consumers = positions_.take_changed(oldest_);
    work.positions = positions_.all();
    work.followed = followed_;
    // Room for what comes now is worth more than a picture after a power cut.
    if (blocked_ || closed_ || shedding_)
        for (const Stream stream : all_streams) work.followed[stream] = ~Sequence{0};
    work.let_go = std::exchange(follower_moved_, false);
    const std::lock_guard readers(source_->mutex);
    work.gaps.assign(source_->gaps.begin() + static_cast<std::ptrdiff_t>(gaps_taken_), source_->gaps.end());
    gaps_taken_ += work.gaps.size();
    return true;
}

void EventStore::Impl::run() {
    const std::optional<Error> failure = serve();
    end_waiters(failure ? *failure : fail(Errc::stopped, "the store has stopped"));
    if (failure) on_failure_(*failure);
}

// Until it is stopped, or the disk refuses what must not be repeated: that error is returned.
std::optional<Error> EventStore::Impl::serve() {
    Unflushed before;
    const auto end = [&before](Work& work, const Error& why) {
        answer(work.waiters, why);
        answer(before.waiters, why);
        return why;
    };
    for (Work work; wait_for_work(work);) {
        const auto began = Steady::now();
        if (const auto looked = make_room(work); !looked) return end(work, looked.error());
        plan_releases(work);
        plan_expiry(work.look);
        Unflushed done;
        done.began = began;
        const bool nothing = work.events.empty() && work.erased.empty() && work.journal_end == 0 &&
                             work.gaps.empty() && work.consumers.none() && !more_to_prune_ && !work.let_go &&
                             shed_bytes_ == 0 && !expiry_waits();
        // A commit that fails may have failed in its flush, and the kernel then drops what the flush covered.
        // Where it can fail for want of room and is to be tried again, that must not be the commit before.
        const bool tight = may_find_no_room();
        if (!nothing && before.any && tight)
            if (const auto flushed = settle(before); !flushed) return end(work, flushed.error());
        const Result<void> committed = nothing ? Result<void>{} : commit(work, done, tight);
        if (!committed && committed.error().code != Errc::full) {
            if (committed.error().code == Errc::damaged) std::ofstream(options_.folder / "damaged") << "1\n";
            return end(work, committed.error());
        }
        if (committed) {
            std::vector<Done>& until = done.any ? done.waiters : before.waiters;
            std::move(work.waiters.begin(), work.waiters.end(), std::back_inserter(until));
        } else {
            block(committed.error().context);
            failed_ = true;
            if (!work.events.empty() && stuck_) cramped_ = live_bytes_;
            put_back(std::move(work), retry_full_every);
        }
        // The flush inside this commit made the one before it durable (store/README.md, "Horizon").
        if (committed && done.any && before.any) publish(before);
        if (committed && done.any) before = std::move(done);
        if (!before.any) answer(before.waiters, {});  // there was nothing to write
        const auto now = Steady::now();
        measure(now);
        watch_bound();
        // It never waits with something that is not flushed: whatever makes work due was decided above.
        const bool giving_up = gives_up();
        if (before.any && (giving_up || !more_waits(now)))
            if (const auto flushed = settle(before); !flushed) return end(work, flushed.error());
        refresh_stats();
        if (giving_up)
            break;  // no room, and no time to wait for it: the journal keeps what could not be written
    }
    return std::nullopt;
}

bool EventStore::Impl::more_waits(Steady::time_point now) const {
    const std::lock_guard lock(mutex_);
    return due(now);
}

bool EventStore::Impl::gives_up() const {
    const std::lock_guard lock(mutex_);
    return stopping_ && blocked_;
}

// LMDB says "I/O error" for a page that found only half its room, and the code of a failed flush may be the
// same.
bool EventStore::Impl::may_find_no_room() const {
    return stuck_ || failed_ || source_->environment->disk_is_full();
}

Result<void> EventStore::Impl::commit(Work& work, Unflushed& done, bool tight) {
    const UtcTime now = clock_.utc();
    // The raw identifiers first: an event that names a pseudonym must not be durable before its vault row is.
    drop_identities(work);
    keep_identities(work.identities);
    auto txn = source_->environment->begin_write();
    if (!txn) return txn.error();
    std::vector<EventReader::Source::Unsettled> gone;
    bool held_back = false;
    const auto steps = [&]() -> Result<void> {
        auto outcome = log_->append(*txn, work.events, now, clock_.trusted(), settled_now_);
        if (!outcome) return outcome.error();
        const auto without = log_->erase_persons(*txn, work.erased, now, clock_.trusted());
        if (!without) return without;
        for (const Gap& gap : work.gaps)
            if (gap.consumer.empty() || work.positions.contains(gap.consumer))
                if (const auto put = log_->put_gap(*txn, gap); !put) return put;
        for (const std::string& name : work.consumers.erased)
            if (const auto erased = log_->erase_consumer(*txn, name); !erased) return erased;
        for (const ConsumerState& consumer : work.consumers.rows)
            if (const auto put = log_->put_consumer(*txn, consumer); !put) return put;
        for (const Retention::Release& one : work.releases)
            if (const auto let_go = release(*txn, one, now, gone); !let_go) return let_go;
        const auto pruned = log_->prune(*txn, work.positions, work.followed, held_back);
        if (!pruned) return pruned.error();
        more_to_prune_ = *pruned;
        if (const auto given_up = give_up(*txn, now, gone); !given_up) return given_up;
        if (const auto left = log_->prune_erased(*txn); !left) return left;
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
    bool no_room = false;
    if (result) {
        source_->unsettle(gone);  // a reader that sees this commit sees that, too
        result = txn->commit();
        if (!result) source_->settle_again(log_->state().commit + 1);
        // After a meta page that could not be written LMDB begins nothing any more: only a new start helps.
        no_room = !result && result.error().code == Errc::io && tight && source_->environment->begin_write();
    }
    if (!result) {
        log_->abandon();
        done = Unflushed{};
        return no_room ? fail(Errc::full, result.error().context) : result.error();
    }
    log_->accept();
    persons_erased(work);
    failed_ = false;
    if (!work.events.empty()) {
        cramped_.reset();
        unblock();
    }
    live_bytes_ += commit_bytes_likely(work.events.size(), work.bytes);  // until it is measured again
    done.any = true;
    done.commit = log_->state().commit;
    done.last = log_->state().last;
    done.journal_end = work.journal_end;
    done.gaps = work.gaps.size();
    const std::lock_guard lock(mutex_);
    follower_holds_ = held_back;
    for (const Retention::Release& one : work.releases)
        positions_.released(one.consumer, one.stream, one.last);
    ++stats_.commits;
    ++stats_.flushes;
    // A stop does not wait for deletes: they go on with the next start's commits.
    if ((more_to_prune_ || expiry_waits()) && !stopping_) {
        const bool hurry = shedding_ || blocked_ || closed_;
        const auto next = Steady::now() + (hurry ? std::chrono::milliseconds(0) : options_.commit_interval);
        deadline_ = std::min(deadline_.value_or(next), next);
    }
    return {};
}

// Readers see the rows now; what was read before may name somebody who is erased.
void EventStore::Impl::persons_erased(const Work& work) {
    source_->erased_persons.store(log_->erased_persons(), std::memory_order_release);
    if (!work.erased.empty()) source_->persons_generation.fetch_add(1, std::memory_order_acq_rel);
}

void EventStore::Impl::take_persons_out(std::vector<Event>& events, const std::vector<std::string>& erased) {
    if (erased.empty()) return;
    const std::unordered_set<std::string_view> gone(erased.begin(), erased.end());
    for (Event& event : events)
        take_person_out(event.stream, event.members,
                        [&](std::string_view pseudonym) { return gone.contains(pseudonym); });
}

// Whoever is erased is not put into the vault by what came before.
void EventStore::Impl::drop_identities(Work& work) {
    if (work.erased.empty()) return;
    const std::unordered_set<std::string_view> gone(work.erased.begin(), work.erased.end());
    const auto is_gone = [&](const Identity& one) { return gone.contains(one.pseudonym); };
    std::erase_if(work.identities, is_gone);
    std::erase_if(kept_identities_, is_gone);
}

// Into the vault. Where it does not take them now they are offered with a later commit again, at growing
// intervals; their events do not wait for it. What is refused is said once, and once when it is over.
void EventStore::Impl::keep_identities(std::vector<Identity>& fresh) {
    const auto now = Steady::now();
    const bool pausing = identities_pause_ != Steady::duration{};
    if (pausing)  // those that are in the vault need no place
        std::erase_if(fresh, [this](const Identity& one) {
            const auto known = cache_.sealed_identity(one.pseudonym);
            return known && known->has_value();
        });
    std::move(fresh.begin(), fresh.end(), std::back_inserter(kept_identities_));
    fresh.clear();
    std::optional<Error> trouble;
    const bool tried = !kept_identities_.empty() && now >= identities_retry_;
    if (tried) {
        if (const auto put = cache_.put_identities(kept_identities_); !put) trouble = put.error();
        if (!trouble) kept_identities_.clear();
        identities_pause_ = !trouble ? Steady::duration{}
                            : pausing
                                ? std::min<Steady::duration>(identities_pause_ * 2, identities_pause_last)
                                : identities_pause_first;
        identities_retry_ = now + identities_pause_;
    }
    if (trouble && !pausing)
        log::error("store", "identities not written, their events go on under the pseudonym",
                   {{"identities", kept_identities_.size()}, {"why", trouble->context}});
    if (tried && !trouble && pausing) log::info("store", "identities are written again");
    const std::size_t room = StoreStats::identities_waiting_max;
    const std::size_t lost = kept_identities_.size() - std::min(room, kept_identities_.size());
    kept_identities_.resize(kept_identities_.size() - lost);
    const std::lock_guard lock(mutex_);
    if (tried) {
        stats_.identities_trouble = trouble ? trouble->context : "";
        stats_.vault_full = trouble && trouble->code == Errc::full;
    }
    stats_.identities_waiting = kept_identities_.size();
    stats_.identities_lost += lost;
}

void EventStore::Impl::put_back(Work&& work, std::chrono::milliseconds retry_in) {
    const std::lock_guard lock(mutex_);
    follower_moved_ = follower_moved_ || work.let_go;
    for (Part& part : waiting_.parts) part.events += work.events.size();
    std::move(waiting_.parts.begin(), waiting_.parts.end(), std::back_inserter(work.parts));
    std::move(waiting_.events.begin(), waiting_.events.end(), std::back_inserter(work.events));
    std::move(waiting_.identities.begin(), waiting_.identities.end(), std::back_inserter(work.identities));
    std::move(waiting_.erased.begin(), waiting_.erased.end(), std::back_inserter(work.erased));
    waiting_.erased = std::move(work.erased);
    waiting_.parts = std::move(work.parts);
    waiting_.events = std::move(work.events);
    waiting_.identities = std::move(work.identities);
    waiting_.journal_end = std::max(waiting_.journal_end, work.journal_end);
    waiting_.bytes += work.bytes;
    positions_.not_written(work.consumers);
    std::move(work.waiters.begin(), work.waiters.end(), std::back_inserter(waiting_.waiters));
    gaps_taken_ -= work.gaps.size();
    deadline_ = Steady::now() + retry_in;
}

Result<void> EventStore::Impl::flush() {
    const auto flushed = source_->environment->sync();
    const std::lock_guard lock(mutex_);
    ++stats_.flushes;
    return flushed;
}

Result<void> EventStore::Impl::settle(Unflushed& before) {
    if (const auto flushed = flush(); !flushed) return flushed;
    publish(before);
    before = Unflushed{};
    return {};
}

// Everything up to `done` is durable: now it may be told.
void EventStore::Impl::publish(Unflushed& done) {
    refresh_stats();  // whoever is told something now may ask
    for (const Stream stream : all_streams)
        source_->horizon[static_cast<std::size_t>(stream)].store(done.last[stream],
                                                                 std::memory_order_release);
    source_->settle(done.commit);
    if (done.gaps > 0) {
        const std::lock_guard readers(source_->mutex);
        source_->gaps.erase(source_->gaps.begin(),
                            source_->gaps.begin() + static_cast<std::ptrdiff_t>(done.gaps));
        gaps_taken_ -= done.gaps;
    }
    {
        const std::lock_guard lock(mutex_);
        stats_.horizon = done.last;
        stats_.commit_times.add(
            std::chrono::duration_cast<std::chrono::microseconds>(Steady::now() - done.began));
    }
    if (on_horizon_) on_horizon_({done.commit, done.last, done.journal_end, std::move(done.settled)});
    refresh_waiting(Steady::now());
    answer(done.waiters, {});
}

void EventStore::Impl::measure(Steady::time_point now) {
    {
        const std::lock_guard lock(mutex_);
        const bool near = live_bytes_ >= marks_.shed_from / 10 * 9 || stuck_ || blocked_ || closed_;
        if (live_measured_ != Steady::time_point{} && now - live_measured_ < measure_live_every && !near)
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

// A few lookups for each consumer that is behind: headers only, and before the lock is taken.
std::map<std::string, PerStream<UtcTime>> EventStore::Impl::waiting_since() const {
    std::map<std::string, ConsumerState> consumers;
    {
        const std::lock_guard lock(mutex_);
        consumers = positions_.all();
    }
    std::map<std::string, PerStream<UtcTime>> since;
    const auto txn = source_->environment->begin_read();
    if (!txn) return since;
    for (const auto& [name, consumer] : consumers)
        for (const Stream stream : all_streams) {
            const Sequence done = consumer.acknowledged[stream];
            if (!consumer.streams[stream] || done >= log_->state().last[stream]) continue;
            if (const auto recorded = log_->recorded_behind(*txn, stream, done); recorded)
                since[name][stream] = *recorded;
        }
    return since;
}

// Behind the receipts, which never wait for it: under load, where the next commit is under way, at most once
// in waiting_since_every.
void EventStore::Impl::refresh_waiting(Steady::time_point now) {
    if (now - waiting_looked_ < waiting_since_every && more_waits(now)) return;
    waiting_looked_ = now;
    auto since = waiting_since();
    const std::lock_guard lock(mutex_);
    stats_.waiting_since = std::move(since);
}

void EventStore::Impl::refresh_stats() {
    const std::lock_guard lock(mutex_);
    oldest_ = before_oldest();
    stats_.epoch = epoch_;
    stats_.events = log_->state().events;
    stats_.bytes = log_->state().bytes;
    for (const Stream stream : all_streams) {
        const EventLog::Front& front = log_->fronts()[stream];
        stats_.first[stream] = front.first == 0 ? log_->state().last[stream] + 1 : front.first;
        stats_.oldest[stream] = front.recorded;
    }
    stats_.live_bytes = live_bytes_;
    stats_.limit_bytes = marks_.stop_at;
    stats_.shed_bytes = marks_.shed_from;
    stats_.shedding = shedding_ && sheddable();
    stats_.disk_full = stuck_;
    stats_.shed = log_->state().shed;
    stats_.expired = log_->state().expired;
    stats_.released = log_->state().released;
    stats_.file_bytes = source_->environment->used_bytes();
    stats_.dedup_ids = log_->dedup_ids();
    stats_.erased_persons = log_->erased_persons();
}

PerStream<Sequence> EventStore::Impl::before_oldest() const {
    PerStream<Sequence> before;
    for (const Stream stream : all_streams) before[stream] = log_->before_oldest(stream);
    return before;
}

}  // namespace touchpoint::store
