// `touchpoint token`: makes, lists and revokes access tokens. It writes the file itself, so it works with the
// daemon down; a running daemon takes the change over within seconds.
#pragma once

#include <string>
#include <vector>

#include "gateway/tokens.hpp"

namespace CLI {
class App;
}

namespace touchpoint::command {

// Adds the subcommand. When it is chosen it runs inside app.parse() and leaves its outcome in `exit_code`:
// 0 done, 1 not, and why is said. `config` (the configuration's file) and `exit_code` must outlive the parse.
void add_token(CLI::App& app, const std::string& config, int& exit_code);

// Without secrets, for a person; empty list: says how to make the first.
std::string token_list_text(const std::vector<gateway::Token>& tokens);
// A JSON array, for programs.
std::string token_list_json(const std::vector<gateway::Token>& tokens);

}  // namespace touchpoint::command
