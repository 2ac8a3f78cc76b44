// The one HTTP server: accepts on TCP addresses and on a Unix socket, reads requests, awaits a route's
// answer.
//
// Promised
//   Nobody holds a place for nothing: every read, write and idle time has a deadline, header and body a
//   limit, and beyond connections_max a client is told 503 and cut off. An error is a problem document (RFC
//   9457). HEAD, 404, and 405 with Allow work for every route. A Unix socket answers root, our own user and
//   members of the group only: the peer's credentials are checked, not the file's mode alone.
// Not promised
//   TLS, HTTP/2, upgrades, compression of bodies.
//
// Threads: confined to loop. Replies may come from any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "gateway/core/result.hpp"
#include "gateway/http.hpp"

namespace boost::asio {
class io_context;
}

namespace touchpoint::gateway {

struct HttpLimits {
    std::size_t header_bytes_max = 8192;
    std::size_t body_bytes_max = 1u << 20;
    std::size_t connections_max = 64;
    std::chrono::milliseconds idle{60'000};   // a kept connection without a request
    std::chrono::milliseconds read{15'000};   // from the first byte of a request to its last
    std::chrono::milliseconds write{30'000};  // for an answer, and for each piece of a stream
    // A stream that has nothing to say sends an empty line this often, so that a gone reader is noticed.
    std::chrono::milliseconds stream_pulse{10'000};
};

struct HttpStats {
    std::uint64_t connections = 0;  // open now
    std::uint64_t accepted = 0;
    std::uint64_t refused = 0;  // beyond connections_max, or a peer without the right
    std::uint64_t requests = 0;
};

class HttpServer {
  public:
    // `loop` must outlive the server.
    HttpServer(boost::asio::io_context& loop, HttpLimits limits, std::vector<Route> routes);
    // Closes the listeners and every connection. The loop may still run their last steps afterwards.
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    // The port that was taken (port 0: any free one).
    // Fails with io (in use, no such address; the context names it).
    Result<std::uint16_t> listen_tcp(const std::string& address, std::uint16_t port);
    // Mode 0660 and `group` where it exists. A socket file that nobody answers on is replaced; its folder is
    // made. Fails with locked (another process answers on it) or io.
    Result<void> listen_unix(const std::filesystem::path& socket, const std::string& group);

    // No more connections, and the open ones are closed; the socket file is removed. Idempotent.
    void stop();
    HttpStats stats() const;

  private:
    class Impl;
    std::shared_ptr<Impl> impl_;  // shared with its connections, whose last steps run on the loop
};

}  // namespace touchpoint::gateway
