// touchpoint: the technician's command.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "config/loader.hpp"
#include "gateway/command/commands.hpp"
#include "gateway/command/simulate.hpp"
#include "gateway/command/token.hpp"
#include "gateway/core/proxies.hpp"

int main(int argc, char** argv) {
    using namespace touchpoint;
    ignore_proxies_of_the_environment();
    CLI::App app{"touchpoint: what the gateway does, what is wrong, and what to do"};
    app.set_version_flag("--version", "touchpoint " TOUCHPOINT_VERSION);
    app.require_subcommand(1);
    app.fallthrough();
    std::string config = "/etc/touchpoint/touchpoint.toml";
    std::string socket;
    int exit_code = 0;
    app.add_option("--config", config, "the gateway's configuration")->capture_default_str();
    app.add_option("--socket", socket, "its control socket; default: as the configuration says");
    const auto target = [&] {
        return command::Target{
            socket.empty() ? config::control_socket(config) : std::filesystem::path(socket), config};
    };

    bool json = false;
    CLI::App* status = app.add_subcommand("status", "is all well? what is wrong, its effect, what to do");
    status->add_flag("--json", json, "for programs");
    status->callback([&] { exit_code = command::status(target(), json); });

    CLI::App* backlog = app.add_subcommand("backlog", "what waits, for whom, and until when the disk lasts");
    backlog->add_flag("--json", json, "for programs");
    backlog->callback([&] { exit_code = command::backlog(target(), json); });

    CLI::App* tail = app.add_subcommand("tail", "what becomes of each message, live");
    tail->add_flag("--json", json, "one JSON object a line");
    tail->callback([&] { exit_code = command::tail(target(), json); });

    CLI::App* quarantine = app.add_subcommand("quarantine", "messages that broke a rule");
    quarantine->require_subcommand(1);
    std::uint32_t limit = 20;
    std::uint64_t after = 0;
    std::uint64_t sequence = 0;
    CLI::App* list = quarantine->add_subcommand("list", "the newest, or those after a number");
    list->add_option("--limit", limit, "how many")->check(CLI::Range(1, 1000))->capture_default_str();
    list->add_option("--after", after, "only those with a higher number");
    list->add_flag("--json", json, "for programs");
    list->callback([&] { exit_code = command::quarantine_list(target(), limit, after, json); });
    CLI::App* show = quarantine->add_subcommand("show", "one with its payload; it may name persons");
    show->add_option("number", sequence, "as the list says")->required();
    show->callback([&] { exit_code = command::quarantine_show(target(), sequence); });

    std::string which;
    CLI::App* retry =
        quarantine->add_subcommand("retry", "after a rule was changed: take them as events now");
    retry->add_option("which", which, "a number, a range like 5..9, or all")->required();
    retry->callback([&] { exit_code = command::quarantine_retry(target(), which); });
    CLI::App* discard = quarantine->add_subcommand("discard", "throw them away for good");
    discard->add_option("which", which, "a number, a range like 5..9, or all")->required();
    discard->callback([&] { exit_code = command::quarantine_discard(target(), which); });

    command::add_token(app, config, exit_code);
    command::add_simulate(app, exit_code);
    try {
        app.parse(argc, argv);
    } catch (const CLI::RequiredError& error) {
        // Where a command is missing it asks for one, and does not say that there was a word which is none.
        const auto words = app.remaining(true);
        const bool command = std::string_view(error.what()).find("ubcommand") != std::string_view::npos;
        if (!command || words.empty() || words.front() == "--") return app.exit(error);
        return app.exit(CLI::ExtrasError("touchpoint", {words.front()}));
    } catch (const CLI::ParseError& error) {
        return app.exit(error);
    }
    return exit_code;
}
