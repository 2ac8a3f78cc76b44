#include "gateway/command/token.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <memory>

#include "config/loader.hpp"
#include "gateway/core/json_text.hpp"

namespace touchpoint::command {
namespace {

struct Wishes {
    std::string file;
    std::string role;
    std::string device;
    std::string note;
    std::string id;
    bool json = false;
};

UtcTime now() {
    using namespace std::chrono;
    return {duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count()};
}

int complain(const std::string& words) {
    std::cerr << "touchpoint: " << words << '\n';
    return 1;
}

int complain(const Error& error) {
    // Nearly always: run as oneself instead of as root.
    const bool rights = error.code == Errc::refused || error.code == Errc::io;
    return complain(error.context + (rights ? " (as root? try sudo)" : ""));
}

// Where the tokens stand: as said, or as the configuration says. Empty: nowhere, and that was said.
config::TokenPlace place_of(const Wishes& wishes, const std::string& config) {
    config::TokenPlace place = config::token_place(config);
    if (!wishes.file.empty()) place.file = wishes.file;
    if (place.file.empty())
        complain("no file of tokens is configured. Write into " + config +
                 "\n\n    [auth]\n    tokens_file = \"/etc/touchpoint/tokens.toml\"\n\n"
                 "and restart the gateway, or name a file: --file F");
    return place;
}

int create(const Wishes& wishes, const std::string& config) {
    const auto role = gateway::role_named(wishes.role);
    if (!role) return complain("the role must be device, app, platform or technician");
    const config::TokenPlace place = place_of(wishes, config);
    if (place.file.empty()) return 1;
    const auto token =
        gateway::create_token(place.file, {*role, wishes.device, wishes.note}, now(), place.group);
    if (!token) return complain(token.error());
    // The token alone goes to stdout, so that a script can take it.
    std::cerr << "This token is shown once; it cannot be shown again:\n";
    std::cout << *token << std::endl;
    return 0;
}

int list(const Wishes& wishes, const std::string& config) {
    const config::TokenPlace place = place_of(wishes, config);
    if (place.file.empty()) return 1;
    const auto set = gateway::read_tokens(place.file);
    if (!set && set.error().code != Errc::not_found) return complain(set.error());
    const auto tokens = set ? set->tokens() : std::vector<gateway::Token>();
    std::cout << (wishes.json ? token_list_json(tokens) : token_list_text(tokens));
    return 0;
}

int revoke(const Wishes& wishes, const std::string& config) {
    const config::TokenPlace place = place_of(wishes, config);
    if (place.file.empty()) return 1;
    if (const auto revoked = gateway::revoke_token(place.file, wishes.id); !revoked)
        return complain(revoked.error());
    std::cerr << "Revoked. A running gateway refuses it within seconds.\n";
    return 0;
}

void pad(std::string& line, std::size_t width) {
    line.append(line.size() < width ? width - line.size() : 1, ' ');
}

}  // namespace

std::string token_list_text(const std::vector<gateway::Token>& tokens) {
    if (tokens.empty()) return "There is no token. Make one: touchpoint token create --role technician\n";
    std::size_t id = 4;
    std::size_t device = 8;
    for (const gateway::Token& token : tokens) {
        id = std::max(id, token.id.size() + 2);
        device = std::max(device, token.device.size() + 2);
    }
    const auto row = [&](const std::string& a, std::string_view b, const std::string& c, const std::string& d,
                         const std::string& e) {
        std::string line = a;
        pad(line, id);
        line += b;
        pad(line, id + 12);
        line += c;
        pad(line, id + 12 + device);
        line += d;
        if (!e.empty()) pad(line, id + 12 + device + 26);
        return line + e + "\n";
    };
    std::string out = row("ID", "ROLE", "DEVICE", "CREATED", "NOTE");
    for (const gateway::Token& token : tokens)
        out += row(token.id, gateway::name(token.role), token.device.empty() ? "-" : token.device,
                   to_rfc3339(token.created), token.note);
    return out;
}

std::string token_list_json(const std::vector<gateway::Token>& tokens) {
    std::string out = "[";
    for (const gateway::Token& token : tokens) {
        out += out.size() == 1 ? "" : ",";
        out += "{\"id\":" + json_string(token.id) + ",\"role\":" + json_string(gateway::name(token.role));
        out += ",\"device\":" + (token.device.empty() ? "null" : json_string(token.device));
        out += ",\"created\":" + json_string(to_rfc3339(token.created));
        out += ",\"note\":" + json_string(token.note) + "}";
    }
    return out + "]\n";
}

void add_token(CLI::App& app, const std::string& config, int& exit_code) {
    const auto wishes = std::make_shared<Wishes>();  // kept by the callbacks
    CLI::App* token = app.add_subcommand("token", "access tokens: who may ask the gateway by HTTP");
    token->require_subcommand(1);
    token->add_option("--file", wishes->file, "the file of tokens; default: as the configuration says");

    CLI::App* creates = token->add_subcommand("create", "a new token; its text is shown once");
    creates->add_option("--role", wishes->role, "device, app, platform or technician")->required();
    creates->add_option("--device", wishes->device, "of a device's token: kind/id as in topics, pos/t1");
    creates->add_option("--note", wishes->note, "for whom it is");
    creates->callback([wishes, &config, &exit_code] { exit_code = create(*wishes, config); });

    CLI::App* lists = token->add_subcommand("list", "ids, roles, notes; no secrets");
    lists->add_flag("--json", wishes->json, "for programs");
    lists->callback([wishes, &config, &exit_code] { exit_code = list(*wishes, config); });

    CLI::App* revokes = token->add_subcommand("revoke", "takes a token's rights away");
    revokes->add_option("id", wishes->id, "as the list says")->required();
    revokes->callback([wishes, &config, &exit_code] { exit_code = revoke(*wishes, config); });
}

}  // namespace touchpoint::command
