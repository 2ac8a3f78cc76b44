// Bytes to and from one server, plain or TLS: what stands between platform_client.cpp (HTTP) and the sockets.
// Only the platform_*.cpp files include this; it brings Asio.
//
// Threads: confined to the loop.
#pragma once

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>
#include <memory>
#include <string>
#include <utility>

#include "gateway/core/result.hpp"

namespace touchpoint::uplink {

// co_await gives the error and the size; nothing is thrown.
inline constexpr auto as_values = boost::asio::as_tuple(boost::asio::use_awaitable);

class PlatformStream {
  public:
    using Transfer = std::pair<boost::system::error_code, std::size_t>;
    using Parts = std::array<boost::asio::const_buffer, 2>;  // head and body

    virtual ~PlatformStream() = default;
    boost::asio::ip::tcp::socket& socket() { return socket_; }
    // Plain: nothing. TLS: from here on all bytes are encrypted; before, they go in the clear (CONNECT).
    virtual boost::asio::awaitable<boost::system::error_code> handshake() = 0;
    virtual boost::asio::awaitable<Transfer> read_some(boost::asio::mutable_buffer into) = 0;
    virtual boost::asio::awaitable<Transfer> write(Parts parts) = 0;
    // What the last handshake disliked, in words; empty if nothing.
    virtual std::string complaint() { return {}; }
    // What is under way ends with operation_aborted.
    void close() noexcept {
        boost::system::error_code ignored;  // closing a closed one is no matter
        socket_.close(ignored);
    }

  protected:
    explicit PlatformStream(const boost::asio::any_io_executor& executor) : socket_(executor) {}
    boost::asio::ip::tcp::socket socket_;
};

struct TlsFiles {
    std::string ca_file;  // empty: the system's
    std::string cert_file;
    std::string key_file;
};

std::unique_ptr<PlatformStream> make_plain_stream(const boost::asio::any_io_executor& executor);
// Fails with invalid_argument: a file cannot be used; the context names which.
Result<std::unique_ptr<PlatformStream>> make_tls_stream(const boost::asio::any_io_executor& executor,
                                                        const std::string& host, const TlsFiles& files);

}  // namespace touchpoint::uplink
