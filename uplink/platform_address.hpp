// A URL as the client needs it. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "gateway/core/result.hpp"

namespace touchpoint::uplink {

struct Address {
    bool tls = false;
    std::string host;  // without the brackets of an IPv6 address
    std::uint16_t port = 0;
    std::string target;  // path and query, at least "/"

    // "host" or "host:port" where the port is not the scheme's; an IPv6 address in brackets.
    std::string authority() const;
    std::string authority_with_port() const;
};

// Fails with invalid_argument: not http:// or https://, no host, or a user or password in it (those belong in
// files). The text of the URL is not in the error.
Result<Address> parse_address(std::string_view url);

}  // namespace touchpoint::uplink
