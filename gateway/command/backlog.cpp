#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <cstdio>
#include <iostream>

#include "gateway/command/client.hpp"
#include "gateway/command/commands.hpp"
#include "gateway/command/json_view.hpp"
#include "gateway/core/streams.hpp"
#include "gateway/spoken.hpp"

namespace touchpoint::command {
namespace {

namespace json = boost::json;
using gateway::grouped;
using gateway::spoken;
using gateway::spoken_bytes;

std::string rate(View value) {
    if (!value.there()) return "?";
    char text[48];
    std::snprintf(text, sizeof text, "%.1f/s", static_cast<double>(value.number()) / 3600);
    return text;
}

std::string padded(std::string text, std::size_t width) {
    text.resize(std::max(text.size(), width), ' ');
    return text;
}

std::string disk_line(View backlog) {
    std::string line = spoken_bytes(backlog["used_bytes"].number()) + " of " +
                       spoken_bytes(backlog["limit_bytes"].number()) + " used";
    if (!backlog["bytes_per_h"].there()) return line + "; how fast it grows is not known yet";
    const View shedding = backlog["minutes_until_shedding"];
    const View full = backlog["minutes_until_full"];
    if (shedding.number() != 0)
        line += "; at this rate the oldest are shed in " + spoken(std::chrono::minutes(shedding.number()));
    if (full.number() != 0) line += "; full in " + spoken(std::chrono::minutes(full.number()));
    if (!shedding.there() && !full.there()) line += "; not growing";
    return line;
}

std::string consumer_lines(View consumer) {
    std::string out = "\n" + consumer["name"].text() + " (" + consumer["kind"].text() + ")";
    if (!consumer["configured"].truth()) out += ", no longer in the configuration";
    const std::uint64_t waiting = consumer["waiting_events"].number();
    if (waiting == 0) return out + ": has everything, " + rate(consumer["events_per_h"]) + "\n";
    out += ": " + grouped(waiting) + " wait, " + rate(consumer["events_per_h"]);
    if (consumer["drain_s"].there())
        out += ", done in " + spoken(std::chrono::seconds(consumer["drain_s"].number()));
    else if (consumer["events_per_h"].there())
        out += ", does not catch up";
    if (consumer["waiting_oldest"].there()) out += "; oldest from " + consumer["waiting_oldest"].text();
    out += "\n";
    for (const Stream stream : all_streams)
        if (const View waits = consumer["waiting"][name(stream)]; waits.number() != 0)
            out += "  " + padded(std::string(name(stream)), 14) + grouped(waits.number()) + "\n";
    return out;
}

}  // namespace

std::string backlog_text(std::string_view body) {
    boost::system::error_code error;
    const json::value root = json::parse({body.data(), body.size()}, error);
    if (error || !root.is_object()) return {};
    const View backlog(&root);
    std::string out = "disk: " + disk_line(backlog) + "\n";
    for (const json::value& value : backlog["streams"].items()) {
        const View stream(&value);
        out += "  " + padded(stream["stream"].text(), 14) + grouped(stream["events"].number()) + " held, " +
               rate(stream["events_per_h"]) + " come";
        if (stream["oldest"].there()) out += ", oldest from " + stream["oldest"].text();
        out += "\n";
    }
    if (backlog["consumers"].items().empty())
        out += "\nNobody takes the events: configure [[uplink.push]], or let the platform pull.\n";
    for (const json::value& consumer : backlog["consumers"].items()) out += consumer_lines(View(&consumer));
    return out;
}

int backlog(const Target& target, bool as_json) {
    const auto answer = ask(target.socket, "/v1/backlog");
    if (!answer) return no_answer(target, answer.error());
    const std::string text = as_json ? answer->body : backlog_text(answer->body);
    if (answer->status != 200 || text.empty())
        return no_answer(target, fail(answer->status == 403 ? Errc::refused : Errc::io,
                                      "HTTP " + std::to_string(answer->status)));
    std::cout << text;
    return 0;
}

}  // namespace touchpoint::command
