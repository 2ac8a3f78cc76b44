// How many customers somebody may ask for whom nobody knows: a till meets a new card now and then, a stolen
// token that tries one number after the other meets nothing else.
//
// Who has used up his misses is not answered at all, hits included: else the difference would tell him what
// he wants to know. They come back with time. The table is bounded: when it is full, whoever was quiet for
// longest is forgotten, with what he did.
//
// Threads: none; time is an argument.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "gateway/core/clock.hpp"

namespace touchpoint::gateway {

class MissLimits {
  public:
    static constexpr std::size_t askers_max = 4096;  // about 200 bytes each

    // So many at once, and so many again within a minute.
    explicit MissLimits(std::uint32_t misses_per_min) : misses_per_min_(misses_per_min) {}

    // Zero: may ask; else how long to wait.
    std::chrono::seconds wait(const std::string& asker, SteadyTime now);
    void missed(const std::string& asker, std::size_t misses, SteadyTime now);
    std::size_t size() const { return askers_.size(); }

  private:
    struct Asker {
        std::string name;
        double left = 0;
        SteadyTime filled;
    };
    Asker& refilled(const std::string& name, SteadyTime now);

    double misses_per_min_;
    std::list<Asker> askers_;  // heard last in front
    std::unordered_map<std::string_view, std::list<Asker>::iterator> at_;
};

}  // namespace touchpoint::gateway
