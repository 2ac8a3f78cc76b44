// Troubles as a technician reads them: what, its effect, what to do, how to check. Pure: a snapshot in, words
// out.
//
// A code is part of the contract (monitoring matches it): it stands in gateway/README.md and does not change.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/http.hpp"
#include "gateway/snapshot.hpp"
#include "gateway/spoken.hpp"

namespace touchpoint::gateway {

// info: worth knowing; warning: degraded and trying, or will become an error; error: a person must act.
enum class Severity : std::uint8_t { info, warning, error };
std::string_view name(Severity severity);

struct Condition {
    std::string code;     // "broker-unreachable"
    std::string subject;  // of a destination: its name; else empty
    Severity severity = Severity::warning;
    std::string what;
    std::string effect;
    std::string remedy;
    std::string check;
};

// The worst first. What only follows from another condition is left out.
std::vector<Condition> conditions(const Snapshot& snapshot);

// Alive: the loop answers. 200 always.
HttpResponse healthz(const Snapshot& snapshot);
// Taking events: the store can be written and the broker is there. 200, or 503 with the reasons.
HttpResponse readyz(const Snapshot& snapshot);

// "the certificate of the listener local ends in 3 d"; empty: it is good for two weeks and more.
std::string certificate_ends(const std::string& listener, UtcTime ends, UtcTime now);

// One line for `systemctl status`.
std::string status_line(const Snapshot& snapshot);

}  // namespace touchpoint::gateway
