// GET /metrics: the snapshot in the Prometheus text format. Names, help and units: gateway/README.md;
// `promtool check metrics` has no complaint.
//
// Threads: pure.
#pragma once

#include <string>

#include "gateway/snapshot.hpp"

namespace touchpoint::gateway {

inline constexpr const char* metrics_content_type = "text/plain; version=0.0.4; charset=utf-8";

std::string metrics_text(const Snapshot& snapshot);

}  // namespace touchpoint::gateway
