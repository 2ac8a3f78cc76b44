// One look into the store for a puller: reads what stands behind the positions, filters, formats, compresses.
//
// Threads: on the reader, one at a time for each Filling.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "store/event_reader.hpp"
#include "uplink/formats.hpp"
#include "uplink/pull_page.hpp"

namespace touchpoint::uplink {

struct Filling {
    std::string consumer;
    std::vector<Stream> order;
    PerStream<Sequence> position;  // moves
    BatchLimits limits;
    TypeFilter types;
    Format format = Format::ndjson;
    Compression compression = Compression::none;
    std::size_t scan_bytes_max = 0;  // of events read, wanted or not

    // Made by fill().
    std::size_t items = 0;
    std::string body;     // empty without items
    UtcTime oldest;       // as PullPage
    bool more = false;    // it ended at a limit, and not because there was no more
    bool failed = false;  // the store cannot be read
    // The first thing found: a number that nothing explains stands in front. Pruned while nobody held it.
    bool begins_with_missing = false;
};

void fill(Filling& filling, store::EventReader& reader, const Formatter& formatter);

}  // namespace touchpoint::uplink
