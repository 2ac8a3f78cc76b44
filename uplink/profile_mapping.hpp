// A platform's own profile documents turned into the lines of POST /v1/profiles/batch, by rules that stand in
// a mapping file. Nothing of a value is rendered again: numbers keep their text.
//
//     document ──each──> items ──the first rule whose `when` holds──> {"op":"put","id":..,...}
//
// Promised
//   One bad item is said (rule, what it lacked) and hinders no other. No value of a person stands in what is
//   said.
//
// The files: uplink/README.md, "Mapping files". Read by config/mappings.cpp.
//
// Threads: pure, any.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/core/clock.hpp"

namespace touchpoint::uplink {

// Of one document.
inline constexpr std::size_t mapped_items_max = 10'000;
// Of one pattern in one item.
inline constexpr std::size_t mapped_matches_max = 1024;

// Where a value comes from: "" the value at hand, "/a/0/b" below it (JSON Pointer, RFC 6901), "$item/a" and
// "$root/a" below the item or the document, "$1" the first name that a * of `each` stood for, "$received" the
// time of arrival; any other text is itself.
struct MappingSource {
    enum class Kind { here, item, root, key, received, constant };
    Kind kind = Kind::here;
    std::vector<std::string> steps;
    std::size_t key = 0;  // from 0
    std::string text;     // of a constant
};
// Empty: no such source.
std::optional<MappingSource> mapping_source(std::string_view text);
// A pointer in which * stands for each item or member of a level. Empty: no such pattern.
std::optional<std::vector<std::string>> mapping_pattern(std::string_view text);

using MappingWords = std::vector<std::pair<std::string, std::string>>;
using MappingSources = std::vector<MappingSource>;  // the first that is there

// Where a profile's id comes from: a source that is one, or "email:/a/0", an alias: then the id is made of
// its pseudonym, for an address or a number that somebody is known by is no name for files and logs.
struct MappingId {
    MappingSource source;
    std::string scheme;  // empty: it is the id
};
std::optional<MappingId> mapping_id(std::string_view text);

struct MappingWhen {
    std::vector<std::pair<MappingSource, std::string>> equals;
    MappingSources has;
    MappingSources lacks;
};
struct MappingAlias {
    std::vector<std::string> each;
    MappingSource value;
    MappingSource scheme;
    MappingWords schemes;  // empty: as it is; else the others are left out
};
struct MappingTrait {
    std::vector<std::string> each;  // objects whose members are copied
    std::vector<std::string> except;
    MappingWords rename;
};
struct MappingSegment {
    std::vector<std::string> each;
    MappingWhen when;
    MappingSource name;
};
struct MappingConsent {
    std::vector<std::string> each;
    MappingSource purpose, state;
    MappingSources since, until;
    MappingWords purposes;  // the others keep their name
    MappingWords states;    // to granted, denied, revoked, or unknown: then it is left out
};
struct MappingRule {
    std::string name;
    MappingWhen when;
    std::string op = "put";     // put, patch, delete, merge
    std::vector<MappingId> id;  // the first that leads to something; a URL is none
    MappingSources version, updated;
    bool seconds = false;           // numbers in `updated` are seconds, not milliseconds
    std::vector<std::string> from;  // of a merge: a pattern
    std::vector<std::pair<std::string, MappingSource>> set;  // trait, its value
    std::vector<MappingTrait> traits;
    std::vector<MappingAlias> aliases;
    std::vector<MappingSegment> segments;
    std::vector<MappingConsent> consents;
};
struct ProfileMapping {
    std::string name;  // of the file, without .toml
    // Patterns of the items; the first that leads to something. None does: the document is the item.
    std::vector<std::vector<std::string>> each;
    std::vector<MappingRule> rules;
};

struct MappedItem {
    std::string line;     // one of POST /v1/profiles/batch
    std::string problem;  // instead: what was wrong
    // Neither: no rule is for it.
};
std::vector<MappedItem> map_profiles(const ProfileMapping& mapping, std::string_view document,
                                     UtcTime received);

}  // namespace touchpoint::uplink
