#include <iostream>
#include <string>
#include <system_error>

#include "config/loader.hpp"
#include "gateway/command/commands.hpp"
#include "gateway/command/systemd.hpp"
#include "gateway/spoken.hpp"

namespace touchpoint::command {
namespace {

void look_around(const Target& target) {
    const config::Loaded loaded = config::load(target.config);
    std::cerr << "\nSeen without it:\n";
    if (loaded.settings) {
        std::cerr << "  config  " << target.config.string() << " is right\n";
        std::error_code error;
        const auto file = loaded.settings->store.path / "events" / "data.mdb";
        const auto bytes = std::filesystem::file_size(file, error);
        if (!error)
            std::cerr << "  store   " << file.string() << ", " << gateway::spoken_bytes(bytes) << "\n";
        const auto space = std::filesystem::space(loaded.settings->store.path, error);
        if (!error) std::cerr << "  disk    " << gateway::spoken_bytes(space.available) << " free\n";
    } else {
        std::cerr << "  config  this is wrong, and the gateway does not start with it:\n";
        for (const config::Problem& problem : loaded.problems)
            if (problem.error) std::cerr << "          " << config::to_text(problem) << "\n";
    }
    if (const std::string error = last_error_of_gateway(); !error.empty())
        std::cerr << "  log     the last error of touchpoint.service:\n          " << error << "\n";
}

}  // namespace

int no_answer(const Target& target, const Error& error) {
    const std::string socket = target.socket.string();
    if (error.code == Errc::refused) {
        std::cerr << "touchpoint: you have no right to ask the gateway (" << socket << ")\n"
                  << "  do      use sudo, or join the group once: sudo usermod -aG touchpoint $USER; then "
                     "log in again\n";
        return 4;
    }
    std::cerr << "touchpoint: the gateway does not answer on " << socket << " (" << error.context << ")\n"
              << "  effect  Events stay with the broker until the gateway runs again. What it took is on "
                 "disk; nothing\n"
              << "          of that is lost.\n"
              << "  do      systemctl start touchpoint\n"
              << "          if it does not stay up: journalctl -u touchpoint -n 30 (as root, or in the group "
                 "systemd-journal)\n"
              << "  check   touchpoint status\n";
    look_around(target);
    return 3;
}

}  // namespace touchpoint::command
