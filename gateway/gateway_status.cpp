#include "gateway/gateway_status.hpp"

#include <algorithm>

#include "gateway/core/json_text.hpp"
#include "gateway/core/streams.hpp"

namespace touchpoint::gateway {

std::string gateway_status_members(std::string_view state,
                                   const std::vector<uplink::PushState>& destinations) {
    const bool delivering = std::any_of(destinations.begin(), destinations.end(), [](uplink::PushState push) {
        return push == uplink::PushState::idle || push == uplink::PushState::delivering;
    });
    const char* uplink = destinations.empty() ? "none" : delivering ? "online" : "offline";
    const bool accepting = state == "online";
    std::string text = "\"state\":" + json_string(state) + ",\"uplink\":" + json_string(uplink) +
                       ",\"accepting\":" + (accepting ? "true" : "false") + ",\"streams\":[";
    for (const Stream stream : all_streams) {
        if (stream == Stream::quarantine || !accepting) continue;
        if (stream != all_streams.front()) text += ',';  // the front one is always there
        text += json_string(name(stream));
    }
    return text + "]";
}

}  // namespace touchpoint::gateway
