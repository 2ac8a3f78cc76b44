// How large the next batch of one stream may be, after what the platform refused. Pure.
//
//   400, 422   something in the batch is guilty: halves, until it is alone. What was accepted of the suspects
//              is no longer suspect; when the guilty one is parked, batches are whole again.
//   413        the platform's bound is below ours: smaller bodies from now on. Grows back slowly, because a
//              platform's bound can be raised and nobody would tell us.
//
// Threads: confined to one thread.
#pragma once

#include <algorithm>
#include <cstddef>

#include "uplink/formats.hpp"

namespace touchpoint::uplink {

class Narrowing {
  public:
    // Bodies are not made smaller than this by 413: below it the answer is about the event, not the batch.
    static constexpr std::size_t body_bytes_min = 16'384;
    // So many accepted batches in a row double the learned bound.
    static constexpr unsigned accepted_to_grow = 64;

    BatchLimits limits(const BatchLimits& configured) const {
        BatchLimits result = configured;
        if (suspects_ > 0)
            result.events_max = std::min(result.events_max, std::max<std::size_t>(1, suspects_ / 2));
        if (body_bytes_max_ > 0) result.bytes_max = std::min(result.bytes_max, body_bytes_max_);
        return result;
    }

    // REQUIRES: items > 1; a single item is parked, see alone().
    void refused(std::size_t items) { suspects_ = items; }
    void too_large(std::size_t items, std::size_t body_bytes) {
        suspects_ = items;  // halves by count, too: one item may be most of the body
        body_bytes_max_ = std::max(body_bytes_min, body_bytes / 2);
        accepted_ = 0;
    }
    // The suspect was alone and is parked.
    void alone() { suspects_ = 0; }
    void accepted(std::size_t items) {
        suspects_ -= std::min(suspects_, items);
        if (body_bytes_max_ > 0 && ++accepted_ >= accepted_to_grow) body_bytes_max_ *= 2, accepted_ = 0;
    }

  private:
    std::size_t suspects_ = 0;        // items ahead of the position of which one is guilty; 0: none known
    std::size_t body_bytes_max_ = 0;  // learned; 0: none
    unsigned accepted_ = 0;
};

}  // namespace touchpoint::uplink
