// A small platform: a real HTTP/1.1 server that takes what gateways push, keeps it and checks it.
//
//   POST {any path}   a batch: application/cloudevents-batch+json or application/x-ndjson; none, gzip, zstd
//   GET  /summary     what arrived, as JSON
//   POST /control {"mode":"up"|"down"|"slow"|"status","status":503,"for":N,"retry_after":"5","delay_ms":200}
//                     down: connections are closed without an answer. `for`: the next N batches, then up
//                     again.
//
// Threads: everything may be called from any thread; one thread for each connection (at most
// connections_max).
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/core/result.hpp"
#include "tools/platform/ledger.hpp"

namespace touchpoint::platform {

// How one batch is answered.
struct Scripted {
    static constexpr std::size_t all = std::numeric_limits<std::size_t>::max();

    int status = 200;
    std::string body = {};
    std::vector<std::pair<std::string, std::string>> headers = {};
    std::size_t take = 0;                // so many leading events are kept, whatever is answered
    std::set<std::size_t> refuse = {};   // of those: not kept, and not missed (a 207 that names them)
    bool no_answer = false;              // the connection is closed instead
    std::chrono::milliseconds delay{0};  // before the answer
};

// One request to an event address as it came in.
struct Request {
    std::string method;
    std::string target;
    std::map<std::string, std::string> headers;  // names in lower case
    std::uint64_t connection = 0;                // counts from 1
    std::uint64_t body_hash = 0;
    std::size_t body_bytes = 0;  // as received
    std::size_t events = 0;
    int status = 0;  // answered; 0: none
};

class Server {
  public:
    static constexpr int connections_max = 64;
    static constexpr std::size_t body_bytes_max = 16u << 20;      // as received
    static constexpr std::size_t unpacked_bytes_max = 64u << 20;  // after decompression
    static constexpr std::size_t requests_kept_max = 10'000;      // the newest
    static constexpr std::size_t events_kept_max = 100'000;       // texts in memory, only with keep_events

    struct Options {
        std::string address = "127.0.0.1";
        int port = 0;               // 0: a free one
        std::filesystem::path out;  // NDJSON, appended; what stands in it is read at the start. Empty: none
        bool keep_events = false;   // for events()
        bool verbose = false;       // one line on stdout for each batch
        std::string cert_file;      // PEM; TLS if given
        std::string key_file;
        std::string client_ca_file;  // demands a client certificate of this CA
    };

    // Fails with io: port taken, file not writable, certificate not usable.
    static Result<std::unique_ptr<Server>> start(Options options);
    ~Server();  // stop()
    void stop();

    int port() const;
    std::string url() const;  // http://127.0.0.1:PORT/events

    // The next batches are answered so, one after the other; then as the mode says.
    void script(std::vector<Scripted> answers);
    // Every batch for which it returns something is answered so, before the script is asked. Called with the
    // texts of its events, under the server's lock.
    void rule(std::function<std::optional<Scripted>(const std::vector<std::string_view>&)> rule);
    // As POST /control. False: not understood.
    bool control(std::string_view json);

    Summary summary() const;
    std::vector<Request> requests() const;
    std::vector<std::string> events() const;  // with keep_events: their texts, in order of arrival
    // True as soon as `condition` holds, false when it did not within `deadline`.
    bool wait_until(const std::function<bool(const Summary&)>& condition,
                    std::chrono::milliseconds deadline = std::chrono::seconds(20)) const;

  private:
    class Impl;
    explicit Server(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace touchpoint::platform
