#include "uplink/pull_fill.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "uplink/compress.hpp"

namespace touchpoint::uplink {
namespace {

constexpr std::uint64_t cost_of_an_event = 64;  // of looking at it, beside its bytes

// What one read may give. Without a filter not much more than the answer still takes.
store::EventReader::Limits read_limits(const Filling& filling, const PullPage& page) {
    store::EventReader::Limits limits;
    limits.bytes_max = filling.limits.bytes_max;
    if (filling.types.wants_all())
        limits.events_max =
            static_cast<std::uint32_t>(std::max<std::size_t>(1, filling.limits.events_max - page.items()));
    return limits;
}

bool missing_in_front(const store::Slice& slice) {
    if (slice.events.empty() || slice.events.front().gap < 0) return false;
    return slice.gaps[static_cast<std::size_t>(slice.events.front().gap)].reason == "missing";
}

}  // namespace

void fill(Filling& filling, store::EventReader& reader, const Formatter& formatter) {
    PullPage page(formatter, filling.format, filling.limits, filling.types);
    std::uint64_t scanned = 0;
    for (const Stream stream : filling.order) {
        bool first_look = true;
        for (bool again = true; again && !filling.more;) {
            const auto slice =
                reader.read(stream, filling.position[stream], filling.consumer, read_limits(filling, page));
            if (!slice) {
                filling.failed = true;
                return;
            }
            if (first_look) filling.begins_with_missing |= missing_in_front(*slice);
            first_look = false;
            scanned += slice->bytes + cost_of_an_event * slice->events.size();
            const bool all = page.add(*slice, filling.position[stream]);
            again = slice->more && all;
            filling.more = !all || (again && scanned >= filling.scan_bytes_max);
        }
        if (filling.more) break;
    }
    filling.items = page.items();
    filling.oldest = page.oldest();
    if (filling.items > 0) filling.body = compress(page.finish(), filling.compression);
}

}  // namespace touchpoint::uplink
