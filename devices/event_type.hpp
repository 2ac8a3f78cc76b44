// What an event is, by the name in its topic and its type.
//
// Threads: pure, any.
#pragma once

#include <string>
#include <string_view>

#include "gateway/core/streams.hpp"

namespace touchpoint::devices {

// store.{kind}.{name}.v1; letters of `name` lower-cased, every other character than [a-z0-9] becomes '_'.
std::string type_of(std::string_view kind, std::string_view name);
// "store.kiosk.identify.v1" -> "identify"; "org.example.consent" -> "consent"; "v1" -> "v1".
std::string_view last_word(std::string_view type);
// "sales" and the rest. `type` is a CloudEvent's own, or empty.
Stream stream_of(std::string_view kind, std::string_view name, std::string_view type);
// It says what a customer allows (gateway/core/consent.hpp).
bool is_consent(std::string_view name, std::string_view type);

}  // namespace touchpoint::devices
