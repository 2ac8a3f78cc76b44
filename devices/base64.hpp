// Base64 (RFC 4648, with padding) of bytes.
#pragma once

#include <string>
#include <string_view>

namespace touchpoint::devices {

std::string base64_encode(std::string_view bytes);

}  // namespace touchpoint::devices
