// touchpointd: the command line of the daemon. Everything else is daemon.hpp.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/loader.hpp"
#include "gateway/core/log.hpp"
#include "gateway/core/proxies.hpp"
#include "gateway/daemon.hpp"
#include "gateway/start_check.hpp"
#include "gateway/system_clock.hpp"

namespace {

using namespace touchpoint;

// EX_CONFIG of sysexits.h: a start that is bad today is bad again in two seconds; the unit does not repeat
// it.
constexpr int bad_start = 78;
// The unit starts us again: an address that another program has, a lock of a predecessor that hangs in a
// disk's I/O, a file system that is not there yet. Nobody has to come for what passes by itself.
constexpr int try_again = 1;

int check(const std::string& config_file) {
    const config::Loaded loaded = config::load(config_file);
    for (const config::Problem& problem : loaded.problems) std::cout << config::to_text(problem) << '\n';
    if (!loaded.settings) return bad_start;
    bool starts = true;
    const auto file = std::make_shared<const std::string>(config_file);
    for (const gateway::StartFinding& found :
         gateway::check_start(*loaded.settings, gateway::SystemClock().utc())) {
        std::cout << config::to_text({{file, 0, 0}, found.words, found.error}) << '\n';
        starts = starts && !found.error;
    }
    if (!starts) return bad_start;
    std::cout << config::summary(*loaded.settings) << "ok\n";
    return 0;
}

void log_problems(const std::vector<config::Problem>& problems) {
    for (const config::Problem& problem : problems)
        log::write(problem.error ? log::Level::error : log::Level::warning, "config",
                   config::to_text(problem));
}

Result<config::Settings> read_again(const std::string& config_file) {
    config::Loaded loaded = config::load(config_file);
    log_problems(loaded.problems);
    if (!loaded.settings) return fail(Errc::invalid_argument, config_file);
    return std::move(*loaded.settings);
}

// Whether only a person can change what made the start fail.
bool needs_a_person(Errc code) {
    return code == Errc::invalid_argument || code == Errc::format_too_new || code == Errc::wrong_machine ||
           code == Errc::damaged;
}

int cannot_start(const Error& error) {
    const bool person = needs_a_person(error.code);
    log::error("gateway", "cannot start",
               {{"reason", name(error.code)},
                {"error", error.context},
                {"next", person ? "a person must repair this" : "systemd tries again"}});
    return person ? bad_start : try_again;
}

// LoadCredentialEncrypted= in the unit; absent where none was found.
std::optional<std::filesystem::path> credentials() {
    const char* folder = std::getenv("CREDENTIALS_DIRECTORY");
    if (folder == nullptr || *folder == '\0') return std::nullopt;
    return std::filesystem::path(folder);
}

int run(const std::string& config_file, std::string boot_id) {
    // Whoever reads our log may go; that is no reason to end.
    std::signal(SIGPIPE, SIG_IGN);
    config::Loaded loaded = config::load(config_file);
    log_problems(loaded.problems);
    if (!loaded.settings) return bad_start;
    log::set_level(loaded.settings->log_level);
    if (boot_id.empty()) {
        auto read = gateway::read_boot_id();
        if (!read) return cannot_start(read.error());
        boot_id = *read;
    }
    std::vector<std::string> warnings;
    for (const config::Problem& problem : loaded.problems) warnings.push_back(config::to_text(problem));

    const gateway::SystemClock clock;
    auto daemon = gateway::Daemon::open(
        std::move(*loaded.settings),
        {TOUCHPOINT_VERSION, std::move(boot_id), clock, gateway::random_bits, std::move(warnings),
         [config_file] { return read_again(config_file); }, config_file, credentials()});
    if (!daemon) return cannot_start(daemon.error());
    return (*daemon)->run();
}

}  // namespace

int main(int argc, char** argv) {
    touchpoint::ignore_proxies_of_the_environment();
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
    return check_only ? check(config_file) : run(config_file, boot_id);
}
