#include "gateway/tail.hpp"

#include <algorithm>

#include "gateway/core/json_text.hpp"

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

std::shared_ptr<BodyStream> Tail::listen() {
    std::erase_if(listeners_, [](const auto& listener) { return listener->closed(); });
    if (listeners_.size() >= listeners_max) return nullptr;
    listeners_.push_back(std::make_shared<BodyStream>(
        [](std::uint64_t count) { return "{\"dropped\":" + std::to_string(count) + "}\n"; }));
    return listeners_.back();
}

}  // namespace touchpoint::gateway
