// The program: builds the parts in order, introduces them to each other, runs the loop, and stops them in
// reverse. It owns and starts; it decides nothing that a part could decide.
//
//   thread    what runs there
//   loop      run(): HTTP, intake (decode, admit), answers, timers, the pushers' conversations
//   store     the committer: every write and flush of events (store/event_store)
//   reader    reading chunks, formatting, compression, registry rows (store/worker)
//   Paho's    Journal::append and nothing else (devices/mqtt_link)
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "config/settings.hpp"
#include "gateway/core/clock.hpp"
#include "gateway/core/result.hpp"

namespace touchpoint::gateway {

// What the program finds around it, as arguments, so that a test can cut the power.
struct Surroundings {
    std::string version;
    std::string boot_id;
    const Clock& clock;                     // outlives the daemon
    std::function<std::uint64_t()> random;  // 64 bits a call, any thread
    std::vector<std::string> config_warnings;
    // Reads the configuration again, on SIGHUP. Null: it cannot be.
    std::function<Result<config::Settings>()> reload;
    std::string config_file;  // its path, for a person
    // Where systemd has put credentials of this service, if there are any: store/keys.hpp.
    std::optional<std::filesystem::path> credentials{};
};

class Daemon {
  public:
    // Everything that can refuse does it here: keys, cache, store, journal, addresses.
    // Fails with io, locked, format_too_new, wrong_machine, damaged: a person must act; the program ends
    // with 78.
    static Result<std::unique_ptr<Daemon>> open(config::Settings settings, Surroundings surroundings);
    ~Daemon();
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;

    // Runs until SIGTERM or SIGINT (0), or until a part has failed in a way that only a new start heals (1).
    int run();

  private:
    class Impl;
    explicit Daemon(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace touchpoint::gateway
