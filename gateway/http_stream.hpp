// The bytes of one connection that the HTTP server has accepted, plain or TLS: what stands between the
// requests (http_reader, http_server) and the sockets. Only the server's own files include this; it brings
// Asio.
//
// Promised
//   A deadline covers whatever is under way, and the next steps until it is set anew: when it passes, the
//   socket is closed, and every step ends with an error.
//
// Threads: confined to loop.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace touchpoint::gateway {

class ServerTls;

// TCP and Unix sockets are the same type from here on, so everything above is compiled once.
using HttpProtocol = boost::asio::generic::stream_protocol;
using HttpExecutor = boost::asio::io_context::executor_type;
using HttpSocket = boost::asio::basic_stream_socket<HttpProtocol, HttpExecutor>;
using HttpTimer =
    boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                      boost::asio::wait_traits<std::chrono::steady_clock>, HttpExecutor>;
template <class T = void>
using HttpTask = boost::asio::awaitable<T, HttpExecutor>;
inline constexpr boost::asio::as_tuple_t<boost::asio::use_awaitable_t<HttpExecutor>> as_http_task{};

class HttpStream {
  public:
    using Transfer = std::pair<boost::system::error_code, std::size_t>;

    virtual ~HttpStream() = default;
    HttpStream(const HttpStream&) = delete;
    HttpStream& operator=(const HttpStream&) = delete;

    // Plain: nothing.
    virtual HttpTask<boost::system::error_code> handshake() = 0;
    virtual HttpTask<Transfer> read_some(boost::asio::mutable_buffer into) = 0;
    // All of it.
    virtual HttpTask<Transfer> write(boost::asio::const_buffer bytes) = 0;
    // Says in the protocol's own way that nothing more comes. Plain: nothing.
    virtual HttpTask<> farewell() = 0;
    // Subject of the client's certificate after the handshake; empty: none was asked for.
    virtual std::string certificate() const { return {}; }

    HttpSocket& socket() { return held_->socket; }
    void expires_after(std::chrono::milliseconds time);
    // What is under way ends with operation_aborted.
    void close();

  protected:
    explicit HttpStream(HttpSocket socket);

  private:
    struct Held {
        explicit Held(HttpSocket s) : socket(std::move(s)) {}
        HttpSocket socket;
        std::uint64_t deadline = 0;  // counts them: one that was set anew has no effect any more
    };
    std::shared_ptr<Held> held_;  // the deadline's handler looks whether the stream still lives
    HttpTimer timer_;
};

std::unique_ptr<HttpStream> make_plain_stream(HttpSocket socket);
std::unique_ptr<HttpStream> make_tls_stream(HttpSocket socket, const ServerTls& tls);

}  // namespace touchpoint::gateway
