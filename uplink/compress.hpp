// A whole body compressed in one go, as Content-Encoding names it. Pure.
#pragma once

#include <string>
#include <string_view>

#include "uplink/options.hpp"

namespace touchpoint::uplink {

// `none` gives the text back unchanged.
std::string compress(std::string text, Compression compression);
// "gzip", "zstd"; empty for none: no header is sent then.
std::string_view content_encoding(Compression compression);

}  // namespace touchpoint::uplink
