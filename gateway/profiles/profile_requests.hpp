// Profiles over MQTT: what a device asks for on .../req/profile is answered on its Response Topic, or on
// .../res/{req}; what it follows is told there, too.
//
// On the wire: devices/README.md, "Over MQTT".
//
// Threads: confined to loop.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "devices/topics.hpp"
#include "gateway/core/clock.hpp"
#include "gateway/profiles/profile_document.hpp"
#include "gateway/profiles/profile_followers.hpp"
#include "gateway/profiles/profile_reads.hpp"
#include "store/incoming.hpp"

namespace touchpoint::gateway {

inline constexpr std::size_t profile_request_bytes_max = 8192;
inline constexpr std::chrono::seconds profile_follow_max{3600};

// The payload of a request: {"id":".."} or {"any":["..",..]}, and "purpose", "req", "follow".
struct ProfileRequestBody {
    ProfileQuestion question;
    std::string req;                             // of the topic of the answer; empty: none was given
    std::optional<std::chrono::seconds> follow;  // 0: no longer
};
Read<ProfileRequestBody> profile_request_body(std::string_view payload);

class ProfileRequests {
  public:
    // QoS 0, not retained. False: the link does not take it.
    using Publish = std::function<bool(const std::string& topic, const std::string& payload,
                                       const std::string& correlation)>;
    struct Parts {  // all outlive it
        ProfileReads& reads;
        ProfileFollowers& followers;
        const Clock& clock;
    };

    // `late`: whether the loop itself is behind; what waited longer than `answer_within` is late, too.
    ProfileRequests(Parts parts, std::chrono::milliseconds answer_within, std::function<bool()> late,
                    Publish publish)
        : parts_(parts),
          answer_within_(answer_within),
          late_(std::move(late)),
          publish_(std::move(publish)) {}

    void answer(const devices::DeviceAddress& device, const store::Incoming& message,
                std::chrono::milliseconds waited);

  private:
    struct Place {
        std::string topic;
        std::string correlation;
        std::string name() const { return "mqtt " + topic + '\0' + correlation; }
    };
    bool send(const Place& place, const ProfileAnswer& answer);
    void follow(const Place& place, ProfileRequestBody body, const ProfileAnswer& answer);

    Parts parts_;
    std::chrono::milliseconds answer_within_;
    std::function<bool()> late_;
    Publish publish_;
};

}  // namespace touchpoint::gateway
