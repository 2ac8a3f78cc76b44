#include "gateway/command/systemd.hpp"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cctype>
#include <cstdio>
#include <memory>

#include "gateway/command/json_view.hpp"

namespace touchpoint::command {
namespace {

namespace json = boost::json;

constexpr std::size_t answer_bytes_max = 4096;  // the rest of a longer one is left out

// REQUIRES: no part of `command` comes from outside.
std::string answer_of(const std::string& command) {
    struct Close {
        void operator()(FILE* pipe) const { ::pclose(pipe); }
    };
    const std::unique_ptr<FILE, Close> pipe(
        ::popen(("timeout -k 1 2 " + command + " 2>/dev/null").c_str(), "re"));
    std::array<char, answer_bytes_max> bytes{};
    if (!pipe) return {};
    std::string text(bytes.data(), std::fread(bytes.data(), 1, bytes.size(), pipe.get()));
    for (char& c : text)
        if (c != '\n' && std::iscntrl(static_cast<unsigned char>(c)) != 0) c = ' ';
    return text;
}

// `text` has lines KEY=VALUE.
std::string value_of(std::string_view text, const std::string& key) {
    for (std::size_t at = 0; at < text.size();) {
        const auto end = std::min(text.find('\n', at), text.size());
        const std::string_view line = text.substr(at, end - at);
        if (line.starts_with(key + "=")) return std::string(line.substr(key.size() + 1));
        at = end + 1;
    }
    return {};
}

std::string properties(const std::string& unit) {
    return answer_of("systemctl show " + unit + " --property=SubState,UnitFileState,NRestarts,InvocationID");
}

// The last line of this run of a unit, an older one would be another matter. By the field that journald
// itself fills: what systemd says of the unit ("failed") is no reason.
std::string last_line(const std::string& unit, const std::string& run, const std::string& which) {
    const bool id = run.size() == 32 && std::all_of(run.begin(), run.end(),
                                                    [](unsigned char c) { return std::isxdigit(c) != 0; });
    if (!id) return {};
    const std::string text =
        answer_of("journalctl _SYSTEMD_UNIT=" + unit + " _SYSTEMD_INVOCATION_ID=" + run + " " + which +
                  " --lines=1 --output=short-iso --no-hostname --no-pager --quiet");
    return text.substr(0, text.find('\n'));
}

bool on_this_box(std::string_view url) {
    const auto scheme = url.find("://");
    if (scheme == std::string_view::npos) return false;
    const std::string_view host = url.substr(scheme + 3);
    return host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]");
}

}  // namespace

std::string last_error_of_gateway() {
    constexpr const char* unit = "touchpoint.service";
    return last_line(unit, value_of(properties(unit), "InvocationID"), "--priority=err");
}

std::optional<BrokerUnit> broker_unit_that_does_not_run() {
    constexpr const char* unit = "touchpoint-broker.service";
    const std::string about = properties(unit);
    const std::string state = value_of(about, "SubState");
    const bool tries_in_vain = state == "failed" || state.find("auto-restart") != std::string::npos ||
                               (state.starts_with("start") && value_of(about, "NRestarts") != "0");
    const bool stopped = state == "dead" && value_of(about, "UnitFileState") == "enabled";
    if (!tries_in_vain && !stopped) return std::nullopt;
    // Mosquitto logs all it says with one priority.
    return BrokerUnit{last_line(unit, value_of(about, "InvocationID"), "--grep=Error")};
}

std::string with_broker_unit(std::string body, const BrokerUnit& unit) {
    boost::system::error_code error;
    json::value status = json::parse(body, error);
    if (error || !status.is_object()) return body;
    const View mqtt = View(&status)["mqtt"];
    json::value* conditions = status.as_object().if_contains("conditions");
    if (!on_this_box(mqtt["broker"].text()) || conditions == nullptr || !conditions->is_array()) return body;
    const bool another = mqtt["connected"].truth();
    std::string what = "touchpoint-broker.service does not run";
    if (another) what += ", and another broker answers on " + mqtt["broker"].text();
    if (!unit.why.empty()) what += ": " + unit.why;
    const bool port_taken = another || unit.why.find("Address already in use") != std::string::npos;
    const json::object condition{
        {"code", "broker-unit"},
        {"subject", ""},
        {"severity", "error"},
        {"what", what},
        {"effect",
         another
             ? "Users, access rules and listeners of broker.conf do not hold there, nor is its queue kept."
             : "Devices that send to it are refused."},
        {"do",
         port_taken
             ? "take its port from the other broker; if it is Debian's own: systemctl disable --now mosquitto"
             : "systemctl start touchpoint-broker; if it does not stay up: journalctl -u touchpoint-broker "
               "-n 30"},
        {"check", "systemctl status touchpoint-broker"}};
    conditions->as_array().insert(conditions->as_array().begin(), condition);
    return json::serialize(status) + "\n";
}

}  // namespace touchpoint::command
