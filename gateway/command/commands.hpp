// The technician's subcommands. Each asks the daemon, writes for a person (or --json for a program) and gives
// an exit status:
//   0  all is well     1  an error stands in the answer, a person must act
//   3  the daemon does not answer     4  no right to ask it
//
// Texts are made by pure functions, so that a test reads what a technician reads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "gateway/core/result.hpp"

namespace touchpoint::command {

struct Target {
    std::filesystem::path socket;
    std::filesystem::path config;
};

int status(const Target& target, bool as_json);
int backlog(const Target& target, bool as_json);
int tail(const Target& target, bool as_json);
int quarantine_list(const Target& target, std::uint32_t limit, std::uint64_t after, bool as_json);
int quarantine_show(const Target& target, std::uint64_t sequence);
// `which` is a number, a range "5..9", or "all" of what is there now.
int quarantine_retry(const Target& target, const std::string& which);
int quarantine_discard(const Target& target, const std::string& which);

// Of GET /v1/status; empty: not such an answer.
std::string status_text(std::string_view json);
// Of GET /v1/backlog; empty: not such an answer.
std::string backlog_text(std::string_view json);
// Of one line of GET /v1/tail.
std::string tail_text(std::string_view json);
// Of GET /v1/quarantine.
std::string quarantine_text(std::string_view json);

// The daemon gave no answer: what, effect, do, check, and what can be seen without it. The exit status.
int no_answer(const Target& target, const Error& error);

}  // namespace touchpoint::command
