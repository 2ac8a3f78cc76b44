#include "gateway/command/systemd.hpp"

#include <array>
#include <cstdio>
#include <memory>

namespace touchpoint::command {
namespace {

constexpr std::size_t line_bytes_max = 4096;  // the rest of a longer one is left out

// REQUIRES: no part of `command` comes from outside.
std::string first_line(const std::string& command) {
    struct Close {
        void operator()(FILE* pipe) const { ::pclose(pipe); }
    };
    const std::unique_ptr<FILE, Close> pipe(::popen(("timeout 5 " + command + " 2>/dev/null").c_str(), "re"));
    std::array<char, line_bytes_max> line{};
    if (!pipe || std::fgets(line.data(), line.size(), pipe.get()) == nullptr) return {};
    std::string text(line.data());
    if (text.ends_with('\n')) text.pop_back();
    return text;
}

// By the field that journald itself fills: what systemd says of the unit ("failed") is no reason.
std::string last_log_line(const std::string& unit, const std::string& which) {
    return first_line("journalctl _SYSTEMD_UNIT=" + unit + " " + which +
                      " --lines=1 --no-hostname --no-pager --quiet");
}

}  // namespace

std::string last_error_of_gateway() {
    return last_log_line("touchpoint.service", "--priority=err --output=short-iso");
}

std::string broker_unit_condition(bool connected, const std::string& broker) {
    const std::string state =
        first_line("systemctl show touchpoint-broker.service --property=SubState --value");
    if (state != "auto-restart" && state != "failed") return {};
    std::string out = "error: touchpoint-broker.service does not run";
    if (connected) out += ", and another broker answers on " + broker;
    out += "  [broker-unit]\n  effect  ";
    out += connected
               ? "Users, access rules and listeners of broker.conf do not hold there, nor is its queue kept."
               : "Devices can send nothing.";
    out += "\n  do      ";
    if (connected) out += "is it Debian's own? systemctl disable --now mosquitto. ";
    // Mosquitto logs all it says with one priority.
    const std::string why = last_log_line("touchpoint-broker.service", "--grep=Error --output=cat");
    out += why.empty() ? "journalctl -u touchpoint-broker -n 30" : "the log: " + why;
    return out + "\n  check   systemctl status touchpoint-broker\n";
}

}  // namespace touchpoint::command
