// A note beside the event store: its epoch and numbers as they were known last. What a new epoch can say
// about a damaged one. Written at start and at an orderly stop; small and not flushed, it only makes a
// message better.
#pragma once

#include <filesystem>
#include <string>

#include "gateway/core/streams.hpp"

namespace touchpoint::store {

// JSON members without braces: "oldepoch":"..","lastknown":{"customer":7,...}. Empty: nothing is known.
std::string last_known(const std::filesystem::path& folder);
void write_last_known(const std::filesystem::path& folder, const std::string& epoch,
                      const PerStream<Sequence>& last);

}  // namespace touchpoint::store
