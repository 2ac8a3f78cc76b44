// One picture of the daemon, taken on loop: from it come /healthz, /readyz, /metrics, `touchpoint status` and
// the line that systemctl shows. A value; nothing in it changes afterwards.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "devices/stats.hpp"
#include "gateway/core/clock.hpp"
#include "gateway/http_picture.hpp"
#include "gateway/profiles/profile_stats.hpp"
#include "store/event_store.hpp"
#include "store/profiles.hpp"
#include "uplink/stats.hpp"

namespace touchpoint::gateway {

struct JournalStats {
    std::uint64_t end = 0;  // bytes ever appended
    std::uint64_t uncut_bytes = 0;
    std::uint64_t soft_bytes = 0;
};

struct ProfilePicture {
    store::ProfileStats stats;
    ProfileReadStats reads;
    ProfileFollowStats follows;
    LivePictureStats live;
    // The change feed and the questions for wanted ones, where they are.
    std::vector<uplink::FeedStats> feeds;
};

struct KeyPicture {
    bool box_from_credential = false;
    bool box_also_in_file = false;
    std::vector<std::string> readable_by_others;  // files
};

struct PushPicture {
    uplink::PushStats stats;
    std::string host;  // of its URL, for a person
};

inline constexpr const char* default_config_file = "/etc/touchpoint/touchpoint.toml";

struct Snapshot {
    std::string version;
    std::string gateway_id;
    std::string store_id;
    std::string broker;                             // the URL, which holds no secret
    std::string config_file = default_config_file;  // that a person is told to edit
    UtcTime now;
    UtcTime started;
    std::chrono::milliseconds uptime{};  // steady: a clock that was set does not change it
    bool clock_trusted = false;
    bool store_failed = false;            // the disk refused a write or flush: the daemon is about to end
    bool cache_failed = false;            // the disk refused a flush of it: a new start is due
    bool cache_replaced = false;          // damaged at this start: identities and devices were lost
    std::uint64_t cache_used_bytes = 0;   // identities and devices
    std::uint64_t vault_limit_bytes = 0;  // of these: from here on no identities are taken
    KeyPicture keys;
    store::StoreStats store;
    devices::LinkStats link;
    devices::IntakeStats intake;
    JournalStats journal;
    ProfilePicture profiles;
    std::vector<PushPicture> push;
    HttpPicture http;
    std::vector<std::string> config_warnings;
};

// What waits for a destination: between its position and the horizon, over its streams.
struct Backlog {
    std::uint64_t events = 0;
    UtcTime oldest;  // recorded; 0 when nothing waits
};
Backlog backlog(const store::StoreStats& store, const std::string& consumer);
// When the oldest event of `stream` that the consumer has not acknowledged was recorded; where that is not
// known, the oldest that is held.
UtcTime waiting_since(const store::StoreStats& store, const std::string& consumer, Stream stream);

}  // namespace touchpoint::gateway
