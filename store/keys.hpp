// The keys of this box, made at first start, mode 0400, in {store.path}/keys/.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "gateway/core/result.hpp"

namespace touchpoint::store {

struct Keys {
    std::string pseudonym;     // 32 bytes: HMAC-SHA256 key of the pseudonyms
    std::string pseudonym_id;  // "p1": stands in front of every pseudonym, so that the key can be changed
    std::string box;           // 32 bytes: sealed_box.hpp
    // 32 bytes: HMAC-SHA256 key of the profiles' names in `cache`. Derived from the box key, not a file of
    // its own: the rows that it names are sealed under that key, so the one is worth nothing without the
    // other.
    std::string profiles;
};

// HMAC-SHA256, 32 bytes: a name that says nothing about `text` to whom the key is missing.
std::string keyed_hash(std::string_view key, std::string_view text);

// Reads the keys or makes them. They are flushed before this returns: a pseudonym under a key that a power
// cut takes away could never be joined again. Fails with io, or damaged (a key file of another length).
Result<Keys> open_keys(const std::filesystem::path& folder);

}  // namespace touchpoint::store
