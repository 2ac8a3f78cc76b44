// What systemd and journald know of our units, by their own tools. Each is asked for one line, of which 4 KB
// are taken, within 5 s; where a tool or the right to ask is missing there is nothing to say.
#pragma once

#include <string>

namespace touchpoint::command {

// Why the gateway ended or does not start, in its own words. Empty: not known.
std::string last_error_of_gateway();

// What is wrong with touchpoint-broker.service as a condition of `touchpoint status`. Empty: it runs, or is
// not used here. `connected`: the gateway has a connection to `broker`, a URL.
std::string broker_unit_condition(bool connected, const std::string& broker);

}  // namespace touchpoint::command
