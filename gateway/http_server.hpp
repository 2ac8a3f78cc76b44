// The one HTTP server: accepts on TCP addresses and on a Unix socket, reads requests, awaits a route's
// answer.
//
// Promised
//   Nobody holds a place for nothing: every read, write and idle time has a deadline, header and body a
//   limit, and beyond connections_max a client is told 503 and cut off. An error is a problem document (RFC
//   9457). A connection whose answer is a stream gives its place up, everybody's and its address's: who makes
//   streams bounds how many there are. HEAD, 404, and 405 with Allow work for every route. Requests of one
//   connection are answered in their order, one after the other. A Unix socket answers root, our own user and
//   members of the group only: the peer's credentials are checked, not the file's mode alone. Who may ask
//   what on TCP: HttpDoor.
// Not promised
//   HTTP/2, upgrades, compression of bodies. A client that sends a body which is refused may not read why:
//   its system throws our answer away when it still sends after we have read 256 KiB of the rest, or for a
//   second.
//
// Threads: confined to loop. Replies may come from any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/core/result.hpp"
#include "gateway/http.hpp"

namespace boost::asio {
class io_context;
}

namespace touchpoint::gateway {

class HttpDoor;
class ServerTls;

class HttpServer {
  public:
    // Without a door everybody who gets through has every role; without tls, TCP is plain.
    struct Guards {
        HttpDoor* door = nullptr;
        const ServerTls* tls = nullptr;
    };

    // `loop` and the guards must outlive the server, and the loop's last run after it.
    HttpServer(boost::asio::io_context& loop, HttpLimits limits, std::vector<Route> routes)
        : HttpServer(loop, limits, std::move(routes), Guards{}) {}
    HttpServer(boost::asio::io_context& loop, HttpLimits limits, std::vector<Route> routes, Guards guards);
    // Closes the listeners and every connection. The loop may still run their last steps afterwards.
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    // The port that was taken (port 0: any free one). An address that this machine does not have (yet) is
    // taken, too: requests come as soon as it has.
    // Fails with io (in use; the context names it), invalid_argument (not an IP address).
    Result<std::uint16_t> listen_tcp(const std::string& address, std::uint16_t port);
    // Mode 0660 and `group` where it exists. A socket file that nobody answers on is replaced; its folder is
    // made. Fails with locked (another process answers on it) or io.
    Result<void> listen_unix(const std::filesystem::path& socket, const std::string& group);

    // No more connections, and the open ones are closed; the socket file is removed. Idempotent.
    void stop();
    HttpStats stats() const;
    // Whether this machine has the address of listen_tcp() now.
    bool address_is_here() const;

  private:
    class Impl;
    std::shared_ptr<Impl> impl_;  // shared with its connections, whose last steps run on the loop
};

}  // namespace touchpoint::gateway
