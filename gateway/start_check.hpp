// What a start would find out about the listeners, without a start: nothing is opened but files, and nothing
// is written. For `touchpointd --check-config`, which may run beside the gateway that it asks about.
//
// Threads: none; reads files.
#pragma once

#include <string>
#include <vector>

#include "config/settings.hpp"
#include "gateway/core/clock.hpp"

namespace touchpoint::gateway {

struct StartFinding {
    std::string words;  // those of the start, or of `touchpoint status`
    bool error = true;  // the start fails; false: it starts, and something is not well
};

// Certificates, keys and authorities; two listeners on one address; the tokens file, which lets nobody in
// when it cannot be used; certificates that end soon.
std::vector<StartFinding> check_start(const config::Settings& settings, UtcTime now);

}  // namespace touchpoint::gateway
