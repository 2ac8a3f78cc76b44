#include "gateway/profiles/live_pictures.hpp"

#include <algorithm>
#include <iterator>
#include <thread>
#include <utility>

#include "gateway/core/log.hpp"
#include "store/keys.hpp"

namespace touchpoint::gateway {
namespace {

// Quarantine holds messages that broke a rule: they say nothing about anybody. Of one commit they are taken
// in this order.
constexpr std::array<Stream, 4> followed_streams = {Stream::telemetry, Stream::interactions, Stream::sales,
                                                    Stream::customer};
constexpr std::uint64_t bytes_at_once = 256u << 10;

}  // namespace

LivePictures::LivePictures(store::EventStore& store, store::Pictures& rows, const Clock& clock,
                           std::string session_key)
    : store_(store), rows_(rows), clock_(clock), session_key_(std::move(session_key)) {
    for (const Stream stream : followed_streams) cursors_[stream].reader = store_.make_reader();
    const auto position = rows_.position();
    if (position && position->epoch == store_.epoch()) position_ = *position;
    position_.epoch = store_.epoch();
    // A power cut can take back what a position in the cache was written for: then the numbers are given
    // anew.
    for (const Stream stream : followed_streams)
        position_.numbers[stream] = std::min(position_.numbers[stream], store_.horizon(stream));
    note_position();
    followed();
}

std::unique_lock<std::mutex> LivePictures::enter() const {
    waiting_.fetch_add(1, std::memory_order_relaxed);
    std::unique_lock lock(mutex_);
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    return lock;
}

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
    step_back(waiting_to_follow_);
    waiting_to_follow_.fetch_add(1, std::memory_order_relaxed);
    const std::lock_guard one_at_a_time(following_);
    waiting_to_follow_.fetch_sub(1, std::memory_order_relaxed);
    // The horizon of those about persons first: whatever is stored beside one of them is seen, too.
    PerStream<Sequence> ends;
    for (auto stream = followed_streams.rbegin(); stream != followed_streams.rend(); ++stream)
        ends[*stream] = store_.horizon(*stream);
    for (Cursor& cursor : cursors_.values) cursor.at_end = false;
    int stood = 0;
    for (;;) {
        const auto more = read_ahead(ends);
        if (!more) return more.error();
        if (!*more) break;
        if (events_max == 0 || stood > reads_anew_max) return false;
        step_back(waiting_);
        const auto some = fold_some(ends, std::min<std::uint64_t>(events_max, events_at_once));
        if (!some) return false;
        stood = *some == 0 ? stood + 1 : 0;
        events_max -= *some;
    }
    const std::lock_guard lock(mutex_);
    followed();
    return true;
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

// How many; nothing: what is in memory must be written down or told first. REQUIRES: following_
std::optional<std::uint64_t> LivePictures::fold_some(const PerStream<Sequence>& ends,
                                                     std::uint64_t events_max) {
    const std::lock_guard lock(mutex_);
    // Who was forgotten since is in what was read ahead, and not in the log any more.
    if (forgets_seen_ != forgets_.load(std::memory_order_relaxed)) return 0;
    std::uint64_t some = 0;
    for (; some < events_max; ++some) {
        if (dirty_ >= dirty_hard_max || news_.joined.size() >= told_max) break;
        Cursor* cursor = next_cursor(ends);
        if (cursor == nullptr) break;
        const Ahead& one = cursor->ahead[cursor->next++];
        if (one.told) take(*one.told);
        ++events_since_;
        position_.numbers[static_cast<Stream>(cursor - cursors_.values.data())] = one.sequence;
    }
    note_position();
    if (some == 0 && (dirty_ >= dirty_hard_max || news_.joined.size() >= told_max)) return std::nullopt;
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

// What needs not be read again. REQUIRES: the lock
void LivePictures::followed() {
    if (dirty_ == 0 && !writing_) let_go(position_.numbers);
}

void LivePictures::let_go(PerStream<Sequence> last) {
    last[Stream::quarantine] = ~Sequence{0};  // is not followed
    store_.followed_to(last);
}

std::string LivePictures::session_name(const Told& told) const {
    return "session" + store::keyed_hash(session_key_, told.session);
}

void LivePictures::take(const Told& told) {
    std::string person = told.person;
    if (!told.session.empty()) {
        Entry& session = entry(session_name(told));
        Picture& picture = session.picture;
        const UtcTime now = told.touch.mark.recorded;
        if (picture.changed + session_idle < now) picture = Picture{};  // somebody else stands there by now
        if (!picture.owner.empty() && is_forgotten(picture)) picture = Picture{};
        const bool identified = !person.empty() && picture.owner != person;
        if (person.empty()) person = picture.owner;
        if (picture.begun.ms == 0) picture.begun = now;
        if (person.empty()) {
            fold(picture, told, position_.epoch);
        } else {
            // Whoever says his name in a running session is who did all of it: until then, nobody was.
            if (identified && picture.owner.empty() && !picture.touches.empty()) {
                Entry& whose = entry(person);
                if (whose.picture.begun.ms == 0) whose.picture.begun = now;
                if (!picture.consents.empty()) store_.note_persons_changed();
                absorb(whose.picture, picture);
                changed(whose);
            }
            // A clock that was ahead when he was first known does not end his sessions.
            if (picture.owner != person) picture.owned = std::max(now, entry(person).picture.begun);
            picture.owner = person;
            picture.changed = std::max(picture.changed, now);
            picture.epoch = position_.epoch;
        }
        if (told.session_end) picture = Picture{};
        changed(session);
    }
    if (person.empty()) return;
    Entry& whose = entry(person);
    if (whose.picture.begun.ms == 0) whose.picture.begun = told.touch.mark.recorded;
    fold(whose.picture, told, position_.epoch);
    changed(whose);
    // Events of his that wait, repeats among them, may have to leave under another name.
    if (told.consent || !told.same_as.empty()) store_.note_persons_changed();
    tell(person);
    keep_together(whose.picture);
    if (told.consent && told.consent->state != ConsentState::granted)  // their rows say so, too
        for (const std::string& name : std::vector<std::string>(whose.picture.names)) changed(entry(name));
    if (told.same_as.empty()) return;
    std::vector<std::string> said = {told.person};
    said.insert(said.end(), told.same_as.begin(), told.same_as.end());
    std::vector<std::string> all = joined(said, told.touch.mark.recorded);
    if (!all.empty()) news_.joined.push_back({std::move(all), told.touch.mark});
}

// Its owner was erased since he said who he is; what is known of the name now began later, or nothing is.
bool LivePictures::is_forgotten(const Picture& session) {
    const UtcTime begun = entry(session.owner).picture.begun;
    return begun.ms == 0 || begun > session.owned;
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

// What was stored before the platform spoke comes before its word.
Result<void> LivePictures::join(const std::vector<std::string>& names) {
    const auto read = follow();
    link(names);  // also when not all could be read: the platform's word is not said again
    const auto written = checkpoint();
    return read ? written : read;
}

void LivePictures::link(const std::vector<std::string>& names) {
    const auto lock = enter();
    (void)joined(names, clock_.utc());
}

std::vector<std::string> LivePictures::joined(const std::vector<std::string>& said, UtcTime when) {
    std::vector<std::string> all;
    std::size_t left_out = 0;
    const auto add = [&](const std::string& name) {
        if (std::find(all.begin(), all.end(), name) != all.end()) return;
        if (all.size() < Picture::names_max)
            all.push_back(name);
        else
            ++left_out;
    };
    for (const std::string& name : said) {
        const std::vector<std::string> known = entry(name).picture.names;
        if (known.empty()) add(name);
        for (const std::string& one : known) add(one);
    }
    for (std::size_t i = 0; i < all.size(); ++i)
        for (const std::string& one : std::vector<std::string>(entry(all[i]).picture.names)) add(one);
    if (left_out != 0 && when - too_many_names_said_ >= say_again_after) {
        too_many_names_said_ = when;
        log::warning("gateway",
                     "a customer has more names than are kept together; the others stay by themselves",
                     {{"names_max", Picture::names_max}});
    }
    bool news = false;
    for (const std::string& name : all) {
        Entry& one = entry(name);
        if (one.picture.names == all) continue;
        one.picture.names = all;
        // Nobody may have touched anything under this name: it is not old for that.
        if (one.picture.begun.ms == 0) one.picture.begun = when;
        one.picture.changed = std::max(one.picture.changed, when);
        changed(one);
        tell(name);
        news = true;
    }
    return news ? all : std::vector<std::string>();
}

// Rows leave by age, and a person's names must not leave one by one: whoever comes with one card only would
// lose the other one's link while this side still has it.
void LivePictures::keep_together(const Picture& picture) {
    for (const std::string& name : std::vector<std::string>(picture.names)) {
        Entry& one = entry(name);
        if (one.picture.changed + names_refreshed >= picture.changed) continue;
        one.picture.changed = picture.changed;
        changed(one);
    }
}

// He himself, or one of the names that are one person with him: without its link the refusal would not be
// found.
bool LivePictures::refuses(const Picture& picture) const {
    const auto says_no = [](const Picture& one) {
        return std::any_of(one.consents.begin(), one.consents.end(),
                           [](const auto& consent) { return consent.second.state != ConsentState::granted; });
    };
    return says_no(picture) ||
           std::any_of(picture.names.begin(), picture.names.end(), [&](const std::string& name) {
               if (const auto found = at_.find(name); found != at_.end())
                   return says_no(found->second->picture);
               const auto row = rows_.get(name);
               const auto read = row && *row ? read_picture(**row) : std::nullopt;
               return read && says_no(*read);
           });
}

void LivePictures::tell(const std::string& name) {
    if (news_.names.size() < told_max && (news_.names.empty() || news_.names.back() != name))
        news_.names.push_back(name);
}

LivePictures::News LivePictures::take_news() {
    const auto lock = enter();
    return std::exchange(news_, {});
}

// --- in memory

LivePictures::Entry& LivePictures::entry(const std::string& key) {
    if (const auto found = at_.find(key); found != at_.end()) {
        entries_.splice(entries_.begin(), entries_, found->second);
        return *found->second;
    }
    make_room();
    entries_.push_front({key, {}, false, false});
    at_.emplace(key, entries_.begin());
    Entry& fresh = entries_.front();
    const auto row = rows_.get(key);
    fresh.unread = !row;
    if (row && *row)
        if (auto picture = read_picture(**row)) fresh.picture = std::move(*picture);
    return fresh;
}

// What is written down leaves memory; what is not, or is just being written, stays.
void LivePictures::make_room() {
    if (writing_ || entries_.size() < entries_max) return;
    // Whoever asks for another one still holds the last few.
    const auto held = std::next(entries_.begin(), held_max);
    auto at = entries_.end();
    while (entries_.size() >= entries_max && at != held) {
        --at;
        if (at->dirty) continue;
        at_.erase(at->key);
        at = entries_.erase(at);
    }
}

void LivePictures::changed(Entry& entry) {
    entry.gone = false;
    if (entry.dirty || entry.unread) return;
    entry.dirty = true;
    ++dirty_;
}

// REQUIRES: the lock
std::vector<std::string> LivePictures::with_joined(std::span<const std::string> names) {
    std::vector<std::string> all;
    const auto add = [&](const std::string& name) {
        if (std::find(all.begin(), all.end(), name) == all.end()) all.push_back(name);
    };
    for (const std::string& name : names) add(name);
    for (std::size_t i = 0; i < all.size(); ++i)
        for (const std::string& other : std::vector<std::string>(entry(all[i]).picture.names)) add(other);
    return all;
}

std::vector<std::string> LivePictures::all_names(std::vector<std::string> names) {
    const auto lock = enter();
    return with_joined(names);
}

bool LivePictures::nothing_of(std::span<const std::string> names) {
    const auto lock = enter();
    return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
        if (const auto found = at_.find(name); found != at_.end())
            return !found->second->unread && found->second->picture.empty();
        const auto row = rows_.get(name);
        return row && !*row;
    });
}

std::vector<Picture> LivePictures::each(std::span<const std::string> names) {
    const auto lock = enter();
    std::vector<Picture> pictures;
    for (const std::string& name : names) pictures.push_back(entry(name).picture);
    return pictures;
}

Picture LivePictures::of(std::span<const std::string> names) { return together(each(names)); }

std::vector<std::string> LivePictures::joined_with(const std::string& name) {
    const auto lock = enter();
    const Entry& one = entry(name);
    return one.picture.names.empty() ? std::vector<std::string>{name} : one.picture.names;
}

void LivePictures::seen(std::span<const std::string> names, const Seen& seen) {
    const auto lock = enter();
    // Beyond it nothing is lost: what it has seen is left out at each read.
    if (dirty_ >= dirty_hard_max) return;
    for (const std::string& name : names) {
        // A load of many profiles must not push those out of memory who are in the shop.
        if (!at_.contains(name)) {
            const auto row = rows_.get(name);
            if (!row || !*row) continue;
        }
        Entry& one = entry(name);
        if (forget_touches(one.picture, seen, position_.epoch)) changed(one);
    }
}

void LivePictures::forget(std::span<const std::string> names) {
    const auto lock = enter();
    forgets_.fetch_add(1, std::memory_order_release);
    // Nobody is told of him any more.
    std::erase_if(news_.joined, [&](const Joined& one) {
        return std::find_first_of(one.names.begin(), one.names.end(), names.begin(), names.end()) !=
               one.names.end();
    });
    for (const std::string& name : names) {
        // Whoever was joined with him loses the link, not himself.
        for (const std::string& other : std::vector<std::string>(entry(name).picture.names)) {
            Entry& one = entry(other);
            std::erase(one.picture.names, name);
            if (one.picture.names.size() < 2) one.picture.names.clear();
            changed(one);
        }
        Entry& one = entry(name);
        one.picture = Picture{};
        changed(one);
        one.gone = true;
    }
    // Sessions know their owner.
    for (Entry& one : entries_)
        if (!one.picture.owner.empty() &&
            std::find(names.begin(), names.end(), one.picture.owner) != names.end()) {
            one.picture = Picture{};
            changed(one);
            one.gone = true;
        }
}

// The others leave, together; who is in neither stays with the first ones.
Result<void> LivePictures::part(std::span<const std::string> ones, std::span<const std::string> others) {
    const auto read = follow();
    unlink(ones, others);
    const auto written = checkpoint();
    return read ? written : read;
}

void LivePictures::unlink(std::span<const std::string> ones, std::span<const std::string> others) {
    const auto lock = enter();
    const auto leaves = [&](const std::string& name) {
        return std::find(others.begin(), others.end(), name) != others.end() &&
               std::find(ones.begin(), ones.end(), name) == ones.end();
    };
    for (const std::string& name : with_joined(others)) {
        Entry& one = entry(name);
        const std::size_t before = one.picture.names.size();
        const bool gone = leaves(name);
        std::erase_if(one.picture.names, [&](const std::string& other) { return leaves(other) != gone; });
        if (one.picture.names.size() < 2) one.picture.names.clear();
        if (one.picture.names.size() != before) changed(one);
    }
}

// --- on the disk

std::size_t LivePictures::dirty() const {
    const auto lock = enter();
    return dirty_;
}

Result<void> LivePictures::checkpoint() {
    const std::lock_guard one_at_a_time(checkpoint_);
    std::vector<store::PictureRow> rows;
    std::vector<Picture> pictures;  // of the rows
    store::PicturesPosition position;
    {
        const auto lock = enter();
        if (dirty_ == 0 && events_since_ < position_every) return {};
        rows.reserve(dirty_);
        pictures.reserve(dirty_);
        // All of them: the position stands for every picture.
        for (Entry& one : entries_) {
            if (!one.dirty) continue;
            rows.push_back({one.key, std::nullopt, one.picture.changed});
            rows.back().refusal = refuses(one.picture);
            pictures.push_back(one.gone ? Picture{} : one.picture);
            one.dirty = false;
        }
        dirty_ = 0;
        events_since_ = 0;
        position = position_;
        writing_ = true;
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const Picture one = std::move(pictures[i]);
        if (!one.empty()) rows[i].plain = write_picture(one);
    }
    const UtcTime now = clock_.trusted() ? clock_.utc() : UtcTime{};
    auto written = write(rows, position, now);
    const auto lock = enter();
    writing_ = false;
    if (!written)
        for (const store::PictureRow& row : rows) changed_again(entry(row.key), !row.plain);
    // While they cannot be written the store must not fill up with what everybody else has.
    PerStream<Sequence> last = position.numbers;
    if (!written)
        for (const Stream stream : all_streams) last[stream] = store_.horizon(stream);
    let_go(last);
    return written;
}

// Many may be forgotten at once: those that go are written first, under the old position. To do that again
// changes nothing.
Result<void> LivePictures::write(std::vector<store::PictureRow>& rows,
                                 const store::PicturesPosition& position, UtcTime now) {
    const auto stays = [](const store::PictureRow& row) { return row.plain.has_value(); };
    const auto some =
        std::stable_partition(rows.begin(), rows.end(), [&](const auto& row) { return !stays(row); });
    std::span<const store::PictureRow> left(rows);
    auto gone = static_cast<std::size_t>(some - rows.begin());
    while (left.size() > store::Pictures::rows_max && gone > 0) {
        const std::size_t now_gone = std::min(gone, store::Pictures::rows_max);
        const auto before = rows_.position();
        if (!before) return before.error();
        if (const auto written = rows_.write(left.first(now_gone), *before, now); !written) return written;
        left = left.subspan(now_gone);
        gone -= now_gone;
    }
    return rows_.write(left, position, now);
}

void LivePictures::changed_again(Entry& entry, bool gone) {
    const bool since = entry.dirty;
    changed(entry);
    if (!since) entry.gone = gone;
}

}  // namespace touchpoint::gateway
