// Rows of the profile cache: values to bytes, and back. What names nobody stands in the open (the head), the
// person is sealed under the box key, tied to its key and its head.
//
// Threads: pure, any.
// On disk: store/README.md, "cache".
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/core/clock.hpp"
#include "gateway/core/consent.hpp"
#include "store/sealed_box.hpp"

namespace touchpoint::store {

// One identifier of a customer. `key` is its pseudonym (devices/pseudonym): a keyed hash, and the same name
// that it has in events and in the vault.
struct Alias {
    std::string key;
    std::string text;  // "card:2900000012345", normalised
    bool operator==(const Alias&) const = default;
};

// left: gone for want of room; its head stays for a while, so that an older version does not come in.
enum class ProfileKind : std::uint8_t { live = 1, merged = 2, erased = 3, left = 4 };

struct ProfileHead {
    ProfileKind kind = ProfileKind::live;
    std::uint64_t version = 0;
    UtcTime updated;   // as the platform said; of an erased one: when it was erased
    UtcTime received;  // when this version came, or came again
    bool operator==(const ProfileHead&) const = default;
};

// What a profile refused of a purpose that decides (core/consent.hpp).
struct Refusal {
    std::uint8_t purpose = 0;  // its place in purpose_names
    ConsentState state = ConsentState::denied;
    UtcTime since{};  // as the profile said, else when that came
    bool operator==(const Refusal&) const = default;
};
// Bits of purposes, 1 << Refusal::purpose. A whole profile tells of all of them.
inline constexpr std::uint8_t every_purpose = (1u << purpose_names.size()) - 1;

// A profile that was merged into the one whose row this stands in. Its aliases lead there. With the head of
// its own row it is all that undoing needs.
struct MergedIn {
    std::string id;
    std::uint64_t version = 0;
    std::vector<Alias> aliases;
    // Whom it was merged into then: the one whose row this is, or another one of its merged_in.
    std::string via;
    std::string json;  // as ProfileBody's; empty: there was none, or no room for it
    // Kept apart from `json`, which may leave. Counts until one that it is merged into tells of that purpose.
    std::vector<Refusal> refusals;
    UtcTime consents_came{};  // as ProfileBody's
    // Which of those told of which purposes, since it is merged into them. At most one for each: apart from
    // each other again, what the others told is no word of theirs.
    struct Answer {
        std::string by;  // an id
        std::uint8_t purposes = 0;
        bool operator==(const Answer&) const = default;
    };
    std::vector<Answer> answers;
    bool stands(const Refusal& refusal) const {
        return std::none_of(answers.begin(), answers.end(), [&](const Answer& answer) {
            return (answer.purposes >> refusal.purpose & 1) != 0;
        });
    }
    bool operator==(const MergedIn&) const = default;
};

struct ProfileBody {
    std::string id;
    std::vector<Alias> aliases;  // as the platform listed them, without those that went to another profile
    std::vector<MergedIn> merged_in;
    // One object: everything else that the platform said. Empty: it was lost with a merge that was undone,
    // and any version of the platform is newer.
    std::string json;
    UtcTime came{};  // when this version came for the first time: what was recorded later it cannot have seen
    UtcTime consents_came{};        // when its `consents` came, in this version or an older one
    std::vector<Refusal> refusals;  // of a document that was lost, while there is no other
    bool operator==(const ProfileBody&) const = default;
};

inline constexpr std::size_t profile_head_bytes = 26;
// Aliases of an erased profile that are still answered as erased; he has more than a handful rarely.
inline constexpr std::size_t tombstone_aliases_max = 16;

// `key` is the row's key. A live row's body, or of a merged one the id of its survivor.
std::string live_row(const SealedBox& box, std::string_view key, const ProfileHead& head,
                     const ProfileBody& body);
std::string merged_row(const SealedBox& box, std::string_view key, const ProfileHead& head,
                       std::string_view survivor);
// `alias_keys`: what leads to this row, if nobody has claimed it since. In the open: so they are in
// `aliases`.
std::string erased_row(const ProfileHead& head, const std::vector<std::string>& alias_keys);

std::string left_row(const ProfileHead& head);

// Empty: bytes that are none of ours, of a later format, changed, or sealed under another key.
std::optional<ProfileHead> read_profile_head(std::string_view row);
std::optional<ProfileBody> open_live_row(const SealedBox& box, std::string_view key, std::string_view row);
std::optional<std::string> open_merged_row(const SealedBox& box, std::string_view key, std::string_view row);
std::vector<std::string> read_erased_aliases(std::string_view row);

// Bytes that a row takes on the disk, about: a node larger than half a page of 4,096 bytes gets pages of its
// own, and leaves of keys in random order are two thirds full.
constexpr std::uint64_t row_cost(std::size_t key_bytes, std::size_t value_bytes) {
    constexpr std::size_t page = 4096, page_head = 16, node_head = 8, node_max = 2032;
    const std::size_t node = node_head + key_bytes + value_bytes;
    if (node <= node_max) return node * 3 / 2;
    return (value_bytes + page_head + page - 1) / page * page + (node_head + key_bytes + 8) * 3 / 2;
}

// Of one erasure, at most: a tombstone with all the aliases that it can name, their rows, and its own in the
// list. 8 and 32 bytes: a time, a profile's key; 29: a pseudonym.
inline constexpr std::uint64_t erasure_cost_max =
    row_cost(32, profile_head_bytes + 4 + tombstone_aliases_max * (4 + 29)) + row_cost(8 + 32, 8) +
    tombstone_aliases_max * row_cost(29, 32);

}  // namespace touchpoint::store
