// CloudEvents 1.0 as a device may send them: structured (one JSON object) or binary (MQTT 5 user properties).
// Reading only; part of decode.
//
// Threads: pure, any.
// On the wire: https://github.com/cloudevents/spec v1.0.2, bindings/mqtt-protocol-binding.md.
#pragma once

#include <string_view>
#include <vector>

#include "devices/decode.hpp"
#include "devices/json_slice.hpp"
#include "store/incoming.hpp"

namespace touchpoint::devices {

// specversion, id, source and type are there: in MQTT 3.1.1 nothing else says that it is one.
bool looks_like_cloudevent(const std::vector<JsonMember>& members);

// `own_source` is "/stores/{store}/{kind}/{device}". Another source is refused: a device speaks for itself
// only. Accepted as its own: that path, a path below it, "{kind}/{device}" and "{device}", also with a '/' in
// front.
Item structured_cloudevent(std::string_view object, const std::vector<JsonMember>& members,
                           std::string_view own_source);
Item binary_cloudevent(const store::Incoming& message, std::string_view own_source);

bool is_event_id(std::string_view text);
bool has_control(std::string_view text);

}  // namespace touchpoint::devices
