#include "gateway/profiles/live_pictures.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "gateway/core/log.hpp"
#include "store/keys.hpp"

namespace touchpoint::gateway {

LivePictures::LivePictures(store::EventStore& store, store::Pictures& rows, const Clock& clock,
                           std::string session_key)
    : store_(store), rows_(rows), clock_(clock), session_key_(std::move(session_key)) {
    for (const Stream stream : followed_streams) cursors_[stream].reader = store_.make_reader();
    const auto position = rows_.position();
    if (position) joined_ = read_joined(position->untold);
    if (position && position->epoch == store_.epoch()) position_ = *position;
    position_.untold.clear();
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

// What needs not be read again. REQUIRES: the lock
void LivePictures::followed() {
    if (dirty_ == 0 && !told_ && !writing_) let_go(position_.numbers);
}

void LivePictures::let_go(PerStream<Sequence> last) {
    last[Stream::quarantine] = ~Sequence{0};  // is not followed
    store_.followed_to(last);
}

std::string LivePictures::session_name(const Told& told) const {
    return "session" + store::keyed_hash(session_key_, told.session);
}

void LivePictures::take(const Told& told) {
    if (!told.tells.empty()) return was_told(told.tells);
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
    if (!all.empty()) joined_.push_back({position_.epoch, std::move(all), told.touch.mark});
}

void LivePictures::was_told(const std::string& id) {
    const auto is_it = [&](const Joined& one) {
        // Ids are long; most links of a burst are told by that.
        return id.ends_with(std::to_string(one.mark.sequence)) && merge_id(one.epoch, one.mark) == id;
    };
    told_ = std::erase_if(telling_, is_it) + std::erase_if(joined_, is_it) != 0 || told_;
}

// Its owner was erased since he said who he is; what is known of the name now began later, or nothing is.
bool LivePictures::is_forgotten(const Picture& session) {
    const UtcTime begun = entry(session.owner).picture.begun;
    return begun.ms == 0 || begun > session.owned;
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
    if (changed_names_.size() < told_max && (changed_names_.empty() || changed_names_.back() != name))
        changed_names_.push_back(name);
}

std::vector<std::string> LivePictures::take_changed() {
    const auto lock = enter();
    return std::exchange(changed_names_, {});
}

std::vector<Joined> LivePictures::take_joined() {
    const auto lock = enter();
    std::vector<Joined> given, kept;
    for (Joined& one : joined_) {
        const bool waits = std::any_of(one.names.begin(), one.names.end(),
                                       [&](const std::string& name) { return leaving_.contains(name); });
        (waits ? kept : given).push_back(std::move(one));
    }
    joined_ = std::move(kept);
    telling_.insert(telling_.end(), given.begin(), given.end());
    if (telling_.size() > told_max) {
        log::warning("gateway",
                     "many links between customers wait for the store; after a power cut some are not told",
                     {{"kept", told_max}});
        telling_.erase(telling_.begin(), telling_.end() - static_cast<std::ptrdiff_t>(told_max));
    }
    return given;
}

std::vector<std::string> LivePictures::names_to_tell() const {
    const auto lock = enter();
    std::vector<std::string> names;
    for (const Joined& one : joined_) names.insert(names.end(), one.names.begin(), one.names.end());
    return names;
}

void LivePictures::forget_links(std::span<const std::string> names) {
    const auto lock = enter();
    drop_links(names);
}

void LivePictures::erasing(std::span<const std::string> names) {
    const auto lock = enter();
    drop_links(names);
    leaving_.insert(names.begin(), names.end());
}

void LivePictures::erased(std::span<const std::string> names) {
    const auto lock = enter();
    forgets_.fetch_add(1, std::memory_order_release);  // what was read ahead still names them
    drop_links(names);
    for (const std::string& name : names)
        if (const auto one = leaving_.find(name); one != leaving_.end()) leaving_.erase(one);
}

void LivePictures::drop_links(std::span<const std::string> names) {
    const auto is_gone = [&](const std::string& name) {
        return std::find(names.begin(), names.end(), name) != names.end();
    };
    const auto names_him = [&](const Joined& one) {
        return std::any_of(one.names.begin(), one.names.end(), is_gone);
    };
    // In a message that was given already the others lose their link with him.
    told_ = std::erase_if(telling_, names_him) != 0 || told_;
    for (Joined& one : joined_) told_ = std::erase_if(one.names, is_gone) != 0 || told_;
    std::erase_if(joined_, [](const Joined& one) { return one.names.size() < 2; });
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

// What is written down leaves memory; what is not, or is just being written, stays: it goes forward, so that
// not each one looks at it again.
void LivePictures::make_room() {
    if (writing_ || entries_.size() < entries_max) return;
    // Whoever asks for another one still holds the last few.
    const auto held = std::next(entries_.begin(), held_max);
    for (std::size_t looks = entries_.size() - held_max; looks > 0 && entries_.size() >= entries_max;
         --looks) {
        const auto last = std::prev(entries_.end());
        if (last->dirty) {
            entries_.splice(held, entries_, last);
        } else {
            at_.erase(last->key);
            entries_.erase(last);
        }
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
    drop_links(names);
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
    // What was not told yet of both sides is not so any more.
    const auto of_both = [&](const Joined& one) {
        const auto gone = std::count_if(one.names.begin(), one.names.end(), leaves);
        return gone != 0 && gone != std::ssize(one.names);
    };
    told_ = std::erase_if(telling_, of_both) != 0 || told_;
    for (Joined& one : joined_)
        if (of_both(one)) told_ = std::erase_if(one.names, leaves) != 0;
    std::erase_if(joined_, [](const Joined& one) { return one.names.size() < 2; });
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
        if (dirty_ == 0 && events_since_ < position_every && !told_) return {};
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
        std::vector<Joined> untold = telling_;
        untold.insert(untold.end(), joined_.begin(), joined_.end());
        position.untold = write_joined(untold);
        told_ = false;
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
    told_ = told_ || !written;
    if (!written)
        for (const store::PictureRow& row : rows) changed_again(entry(row.key), !row.plain);
    // While they cannot be written the store must not fill up with what everybody else has.
    PerStream<Sequence> last = position.numbers;
    if (!written)
        for (const Stream stream : all_streams) last[stream] = store_.horizon(stream);
    let_go(last);
    if (written) followed();
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
