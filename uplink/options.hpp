// What a push destination is told by the configuration. Checked there (config/); trusted here.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "gateway/core/streams.hpp"

namespace touchpoint::uplink {

enum class Format { cloudevents_batch, ndjson };
enum class Compression { none, gzip, zstd };
enum class Identifiers { pseudonym, raw };

struct PushOptions {
    std::string name;  // also the name of its consumer
    std::string url;   // http:// or https://
    Format format = Format::cloudevents_batch;
    Compression compression = Compression::zstd;
    Identifiers identifiers = Identifiers::pseudonym;
    PerStream<bool> streams{{true, true, true, true, false}};
    std::size_t batch_events_max = 1000;
    std::size_t batch_bytes_max = 1u << 20;     // before compression
    std::chrono::milliseconds timeout{30'000};  // connect, send and answer together
    std::chrono::milliseconds retry_first{1'000};
    std::chrono::milliseconds retry_max{300'000};
    std::chrono::milliseconds probe{60'000};  // between tries while paused (401, 403, 404)
    // Below this many waiting events a batch of interactions or telemetry waits up to `linger` for more.
    std::chrono::milliseconds linger{0};
    std::string ca_file;    // PEM; empty: the system's
    std::string cert_file;  // client certificate, PEM
    std::string key_file;
    std::string bearer_token_file;  // first line; read at every connect
    std::string username;           // Basic
    std::string password_file;
    std::vector<std::pair<std::string, std::string>> headers;
    std::string proxy;  // http://host:port
};

// The change feed of profiles. Of `connection`: url, credentials, headers, proxy, times, identifiers.
struct FeedOptions {
    PushOptions connection;
    std::string wanted_url;         // empty: nobody is asked for
    std::string mapping;            // empty: the lines are ours
    std::chrono::seconds wait{30};  // so long the platform may hold a question
};

}  // namespace touchpoint::uplink
