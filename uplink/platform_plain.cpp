#include <boost/asio/write.hpp>

#include "uplink/platform_stream.hpp"

namespace touchpoint::uplink {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

class PlainStream final : public PlatformStream {
  public:
    explicit PlainStream(const asio::any_io_executor& executor) : PlatformStream(executor) {}

    asio::awaitable<error_code> handshake() override { co_return error_code(); }
    asio::awaitable<Transfer> read_some(asio::mutable_buffer into) override {
        auto [error, size] = co_await socket_.async_read_some(into, as_values);
        co_return Transfer(error, size);
    }
    asio::awaitable<Transfer> write(Parts parts) override {
        auto [error, size] = co_await asio::async_write(socket_, parts, as_values);
        co_return Transfer(error, size);
    }
};

}  // namespace

std::unique_ptr<PlatformStream> make_plain_stream(const asio::any_io_executor& executor) {
    return std::make_unique<PlainStream>(executor);
}

}  // namespace touchpoint::uplink
