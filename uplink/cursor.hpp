// A place in the numbering, as a puller keeps it: opaque text, cumulative, good for one epoch.
//
//     base64url( version 01 | epoch text | turn u8 | which streams u8 | position of each (LEB128) | checksum
//     )
//
// Promised
//   A cursor that was cut off, mistyped or made up is refused, and not taken for another place (32 bits of
//   checksum: an accident, not an attack; whoever may pull may also seek).
//   Only letters, digits, '-' and '_': it may stand in a URL, a header and a file name as it is.
// Not promised
//   That the text stays the same in a later release: keep it, do not read it.
//
// Threads: pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/core/streams.hpp"

namespace touchpoint::uplink {

struct Cursor {
    std::string epoch;  // at most 32 bytes
    // The last number that is done with; nothing: the cursor does not speak of this stream.
    PerStream<std::optional<Sequence>> positions;
    // Which answer of a reader without a row comes next: pull_page.hpp, "leading_stream".
    std::uint8_t turn = 0;

    bool operator==(const Cursor&) const = default;
};

inline constexpr std::size_t cursor_text_max = 160;  // bytes; a longer one is not ours

std::string encode(const Cursor& cursor);
// Empty: not a cursor of ours.
std::optional<Cursor> decode_cursor(std::string_view text);

}  // namespace touchpoint::uplink
