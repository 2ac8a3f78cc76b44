// A profile as JSON: what the platform says becomes what the store keeps, and that becomes what a reader may
// see. Decisions only: no disk, no socket, no clock.
//
// On the wire: uplink/README.md, "Profiles down"; devices/README.md, "Reading a profile".
//
// Threads: pure, any.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "devices/pseudonym.hpp"
#include "gateway/platform_json.hpp"
#include "store/profiles.hpp"

namespace touchpoint::gateway {

template <class T>
using Read = boost::system::result<T, Mistake>;

inline constexpr std::uint64_t profile_version_max = (1ull << 53) - 1;  // what every JSON reader can hold

// An id is 1 to 128 visible ASCII characters without / and :, so that it is no alias and one part of a path;
// and none of the words batch, lookup, wanted.
bool is_profile_id(std::string_view text);
// The member that says how far the platform has seen this store: for the platform only.
inline constexpr std::string_view seen_member = "seen";
// Of an id that was made of an alias ("id_of" in a line): "of." and its pseudonym.
inline constexpr std::string_view alias_id_prefix = "of.";
// "card:2900000012345" as devices write it, with its pseudonym. Empty: no such text.
std::optional<store::Alias> alias_of(std::string_view text, const devices::Pseudonymiser& pseudonymiser);

// The body of PUT /v1/profiles/{id}. Members that it does not know are kept.
Read<store::ProfilePut> profile_put(std::string_view body, std::string_view id,
                                    const devices::Pseudonymiser& pseudonymiser);
// The body of PATCH: version and updated are of the result, the rest is a merge patch.
Read<store::ProfilePatch> profile_patch(std::string_view body, std::string_view id,
                                        const devices::Pseudonymiser& pseudonymiser);
// The body of DELETE, which may be empty: {"aliases":["card:..",...]}.
Read<store::ProfileErase> profile_erase(std::string_view body, std::string_view id,
                                        const devices::Pseudonymiser& pseudonymiser);
// The body of POST .../merge: {"from":["c-1",...]}.
Read<store::ProfileMerge> profile_merge(std::string_view body, std::string_view id);
// The body of POST .../unmerge: {"ids":["c-1",...]}.
Read<store::ProfileUnmerge> profile_unmerge(std::string_view body, std::string_view id);
// One line of POST /v1/profiles/batch: {"op":"put","id":"c-1",...}, or "id_of":"card:1" where the platform
// has no id. With `left_out` an erasure is read also where its version or some of its aliases cannot be,
// without those, and their number is added.
Read<store::ProfileChange> profile_line(std::string_view line, const devices::Pseudonymiser& pseudonymiser,
                                        std::size_t* left_out = nullptr);
// The body of POST /v1/profiles/lookup: {"any":["card:..","email:.."]}.
Read<std::vector<std::string>> lookup_body(std::string_view body);
inline constexpr std::size_t lookup_aliases_max = 8;

// What a reader wants a profile for. Each sees what it needs; all but `operation` need the person's consent.
enum class Purpose { operation, analytics, personalisation, marketing };
std::optional<Purpose> purpose_named(std::string_view text);

// Whether the person behind this document lets it be used for `purpose` now. Nobody has to consent to
// operation, but it can be denied.
bool consented(std::string_view document, Purpose purpose, bool unknown_granted, UtcTime now);

struct ProfileView {
    Purpose purpose = Purpose::operation;
    bool persons = true;           // false: the row's state, and nothing of the person
    bool whole_aliases = false;    // else their last four characters
    bool unknown_granted = false;  // what a consent that nobody has asked for means
    bool stale = false;
    bool behind = false;  // consents may have been taken back: only operation sees him
};
// One object and a line feed; `received` is its last member.
std::string profile_json(const store::Profile& profile, const ProfileView& view, UtcTime now);
// What profile_json() made, up to that member.
std::string_view without_received(std::string_view made);

}  // namespace touchpoint::gateway
