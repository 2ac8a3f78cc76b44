// What systemd and journald know of our units, by their own tools: each answer is 4 KB at most and comes
// within 3 s; control characters in it are spaces. Where a tool or the right to ask is missing there is
// nothing to say.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace touchpoint::command {

// Why the gateway ended or does not start this time, in its own words. Empty: not known.
std::string last_error_of_gateway();

struct BrokerUnit {
    std::string why;  // its own last error; empty: not known
};
// touchpoint-broker.service, where it should run and does not. Nothing: it does, or nobody wants it to.
std::optional<BrokerUnit> broker_unit_that_does_not_run();

// GET /v1/status with one more condition, `broker-unit`, where the gateway uses a broker of this box: what it
// cannot see itself. Any other text comes back as it is.
std::string with_broker_unit(std::string body, const BrokerUnit& unit);

}  // namespace touchpoint::command
