// `touchpoint simulate`: a shop full of devices, for demonstrations, tests and a technician's first try.
#pragma once

namespace CLI {
class App;
}

namespace touchpoint::command {

// Adds the subcommand with its options. When it is chosen on the command line it runs inside app.parse() and
// leaves its outcome in `exit_code`: 0 every event is known to be safe, 1 some are not (the ledger names
// them). `exit_code` must outlive the parse.
void add_simulate(CLI::App& app, int& exit_code);

}  // namespace touchpoint::command
