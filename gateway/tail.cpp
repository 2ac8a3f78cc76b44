#include "gateway/tail.hpp"

#include <algorithm>

#include "devices/reception.hpp"
#include "gateway/core/json_text.hpp"
#include "gateway/core/log.hpp"

namespace touchpoint::gateway {

void Tail::tell(const TailEntry& entry) {
    if (listeners_.empty()) return;
    std::string line =
        "{\"time\":" + json_string(to_rfc3339(entry.time)) + ",\"topic\":" + json_string(entry.topic);
    line += ",\"bytes\":" + std::to_string(entry.bytes) + ",\"events\":" + std::to_string(entry.events);
    if (entry.rejected != 0) line += ",\"rejected\":" + std::to_string(entry.rejected);
    line += ",\"verdict\":" + json_string(entry.verdict);
    if (!entry.detail.empty()) line += ",\"detail\":" + json_string(entry.detail);
    line += "}\n";
    std::erase_if(listeners_, [&](const auto& listener) { return !listener->push(line); });
}

void Tail::observed(const devices::Observation& seen, UtcTime time) {
    if (log::enabled(log::Level::debug))
        log::debug("devices", "message",
                   {{"topic", seen.topic.substr(0, logged_topic_bytes_max)},
                    {"verdict", seen.verdict},
                    {"problem", seen.problem},
                    {"events", seen.events},
                    {"rejected", seen.rejected},
                    {"payload_bytes", seen.bytes}});
    if (!anyone()) return;
    TailEntry entry;
    entry.time = time;
    entry.topic = seen.topic;
    entry.bytes = seen.bytes;
    entry.events = seen.events;
    entry.rejected = seen.rejected;
    entry.verdict = seen.verdict;
    entry.detail = seen.problem;
    tell(entry);
}

std::shared_ptr<BodyStream> Tail::listen() {
    std::erase_if(listeners_, [](const auto& listener) { return listener->closed(); });
    if (listeners_.size() >= listeners_max) return nullptr;
    listeners_.push_back(std::make_shared<BodyStream>(
        [](std::uint64_t count) { return "{\"dropped\":" + std::to_string(count) + "}\n"; }));
    return listeners_.back();
}

}  // namespace touchpoint::gateway
