// Everything the configuration says, one small value for each part. Made by config/loader, where it is
// checked; trusted from there on. Only the daemon and the programs' main() see it whole.
//
// Keys, units, defaults and reasons: config/touchpoint.toml.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "devices/options.hpp"
#include "gateway/core/log.hpp"
#include "gateway/core/streams.hpp"
#include "uplink/options.hpp"
#include "uplink/profile_mapping.hpp"

namespace touchpoint::config {

struct GatewaySettings {
    std::string id;     // [a-z0-9-]{1,64}, unique in the fleet
    std::string store;  // [a-z0-9-]{1,64}
    // How often a `system.gateway` heartbeat is stored, so that the platform can tell silence from death. 0:
    // never.
    std::chrono::seconds heartbeat{300};
};

struct StoreSettings {
    std::filesystem::path path = "/var/lib/touchpoint";  // events/, cache/ and keys/ are made inside
    std::filesystem::path journal_path = "/run/touchpoint";
    std::uint64_t journal_soft_bytes = 16u << 20;
    std::uint64_t journal_hard_bytes = 64u << 20;
    std::uint64_t bytes = 0;  // largest file of events/; 0: from the free disk
    std::chrono::milliseconds commit_interval{1000};
    std::chrono::hours dedup_age{24};
    std::uint64_t dedup_ids = 1'000'000;
    PerStream<std::chrono::hours> age_max;         // older events expire for everybody; 0: never
    std::chrono::hours consumer_age_max{30 * 24};  // a pull consumer that stays away; 0: it may
    std::uint64_t consumer_bytes_max = 0;          // held for one pull consumer alone; 0: no limit
    std::chrono::hours removed_age_max{7 * 24};    // a push destination that left the configuration
};

// An address to listen on.
struct ListenAddress {
    std::string address = "127.0.0.1";  // IPv4 or IPv6, without brackets
    std::uint16_t port = 8080;          // 0: any free one
};

struct HttpSettings {
    ListenAddress listen;
    std::size_t connections_max = 64;
    std::size_t body_bytes_max = 1u << 20;
    std::chrono::seconds idle{60};   // a kept connection without a request
    std::chrono::seconds read{15};   // from the first byte of a request to its last
    std::chrono::seconds write{30};  // for an answer
    std::string tls_cert;            // PEM; empty: plain HTTP
    std::string tls_key;
    std::string client_ca_file;                // of the platform's listener: clients need a certificate
    std::vector<std::string> allowed_origins;  // of the local listener: pages of browsers
    // For each client address.
    std::size_t client_connections_max = 16;
    std::uint32_t client_requests_per_s = 50;
    std::uint32_t client_requests_burst = 100;
    std::uint32_t client_wrong_tokens_max = 10;  // in a minute
    bool limit_loopback = false;
};
// What differs for the platform: one careful client with large bodies.
inline HttpSettings platform_defaults() {
    HttpSettings out;
    out.listen.port = 8443;
    out.connections_max = 32;
    out.body_bytes_max = 8u << 20;
    return out;
}

struct AuthSettings {
    // Empty: no tokens, and every listener on loopback. Written by `touchpoint token`; may not be there yet.
    std::filesystem::path tokens_file;
};

struct ProfileSettings {
    std::uint64_t bytes = 256u << 20;
    std::chrono::hours stale{24};  // since the platform said it last
    bool unknown_consent_granted = false;
    std::size_t wanted_max = 1000;
    std::uint32_t misses_per_min = 60;     // of one device, token or machine
    std::uint64_t live_bytes = 32u << 20;  // of what happened in this store
    // What an event needs so that it leaves under the person's own name: a purpose's word.
    PerStream<std::string> event_purposes{{"operation", "operation", "analytics", "analytics", "operation"}};
    std::chrono::milliseconds answer_within{50};  // of a device's read; later it is told "not now"
    std::filesystem::path mappings_folder = "/etc/touchpoint/mappings";  // may not be there
    std::vector<uplink::ProfileMapping> mappings;                        // what stands in it
    std::optional<uplink::FeedOptions> feed;                             // empty: none is followed
};

struct ControlSettings {
    std::filesystem::path socket = "/run/touchpoint/control.sock";
    // Members may talk to the daemon, besides root and the daemon's own user. A group that does not exist on
    // the machine is not an error: then only those two may.
    std::string group = "touchpoint";
};

struct Settings {
    GatewaySettings gateway;
    StoreSettings store;
    devices::LinkOptions link;
    devices::AdmissionOptions admission;
    std::vector<uplink::PushOptions> push;
    ProfileSettings profiles;
    AuthSettings auth;
    HttpSettings http_local;
    std::optional<HttpSettings> http_platform;  // empty: no such listener
    ControlSettings control;
    log::Level log_level = log::Level::info;
};

}  // namespace touchpoint::config
