// Card numbers that slipped into data: 13 to 19 digits in a JSON string, with single spaces or dashes between
// them, that pass the Luhn check. All but the last four become '*'; every other byte stays as it is.
//
// Numbers of JSON (not in quotes), texts with a letter right beside the digits (hex, UUIDs) and decimal
// fractions are left alone, and so are the texts under members that are declared to hold codes (GTIN,
// barcodes, times).
//
// Threads: pure, any.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace touchpoint::devices {

class CardMask {
  public:
    explicit CardMask(const std::vector<std::string>& code_fields);
    // How many were masked. REQUIRES: `json` is valid JSON.
    std::size_t mask_json(std::string& json) const;
    // The same for one bare text.
    static std::size_t mask_text(std::string& text);

  private:
    std::unordered_set<std::string> code_fields_;
};

bool luhn(std::string_view digits);

}  // namespace touchpoint::devices
