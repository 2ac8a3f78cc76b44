// The keys of this box, made at first start, mode 0400, in {store.path}/keys/.
#pragma once

#include <filesystem>
#include <string>

#include "gateway/core/result.hpp"

namespace touchpoint::store {

struct Keys {
    std::string pseudonym;     // 32 bytes: HMAC-SHA256 key of the pseudonyms
    std::string pseudonym_id;  // "p1": stands in front of every pseudonym, so that the key can be changed
    std::string box;           // 32 bytes: sealed_box.hpp
};

// Reads the keys or makes them. They are flushed before this returns: a pseudonym under a key that a power
// cut takes away could never be joined again. Fails with io, or damaged (a key file of another length).
Result<Keys> open_keys(const std::filesystem::path& folder);

}  // namespace touchpoint::store
