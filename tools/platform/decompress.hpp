// A compressed body as text, with a bound: a small body can unpack to gigabytes. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace touchpoint::platform {

// `encoding` as in Content-Encoding: "", "identity", "gzip" or "zstd". Empty: another encoding, damaged, or
// larger than `bytes_max`.
std::optional<std::string> decompress(std::string_view body, std::string_view encoding,
                                      std::size_t bytes_max);

}  // namespace touchpoint::platform
