// Customers whom a touchpoint asked for and who are not in the cache: the platform reads the list and sends
// what it knows of them.
//
// Promised
//   Bounded: the one that was asked for least recently leaves first. Nothing of it on the disk; in memory the
//   identifiers are sealed, so that a core dump holds no card numbers.
//
// Threads: confined to loop.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

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

    // Whom to ask the platform for now, the latest first: identifiers with `raw`, else pseudonyms. They are
    // not given again before `again_after` has passed.
    static constexpr std::chrono::minutes again_after{10};
    std::vector<std::string> to_ask(std::size_t max, bool raw, SteadyTime now);
    // The last of these were not answered: they are given again.
    void not_answered();
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
        std::optional<SteadyTime> not_before{};  // of the next question for it
    };
    const store::SealedBox& box_;
    std::size_t entries_max_;
    std::list<Entry> entries_;  // asked for last in front
    std::unordered_map<std::string_view, std::list<Entry>::iterator> at_;
    std::uint64_t dropped_ = 0;
    std::vector<std::string> asked_;  // keys of the last question
};

}  // namespace touchpoint::gateway
