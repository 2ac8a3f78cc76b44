// How many customers somebody may ask for whom nobody knows: a till meets a new card now and then, a stolen
// token that tries one number after the other meets nothing else.
//
// Who has used up his misses is not answered at all, hits included: else the difference would tell him what
// he wants to know. They come back with time. The table is bounded: when it is full, whoever was quiet for
// longest is forgotten, with what he did.
//
// Who is answered all the same, for a till reads a customer again and again while he stands there: each name
// that only events know, or nobody, counts once in `counts_again` then.
//
// Threads: none; time is an argument.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "gateway/core/clock.hpp"

namespace touchpoint::gateway {

class MissLimits {
  public:
    static constexpr std::size_t askers_max = 4096;  // about 200 bytes each
    static constexpr std::chrono::minutes counts_again{5};
    // Of all askers; beyond it those that were counted longest ago count again. About 80 bytes each.
    static constexpr std::size_t counted_max = 8192;

    // So many at once, and so many again within a minute.
    explicit MissLimits(std::uint32_t misses_per_min) : misses_per_min_(misses_per_min) {}

    // Zero: may ask; else how long to wait.
    std::chrono::seconds wait(const std::string& asker, SteadyTime now);
    // `names`: keys that lead to nobody whom the platform has sent. `answered`: by another one of them, or
    // out of events.
    void missed(const std::string& asker, const std::vector<std::string>& names, bool answered,
                SteadyTime now);
    std::size_t size() const { return askers_.size(); }

  private:
    struct Asker {
        std::string name;
        double left = 0;
        SteadyTime filled;
    };
    Asker& refilled(const std::string& name, SteadyTime now);
    // False: it was counted a while ago.
    bool counts(const std::string& asker, const std::string& name, SteadyTime now);

    double misses_per_min_;
    std::list<Asker> askers_;  // heard last in front
    std::unordered_map<std::string_view, std::list<Asker>::iterator> at_;
    // Hashes of asker and name. Nobody can look for two that meet: the names are keyed hashes themselves.
    std::deque<std::pair<SteadyTime, std::uint64_t>> counted_;  // oldest in front
    std::unordered_set<std::uint64_t> counted_names_;
};

}  // namespace touchpoint::gateway
