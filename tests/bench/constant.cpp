// bench_constant: what Beast alone can do. Answers every request with the same body and the header fields of
// a profile's answer, on one thread, without looking at what was asked.
//
//   bench_constant PORT BYTES
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <utility>

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

asio::awaitable<void> serve(tcp::socket socket, const http::response<http::string_body>& answer) {
    socket.set_option(tcp::no_delay(true));
    beast::tcp_stream stream(std::move(socket));
    beast::flat_buffer buffer;
    try {
        for (;;) {
            http::request<http::string_body> request;
            co_await http::async_read(stream, buffer, request, asio::use_awaitable);
            co_await http::async_write(stream, answer, asio::use_awaitable);
        }
    } catch (const std::exception&) {  // the client has gone
    }
}

asio::awaitable<void> listen(tcp::acceptor acceptor, const http::response<http::string_body>& answer) {
    for (;;)
        asio::co_spawn(acceptor.get_executor(),
                       serve(co_await acceptor.async_accept(asio::use_awaitable), answer), asio::detached);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    http::response<http::string_body> answer;
    answer.version(11);
    answer.result(http::status::ok);
    answer.set(http::field::content_type, "application/json");
    answer.set(http::field::etag, "\"1-0123456789abcdef\"");
    answer.set(http::field::age, "1");
    answer.body() = std::string(std::strtoull(argv[2], nullptr, 10), 'x');
    answer.prepare_payload();
    asio::io_context loop(1);
    const tcp::endpoint place(asio::ip::address_v4::loopback(),
                              static_cast<unsigned short>(std::strtoul(argv[1], nullptr, 10)));
    asio::co_spawn(loop, listen(tcp::acceptor(loop, place), answer), asio::detached);
    std::printf("ready\n");
    std::fflush(stdout);
    loop.run();
}
