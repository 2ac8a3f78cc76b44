#include "gateway/profiles/picture.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "gateway/profiles/profile_document.hpp"
#include "store/bytes.hpp"

namespace touchpoint::gateway {
namespace {

using store::append_little;
using store::append_text;
using store::ByteReader;

constexpr std::uint8_t format = 2;
constexpr std::string_view other_types = "other";

bool before(const Mark& a, const Mark& b) {
    return std::tie(a.recorded.ms, a.stream, a.sequence) < std::tie(b.recorded.ms, b.stream, b.sequence);
}

// Numbers of an epoch that is over say nothing about those of this one.
void forget_numbers(Picture& picture) {
    const auto forget = [](Mark& mark) { mark.sequence = 0; };
    for (Touch& touch : picture.touches) forget(touch.mark);
    for (auto& [type, counted] : picture.older)
        for (auto& [stream, mark] : counted.last) forget(mark);
    for (auto& line : picture.cart) forget(line.mark);
    if (picture.paid) forget(*picture.paid);
    if (picture.zone) forget(picture.zone->mark);
    for (auto& [purpose, consent] : picture.consents) forget(consent.mark);
}

void count(Picture& picture, const Touch& touch) {
    const bool room = picture.older.size() < Picture::types_max || picture.older.contains(touch.type);
    Picture::Counted& counted = picture.older[room ? touch.type : std::string(other_types)];
    ++counted.count;
    Mark& last = counted.last.try_emplace(touch.mark.stream, touch.mark).first->second;
    if (before(last, touch.mark)) last = touch.mark;
}

void keep_bounds(Picture& picture) {
    auto& touches = picture.touches;
    if (touches.size() > Picture::touches_max) {
        const auto end = touches.begin() + static_cast<std::ptrdiff_t>(touches.size() - Picture::touches_max);
        for (auto at = touches.begin(); at != end; ++at) count(picture, *at);
        touches.erase(touches.begin(), end);
    }
    for (std::size_t i = 0; i + Picture::recent_max < touches.size(); ++i) {
        touches[i].line.clear();
        touches[i].device.clear();
    }
}

// The streams are not read in one order. A sale begins a commit at once and takes along what waited for
// company: what was recorded with it was in the cart.
bool is_paid(const Mark& mark, const Mark& paid) {
    return mark.stream == paid.stream ? before(mark, paid) : mark.recorded <= paid.recorded;
}

void take_into_cart(Picture& picture, const CartChange& change, const Mark& mark) {
    if (picture.paid && is_paid(mark, *picture.paid)) return;
    if (change.kind == CartChange::Kind::clear) {
        picture.cart.clear();
        picture.paid = mark;
        return;
    }
    auto line = std::find_if(picture.cart.begin(), picture.cart.end(),
                             [&](const Picture::CartLine& one) { return one.item == change.item; });
    if (line == picture.cart.end()) {
        if (change.kind == CartChange::Kind::remove) return;
        if (picture.cart.size() >= Picture::cart_lines_max) return;
        line = picture.cart.insert(line, {change.item, 0, mark});
    }
    const std::int64_t by = change.kind == CartChange::Kind::remove ? -change.quantity : change.quantity;
    line->quantity = change.kind == CartChange::Kind::set ? change.quantity : line->quantity + by;
    if (before(line->mark, mark)) line->mark = mark;
    if (line->quantity <= 0) picture.cart.erase(line);
}

void pay(Picture& picture, const Mark& mark) {
    if (picture.paid && before(mark, *picture.paid)) return;
    picture.paid = mark;
    std::erase_if(picture.cart, [&](const Picture::CartLine& line) { return is_paid(line.mark, mark); });
}

// What came later counts; but a kiosk that was away and tells late of a grant does not undo a "no" that was
// said after it.
bool replaces(const Picture::Consent& held, const Picture::Consent& consent) {
    const bool late = consent.state == ConsentState::granted && held.state != ConsentState::granted &&
                      consent.since < held.since;
    return before(held.mark, consent.mark)
               ? !late
               : held.state == ConsentState::granted && consent.state != ConsentState::granted &&
                     held.since < consent.since;
}

void decide(Picture& picture, const std::string& purpose, const Picture::Consent& consent) {
    auto& consents = picture.consents;
    const auto held = consents.find(purpose);
    if (held != consents.end()) {
        // Of two refusals the time of the later one counts: one that came late must not let in a grant that
        // was made before the other.
        const UtcTime since = std::max(held->second.since, consent.since);
        const bool both_refuse =
            held->second.state != ConsentState::granted && consent.state != ConsentState::granted;
        if (replaces(held->second, consent)) held->second = consent;
        if (both_refuse) held->second.since = since;
        return;
    }
    // Invented purposes must not keep out those that decide something: of them the oldest leaves.
    if (consents.size() >= Picture::consents_max) {
        auto oldest = consents.end();
        for (auto at = consents.begin(); at != consents.end(); ++at)
            if (!purpose_named(at->first) &&
                (oldest == consents.end() || before(at->second.mark, oldest->second.mark)))
                oldest = at;
        if (oldest == consents.end()) return;
        consents.erase(oldest);
    }
    consents.emplace(purpose, consent);
}

void stand_in(Picture& picture, const Picture::Zone& zone) {
    if (!picture.zone || before(picture.zone->mark, zone.mark)) picture.zone = zone;
}

// Beacons overlap: who has come to another zone by now has not left that one.
void leave(Picture& picture, const Told& told, const Mark& mark) {
    if (told.zone && picture.zone && picture.zone->name != *told.zone) return;
    stand_in(picture, {std::string(), told.touch.device, mark});
}

void add_names(Picture& picture, const std::vector<std::string>& names) {
    for (const std::string& one : names)
        if (picture.names.size() < Picture::names_max &&
            std::find(picture.names.begin(), picture.names.end(), one) == picture.names.end())
            picture.names.push_back(one);
}

// Everything but names and owner.
void add(Picture& picture, const Picture& more) {
    picture.touches.insert(picture.touches.end(), more.touches.begin(), more.touches.end());
    std::stable_sort(picture.touches.begin(), picture.touches.end(),
                     [](const Touch& a, const Touch& b) { return before(a.mark, b.mark); });
    for (const auto& [type, counted] : more.older) {
        const bool room = picture.older.size() < Picture::types_max || picture.older.contains(type);
        Picture::Counted& mine = picture.older[room ? type : std::string(other_types)];
        mine.count += counted.count;
        for (const auto& [stream, mark] : counted.last) {
            Mark& last = mine.last.try_emplace(stream, mark).first->second;
            if (before(last, mark)) last = mark;
        }
    }
    if (more.paid) pay(picture, *more.paid);
    for (const Picture::CartLine& line : more.cart)
        take_into_cart(picture, {CartChange::Kind::add, line.item, line.quantity}, line.mark);
    if (more.zone) stand_in(picture, *more.zone);
    for (const auto& [purpose, consent] : more.consents) decide(picture, purpose, consent);
    picture.changed = std::max(picture.changed, more.changed);
    if (picture.epoch.empty()) picture.epoch = more.epoch;
    keep_bounds(picture);
}

// --- bytes

void append_time(std::string& out, UtcTime time) { append_little(out, static_cast<std::uint64_t>(time.ms)); }
UtcTime read_time(ByteReader& in) { return {static_cast<std::int64_t>(in.little<std::uint64_t>())}; }

void append_mark(std::string& out, const Mark& mark) {
    append_little(out, static_cast<std::uint8_t>(mark.stream));
    append_little(out, mark.sequence);
    append_time(out, mark.recorded);
}
Mark read_mark(ByteReader& in) {
    Mark mark;
    const auto stream = in.little<std::uint8_t>();
    mark.stream = stream < stream_count ? static_cast<Stream>(stream) : Stream::telemetry;
    mark.sequence = in.little<std::uint64_t>();
    mark.recorded = read_time(in);
    return mark;
}

template <class Each>
void read_each(ByteReader& in, Each each) {
    for (auto count = in.little<std::uint32_t>(); count > 0 && in.ok(); --count) each();
}

}  // namespace

void fold(Picture& picture, const Told& told, const std::string& epoch) {
    if (picture.epoch != epoch) {
        forget_numbers(picture);
        picture.epoch = epoch;
    }
    const Mark& mark = told.touch.mark;
    picture.touches.push_back(told.touch);
    std::stable_sort(picture.touches.begin(), picture.touches.end(),
                     [](const Touch& a, const Touch& b) { return before(a.mark, b.mark); });
    picture.changed = std::max(picture.changed, mark.recorded);
    if (told.cart) take_into_cart(picture, *told.cart, mark);
    if (told.sale) pay(picture, mark);
    if (told.left)
        leave(picture, told, mark);
    else if (told.zone)
        stand_in(picture, {*told.zone, told.touch.device, mark});
    if (told.consent)
        for (const std::string& purpose : told.consent->purposes)
            decide(
                picture, purpose,
                {told.consent->state, std::min(told.touch.time, mark.recorded), told.consent->until, mark});
    keep_bounds(picture);
}

void absorb(Picture& person, Picture& session) {
    const std::string owner = session.owner;
    const std::string epoch = session.epoch;
    const UtcTime owned = session.owned, begun = session.begun, changed = session.changed;
    session.owner.clear();
    add(person, session);
    session = Picture{};
    session.owner = owner;
    session.owned = owned;
    session.begun = begun;
    session.epoch = epoch;
    session.changed = changed;
}

Picture together(const std::vector<Picture>& pictures) {
    Picture all;
    // First of all: of lines that are one afterwards some may be paid.
    for (const Picture& one : pictures)
        if (one.paid) pay(all, *one.paid);
    for (const Picture& one : pictures) {
        add(all, one);
        add_names(all, one.names);
    }
    return all;
}

bool forget_touches(Picture& picture, const Seen& seen, const std::string& epoch) {
    if (picture.epoch != epoch) forget_numbers(picture);
    const auto gone =
        std::erase_if(picture.touches, [&](const Touch& touch) { return seen.covers(touch.mark); });
    // Which of them it has seen is not known any more: as long as one of them is new, all are counted.
    const auto counted = std::erase_if(picture.older, [&](const auto& row) {
        const auto& last = row.second.last;
        return std::all_of(last.begin(), last.end(),
                           [&](const auto& one) { return seen.covers(one.second); });
    });
    return gone + counted > 0;
}

void forget_state(Picture& picture, const Seen& seen) {
    // A cart is one thing: the platform has all of its changes, or ours is the newer one.
    const bool cart_seen =
        std::all_of(picture.cart.begin(), picture.cart.end(),
                    [&](const Picture::CartLine& line) { return seen.covers(line.mark); }) &&
        (!picture.paid || seen.covers(*picture.paid));
    if (cart_seen) picture.cart.clear(), picture.paid.reset();
    if (picture.zone && seen.covers(picture.zone->mark)) picture.zone.reset();
}

// A "no" is told only when the platform surely has it: that its version is later says little about it.
void mark_told(Picture& picture, const Seen& seen) {
    for (auto& [purpose, consent] : picture.consents) {
        const bool surely = seen.by_numbers && consent.mark.sequence != 0;
        consent.told = seen.covers(consent.mark) && (surely || consent.state == ConsentState::granted);
    }
}

void forget_told(Picture& picture) {
    std::erase_if(picture.consents, [](const auto& row) { return row.second.told; });
}

Picture unseen(Picture picture, const Seen& seen, const std::string& epoch) {
    forget_touches(picture, seen, epoch);
    mark_told(picture, seen);
    forget_told(picture);
    forget_state(picture, seen);
    return picture;
}

std::string write_picture(const Picture& picture) {
    std::string out;
    append_little(out, format);
    append_text(out, picture.epoch);
    append_text(out, picture.owner);
    append_time(out, picture.owned);
    append_time(out, picture.begun);
    append_time(out, picture.changed);
    const auto append_count = [&](std::size_t n) { append_little(out, static_cast<std::uint32_t>(n)); };
    append_count(picture.touches.size());
    for (const Touch& touch : picture.touches) {
        append_mark(out, touch.mark);
        append_time(out, touch.time);
        append_text(out, touch.type);
        append_text(out, touch.device);
        append_text(out, touch.line);
    }
    append_count(picture.older.size());
    for (const auto& [type, counted] : picture.older) {
        append_text(out, type);
        append_little(out, counted.count);
        append_count(counted.last.size());
        for (const auto& [stream, mark] : counted.last) append_mark(out, mark);
    }
    append_count(picture.cart.size());
    for (const Picture::CartLine& line : picture.cart) {
        append_text(out, line.item);
        append_little(out, static_cast<std::uint64_t>(line.quantity));
        append_mark(out, line.mark);
    }
    append_count(picture.paid ? 1 : 0);
    if (picture.paid) append_mark(out, *picture.paid);
    append_count(picture.zone ? 1 : 0);
    if (picture.zone) {
        append_text(out, picture.zone->name);
        append_text(out, picture.zone->device);
        append_mark(out, picture.zone->mark);
    }
    append_count(picture.consents.size());
    for (const auto& [purpose, consent] : picture.consents) {
        append_text(out, purpose);
        append_little(out, static_cast<std::uint8_t>(consent.state));
        append_time(out, consent.since);
        append_count(consent.until ? 1 : 0);
        if (consent.until) append_time(out, *consent.until);
        append_mark(out, consent.mark);
    }
    append_count(picture.names.size());
    for (const std::string& one : picture.names) append_text(out, one);
    return out;
}

std::optional<Picture> read_picture(std::string_view bytes) {
    ByteReader in(bytes);
    if (in.little<std::uint8_t>() != format) return std::nullopt;
    Picture picture;
    picture.epoch = in.text();
    picture.owner = in.text();
    picture.owned = read_time(in);
    picture.begun = read_time(in);
    picture.changed = read_time(in);
    read_each(in, [&] {
        Touch touch;
        touch.mark = read_mark(in);
        touch.time = read_time(in);
        touch.type = in.text();
        touch.device = in.text();
        touch.line = in.text();
        picture.touches.push_back(std::move(touch));
    });
    read_each(in, [&] {
        Picture::Counted& counted = picture.older[std::string(in.text())];
        counted.count = in.little<std::uint64_t>();
        read_each(in, [&] {
            const Mark mark = read_mark(in);
            counted.last[mark.stream] = mark;
        });
    });
    read_each(in, [&] {
        Picture::CartLine line;
        line.item = in.text();
        line.quantity = static_cast<std::int64_t>(in.little<std::uint64_t>());
        line.mark = read_mark(in);
        picture.cart.push_back(std::move(line));
    });
    read_each(in, [&] { picture.paid = read_mark(in); });
    read_each(in, [&] {
        Picture::Zone zone;
        zone.name = in.text();
        zone.device = in.text();
        zone.mark = read_mark(in);
        picture.zone = std::move(zone);
    });
    read_each(in, [&] {
        Picture::Consent& consent = picture.consents[std::string(in.text())];
        const auto state = in.little<std::uint8_t>();
        consent.state = state >= 1 && state <= 3 ? static_cast<ConsentState>(state) : ConsentState::denied;
        consent.since = read_time(in);
        read_each(in, [&] { consent.until = read_time(in); });
        consent.mark = read_mark(in);
    });
    read_each(in, [&] { picture.names.emplace_back(in.text()); });
    if (!in.ok() || !in.at_end()) return std::nullopt;
    return picture;
}

}  // namespace touchpoint::gateway
