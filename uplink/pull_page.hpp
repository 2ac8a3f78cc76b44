// What one answer to a puller holds: events of several streams, one stream behind the other, each in order.
//
// Threads: pure values; used on the reader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/event_reader.hpp"
#include "uplink/formats.hpp"

namespace touchpoint::uplink {

// Which types of events a puller wants: "store.pos.sale.v1,store.kiosk.*". A gap is always wanted: it
// explains numbers.
class TypeFilter {
  public:
    static constexpr std::size_t patterns_max = 32;
    static constexpr std::size_t pattern_bytes_max = 128;

    // An empty text wants everything. Empty result: too many or too long, an empty one, or a '*' elsewhere
    // than at the end.
    static std::optional<TypeFilter> parse(std::string_view text);
    bool wants_all() const { return patterns_.empty(); }
    bool wants(std::string_view type) const;

  private:
    std::vector<std::string> patterns_;  // a '*' at the end stands for anything
};

// An answer is filled by the leading stream first, then by the others in order of priority. The leading
// stream is the highest that has something, for `turns_for_highest` answers; then each other that has
// something leads one answer. So a reader whose answers are full with higher events still sees the lower
// ones: each stream that waits leads at least one of `turns` answers.
inline constexpr unsigned turns_for_highest = 8;
inline constexpr unsigned turns = turns_for_highest + stream_count - 1;
// The streams that have something, in the order in which they fill an answer.
std::vector<Stream> filling_order(const PerStream<std::uint64_t>& waiting, unsigned turn);

class PullPage {
  public:
    // `formatter` and `types` must outlive it.
    PullPage(const Formatter& formatter, Format format, const BatchLimits& limits, const TypeFilter& types)
        : formatter_(formatter), types_(types), body_(format, limits, limits.bytes_max / 8) {}

    // Appends the slice's events and moves `position` behind the last that was taken or is not wanted.
    // False: the answer is full.
    bool add(const store::Slice& slice, Sequence& position);
    std::size_t items() const { return body_.items(); }
    // Recorded time of the oldest event in it; 0: there is none.
    UtcTime oldest() const { return oldest_; }
    std::string finish() { return body_.finish(); }

  private:
    const Formatter& formatter_;
    const TypeFilter& types_;
    BodyText body_;
    UtcTime oldest_;
};

}  // namespace touchpoint::uplink
