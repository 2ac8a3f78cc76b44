#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <iostream>

#include "gateway/command/client.hpp"
#include "gateway/command/commands.hpp"
#include "gateway/command/json_view.hpp"
#include "gateway/command/systemd.hpp"
#include "gateway/spoken.hpp"

namespace touchpoint::command {
namespace {

namespace json = boost::json;
using gateway::counted;
using gateway::grouped;
using gateway::spoken;
using gateway::spoken_bytes;

std::string devices_line(View status) {
    const View mqtt = status["mqtt"];
    const View intake = status["intake"];
    std::string line = mqtt["subscribed"].truth()        ? "taking events"
                       : mqtt["closed_for_room"].truth() ? "paused until there is room"
                                                         : "no connection to " + mqtt["broker"].text();
    line += "; " + grouped(intake["devices_online"].number()) + " of " + grouped(intake["devices"].number()) +
            " devices online";
    line += "; " + counted(intake["admitted"].sum(), "event") + " since the start";
    if (intake["rejected"].number() != 0)
        line += ", " + grouped(intake["rejected"].number()) + " in quarantine";
    return line;
}

std::string push_line(View push) {
    std::string line = push["state"].text() + " to " + push["name"].text() + " (" + push["host"].text() +
                       "): " + grouped(push["delivered"].sum()) + " delivered since the start, " +
                       grouped(push["waiting_events"].number()) + " wait";
    return line;
}

std::string profiles_lines(View profiles) {
    std::string line = "  profiles  " + grouped(profiles["profiles"].number()) + " here, " +
                       spoken_bytes(profiles["used_bytes"].number()) + " of " +
                       spoken_bytes(profiles["limit_bytes"].number());
    if (profiles["merged"].number() != 0) line += "; " + grouped(profiles["merged"].number()) + " merged";
    if (profiles["erasures"].number() != 0) line += "; " + grouped(profiles["erasures"].number()) + " erased";
    if (profiles["wanted"].number() != 0)
        line += "; " + grouped(profiles["wanted"].number()) + " asked for and not here";
    if (profiles["live_behind_events"].number() != 0)
        line += "; " + counted(profiles["live_behind_events"].number(), "event") + " not looked at yet";
    line += "\n";
    for (const json::value& value : profiles["feeds"].items()) {
        const View feed(&value);
        line += "  profiles  " + feed["name"].text() + " " + feed["state"].text() + ": " +
                counted(feed["lines"].number(), "line") + " since the start";
        if (feed["refused"].number() != 0) line += ", " + grouped(feed["refused"].number()) + " refused";
        line += "\n";
    }
    return line;
}

int severity(std::string_view text) { return text == "error" ? 2 : text == "warning" ? 1 : 0; }

int exit_status(std::string_view body) {
    boost::system::error_code error;
    const json::value root = json::parse({body.data(), body.size()}, error);
    if (error) return 1;
    int worst = 0;
    for (const json::value& condition : View(&root)["conditions"].items())
        worst = std::max(worst, severity(View(&condition)["severity"].text()));
    return worst == 2 ? 1 : 0;
}

}  // namespace

std::string status_text(std::string_view body) {
    boost::system::error_code error;
    const json::value root = json::parse({body.data(), body.size()}, error);
    if (error || !root.is_object()) return {};
    const View status(&root);
    const View events = status["events"];
    std::string out = "gateway " + status["gateway"].text() + ", store " + status["store"].text() +
                      ", version " + status["version"].text() + ", up " +
                      spoken(std::chrono::seconds(status["uptime_s"].number())) + "\n";
    out += "  devices   " + devices_line(status) + "\n";
    out += "  disk      " + counted(events["events"].sum(), "event") + " held; " +
           spoken_bytes(events["used_bytes"].number()) + " of " +
           spoken_bytes(events["limit_bytes"].number()) + " used\n";
    for (const json::value& push : status["push"].items())
        out += "  platform  " + push_line(View(&push)) + "\n";
    bool pulled = false;
    for (const json::value& value : events["consumers"].items()) {
        const View consumer(&value);
        if (consumer["kind"].text() != "pull") continue;
        pulled = true;
        out += "  platform  pulled by " + consumer["name"].text() + ": " +
               grouped(consumer["waiting_events"].number()) + " wait\n";
    }
    if (status["push"].items().empty() && !pulled) out += "  platform  nobody takes the events\n";
    out += profiles_lines(status["profiles"]);
    out += std::string("  clock     ") +
           (status["clock_trusted"].truth() ? "synchronised" : "not synchronised") + "\n";
    out += std::string("  box key   ") +
           (status["box_key"].text() == "credential" ? "a credential of systemd" : "a file on this disk") +
           "\n";
    const json::array& conditions = status["conditions"].items();
    if (conditions.empty()) return out + "\nAll is well.\n";
    for (const json::value& value : conditions) {
        const View condition(&value);
        out += "\n" + condition["severity"].text() + ": " + condition["what"].text() + "  [" +
               condition["code"].text() + "]\n";
        out += "  effect  " + condition["effect"].text() + "\n";
        out += "  do      " + condition["do"].text() + "\n";
        out += "  check   " + condition["check"].text() + "\n";
    }
    return out;
}

int status(const Target& target, bool as_json) {
    // Asked first: a gateway that is connected after that is connected to another broker.
    const auto broker_unit = broker_unit_that_does_not_run();
    const auto answer = ask(target.socket, "/v1/status");
    if (!answer) return no_answer(target, answer.error());
    const std::string body = broker_unit ? with_broker_unit(answer->body, *broker_unit) : answer->body;
    const std::string text = as_json ? body : status_text(body);
    if (answer->status != 200 || text.empty())
        return no_answer(target, fail(answer->status == 403 ? Errc::refused : Errc::io,
                                      "HTTP " + std::to_string(answer->status)));
    std::cout << text;
    return exit_status(body);
}

}  // namespace touchpoint::command
