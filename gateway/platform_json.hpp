// JSON that the platform sends to the pull routes and gets from them. Pure.
// On the wire: uplink/README.md, "Pull".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/event_store.hpp"
#include "uplink/pull.hpp"

namespace touchpoint::gateway {

// What is wrong with a body or a parameter, as a sentence for the one who sent it.
struct Mistake {
    std::string words;
};

struct ConsumerBody {
    std::optional<PerStream<bool>> streams;
    store::From from = store::From::oldest;
};

// "customer,sales": names of streams with commas between, each once.
boost::system::result<PerStream<bool>, Mistake> streams_named(std::string_view text);

// The bodies of PUT /v1/consumers/{name} (may be empty), POST .../ack and POST .../seek.
boost::system::result<ConsumerBody, Mistake> consumer_body(std::string_view body);
boost::system::result<std::string, Mistake> cursor_body(std::string_view body);
boost::system::result<uplink::PullPlace, Mistake> place_body(std::string_view body);

std::string consumer_json(const uplink::PullPicture& picture, const std::string& epoch);
std::string consumers_json(const std::vector<uplink::PullPicture>& pictures, const std::string& epoch);
std::string gaps_json(const uplink::GapsPage& page, const std::string& epoch);

}  // namespace touchpoint::gateway
