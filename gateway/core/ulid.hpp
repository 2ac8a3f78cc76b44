// ULIDs: 26 characters, sortable by time (https://github.com/ulid/spec). Within one millisecond the random
// part counts up, so that ids of a burst sort in order and compress well.
//
// Threads: confined to one thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>

#include "gateway/core/clock.hpp"

namespace touchpoint {

class UlidMaker {
  public:
    // `random` gives 64 random bits a call.
    explicit UlidMaker(std::function<std::uint64_t()> random) : random_(std::move(random)) {}
    // A time before the last one given counts as the last one: the ids never go back.
    std::string make(UtcTime now);

  private:
    std::function<std::uint64_t()> random_;
    std::int64_t last_ms_ = -1;
    std::uint64_t low_ = 0;   // the lower 40 random bits, in the low bits of the word
    std::uint64_t high_ = 0;  // the upper 40
};

}  // namespace touchpoint
