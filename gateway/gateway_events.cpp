#include "gateway/gateway_events.hpp"

#include <unistd.h>

#include <fstream>

#include "gateway/core/json_text.hpp"
#include "gateway/profiles/joined.hpp"

namespace touchpoint::gateway {

std::string_view name(LastEnd end) {
    switch (end) {
        case LastEnd::first_start:
            return "first-start";
        case LastEnd::orderly:
            return "orderly";
        case LastEnd::killed:
            return "killed";
        case LastEnd::power_cut:
            return "power-cut";
    }
    return "?";
}

Event GatewayEvents::make(UtcTime now, std::string_view state, const Members& members) {
    Event event;
    event.stream = Stream::telemetry;
    event.id = ulids_.make(now);
    event.source = source_;
    std::string& text = event.members;
    text = "\"id\":" + json_string(event.id) + ",\"source\":" + json_string(source_) +
           ",\"type\":\"store.system.gateway.v1\",\"time\":" + json_string(to_rfc3339(now)) +
           ",\"datacontenttype\":\"application/json\",\"data\":{\"state\":" + json_string(state);
    for (const auto& [key, value] : members) {
        text += ',';
        append_json_string(text, key);
        text += ':';
        text += value;
    }
    text += '}';
    return event;
}

Event GatewayEvents::started(UtcTime now, const std::string& version, LastEnd last_end, bool new_epoch,
                             bool clock_trusted) {
    return make(now, "started",
                {{"version", json_string(version)},
                 {"last_end", json_string(name(last_end))},
                 {"new_epoch", new_epoch ? "true" : "false"},
                 {"clock_trusted", clock_trusted ? "true" : "false"}});
}

Event GatewayEvents::stopping(UtcTime now, std::chrono::milliseconds uptime) {
    return make(now, "stopping", {{"uptime_s", std::to_string(uptime.count() / 1000)}});
}

Event GatewayEvents::heartbeat(UtcTime now, std::chrono::milliseconds uptime, std::uint64_t events_held,
                               bool clock_trusted) {
    return make(now, "alive",
                {{"uptime_s", std::to_string(uptime.count() / 1000)},
                 {"events_held", std::to_string(events_held)},
                 {"clock_trusted", clock_trusted ? "true" : "false"}});
}

Event GatewayEvents::joined(UtcTime now, const std::string& epoch, const std::vector<std::string>& pseudonyms,
                            Stream stream, Sequence sequence) {
    Event event;
    event.stream = Stream::customer;
    event.id = merge_id(epoch, {stream, sequence, now});
    event.device_gave_id = true;
    event.source = source_;
    event.urgent = true;
    std::string others;
    for (std::size_t i = 1; i < pseudonyms.size(); ++i)
        others += (i == 1 ? "pseudonym/" : ",pseudonym/") + pseudonyms[i];
    event.members = "\"id\":" + json_string(event.id) + ",\"source\":" + json_string(source_) +
                    ",\"type\":\"store.system.merge.v1\",\"time\":" + json_string(to_rfc3339(now)) +
                    ",\"subject\":" + json_string("pseudonym/" + pseudonyms.front()) +
                    ",\"sameas\":" + json_string(others) +
                    ",\"datacontenttype\":\"application/json\",\"data\":{\"stream\":" +
                    json_string(touchpoint::name(stream)) + ",\"sequence\":" + std::to_string(sequence) + '}';
    return event;
}

Event GatewayEvents::clock_stepped(UtcTime now, std::chrono::milliseconds by) {
    return make(now, "clock-stepped", {{"step_ms", std::to_string(by.count())}});
}

LastEnd RunMark::last_end(const std::string& boot_id, bool first_start) const {
    if (first_start) return LastEnd::first_start;
    std::ifstream in(path_);
    std::string boot;
    if (!std::getline(in, boot)) return LastEnd::orderly;
    return boot == boot_id ? LastEnd::killed : LastEnd::power_cut;
}

void RunMark::begin(const std::string& boot_id) {
    std::ifstream in(path_);
    std::getline(in, before_);
    std::ofstream(path_) << boot_id << "\n";
}
void RunMark::end() const { ::unlink(path_.c_str()); }
void RunMark::put_back() const {
    if (before_.empty()) return end();
    std::ofstream(path_) << before_ << "\n";
}

}  // namespace touchpoint::gateway
