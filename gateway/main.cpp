// touchpointd: the command line of the daemon. Everything else is daemon.hpp.
#include <CLI/CLI.hpp>
#include <iostream>
#include <string>

#include "config/loader.hpp"
#include "gateway/core/log.hpp"
#include "gateway/daemon.hpp"
#include "gateway/system_clock.hpp"

namespace {

using namespace touchpoint;

// EX_CONFIG of sysexits.h: a start that is bad today is bad again in two seconds; the unit does not repeat
// it.
constexpr int bad_start = 78;

int check(const config::Loaded& loaded) {
    for (const config::Problem& problem : loaded.problems) std::cout << config::to_text(problem) << '\n';
    if (!loaded.settings) return bad_start;
    std::cout << config::summary(*loaded.settings) << "ok\n";
    return 0;
}

int run(const std::string& config_file, const std::string& boot_id) {
    const config::Loaded loaded = config::load(config_file);
    for (const config::Problem& problem : loaded.problems)
        log::write(problem.error ? log::Level::error : log::Level::warning, "config",
                   config::to_text(problem));
    if (!loaded.settings) return bad_start;
    log::set_level(loaded.settings->log_level);

    gateway::Environment environment;
    environment.boot_id = boot_id;
    environment.config_file = config_file;
    for (const config::Problem& problem : loaded.problems)
        environment.config_warnings.push_back(config::to_text(problem));
    if (environment.boot_id.empty()) {
        auto read = gateway::read_boot_id();
        if (!read) {
            log::error("gateway", "cannot start", {{"error", read.error().context}});
            return bad_start;
        }
        environment.boot_id = *read;
    }
    auto daemon = gateway::Daemon::open(*loaded.settings, std::move(environment));
    if (!daemon) {
        log::error("gateway", "cannot start",
                   {{"reason", name(daemon.error().code)}, {"error", daemon.error().context}});
        return bad_start;
    }
    return (*daemon)->run();
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"touchpointd: takes a shop's events over MQTT, keeps them, brings them to the platform"};
    std::string config_file = "/etc/touchpoint/touchpoint.toml";
    std::string boot_id;
    bool check_only = false;
    app.add_option("--config", config_file, "configuration; conf.d/*.toml beside it is read too")
        ->capture_default_str();
    app.add_flag("--check-config", check_only, "say everything that is wrong with it, and end");
    app.set_version_flag("--version", "touchpointd " TOUCHPOINT_VERSION);
    // For tests: a power cut is a start under another boot id.
    app.add_option("--boot-id", boot_id)->group("");
    CLI11_PARSE(app, argc, argv);
    return check_only ? check(config::load(config_file)) : run(config_file, boot_id);
}
