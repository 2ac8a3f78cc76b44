// Encryption at rest under the box key: AES-256-GCM, a random nonce for each text.
//     sealed = version 0x01 | nonce[12] | ciphertext | tag[16]
//
// Threads: const, any.
#pragma once

#include <string>
#include <string_view>

#include "gateway/core/result.hpp"

namespace touchpoint::store {

class SealedBox {
  public:
    // REQUIRES: key.size() == 32
    explicit SealedBox(std::string key);
    // `context` is not in the result but must be the same at open(): it ties a text to its place.
    std::string seal(std::string_view plain, std::string_view context) const;
    // Fails with damaged: another key, another context, or changed bytes.
    Result<std::string> open(std::string_view sealed, std::string_view context) const;

  private:
    std::string key_;
};

}  // namespace touchpoint::store
