// What this store knows of one name of a customer (a pseudonym, or a running session) since the platform has
// seen it last: touches, counts, place, cart, consents, and which names were found to be the same person.
//
// A customer has several names; each has a picture of its own, and they are put together when somebody reads.
// So a merge moves nothing, and undoing one gives back exactly what was there.
//
// Promised
//   Bounded: touches_max touches, of which recent_max with their line; older ones are numbers only. Then
//   types_max types, cart_lines_max lines, consents_max purposes, names_max names.
//   Nothing counts twice: what the platform has seen is told by the platform.
//
// Threads: values, any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/profiles/touch.hpp"

namespace touchpoint::gateway {

// How far the platform has seen this store's events: by numbers where it says them, else by time.
struct Seen {
    bool by_numbers = false;
    PerStream<Sequence> numbers;
    UtcTime time;
    bool covers(const Mark& mark) const {
        return by_numbers && mark.sequence != 0 ? mark.sequence <= numbers[mark.stream]
                                                : mark.recorded <= time;
    }
};

struct Picture {
    static constexpr std::size_t touches_max = 128;
    static constexpr std::size_t recent_max = 20;
    static constexpr std::size_t types_max = 32;
    static constexpr std::size_t cart_lines_max = 50;
    static constexpr std::size_t consents_max = 16;
    static constexpr std::size_t names_max = 16;

    struct Counted {  // touches that are only numbers by now
        std::uint64_t count = 0;
        std::map<Stream, Mark> last;
        bool operator==(const Counted&) const = default;
    };
    struct CartLine {
        std::string item;
        std::int64_t quantity = 0;  // thousandths
        Mark mark;                  // of its last change
        bool operator==(const CartLine&) const = default;
    };
    struct Zone {
        std::string name;  // empty: left
        std::string device;
        Mark mark;
        bool operator==(const Zone&) const = default;
    };
    struct Consent {
        ConsentState state = ConsentState::denied;
        UtcTime since;
        std::optional<UtcTime> until;
        Mark mark;
        bool told = false;  // by the profile that this name leads to (forget_told()); not on the disk
        bool operator==(const Consent&) const = default;
    };

    std::string epoch;           // that the numbers in the marks belong to
    std::vector<Touch> touches;  // oldest first
    std::map<std::string, Counted> older;
    std::vector<CartLine> cart;
    std::optional<Mark> paid;  // what was put into the cart before it is not in it any more
    std::optional<Zone> zone;
    using Consents = std::map<std::string, Consent>;  // by purpose
    Consents consents;
    // Names that are the same person, this one among them, in the order in which they were found; empty: no
    // other. The first of them that has a profile is whose profile it is.
    std::vector<std::string> names;
    std::string owner;  // of a session: the pseudonym of who identified himself in it
    UtcTime owned;      // of a session: when he did. Known less long than that, he was forgotten since.
    UtcTime begun;      // recorded time of the first thing known; 0: nothing is
    UtcTime changed;    // recorded time of the last touch
    bool operator==(const Picture&) const = default;

    bool empty() const { return *this == Picture{}; }
};

// Adds what one event says. `epoch` is that of the log.
void fold(Picture& picture, const Told& told, const std::string& epoch);
// A session's picture becomes part of its owner's; what is left of it is the owner's name.
void absorb(Picture& person, Picture& session);
// Several pictures of one person as one, for reading.
Picture together(const std::vector<Picture>& pictures);
// Touches that the platform has seen leave; what else it has seen stays until it is read (unseen()). True:
// some did. So `older` holds only what is new since then: of more than touches_max that are, all count until
// the last of them is seen.
bool forget_touches(Picture& picture, const Seen& seen, const std::string& epoch);
// Cart and place that the platform has seen leave: it tells them.
void forget_state(Picture& picture, const Seen& seen);
// Marks the consents that the platform tells by itself now; and takes those out. Between the two pictures are
// put together, so that of two decisions the later one counts before one of them is left out.
void mark_told(Picture& picture, const Seen& seen);
void forget_told(Picture& picture);
// Both of it.
Picture unseen(Picture picture, const Seen& seen, const std::string& epoch);

std::string write_picture(const Picture& picture);
std::optional<Picture> read_picture(std::string_view bytes);

}  // namespace touchpoint::gateway
