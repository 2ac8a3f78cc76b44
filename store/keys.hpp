// The keys of this box: files of mode 0400 in {store.path}/keys/, made at first start. The box key may come
// from outside instead, as a credential of systemd: then a card that is taken away does not hold it.
//
//   box.key            32 bytes; not made where a credential is there
//   box.id             16 hex digits that tell whether a key is the one under which this box's data was
//                      sealed: neither another key nor a new one takes its place unnoticed
//   pseudonym-p1.key   32 bytes, sealed under the box key (sealed_box.hpp, its name as context): who has the
//                      card alone cannot try card numbers out. One in the clear, of an older release, is
//                      sealed at the next start; the key is the same.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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
    bool box_from_credential = false;
    bool box_also_in_file = false;  // a credential, and box.key lies beside the data still
    std::vector<std::filesystem::path> readable_by_others;  // keys in the clear with a mode wider than 0600
};

// Its name in the folder of credentials: 32 bytes, or 64 hex digits with or without a newline behind them.
inline constexpr std::string_view box_key_credential = "touchpoint-box-key";

// HMAC-SHA256, 32 bytes: a name that says nothing about `text` to whom the key is missing.
std::string keyed_hash(std::string_view key, std::string_view text);

// Reads the keys or makes them. They are flushed before this returns: a pseudonym under a key that a power
// cut takes away could never be joined again. `credentials`: $CREDENTIALS_DIRECTORY, if systemd gave us one.
// Fails with io, or damaged: a key of another length; a box key that is missing, is not the one of box.id or
// does not open the key of the pseudonyms; a credential and a file that differ. The context says what a
// person can do; no key is in it.
Result<Keys> open_keys(const std::filesystem::path& folder,
                       const std::optional<std::filesystem::path>& credentials = std::nullopt);

}  // namespace touchpoint::store
