// bench_constant: what Beast alone can do. Answers every request with the same body and the header fields of
// a profile's answer, on one thread, without looking at what was asked.
//
//   bench_constant PORT BYTES
//   bench_constant PORT BYTES FILE
//
// With FILE the body comes out of the mapped file, at a random place, after a look at two other places: what
// the machine takes for memory that is not at hand, as a profile's leaf of aliases, its leaf and its value
// are not.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
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
#include <cstring>
#include <exception>
#include <random>
#include <string>
#include <string_view>
#include <utility>

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

// A file in memory; empty: there is none.
class Pages {
  public:
    explicit Pages(const char* path) {
        const int file = path == nullptr ? -1 : ::open(path, O_RDONLY | O_CLOEXEC);
        struct stat about {};
        if (file < 0 || ::fstat(file, &about) != 0) return;
        const auto bytes = static_cast<std::size_t>(about.st_size) / page_bytes * page_bytes;
        // As the gateway has it after a load: no read is to wait for a page fault.
        void* at = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, file, 0);
        ::close(file);
        if (at == MAP_FAILED) return;
        ::madvise(at, bytes, MADV_RANDOM);
        pages_ = {static_cast<const char*>(at), bytes};
    }
    bool empty() const { return pages_.empty(); }

    void fill(std::string& body) {
        const auto other = static_cast<unsigned char>(*any() ^ *any());
        std::memcpy(body.data(), any(), std::min(body.size(), page_bytes));
        body.front() = static_cast<char>(other);  // so that it was looked at
    }

  private:
    static constexpr std::size_t page_bytes = 4096;
    const char* any() { return pages_.data() + random_() % (pages_.size() / page_bytes) * page_bytes; }

    std::string_view pages_;
    std::mt19937_64 random_{1};
};

asio::awaitable<void> serve(tcp::socket socket, http::response<http::string_body> answer, Pages& pages) {
    socket.set_option(tcp::no_delay(true));
    beast::tcp_stream stream(std::move(socket));
    beast::flat_buffer buffer;
    try {
        for (;;) {
            http::request<http::string_body> request;
            co_await http::async_read(stream, buffer, request, asio::use_awaitable);
            if (!pages.empty()) pages.fill(answer.body());
            co_await http::async_write(stream, answer, asio::use_awaitable);
        }
    } catch (const std::exception&) {  // the client has gone
    }
}

asio::awaitable<void> listen(tcp::acceptor acceptor, const http::response<http::string_body>& answer,
                             Pages& pages) {
    for (;;)
        asio::co_spawn(acceptor.get_executor(),
                       serve(co_await acceptor.async_accept(asio::use_awaitable), answer, pages),
                       asio::detached);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3 && argc != 4) return 2;
    Pages pages(argc == 4 ? argv[3] : nullptr);
    if (argc == 4 && pages.empty()) return 1;
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
    asio::co_spawn(loop, listen(tcp::acceptor(loop, place), answer, pages), asio::detached);
    std::printf("ready\n");
    std::fflush(stdout);
    loop.run();
}
