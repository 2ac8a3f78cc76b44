#include "gateway/profiles/miss_limits.hpp"

#include <algorithm>
#include <cmath>

namespace touchpoint::gateway {

MissLimits::Asker& MissLimits::refilled(const std::string& name, SteadyTime now) {
    if (const auto known = at_.find(name); known != at_.end()) {
        askers_.splice(askers_.begin(), askers_, known->second);
    } else {
        if (askers_.size() == askers_max) {
            at_.erase(askers_.back().name);
            askers_.pop_back();
        }
        askers_.push_front({name, misses_per_min_, now});
        at_.emplace(askers_.front().name, askers_.begin());
    }
    Asker& asker = askers_.front();
    const std::chrono::duration<double, std::ratio<60>> minutes = now - asker.filled;
    asker.left = std::min(misses_per_min_, asker.left + minutes.count() * misses_per_min_);
    asker.filled = now;
    return asker;
}

std::chrono::seconds MissLimits::wait(const std::string& asker, SteadyTime now) {
    if (!at_.contains(asker)) return std::chrono::seconds(0);  // who never missed is not remembered
    const double left = refilled(asker, now).left;
    if (left >= 1) return std::chrono::seconds(0);
    const double seconds = std::ceil((1 - left) / misses_per_min_ * 60);
    return std::chrono::seconds(std::max<std::int64_t>(1, static_cast<std::int64_t>(seconds)));
}

void MissLimits::missed(const std::string& asker, std::size_t misses, SteadyTime now) {
    refilled(asker, now).left -= static_cast<double>(misses);
}

}  // namespace touchpoint::gateway
