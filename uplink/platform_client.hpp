// One HTTP or HTTPS exchange with the platform, with a deadline around all of it: name lookup, proxy,
// connect, TLS, sending, answer. The connection is kept and used again; one that the server closed meanwhile
// is replaced once without telling anybody.
//
// Promised
//   `done` is called exactly once for each exchange, on the loop, never from inside exchange() or cancel().
//   Credentials are read from their files at every connect, and stand in no error text.
// Not promised
//   Redirects are not followed: an answer 3xx is an answer.
//
// Threads: confined to the loop.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "uplink/answer.hpp"
#include "uplink/options.hpp"

namespace boost::asio {
class io_context;
}

namespace touchpoint::uplink {

struct Exchange {
    std::string method = "POST";
    std::string target;  // empty: the URL's own
    std::vector<std::pair<std::string, std::string>> headers;
    std::shared_ptr<const std::string> body;  // shared with the batch that may have to send it again
    const char* accept = "application/json";
    static constexpr std::size_t answer_bytes_usual = 1u << 20;
    std::size_t answer_bytes_max = answer_bytes_usual;  // of a body; more is an error
};

class PlatformClient {
  public:
    static constexpr std::size_t answer_bytes_max = Exchange::answer_bytes_usual;  // unless it says more
    static constexpr std::size_t answer_head_bytes_max = 16'384;

    // Uses url, timeout, the credentials, headers and proxy of `options`. `loop` must outlive the client.
    PlatformClient(boost::asio::io_context& loop, PushOptions options);
    ~PlatformClient();  // cancel()
    PlatformClient(const PlatformClient&) = delete;
    PlatformClient& operator=(const PlatformClient&) = delete;

    // REQUIRES: the exchange before has ended.
    void exchange(Exchange exchange, std::function<void(Answer)> done);
    // Ends an exchange under way at once: `done` is called with the error "stopped".
    void cancel();
    // The next exchange makes a new connection and reads the credentials again.
    void disconnect();

  private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace touchpoint::uplink
