// How the live pictures follow the log: read ahead without the lock that reads want, folded in small parts
// under it.
#include <algorithm>
#include <thread>
#include <utility>

#include "gateway/profiles/live_pictures.hpp"

namespace touchpoint::gateway {
namespace {

constexpr std::uint64_t bytes_at_once = 256u << 10;

}  // namespace

// Behind each part whoever waits has his turn: a mutex is not fair, and who takes it again at once has it
// again. With 600,000 events to catch up with, a till's read waited for several parts (p99 12 ms).
void LivePictures::step_back(const std::atomic<int>& waiting) {
    for (int turn = 0; turn < turns_given_max && waiting.load(std::memory_order_relaxed) != 0; ++turn)
        std::this_thread::yield();
}

std::uint64_t LivePictures::behind() const {
    std::uint64_t events = 0;
    for (const Stream stream : followed_streams) {
        const Sequence horizon = store_.horizon(stream);
        const Sequence folded = folded_[static_cast<std::size_t>(stream)].load(std::memory_order_acquire);
        events += horizon - std::min(horizon, folded);
    }
    return events;
}

Result<bool> LivePictures::catch_up(std::uint64_t events_max) {
    if (behind() == 0) return true;
    // The horizon of those about persons first: whatever is stored beside one of them is seen, too.
    PerStream<Sequence> ends;
    for (auto stream = followed_streams.rbegin(); stream != followed_streams.rend(); ++stream)
        ends[*stream] = store_.horizon(*stream);
    for (;;) {
        const auto part = catch_up_some(ends, events_max);
        if (!part) return part.error();
        if (*part != Part::some) return *part == Part::all;
    }
}

// What was read ahead at once, so that nobody who wants to follow the log waits for more of somebody else's.
Result<LivePictures::Part> LivePictures::catch_up_some(const PerStream<Sequence>& ends,
                                                       std::uint64_t& events_max) {
    step_back(waiting_to_follow_);
    waiting_to_follow_.fetch_add(1, std::memory_order_relaxed);
    const std::lock_guard one_at_a_time(following_);
    waiting_to_follow_.fetch_sub(1, std::memory_order_relaxed);
    for (Cursor& cursor : cursors_.values) cursor.at_end = false;
    std::uint64_t left = std::min<std::uint64_t>(events_max, read_ahead_events);
    for (int stood = 0; stood <= reads_anew_max;) {
        const auto more = read_ahead(ends);
        if (!more) return more.error();
        if (!*more) {
            const std::lock_guard lock(mutex_);
            followed();
            return Part::all;
        }
        if (left == 0) return events_max == 0 ? Part::no_more : Part::some;
        step_back(waiting_);
        const auto some = fold_some(ends, std::min<std::uint64_t>(left, events_at_once));
        if (!some) return Part::no_more;
        stood = *some == 0 ? stood + 1 : 0;
        left -= *some;
        events_max -= *some;
    }
    return Part::no_more;
}

// Reads on where nothing is ahead any more, so that the event that was stored first is among them. False:
// there is nothing up to `ends`. REQUIRES: following_
Result<bool> LivePictures::read_ahead(const PerStream<Sequence>& ends) {
    if (forgets_seen_ != forgets_.load(std::memory_order_acquire)) forget_ahead();
    bool more = false;
    for (const Stream stream : followed_streams) {
        Cursor& cursor = cursors_[stream];
        const Sequence position = position_.numbers[stream];
        if (cursor.next == cursor.ahead.size() && position < ends[stream] && !cursor.at_end) {
            auto slice =
                cursor.reader->read(stream, position, std::string(), {bytes_at_once, read_ahead_events});
            if (!slice) return slice.error();
            cursor.ahead.clear();
            cursor.next = 0;
            for (const store::StoredEvent& event : slice->events) {
                Ahead one{event.sequence, event.recorded, event.gap >= 0, std::nullopt};
                if (!one.gap) one.told = read_touch(stream, event.sequence, event.recorded, event.members);
                cursor.ahead.push_back(std::move(one));
            }
            cursor.at_end = cursor.ahead.empty();
        }
    }
    for (const Stream stream : followed_streams) {
        const Cursor& cursor = cursors_[stream];
        more =
            more || (cursor.next < cursor.ahead.size() &&
                     (cursor.ahead[cursor.next].sequence <= ends[stream] || cursor.ahead[cursor.next].gap));
    }
    return more;
}

// How many; 0: somebody was forgotten, or a stream ran out: it must be read on. Nothing: what is in memory
// must be written down or told first. REQUIRES: following_
std::optional<std::uint64_t> LivePictures::fold_some(const PerStream<Sequence>& ends,
                                                     std::uint64_t events_max) {
    const std::lock_guard lock(mutex_);
    // Who was forgotten since is in what was read ahead, and not in the log any more.
    if (forgets_seen_ != forgets_.load(std::memory_order_relaxed)) return 0;
    std::uint64_t some = 0;
    for (; some < events_max; ++some) {
        if (dirty_ >= dirty_hard_max || joined_.size() >= told_max) break;
        Cursor* cursor = next_cursor(ends);
        if (cursor == nullptr) break;
        const Ahead one = std::move(cursor->ahead[cursor->next++]);
        if (one.told) take(*one.told);
        ++events_since_;
        position_.numbers[static_cast<Stream>(cursor - cursors_.values.data())] = one.sequence;
    }
    note_position();
    if (some == 0 && (dirty_ >= dirty_hard_max || joined_.size() >= told_max)) return std::nullopt;
    return some;
}

void LivePictures::note_position() {
    for (const Stream stream : followed_streams)
        folded_[static_cast<std::size_t>(stream)].store(position_.numbers[stream], std::memory_order_release);
}

void LivePictures::forget_ahead() {
    forgets_seen_ = forgets_.load(std::memory_order_acquire);
    for (Cursor& cursor : cursors_.values) {
        cursor.ahead.clear();
        cursor.next = 0;
        cursor.at_end = false;
    }
}

// The stream whose next event was stored first; nullptr: there is none, or one has to be read on first.
// REQUIRES: following_, the lock
LivePictures::Cursor* LivePictures::next_cursor(const PerStream<Sequence>& ends) {
    Cursor* first = nullptr;
    for (const Stream stream : followed_streams) {
        Cursor& cursor = cursors_[stream];
        if (cursor.next == cursor.ahead.size()) {
            if (position_.numbers[stream] >= ends[stream] || cursor.at_end) continue;
            return nullptr;
        }
        const Ahead& one = cursor.ahead[cursor.next];
        if (one.sequence > ends[stream] && !one.gap) continue;
        if (first == nullptr || one.recorded < first->ahead[first->next].recorded) first = &cursor;
    }
    return first;
}

Result<void> LivePictures::follow() {
    std::uint64_t place = folded();
    for (int stood = 0; stood < follow_stood_max;) {
        const auto read = catch_up(read_ahead_events);
        if (!read) return read.error();
        if (*read) return {};
        if (dirty() >= dirty_max)
            if (const auto written = checkpoint(); !written) return written;
        const std::uint64_t now = folded();
        stood = now == place ? stood + 1 : 0;
        // Those who were joined wait to be told: that is somebody else's to do.
        if (stood > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        place = now;
    }
    return fail(Errc::full, "too many links between customers wait to be told");
}

std::uint64_t LivePictures::folded() const {
    std::uint64_t events = 0;
    for (const auto& number : folded_) events += number.load(std::memory_order_acquire);
    return events;
}

}  // namespace touchpoint::gateway
