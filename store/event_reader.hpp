// Reads events between a position and the durable horizon: chunks are copied out, the transaction ends, then
// they are unpacked. No transaction lives across I/O of others.
//
// Threads: confined to one thread at a time (the `reader` worker).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/core/clock.hpp"
#include "gateway/core/result.hpp"
#include "gateway/core/streams.hpp"
#include "store/event_store.hpp"

namespace touchpoint::store {

// One event as it is held, or a gap in the place of a missing range.
struct StoredEvent {
    Sequence sequence = 0;  // of a gap: its last number
    UtcTime recorded;       // when it was committed (the commit's time)
    // JSON members without braces: Event::members, with "idreused":true in front where it applies.
    // Points into the slice. Empty for a gap.
    std::string_view members;
    // Index into Slice::gaps, or -1.
    int gap = -1;
};

struct Slice {
    Stream stream = Stream::telemetry;
    std::vector<StoredEvent>
        events;  // in order, contiguous: each follows the one before or is a gap that does
    std::vector<Gap> gaps;
    std::uint64_t bytes = 0;  // of members
    // True when the slice ended at a limit and not at the horizon.
    bool more = false;

    // Owns what `members` points into.
    std::vector<std::shared_ptr<const std::string>> buffers;
};

class EventReader {
  public:
    struct Limits {
        std::uint64_t bytes_max = 1u << 20;  // of members; the first event is always given
        std::uint32_t events_max = 10'000;
    };
    class Source;  // the environment and the horizon it may read up to
    explicit EventReader(std::shared_ptr<const Source> source);
    ~EventReader();

    // Events of `stream` after `after`, as `consumer` is to see them. Missing numbers come as gaps; a chunk
    // that fails its checksum comes as a gap with reason "damaged". Fails with io only.
    Result<Slice> read(Stream stream, Sequence after, const std::string& consumer, Limits limits);

    // Gap rows of `stream` that end after `after`, up to the horizon, in order of their last numbers: those
    // for everybody and those for `consumer` alone; without a consumer those of all. At most `max`, and those
    // that end at the same number as the last of them. Not among them: chunks that are damaged, numbers that
    // no row explains. Fails with io only.
    Result<std::vector<Gap>> gaps(Stream stream, Sequence after, const std::optional<std::string>& consumer,
                                  std::size_t max) const;
    // The last number before the first event that was recorded at `time` or later: reading after it begins
    // there. Looks into O(log n) chunks; where our clock was set back the answer is one of the places where
    // the times pass `time`. The horizon when everything is older. Fails with io only.
    Result<Sequence> at_time(Stream stream, UtcTime time) const;

  private:
    std::shared_ptr<const Source> source_;
    // The chunk read last, unpacked: a drain in small batches does not unpack it again.
    Stream cached_stream_ = Stream::telemetry;
    Sequence cached_first_ = 0;
    std::shared_ptr<const std::string> cached_lines_;
};

}  // namespace touchpoint::store
