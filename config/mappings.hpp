// Mapping files: how a platform's own profile documents become profiles (uplink/profile_mapping.hpp). One
// file a platform, {name}.toml; checked as the configuration is, with file, line and column.
//
// What may stand in them: uplink/README.md, "Mapping files".
//
// Threads: none; reads files.
#pragma once

#include <filesystem>
#include <vector>

#include "config/document.hpp"
#include "uplink/profile_mapping.hpp"

namespace touchpoint::config {

inline constexpr std::size_t mappings_max = 32;       // files
inline constexpr std::size_t mapping_rules_max = 64;  // of one file, and parts of one rule

// In the order of their names. A file with an error is left out.
std::vector<uplink::ProfileMapping> read_mappings(const std::filesystem::path& folder,
                                                  std::vector<Problem>& problems);

}  // namespace touchpoint::config
