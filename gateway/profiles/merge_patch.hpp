// JSON merge patch (RFC 7396) over text: what the patch does not touch keeps its bytes.
//
// Threads: pure, any.
#pragma once

#include <string>
#include <string_view>

namespace touchpoint::gateway {

// REQUIRES: both are one JSON value each that devices::validate_json accepted.
std::string merge_patch(std::string_view target, std::string_view patch);

}  // namespace touchpoint::gateway
