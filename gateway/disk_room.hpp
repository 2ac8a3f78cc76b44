// How large the files below store.path may become.
#pragma once

#include <cstdint>
#include <filesystem>

#include "config/settings.hpp"
#include "store/cache.hpp"

namespace touchpoint::gateway {

// Of the events where the configuration does not say: half of the free disk under `path` (store.path),
// between 256 MB and 16 GB; what the store holds already counts as free.
std::uint64_t bytes_from_disk(const std::filesystem::path& path);

// In the cache each part gets the room that its own bound promises it; whatever is too small here one of the
// others pays for.
store::Cache::Options cache_options(const config::Settings& settings, bool look_first);

}  // namespace touchpoint::gateway
