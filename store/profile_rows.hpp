// Rows of the profile cache: values to bytes, and back. What names nobody stands in the open (the head), the
// person is sealed under the box key, tied to its key and its head.
//
// Threads: pure, any.
// On disk: store/README.md, "cache".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/core/clock.hpp"
#include "store/sealed_box.hpp"

namespace touchpoint::store {

// One identifier of a customer. `key` is its pseudonym (devices/pseudonym): a keyed hash, and the same name
// that it has in events and in the vault.
struct Alias {
    std::string key;
    std::string text;  // "card:2900000012345", normalised
    bool operator==(const Alias&) const = default;
};

enum class ProfileKind : std::uint8_t { live = 1, merged = 2, erased = 3 };

struct ProfileHead {
    ProfileKind kind = ProfileKind::live;
    std::uint64_t version = 0;
    UtcTime updated;   // as the platform said; of an erased one: when it was erased
    UtcTime received;  // when this version came, or came again
    bool operator==(const ProfileHead&) const = default;
};

// A profile that was merged into the one whose row this stands in. Its aliases lead there.
struct MergedIn {
    std::string id;
    std::uint64_t version = 0;
    std::vector<Alias> aliases;
    bool operator==(const MergedIn&) const = default;
};

struct ProfileBody {
    std::string id;
    std::vector<Alias> aliases;  // as the platform listed them, without those that went to another profile
    std::vector<MergedIn> merged_in;
    std::string json;  // one object: everything else that the platform said
    bool operator==(const ProfileBody&) const = default;
};

inline constexpr std::size_t profile_head_bytes = 26;

// `key` is the row's key. A live row's body, or of a merged one the id of its survivor.
std::string live_row(const SealedBox& box, std::string_view key, const ProfileHead& head,
                     const ProfileBody& body);
std::string merged_row(const SealedBox& box, std::string_view key, const ProfileHead& head,
                       std::string_view survivor);
std::string erased_row(const ProfileHead& head);

// Empty: bytes that are none of ours, of a later format, changed, or sealed under another key.
std::optional<ProfileHead> read_profile_head(std::string_view row);
std::optional<ProfileBody> open_live_row(const SealedBox& box, std::string_view key, std::string_view row);
std::optional<std::string> open_merged_row(const SealedBox& box, std::string_view key, std::string_view row);

// Bytes that a row takes on the disk, about: a node larger than half a page of 4,096 bytes gets pages of its
// own, and leaves of keys in random order are two thirds full.
constexpr std::uint64_t row_cost(std::size_t key_bytes, std::size_t value_bytes) {
    constexpr std::size_t page = 4096, page_head = 16, node_head = 8, node_max = 2032;
    const std::size_t node = node_head + key_bytes + value_bytes;
    if (node <= node_max) return node * 3 / 2;
    return (value_bytes + page_head + page - 1) / page * page + (node_head + key_bytes + 8) * 3 / 2;
}

}  // namespace touchpoint::store
