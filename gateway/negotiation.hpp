// Which of our forms a client prefers: Accept and Accept-Encoding (RFC 9110, 12.5). Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace touchpoint::gateway {

// The index of the offer with the highest quality; of equal ones the first. What names an offer most exactly
// ("a/b", then "a/*", then "*") holds for it. Empty: the header takes none of them.
// REQUIRES: offers in lower case
std::optional<std::size_t> preferred(std::string_view header, const std::vector<std::string_view>& offers);

}  // namespace touchpoint::gateway
