// Whom a message that broke a rule speaks of, as well as it can be told: so that an erasure reaches what is
// sealed of it.
//
// Threads: free functions, any.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace touchpoint::devices {

struct CustomersNamed {
    std::vector<std::string> customers;  // each once
    // Bytes of the payload that speak of none but those: what is behind them names more than `most`, or
    // somebody whose name does not end.
    std::size_t known_bytes = 0;
    bool properties_known = true;  // they speak of none but those
};

// The customers ("card:29..") that stand behind a key `customer` or `subject` in the payload, at any depth,
// alone or in a list, also where it is no JSON as a whole or was cut off, and where letters are written as
// \u0063; and those of the message's user properties. At most `most`.
CustomersNamed customers_named(std::string_view payload,
                               const std::vector<std::pair<std::string, std::string>>& user_properties,
                               std::size_t most);

}  // namespace touchpoint::devices
