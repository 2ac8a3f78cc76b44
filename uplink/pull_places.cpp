#include "uplink/pull_places.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "gateway/core/json_text.hpp"

namespace touchpoint::uplink {
namespace {

constexpr std::size_t gone_gaps_max = 20;  // rows that explain what is gone, for each stream

Refusal beyond(Stream stream, Sequence asked, Sequence horizon) {
    Refusal refusal;
    refusal.fault = PullFault::cursor_beyond;
    refusal.detail = fmt::format("{} is asked for after {}, and ends at {}", name(stream), asked, horizon);
    return refusal;
}

// The position before the oldest event held. The gap that begins an epoch belongs to everybody, as for a new
// consumer (store/positions.hpp).
Result<Sequence> before_oldest(Stream stream, const Extent& extent, const store::EventReader& reader) {
    const Sequence before = extent.first[stream] - 1;
    if (before != 1) return before;
    const auto rows = reader.gaps(stream, 0, "", 1);
    if (!rows) return rows.error();
    const bool begins = !rows->empty() && rows->front().first == 1 && rows->front().last == 1;
    return begins ? 0 : before;
}

}  // namespace

Pulled<Cursor> checked_cursor(const std::string& text, const Extent& extent) {
    auto cursor = decode_cursor(text);
    Refusal refusal;
    if (!cursor) {
        refusal.fault = PullFault::bad_cursor;
        refusal.detail =
            "this is not a cursor of this gateway: take it unchanged from Touchpoint-Next-Cursor";
        return refusal;
    }
    if (cursor->epoch != extent.epoch) {
        refusal.fault = PullFault::cursor_epoch;
        refusal.detail = "this cursor is of an earlier numbering; the present epoch is " + extent.epoch +
                         ": read on without a cursor, from its oldest event";
        refusal.members = "\"epoch\":" + json_string(extent.epoch);
        return refusal;
    }
    for (const Stream stream : all_streams)
        if (cursor->positions[stream].value_or(0) > extent.horizon[stream])
            return beyond(stream, *cursor->positions[stream], extent.horizon[stream]);
    return std::move(*cursor);
}

Pulled<Positions> positions_of(const PullPlace& place, const PerStream<bool>& streams, const Extent& extent,
                               const store::EventReader& reader) {
    Positions positions;
    if (place.kind == PullPlace::Kind::cursor) {
        auto cursor = checked_cursor(place.cursor, extent);
        if (!cursor) return cursor.error();
        for (const Stream stream : all_streams)
            if (streams[stream]) positions[stream] = cursor->positions[stream];
        return positions;
    }
    for (const Stream stream : all_streams) {
        if (!streams[stream]) continue;
        Result<Sequence> found = extent.horizon[stream];
        if (place.kind == PullPlace::Kind::oldest) found = before_oldest(stream, extent, reader);
        if (place.kind == PullPlace::Kind::time) found = reader.at_time(stream, place.time);
        if (!found)
            return Refusal{PullFault::store_io, "the store cannot be read", "", std::chrono::seconds(5)};
        if (place.kind == PullPlace::Kind::sequences) {
            const auto& next = place.sequences[stream];
            if (!next) continue;
            if (*next == 0) return Refusal{PullFault::bad_request, "a sequence counts from 1", "", {}};
            if (*next - 1 > extent.horizon[stream]) return beyond(stream, *next - 1, extent.horizon[stream]);
            found = *next - 1;
        }
        positions[stream] = std::min(*found, extent.horizon[stream]);
    }
    return positions;
}

std::optional<Refusal> gone_before(const Positions& positions, const Extent& extent,
                                   const std::string& consumer, const store::EventReader& reader) {
    std::string gone;
    std::string words;
    for (const Stream stream : all_streams) {
        const Sequence first = extent.first[stream];
        if (!positions[stream] || *positions[stream] + 1 >= first) continue;
        const auto oldest = before_oldest(stream, extent, reader);
        if (!oldest)
            return Refusal{PullFault::store_io, "the store cannot be read", "", std::chrono::seconds(5)};
        if (*positions[stream] >= *oldest) continue;
        const Sequence asked = *positions[stream] + 1;
        std::string rows;
        if (const auto gaps = reader.gaps(stream, *positions[stream], consumer, gone_gaps_max); gaps)
            for (const store::Gap& gap : *gaps)
                if (gap.first < first)
                    rows += fmt::format(R"({}{{"first":{},"last":{},"reason":{},"time":"{}"}})",
                                        rows.empty() ? "" : ",", gap.first, gap.last, json_string(gap.reason),
                                        to_rfc3339(gap.time));
        gone += fmt::format(R"({}{{"stream":"{}","asked":{},"first_available":{},"gaps":[{}]}})",
                            gone.empty() ? "" : ",", name(stream), asked, first, rows);
        words += fmt::format("{}{} begins at {}", words.empty() ? "" : ", ", name(stream), first);
    }
    if (gone.empty()) return std::nullopt;
    return Refusal{
        PullFault::gone, words + "; what is before it is not held any more", "\"gone\":[" + gone + "]", {}};
}

}  // namespace touchpoint::uplink
