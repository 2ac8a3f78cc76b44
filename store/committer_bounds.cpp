// The store thread and the finite disk: what a commit has room for, and what it gives up. The decisions are
// in bounds.cpp and retention.cpp.

#include <algorithm>
#include <iterator>
#include <utility>

#include "gateway/core/log.hpp"
#include "store/committer.hpp"

namespace touchpoint::store {
namespace {

constexpr std::chrono::milliseconds retry_full_every{1000};
constexpr std::uint64_t cramped_bytes = 1u << 20;  // shed at a time when pages are free but too scattered
constexpr std::uint64_t page_bytes = 4096;
constexpr std::chrono::hours shed_said_every{1};  // at the brim it begins again with every few commits

}  // namespace

bool EventStore::Impl::sheddable() const {
    return std::any_of(shed_order.begin(), shed_order.end(), [this](Stream stream) {
        const Sequence first = log_->fronts()[stream].first;
        return first != 0 && first <= source_->horizon_of(stream);
    });
}

Held EventStore::Impl::held(Stream stream) const {
    return {log_->fronts()[stream].first, source_->horizon_of(stream), log_->state().events[stream],
            log_->state().bytes[stream]};
}

// Takes out of `work` what stands behind its first `parts` submissions.
EventStore::Impl::Work EventStore::Impl::split(Work& work, std::size_t parts) {
    Work rest;
    const std::size_t events = parts == 0 ? 0 : work.parts[parts - 1].events;
    const auto cut = static_cast<std::ptrdiff_t>(events);
    std::move(work.events.begin() + cut, work.events.end(), std::back_inserter(rest.events));
    work.events.resize(events);
    rest.parts.assign(work.parts.begin() + static_cast<std::ptrdiff_t>(parts), work.parts.end());
    work.parts.resize(parts);
    rest.journal_end = std::exchange(work.journal_end, 0);
    for (const Part& part : work.parts) work.journal_end = std::max(work.journal_end, part.journal_end);
    for (Part& part : rest.parts) {
        part.events -= events;
        rest.bytes += part.bytes;
    }
    work.bytes -= rest.bytes;
    return rest;
}

// Room is looked for before the transaction: a commit must not meet a full disk half-way. What has no room
// waits, and acknowledgements and deletes go on, so that room can come.
Result<void> EventStore::Impl::make_room(Work& work) {
    const auto filled = source_->environment->fill_ahead(commit_bytes_worst(work.events.size(), work.bytes) +
                                                         fill_ahead_bytes);
    if (!filled && filled.error().code != Errc::full) return filled;
    const bool was_stuck = std::exchange(stuck_, !filled);
    if (stuck_ != was_stuck) {
        if (stuck_)
            log::error("store", "the disk has no room, only free pages in the file are used",
                       {{"file_bytes", source_->environment->file_bytes()}});
        else
            log::info("store", "the disk has room again");
    }
    if (stuck_) measure(Steady::now());
    marks_ = marks(room_.bytes_max, room_.journal_bytes,
                   stuck_ ? std::optional(source_->environment->file_bytes()) : std::nullopt);
    judge_bound();
    shed_bytes_ = shedding_ ? live_bytes_ - marks_.shed_to : 0;
    // Until something has gone the same pages would be looked through in vain; what needs single pages goes
    // on.
    if (!stuck_) cramped_.reset();
    const bool cramped = cramped_ && live_bytes_ >= *cramped_;
    if (cramped) shed_bytes_ = std::max(shed_bytes_, cramped_bytes);

    std::size_t fit = 0;
    std::uint64_t bytes = 0;
    for (; fit < work.parts.size() && !cramped; ++fit) {
        const std::uint64_t with = bytes + work.parts[fit].bytes;
        if (live_bytes_ + commit_bytes_worst(work.parts[fit].events, with) > marks_.commit_max) break;
        bytes = with;
    }
    const bool can_shed = sheddable();
    if (fit < work.parts.size()) {
        const Part& next = work.parts[fit];
        const std::uint64_t wanted = live_bytes_ + commit_bytes_worst(next.events, bytes + next.bytes);
        if (can_shed && wanted > marks_.commit_max)
            shed_bytes_ = std::max(shed_bytes_, wanted - marks_.commit_max);
        Work rest = split(work, fit);
        take_persons_out(rest.events,
                         work.erased);  // they were submitted before, and get their numbers after
        // Who waits for these events waits on, unless nobody knows how long.
        const bool soon = can_shed || fit > 0;
        if (soon) rest.waiters = std::move(work.waiters);
        if (soon) work.waiters.clear();
        if (!soon) block(cramped ? "free pages are too scattered" : "the bound is reached");
        put_back(std::move(rest), soon ? std::chrono::milliseconds(0) : retry_full_every);
    }
    if (!can_shed) shed_bytes_ = 0;
    return {};
}

void EventStore::Impl::judge_bound() {
    const bool was_shedding = shedding_;
    if (live_bytes_ >= marks_.shed_from) shedding_ = true;
    if (live_bytes_ <= marks_.shed_to) shedding_ = false;
    if (!shedding_ || was_shedding || !sheddable()) return;
    if (shed_said_ && Steady::now() - *shed_said_ < shed_said_every) return;
    shed_said_ = Steady::now();
    log::error("store", "nearly full, the oldest events of low streams are shed",
               {{"live_bytes", live_bytes_}, {"limit_bytes", marks_.stop_at}});
}

void EventStore::Impl::block(const std::string& why) {
    const std::lock_guard lock(mutex_);
    if (!blocked_ && !closed_) log::error("store", "no room, intake stops", {{"why", why}});
    blocked_ = true;
}

void EventStore::Impl::unblock() {
    const std::lock_guard lock(mutex_);
    if (blocked_ && !closed_) log::info("store", "room again, intake goes on", {{"live_bytes", live_bytes_}});
    blocked_ = false;
}

// Intake closes while there still is room for what has been taken over from the broker.
void EventStore::Impl::watch_bound() {
    judge_bound();
    const bool can_shed = sheddable();
    const std::lock_guard lock(mutex_);
    shed_again_ = can_shed && shedding_ && !failed_;  // else with the next try
    if (!closed_ && live_bytes_ >= marks_.stop_at && !can_shed) {
        if (!blocked_)
            log::error("store", "full, intake stops",
                       {{"live_bytes", live_bytes_}, {"limit_bytes", marks_.stop_at}});
        closed_ = true;
    } else if (closed_ && (live_bytes_ <= marks_.resume_at || can_shed)) {
        if (!blocked_) log::info("store", "room again, intake goes on", {{"live_bytes", live_bytes_}});
        closed_ = false;
    }
}

// As soon as our clock is trusted, and in the same transaction as the first event that it dates: afterwards
// nobody could tell any more how long the gateway was off. A clock that is wrong all the same only makes it
// keep longer.
void EventStore::Impl::leave_out_absence() {
    if (absence_left_out_ || !clock_.trusted()) return;
    const UtcTime opened = clock_.utc() - (clock_.since_boot() - opened_since_boot_);
    const auto txn = source_->environment->begin_read();
    if (!txn) return;
    const auto alive = log_->last_alive(*txn, opened);
    if (!alive) return;
    absence_left_out_ = true;
    if (*alive != UtcTime{} && *alive < opened) positions_.leave_out(*alive, opened - *alive);
}

void EventStore::Impl::forget_removed(const Retention::Look& look) {
    if (!look.now) return;
    positions_.settle_times(*look.now);
    for (const std::string& name : retention_.forgotten(positions_.all(), *look.now)) {
        log::warning("store", "a push destination that was removed is not waited for any more",
                     {{"consumer", name}});
        if (!positions_.erase(name)) continue;
        if (stats_.forgotten.size() < StoreStats::forgotten_max) stats_.forgotten.push_back(name);
    }
}

// The rows say it in the same transaction as the gaps.
void EventStore::Impl::plan_releases(Work& work) {
    if (!work.look.due) return;
    PerStream<Held> all;
    for (const Stream stream : all_streams) all[stream] = held(stream);
    work.releases = retention_.releases(work.positions, all, work.look.now);
    for (const Retention::Release& one : work.releases) {
        ConsumerState& consumer = work.positions.at(one.consumer);
        consumer.released[one.stream] = one.last;
        auto row = std::find_if(work.consumers.rows.begin(), work.consumers.rows.end(),
                                [&](const ConsumerState& other) { return other.name == one.consumer; });
        if (row == work.consumers.rows.end()) row = work.consumers.rows.insert(row, consumer);
        *row = consumer;
    }
}

void EventStore::Impl::plan_expiry(const Retention::Look& look) {
    if (!settled_now_) return;
    for (const Stream stream : all_streams) {
        // A look that ended at its limit goes on with each commit, not with each minute.
        if (!look.due && expiry_looked_[stream] == 0) continue;
        const Sequence from = std::exchange(expiry_looked_[stream], 0);
        const auto too_old = retention_.too_old(stream, *settled_now_);
        const EventLog::Front& front = log_->fronts()[stream];
        if (!too_old || front.first == 0) continue;
        if (front.trusted && front.recorded <= *settled_now_ && front.recorded >= *too_old) continue;
        const auto txn = source_->environment->begin_read();
        if (!txn) return;
        expiry_looked_[stream] = from;
        const auto through = log_->older_than(*txn, stream, *too_old, *settled_now_, expiry_looked_[stream]);
        if (through)
            expire_through_[stream] =
                std::max(expire_through_[stream], std::min(*through, source_->horizon_of(stream)));
    }
    const std::lock_guard lock(mutex_);
    if (expiry_looked_ != PerStream<Sequence>{} && !stopping_) write_soon();
}

bool EventStore::Impl::expiry_waits() const {
    return std::any_of(all_streams.begin(), all_streams.end(), [this](Stream stream) {
        const Sequence first = log_->fronts()[stream].first;
        return first != 0 && first <= expire_through_[stream];
    });
}

Result<void> EventStore::Impl::release(Transaction& txn, const Retention::Release& one, UtcTime now,
                                       Unsettled& gone) {
    const Gap gap{one.stream, one.consumer, one.first,
                  one.last,   "expired",    R"("why":")" + std::string(one.why) + '"',
                  now};
    gone.push_back({log_->state().commit + 1, one.stream, one.consumer, one.first, one.last});
    return log_->release(txn, gap);
}

// Expired events first: they are gone by a setting, the others by need.
Result<void> EventStore::Impl::give_up(Transaction& txn, UtcTime now, Unsettled& gone) {
    const auto note = [&](Stream stream, const EventLog::GivenUp& range) {
        if (range.first != 0) gone.push_back({log_->state().commit + 1, stream, "", range.first, range.last});
    };
    for (const Stream stream : all_streams) {
        const auto expired =
            log_->give_up(txn, stream, expire_through_[stream], EventLog::deletes_pages_max, "expired", now);
        if (!expired) return expired.error();
        note(stream, *expired);
    }
    std::uint64_t pages = (shed_bytes_ + page_bytes - 1) / page_bytes;
    for (const Stream stream : shed_order) {
        if (pages == 0) break;
        const auto shed = log_->give_up(txn, stream, source_->horizon_of(stream), pages, "shed", now);
        if (!shed) return shed.error();
        note(stream, *shed);
        pages -= std::min(pages, shed->pages);
    }
    return {};
}

}  // namespace touchpoint::store
