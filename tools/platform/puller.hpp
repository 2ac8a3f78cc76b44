// The small platform the other way round: it asks. Reads as a consumer of its own, checks what comes as
// ledger.hpp does, writes it down and acknowledges it; when the gateway is away it tries again. Written from
// uplink/README.md, "Pull", alone; plain HTTP.
//
// Threads: everything may be called from any thread; one thread of its own.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tools/platform/ledger.hpp"

namespace touchpoint::platform {

class Puller {
  public:
    static constexpr std::size_t body_bytes_max = 16u << 20;      // as received
    static constexpr std::size_t unpacked_bytes_max = 64u << 20;  // after decompression
    static constexpr std::chrono::milliseconds retry{50};         // while the gateway is away

    struct Options {
        std::string address = "127.0.0.1";
        int port = 8443;
        std::string token;  // empty: none is sent
        std::string consumer = "crm";
        std::vector<std::string> streams;   // empty: those that a consumer has unless told otherwise
        std::string types;                  // of the query; empty: all
        std::string encoding;               // "", "gzip" or "zstd"; the gateway must keep to it
        bool array = false;                 // a CloudEvents batch instead of NDJSON
        std::size_t max = 1000;             // events in one answer
        std::chrono::seconds wait{5};       // of a long poll
        std::chrono::milliseconds pace{0};  // a rest after each answer: a slow platform
        bool ride = false;                  // acknowledge with the next read, and not by a request of its own
        std::filesystem::path out;          // NDJSON, appended. Empty: none
        // Each new event, in order; on the puller's thread, under its lock.
        std::function<void(std::string_view)> on_event;
    };

    explicit Puller(Options options);
    ~Puller();  // stop()
    Puller(const Puller&) = delete;
    Puller& operator=(const Puller&) = delete;

    // Ends a wait of its own; what came last may not be acknowledged.
    void stop();
    // While away it asks nothing and closes its connection.
    void set_away(bool away);
    // The gateway has said that the consumer exists.
    bool made() const;
    Summary summary() const;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace touchpoint::platform
