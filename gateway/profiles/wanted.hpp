// Customers whom a touchpoint asked for and who are not in the cache: the platform reads the list and sends
// what it knows of them.
//
// Promised
//   Bounded: the one that was asked for least recently leaves first. Nothing of it on the disk; in memory the
//   identifiers are sealed, so that a core dump holds no card numbers.
//
// Threads: confined to loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "gateway/core/clock.hpp"
#include "store/sealed_box.hpp"

namespace touchpoint::gateway {

class Wanted {
  public:
    // `box` outlives it.
    Wanted(const store::SealedBox& box, std::size_t entries_max) : box_(box), entries_max_(entries_max) {}

    // `key` names nobody: a pseudonym, or the reference of an id. `identifier` is what was asked for.
    void note(const std::string& key, std::string_view identifier, UtcTime now);
    void found(std::string_view key);
    std::size_t size() const { return entries_.size(); }
    std::uint64_t dropped() const { return dropped_; }

    // {"wanted":[{"key","identifier","asked","first","last"},...],"dropped":N}, the latest first.
    std::string json(std::size_t max) const;

  private:
    struct Entry {
        std::string key;
        std::string sealed;
        std::uint64_t asked = 0;
        UtcTime first;
        UtcTime last;
    };
    const store::SealedBox& box_;
    std::size_t entries_max_;
    std::list<Entry> entries_;  // asked for last in front
    std::unordered_map<std::string_view, std::list<Entry>::iterator> at_;
    std::uint64_t dropped_ = 0;
};

}  // namespace touchpoint::gateway
