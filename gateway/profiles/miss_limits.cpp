#include "gateway/profiles/miss_limits.hpp"

#include <xxhash.h>

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

bool MissLimits::counts(const std::string& asker, const std::string& name, SteadyTime now) {
    while (!counted_.empty() &&
           (counted_.size() >= counted_max || counted_.front().first + counts_again <= now)) {
        counted_names_.erase(counted_.front().second);
        counted_.pop_front();
    }
    const std::string both = asker + '\0' + name;
    const std::uint64_t hash = XXH3_64bits(both.data(), both.size());
    if (!counted_names_.insert(hash).second) return false;
    counted_.emplace_back(now, hash);
    return true;
}

void MissLimits::missed(const std::string& asker, const std::vector<std::string>& names, bool answered,
                        SteadyTime now) {
    double misses = 0;
    for (const std::string& name : names)
        if (counts(asker, name, now) || !answered) ++misses;
    if (misses > 0) refilled(asker, now).left -= misses;
}

}  // namespace touchpoint::gateway
