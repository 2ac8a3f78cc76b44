#include "gateway/http_stream.hpp"

#include <boost/asio/write.hpp>

namespace touchpoint::gateway {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

class PlainStream final : public HttpStream {
  public:
    explicit PlainStream(HttpSocket socket) : HttpStream(std::move(socket)) {}

    HttpTask<error_code> handshake() override { co_return error_code(); }
    HttpTask<Transfer> read_some(asio::mutable_buffer into) override {
        auto [error, size] = co_await socket().async_read_some(into, as_http_task);
        co_return Transfer(error, size);
    }
    HttpTask<Transfer> write(asio::const_buffer bytes) override {
        auto [error, size] = co_await asio::async_write(socket(), bytes, as_http_task);
        co_return Transfer(error, size);
    }
    HttpTask<> farewell() override { co_return; }
};

}  // namespace

HttpStream::HttpStream(HttpSocket socket)
    : held_(std::make_shared<Held>(std::move(socket))), timer_(held_->socket.get_executor()) {}

void HttpStream::expires_after(std::chrono::milliseconds time) {
    timer_.expires_after(time);
    // The handler may run after the stream is gone, and even though the deadline was set anew: it was in the
    // queue then.
    timer_.async_wait([held = std::weak_ptr<Held>(held_), mine = ++held_->deadline](const error_code&) {
        const auto alive = held.lock();
        if (!alive || alive->deadline != mine) return;
        error_code ignored;
        alive->socket.close(ignored);
    });
}

void HttpStream::close() {
    error_code ignored;
    held_->socket.close(ignored);
}

std::unique_ptr<HttpStream> make_plain_stream(HttpSocket socket) {
    return std::make_unique<PlainStream>(std::move(socket));
}

}  // namespace touchpoint::gateway
