// From the files to Settings, or to the list of everything that is wrong with them.
//
//     touchpoint.toml, then conf.d/*.toml beside it in the order of their names
//
// A table in a later file is merged into the earlier one, [[uplink.push]] is appended, a single key replaces.
// Nothing is guessed: unknown keys, wrong types and impossible values are errors with file, line, column and
// what would be right; all of them are reported, not the first only.
//
// Threads: none; reads files.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "config/document.hpp"
#include "config/settings.hpp"

namespace touchpoint::config {

inline constexpr std::size_t push_destinations_max = 16;  // each is a consumer row and a coroutine

struct Loaded {
    std::optional<Settings> settings;  // empty when one problem is an error
    std::vector<Problem> problems;     // in the order of files and lines
    std::vector<std::filesystem::path> files;
};

Loaded load(const std::filesystem::path& file);

// Where the daemon of this configuration listens for `touchpoint`, even when the rest of it is wrong.
std::filesystem::path control_socket(const std::filesystem::path& file);

// Where `touchpoint token` finds the tokens, and for which group it makes the file, even when the rest of the
// configuration is wrong. An empty file: none is configured.
struct TokenPlace {
    std::filesystem::path file;
    std::string group;
};
TokenPlace token_place(const std::filesystem::path& file);

// Every key that load() reads, dotted, sorted ("store.path", "uplink.push.url").
std::vector<std::string> known_keys();

// A few lines for a person: what this configuration makes the gateway do. No secrets.
std::string summary(const Settings& settings);

}  // namespace touchpoint::config
