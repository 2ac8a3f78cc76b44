#include "tests/tidy/rules.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>

namespace touchpoint::tidy {
namespace {

bool is_source(std::string_view path) { return path.ends_with(".cpp") || path.ends_with(".hpp"); }

// The part of the house a path belongs to; a higher rank may include a lower one.
struct Part {
    std::string_view folder;
    int rank;
};
constexpr std::array<Part, 7> parts = {{{"gateway/core/", 1},
                                        {"gateway/command/", 6},
                                        {"gateway/", 5},
                                        {"config/", 4},
                                        {"devices/", 3},
                                        {"uplink/", 3},
                                        {"store/", 2}}};
const Part* part_of(std::string_view path) {
    const auto found = std::find_if(parts.begin(), parts.end(),
                                    [&](const Part& part) { return path.starts_with(part.folder); });
    return found == parts.end() ? nullptr : &*found;
}
// The daemon's libraries: here the fences hold. The technician's command is another program.
bool in_daemon(std::string_view path) {
    const Part* part = part_of(path);
    return part != nullptr && part->folder != "gateway/command/";
}

// Headers and calls that only these files may use. Plain texts, not regular expressions: this runs over
// every line of the tree.
struct Fence {
    std::vector<std::string_view> texts;
    std::vector<std::string_view> allowed;
    const char* instead;
};
const std::vector<Fence>& fences() {
    static const std::vector<Fence> all = {
        {{"#include <mqtt/", "#include <MQTT"},
         {"devices/mqtt_link.cpp"},
         "Paho stays behind devices/mqtt_link.hpp"},
        {{"#include <lmdb.h>"}, {"store/environment.cpp"}, "LMDB stays behind store/environment.hpp"},
        {{"#include <toml++"}, {"config/document.cpp"}, "TOML stays behind config/document.hpp"},
        {{"#include <boost/beast/", "#include <boost/asio/ip/", "#include <boost/asio/local/",
          "#include <boost/asio/generic/", "#include <boost/asio/ssl", "#include <boost/asio/connect",
          "#include <boost/asio/basic_s", "#include <boost/asio/read", "#include <boost/asio/write"},
         {"gateway/http_server.cpp", "gateway/http_reader.cpp", "gateway/http_stream.hpp",
          "gateway/http_stream.cpp", "gateway/server_tls.cpp", "uplink/platform_client.cpp",
          "uplink/platform_stream.hpp", "uplink/platform_plain.cpp", "uplink/platform_tls.cpp",
          "uplink/asio.cpp"},
         "sockets stay in the HTTP server and the platform client"},
        {{"#include <openssl/"},
         {"devices/base64.cpp", "devices/pseudonym.cpp", "gateway/quarantine.cpp", "gateway/server_tls.cpp",
          "gateway/tokens.cpp", "store/keys.cpp", "store/sealed_box.cpp", "uplink/platform_client.cpp",
          "uplink/platform_tls.cpp"},
         "OpenSSL stays in the files that this rule names; add yours to it if it must be"},
        // name_lookup: getaddrinfo cannot be interrupted, so it waits on a thread that nobody waits for.
        {{"std::thread", "std::jthread", "std::async", "pthread_create"},
         {"store/worker.hpp", "store/worker.cpp", "store/committer.hpp", "store/event_store.cpp",
          "uplink/name_lookup.cpp"},
         "threads are started by store/worker and the committer only; post to one of them"},
        {{"system_clock::now", "steady_clock::now", "high_resolution_clock::now", "clock_gettime(",
          "gettimeofday(", " time(nullptr)", "::time("},
         {"gateway/system_clock.cpp"},
         "time is an argument: take a Clock or a time (gateway/core/clock.hpp)"},
        {{"asio::detached", "boost/asio/detached"},
         {},
         "spawn with a completion handler that ends the program on an exception"},
    };
    return all;
}

bool holds_any(std::string_view line, const std::vector<std::string_view>& texts) {
    return std::any_of(texts.begin(), texts.end(),
                       [&](std::string_view text) { return line.find(text) != std::string_view::npos; });
}

bool word_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// The folder in which this checkout stands, with a slash at its end; empty where that is a folder of every
// machine.
std::string own_place() {
    const std::string folder = std::filesystem::path(SOURCE_DIR).parent_path().string();
    for (const std::string_view common :
         {"/", "/tmp", "/var/tmp", "/src", "/usr/src", "/opt", "/srv", "/mnt"})
        if (folder == common) return {};
    return folder + "/";
}

// "/home/.." as the beginning of a path, not as a part of one.
bool names_a_machine_path(std::string_view line) {
    static const std::string own = own_place();
    for (const std::string_view folder :
         {std::string_view(own), std::string_view("/home/"), std::string_view("/root/")}) {
        if (folder.empty()) continue;
        for (auto at = line.find(folder); at != std::string_view::npos; at = line.find(folder, at + 1)) {
            const char before = at == 0 ? ' ' : line[at - 1];
            if (!word_character(before) && std::string_view(".-/*}").find(before) == std::string_view::npos)
                return true;
        }
    }
    return false;
}

// As a word of a shell command, or (quoted) as an argument in a list.
bool calls(std::string_view line, std::string_view program, bool shell) {
    for (auto at = line.find(program); at != std::string_view::npos; at = line.find(program, at + 1)) {
        const char before = at == 0 ? ' ' : line[at - 1];
        const auto end = at + program.size();
        const char after = end == line.size() ? ' ' : line[end];
        if (shell) {
            const bool begins =
                !word_character(before) && std::string_view("./-").find(before) == std::string_view::npos;
            if (begins && std::string_view(" ;|)").find(after) != std::string_view::npos) return true;
        } else if ((before == '"' || before == '\'') && before == after) {
            return true;
        }
    }
    return false;
}

// util, helper and the like as a word of a path.
bool admits_everything(std::string_view path) {
    constexpr std::array<std::string_view, 8> drawers = {"util",    "utils",    "helper", "helpers",
                                                         "manager", "managers", "misc",   "common"};
    std::string word;
    for (const char c : std::string(path) + "/") {
        if (word_character(c) && c != '_') {
            word += c;
        } else {
            if (std::find(drawers.begin(), drawers.end(), word) != drawers.end()) return true;
            word.clear();
        }
    }
    return false;
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

void check_include(const File& file, std::string_view line, const std::string& where, Violations& out) {
    constexpr std::string_view directive = "#include \"";
    if (!line.starts_with(directive)) return;
    const std::string included(line.substr(directive.size(), line.rfind('"') - directive.size()));
    const Part* from = part_of(file.path);
    const Part* to = part_of(included);
    if (from != nullptr && (included.starts_with("tests/") || included.starts_with("tools/"))) {
        out.push_back(where + "includes " + included +
                      "; what is installed includes nothing of tests/ or tools/.");
    } else if (file.path.starts_with("tools/") && to != nullptr && to->folder != "gateway/core/") {
        out.push_back(where + "includes " + included +
                      "; tools judge the gateway from outside, with gateway/core only.");
    } else if (from != nullptr && to != nullptr && from->folder != to->folder && to->rank >= from->rank) {
        out.push_back(
            where + "includes " + included +
            "; the include rule is gateway -> config -> devices | uplink -> store -> gateway/core.");
    }
}

void check_fences(const File& file, std::string_view code, const std::string& where, Violations& out) {
    for (const Fence& fence : fences()) {
        const bool allowed =
            std::find(fence.allowed.begin(), fence.allowed.end(), file.path) != fence.allowed.end();
        if (allowed || !holds_any(code, fence.texts)) continue;
        out.push_back(where + "crosses a fence (" + std::string(code.substr(code.find_first_not_of(' '))) +
                      "): " + fence.instead + ".");
    }
}

void check_lines(const File& file, Violations& out) {
    // In two pieces, or this file would break its own rule.
    static const std::string todo_now = std::string("TODO") + "(now)";
    const auto lines = lines_of(file.text);
    const bool source = is_source(file.path);
    if (source && lines.size() > lines_max)
        out.push_back(file.path + " has " + std::to_string(lines.size()) + " lines; over " +
                      std::to_string(lines_max) + " it holds two things: take one out.");
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const std::string where = file.path + " line " + std::to_string(i + 1) + " ";
        if (lines[i].find(todo_now) != std::string::npos)
            out.push_back(where + "has a " + todo_now + "; do it, or name when (TODO(someday), TODO(perf)).");
        if (names_a_machine_path(lines[i]))
            out.push_back(where +
                          "names a path of somebody's machine; take it from the environment or an option.");
        if (!source) continue;
        const std::string_view code = std::string_view(lines[i]).substr(0, lines[i].find("//"));
        check_include(file, code, where, out);
        if (in_daemon(file.path)) check_fences(file, code, where, out);
    }
}

}  // namespace

Violations check_file(const File& file) {
    Violations out;
    if (admits_everything(file.path))
        out.push_back(file.path +
                      " has a name that admits everything (util, helper, manager, misc, common); name the "
                      "thing it holds.");
    if (file.path.ends_with(".hpp") && file.text.find("#pragma once") == std::string::npos)
        out.push_back(file.path + " has no #pragma once; add it below the opening comment.");
    if (file.path.ends_with(".hpp") && part_of(file.path) != nullptr && !file.text.starts_with("//"))
        out.push_back(file.path +
                      " does not open with what it is; begin the header with a comment of one sentence.");
    check_lines(file, out);
    return out;
}

Violations check_folders(const std::vector<File>& files) {
    constexpr std::array<std::string_view, 10> needed = {"",       "gateway/", "gateway/core/", "devices/",
                                                         "store/", "uplink/",  "config/",       "systemd/",
                                                         "tests/", "tools/"};
    std::set<std::string> paths;
    for (const File& file : files) paths.insert(file.path);
    Violations out;
    for (const std::string_view folder : needed) {
        const std::string readme = std::string(folder) + "README.md";
        if (!paths.contains(readme))
            out.push_back(
                readme +
                " is missing; say in it what the folder is for, what it promises and where to begin.");
    }
    return out;
}

Violations check_packages(const std::vector<File>& files) {
    static const std::map<std::string, std::string> package_of = {{"mosquitto", "mosquitto"},
                                                                  {"mosquitto_passwd", "mosquitto"},
                                                                  {"mosquitto_pub", "mosquitto-clients"},
                                                                  {"mosquitto_sub", "mosquitto-clients"},
                                                                  {"clang-format", "clang-format"},
                                                                  {"clang-tidy", "clang-tidy"},
                                                                  {"cmake", "cmake"},
                                                                  {"ctest", "cmake"},
                                                                  {"curl", "curl"},
                                                                  {"gcovr", "gcovr"},
                                                                  {"gdb", "gdb"},
                                                                  {"git", "git"},
                                                                  {"jq", "jq"},
                                                                  {"ninja", "ninja-build"},
                                                                  {"node", "nodejs"},
                                                                  {"npm", "npm"},
                                                                  {"openssl", "openssl"},
                                                                  {"pgrep", "procps"},
                                                                  {"promtool", "prometheus"},
                                                                  {"python3", "python3"},
                                                                  {"shellcheck", "shellcheck"},
                                                                  {"socat", "socat"},
                                                                  {"strace", "strace"},
                                                                  {"valgrind", "valgrind"}};
    const auto deps =
        std::find_if(files.begin(), files.end(), [](const File& f) { return f.path == "tools/deps"; });
    if (deps == files.end())
        return {"tools/deps is missing; it names every package that building and testing needs."};
    std::string names = deps->text;
    std::replace_if(
        names.begin(), names.end(), [](char c) { return c == '"' || c == '='; }, ' ');
    std::set<std::string> listed;
    std::istringstream words(names);
    for (std::string word; words >> word;) listed.insert(word);

    Violations out;
    for (const File& file : files) {
        const bool script = file.text.starts_with("#!/bin/sh") || file.text.starts_with("#!/bin/bash");
        const bool quoting = file.text.starts_with("#!/usr/bin/env python3") ||
                             (file.path.starts_with("tests/") && is_source(file.path));
        if ((!script && !quoting) || file.path == "tools/deps") continue;
        const auto lines = lines_of(file.text);
        for (const auto& [program, package] : package_of) {
            if (listed.contains(package)) continue;
            const bool used = std::any_of(lines.begin(), lines.end(), [&](const std::string& line) {
                const auto begin = line.find_first_not_of(' ');
                const bool comment = script && begin != std::string::npos && line[begin] == '#';
                return !comment && calls(line, program, script);
            });
            if (used)
                out.push_back(file.path + " calls " + program +
                              ", and tools/deps does not name its package " + package + "; add it there.");
        }
    }
    return out;
}

}  // namespace touchpoint::tidy
