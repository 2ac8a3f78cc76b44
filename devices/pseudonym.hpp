// A customer's identifier and the name it gets outside the vault: the same person is the same pseudonym in
// every event, and without the key nobody gets back from it.
//
//     " Card:2900 0000 12345 " -> {card, "2900 0000 12345"} -> p1_ + 26 characters of base32(HMAC-SHA256)
//
// Threads: const, any.
#pragma once

#include <string>
#include <string_view>

namespace touchpoint::devices {

struct Customer {
    std::string scheme;  // lower case
    std::string value;   // normalised
    std::string text() const { return scheme + ':' + value; }
};

// So that the same person is recognised however a device writes it. The scheme is lower-cased, the value
// trimmed; email: lower-cased; phone: digits only, a leading + kept; others: as they are. REQUIRES:
// is_customer(text)
Customer normalise(std::string_view text);

// As a Pseudonymiser makes them, with whatever key.
bool is_pseudonym(std::string_view text);

class Pseudonymiser {
  public:
    // `key` is 32 bytes, `key_id` ("p1") stands in front so that a later key can be told apart.
    Pseudonymiser(std::string key, std::string key_id);
    // 130 bits of the HMAC: no two customers of a chain meet by chance.
    std::string pseudonym(const Customer& customer) const;

  private:
    std::string key_;
    std::string prefix_;
};

}  // namespace touchpoint::devices
