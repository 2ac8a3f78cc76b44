// The dedup window: which device-given ids were stored lately, and with what content.
//
// In memory: a few generations of open-addressing tables, 12 bytes a slot at most three quarters full; the
// oldest generation goes as a whole. 1,000,000 ids take at most 19 MB (nine generations of 125,000). On disk:
// one small row per commit (store/README.md, "Dedup row"), read back at open.
//
// An id is known by a 64-bit keyed hash of (source, id): with a million ids remembered, a false repeat comes
// once in 18 million million new ids.
//
// Threads: confined to the store thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/core/clock.hpp"

namespace touchpoint::store {

struct DedupEntry {
    std::uint64_t id_hash = 0;  // never 0
    std::uint32_t content_hash = 0;
};

std::uint64_t dedup_hash(std::string_view source, std::string_view id, std::uint64_t seed);

class DedupWindow {
  public:
    DedupWindow(std::uint64_t ids_min, std::chrono::milliseconds age);

    enum class Found { no, same_content, other_content };
    Found find(DedupEntry entry) const;
    // Remembers; `time` is that of the commit it stands in, 0 where our clock was not trusted. Drops what is
    // more than needed, and what is older than the age by `now`: empty where no clock can be believed.
    void add(DedupEntry entry, UtcTime time, std::optional<UtcTime> now);

    std::uint64_t size() const { return size_; }

  private:
    struct Generation {
        std::vector<std::uint64_t> ids;  // 0: free
        std::vector<std::uint32_t> contents;
        std::uint64_t count = 0;
        UtcTime newest;
        bool dated = true;  // all of it
    };
    static void insert(Generation& generation, DedupEntry entry);
    void grow(Generation& generation) const;

    std::uint64_t ids_min_;
    std::uint64_t per_generation_;
    std::chrono::milliseconds age_;
    std::deque<Generation> generations_;  // newest at the back
    std::uint64_t size_ = 0;
};

}  // namespace touchpoint::store
