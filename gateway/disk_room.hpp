// How large the store may become when the configuration does not say.
#pragma once

#include <cstdint>
#include <filesystem>

namespace touchpoint::gateway {

// Half of the free disk under `path` (store.path), between 256 MB and 16 GB; what the store holds already
// counts as free.
std::uint64_t bytes_from_disk(const std::filesystem::path& path);

}  // namespace touchpoint::gateway
