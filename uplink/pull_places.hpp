// Where a puller wants to stand, against what there is: numbers out of cursors, times, "oldest" and "latest".
//
// A position is the last number that is done with; reading goes on behind it.
//
// Threads: pure, but for the functions with an EventReader: those on its thread.
#pragma once

#include <optional>
#include <string>

#include "gateway/core/result.hpp"
#include "gateway/core/streams.hpp"
#include "store/event_reader.hpp"
#include "uplink/cursor.hpp"
#include "uplink/pull.hpp"
#include "uplink/pull_refusal.hpp"

namespace touchpoint::uplink {

// What there is, for one moment.
struct Extent {
    std::string epoch;
    PerStream<Sequence> first;  // oldest number held; horizon + 1 when none
    PerStream<Sequence> horizon;
};

using Positions = PerStream<std::optional<Sequence>>;

// Fails with bad_cursor, cursor_epoch or cursor_beyond.
Pulled<Cursor> checked_cursor(const std::string& text, const Extent& extent);
// Of `streams`. Time and oldest look into the store.
// Fails as checked_cursor, with bad_request (a number 0), cursor_beyond, or store_io.
Pulled<Positions> positions_of(const PullPlace& place, const PerStream<bool>& streams, const Extent& extent,
                               const store::EventReader& reader);
// Says what is gone, and why, where a position stands before the oldest event held. Empty: nothing is.
std::optional<Refusal> gone_before(const Positions& positions, const Extent& extent,
                                   const std::string& consumer, const store::EventReader& reader);

}  // namespace touchpoint::uplink
