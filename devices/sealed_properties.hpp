// How the MQTT 5 properties of a quarantined message are written before they are sealed: one `name: value` a
// line, the content type first. A line feed or backslash in them is written \\n or \\\\. Pure.
//
// Threads: any.
#pragma once

#include <string>
#include <string_view>

#include "store/incoming.hpp"

namespace touchpoint::devices {

std::string write_properties(const store::Incoming& message);
// Sets content_type and user_properties. Lines that are none are passed over.
void read_properties(std::string_view text, store::Incoming& message);

}  // namespace touchpoint::devices
