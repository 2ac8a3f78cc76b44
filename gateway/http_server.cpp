#include "gateway/http_server.hpp"

#include <grp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cctype>
#include <cerrno>
#include <exception>
#include <list>
#include <optional>
#include <system_error>
#include <utility>

#include "gateway/core/log.hpp"

namespace touchpoint::gateway {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

// TCP and Unix sockets are the same type from here on, so the session is compiled once.
using Protocol = asio::generic::stream_protocol;
using Executor = asio::io_context::executor_type;
using Socket = asio::basic_stream_socket<Protocol, Executor>;
using Acceptor = asio::basic_socket_acceptor<Protocol, Executor>;
using Stream = beast::basic_stream<Protocol, Executor>;
using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, Executor>;
using Parser = http::request_parser<http::string_body>;
template <class T = void>
using Task = asio::awaitable<T, Executor>;
constexpr asio::as_tuple_t<asio::use_awaitable_t<Executor>> as_task{};

// While a route looks for its answer.
constexpr std::chrono::milliseconds look_for_client_every{200};

// A group's members, beyond root and ourselves.
struct Guard {
    bool check = false;
    std::optional<gid_t> group;
};

// The kernel's word for who is at the other end: not the file's mode, which an administrator may have
// changed. The groups are read from the socket, not from the user database: inside a user namespace foreign
// users have no number, our own group has.
bool allowed(int socket, const Guard& guard, std::string& peer) {
    ucred who{};
    socklen_t size = sizeof who;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return false;
    peer = "uid=" + std::to_string(who.uid);
    if (who.uid == 0 || who.uid == geteuid()) return true;
    if (!guard.group) return false;
    if (who.gid == *guard.group) return true;
    std::array<gid_t, 256> groups{};
    size = sizeof groups;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) != 0) return false;
    const auto end = groups.begin() + static_cast<std::ptrdiff_t>(size / sizeof(gid_t));
    return std::find(groups.begin(), end, *guard.group) != end;
}

// Whether the other end has closed, whatever it has sent before and nobody has read yet.
bool left(int socket) {
    pollfd look{socket, POLLRDHUP, 0};
    return ::poll(&look, 1, 0) == 1;
}

std::string tcp_peer(const Socket& socket) {
    error_code error;
    const auto endpoint = socket.remote_endpoint(error);
    if (error) return "?";
    asio::ip::tcp::endpoint address;
    if (endpoint.size() > address.capacity()) return "?";
    address.resize(endpoint.size());
    std::copy_n(static_cast<const char*>(static_cast<const void*>(endpoint.data())), endpoint.size(),
                static_cast<char*>(static_cast<void*>(address.data())));
    return address.address().to_string(error) + ":" + std::to_string(address.port());
}

std::string head(const HttpResponse& response, bool keep, bool chunked) {
    std::string out = "HTTP/1.1 " + std::to_string(response.status) + " ";
    out += std::string_view(http::obsolete_reason(static_cast<http::status>(response.status)));
    out += "\r\n";
    if (!response.content_type.empty()) out += "Content-Type: " + response.content_type + "\r\n";
    for (const auto& [name, value] : response.headers) out += name + ": " + value + "\r\n";
    out += chunked ? std::string("Transfer-Encoding: chunked\r\n")
                   : "Content-Length: " + std::to_string(response.body.size()) + "\r\n";
    out += "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";
    out += keep ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
    return out;
}

std::string chunk(std::string_view bytes) {
    constexpr char digits[] = "0123456789abcdef";
    std::string size;
    for (std::size_t n = bytes.size(); n != 0; n /= 16) size.insert(size.begin(), digits[n % 16]);
    std::string out = size + "\r\n";
    out += bytes;
    out += "\r\n";
    return out;
}

// What a failed read is worth saying to the client; empty: it is gone.
std::optional<HttpResponse> refusal(const error_code& error, const HttpLimits& limits) {
    if (error == http::error::header_limit)
        return problem(431, "header-too-large",
                       "the header is larger than " + std::to_string(limits.header_bytes_max) + " bytes");
    if (error == http::error::body_limit)
        return problem(413, "body-too-large",
                       "the body is larger than " + std::to_string(limits.body_bytes_max) + " bytes");
    if (error == http::error::partial_message || error == http::error::end_of_stream) return std::nullopt;
    if (error.category() == http::make_error_code(http::error::bad_method).category())
        return problem(400, "bad-request", "this is not HTTP/1.1");
    return std::nullopt;
}

}  // namespace

class HttpServer::Impl : public std::enable_shared_from_this<Impl> {
  public:
    Impl(asio::io_context& loop, HttpLimits limits, std::vector<Route> routes)
        : executor_(loop.get_executor()), limits_(limits), routes_(std::move(routes)) {}

    Result<std::uint16_t> listen_tcp(const std::string& address, std::uint16_t port);
    Result<void> listen_unix(const std::filesystem::path& path, const std::string& group);
    void stop();
    HttpStats stats() const {
        HttpStats now = stats_;
        now.connections = connections_.size();
        return now;
    }

  private:
    struct Connection {
        Stream stream;
        std::string peer;
        // What the session waits on when it does not wait for its peer. The Reply or BodyStream that ends the
        // wait may outlive the session, and even the loop: it only looks whether the timer is still there.
        std::shared_ptr<Timer> timer;
    };
    using Place = std::list<Connection>::iterator;
    struct Listener {
        Acceptor acceptor;
        Guard guard;
    };

    // A route's answer on its way; shared by the session and the Reply.
    struct Pending {
        std::weak_ptr<Timer> timer;
        std::optional<HttpResponse> response;  // stays set once it is given: a late reply changes nothing
    };

    Result<void> open(Listener& listener, const Protocol::endpoint& endpoint, bool reuse);
    void start_accepting(Listener listener);
    Task<> accept(std::shared_ptr<Listener> listener);
    void take(Socket socket, const Guard& guard);
    Task<> serve(Place place);
    Task<std::optional<HttpRequest>> read(Connection& connection, beast::flat_buffer& buffer, bool& keep);
    // Empty: the client has gone.
    Task<std::optional<HttpResponse>> answer(Connection& connection, const HttpRequest& request,
                                             const Route& route);
    Task<bool> write(Connection& connection, const HttpRequest& request, HttpResponse response, bool keep);
    Task<bool> write_stream(Connection& connection, std::shared_ptr<BodyStream> body);
    Task<bool> send(Connection& connection, const std::string& bytes);

    Executor executor_;
    HttpLimits limits_;
    std::vector<Route> routes_;
    std::vector<std::shared_ptr<Listener>> listeners_;
    std::list<Connection> connections_;
    std::filesystem::path socket_file_;
    HttpStats stats_;
    bool stopped_ = false;
};

Result<void> HttpServer::Impl::open(Listener& listener, const Protocol::endpoint& endpoint, bool reuse) {
    error_code error;
    listener.acceptor.open(endpoint.protocol(), error);
    if (!error && reuse) listener.acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) listener.acceptor.bind(endpoint, error);
    if (!error) listener.acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) return fail(Errc::io, error.message());
    return {};
}

Result<std::uint16_t> HttpServer::Impl::listen_tcp(const std::string& address, std::uint16_t port) {
    const std::string where = address + " port " + std::to_string(port);
    error_code error;
    const auto ip = asio::ip::make_address(address, error);
    if (error) return fail(Errc::invalid_argument, where + ": not an IP address");
    Listener listener{Acceptor(executor_), {}};
    if (const auto opened = open(listener, asio::ip::tcp::endpoint(ip, port), true); !opened)
        return fail(Errc::io, where + ": " + opened.error().context);
    const auto bound = listener.acceptor.local_endpoint(error);
    asio::ip::tcp::endpoint local;
    local.resize(bound.size());
    std::copy_n(static_cast<const char*>(static_cast<const void*>(bound.data())), bound.size(),
                static_cast<char*>(static_cast<void*>(local.data())));
    start_accepting(std::move(listener));
    return local.port();
}

Result<void> HttpServer::Impl::listen_unix(const std::filesystem::path& path, const std::string& group) {
    const std::string where = path.string();
    std::error_code ignored;
    std::filesystem::create_directories(path.parent_path(), ignored);
    error_code error;
    const asio::local::stream_protocol::endpoint endpoint(where);
    {
        asio::basic_stream_socket<asio::local::stream_protocol, Executor> probe(executor_);
        probe.connect(endpoint, error);
        if (!error) return fail(Errc::locked, where + ": another process answers on this socket");
    }
    // Left by a process that was killed. Anything but a socket is not ours to remove.
    if (std::filesystem::is_socket(std::filesystem::symlink_status(path, ignored)))
        std::filesystem::remove(path, ignored);

    Listener listener{Acceptor(executor_), {true, std::nullopt}};
    if (const auto opened = open(listener, endpoint, false); !opened)
        return fail(Errc::io, where + ": " + opened.error().context);
    socket_file_ = path;
    // At start, before the loop serves anyone: the user database may take a moment.
    if (!group.empty()) {
        if (const struct group* found = getgrnam(group.c_str())) {
            listener.guard.group = found->gr_gid;
            if (::chown(where.c_str(), static_cast<uid_t>(-1), found->gr_gid) != 0)
                log::warning(
                    "gateway", "the control socket stays with our own group",
                    {{"socket", where}, {"group", group}, {"error", std::generic_category().message(errno)}});
        } else {
            log::info("gateway", "no such group, the control socket is for root and our own user",
                      {{"socket", where}, {"group", group}});
        }
    }
    if (::chmod(where.c_str(), 0660) != 0)
        return fail(Errc::io, where + ": " + std::generic_category().message(errno));
    start_accepting(std::move(listener));
    return {};
}

void HttpServer::Impl::start_accepting(Listener listener) {
    listeners_.push_back(std::make_shared<Listener>(std::move(listener)));
    asio::co_spawn(executor_, accept(listeners_.back()),
                   [self = shared_from_this()](const std::exception_ptr& error) {
                       if (error) std::rethrow_exception(error);  // out of run(): the program ends
                   });
}

Task<> HttpServer::Impl::accept(std::shared_ptr<Listener> listener) {
    // Out of descriptors: the connection stays in the kernel's queue, and we look again when some may be
    // free.
    constexpr std::chrono::milliseconds pause{100};
    Timer timer(executor_);
    while (!stopped_) {
        auto [error, socket] = co_await listener->acceptor.async_accept(as_task);
        if (stopped_) co_return;
        if (!error) {
            take(Socket(std::move(socket)), listener->guard);
        } else if (error != asio::error::connection_aborted) {
            timer.expires_after(pause);
            co_await timer.async_wait(as_task);
        }
    }
}

void HttpServer::Impl::take(Socket socket, const Guard& guard) {
    ++stats_.accepted;
    error_code ignored;
    std::string peer;
    const bool may = guard.check ? allowed(socket.native_handle(), guard, peer) : true;
    if (!may || connections_.size() >= limits_.connections_max) {
        ++stats_.refused;
        const HttpResponse no =
            may ? problem(503, "too-many-connections", "all places are taken; try again")
                : problem(403, "forbidden", "this socket is for root and the gateway's group");
        socket.non_blocking(true, ignored);
        socket.write_some(asio::buffer(head(no, false, false) + no.body),
                          ignored);  // as much as fits at once
        return;
    }
    if (!guard.check) peer = tcp_peer(socket);
    connections_.push_back({Stream(std::move(socket)), std::move(peer), std::make_shared<Timer>(executor_)});
    const Place place = std::prev(connections_.end());
    asio::co_spawn(executor_, serve(place),
                   [self = shared_from_this(), place](const std::exception_ptr& error) {
                       self->connections_.erase(place);
                       if (error) std::rethrow_exception(error);
                   });
}

// One connection, from its first request to its last.
Task<> HttpServer::Impl::serve(Place place) {
    Connection& connection = *place;
    beast::flat_buffer buffer(limits_.header_bytes_max + 4096);
    for (bool keep = true; keep && !stopped_;) {
        const std::optional<HttpRequest> request = co_await read(connection, buffer, keep);
        if (!request) break;
        ++stats_.requests;
        HttpRequest routed = *request;
        routed.caller.roles = Roles::all();
        HttpResponse response;
        if (const Route* route = find_route(routes_, routed, response)) {
            std::optional<HttpResponse> answered = co_await answer(connection, routed, *route);
            if (!answered) break;
            response = std::move(*answered);
        }
        const bool written = co_await write(connection, routed, std::move(response), keep);
        if (!written) break;
    }
    error_code ignored;
    connection.stream.socket().shutdown(asio::socket_base::shutdown_both, ignored);
}

Task<std::optional<HttpRequest>> HttpServer::Impl::read(Connection& connection, beast::flat_buffer& buffer,
                                                        bool& keep) {
    const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    Parser parser;
    parser.header_limit(static_cast<std::uint32_t>(limits_.header_bytes_max));
    parser.body_limit(limits_.body_bytes_max);
    // Idle and reading are two deadlines: a kept connection may be quiet for long, a request may not.
    if (buffer.size() == 0) {
        connection.stream.expires_after(limits_.idle);
        const auto [idle, bytes] = co_await connection.stream.async_read_some(buffer.prepare(2048), as_task);
        if (idle) co_return std::nullopt;
        buffer.commit(bytes);
    }
    connection.stream.expires_after(limits_.read);
    auto [error, header_bytes] = co_await http::async_read_header(connection.stream, buffer, parser, as_task);
    if (!error && beast::iequals(parser.get()[http::field::expect], "100-continue") && !parser.is_done())
        co_await send(connection, go_on);
    if (!error && !parser.is_done()) {
        connection.stream.expires_after(limits_.read);
        const auto [body_error, body_bytes] =
            co_await http::async_read(connection.stream, buffer, parser, as_task);
        error = body_error;
    }

    HttpRequest request;
    std::optional<HttpResponse> no;
    if (error) {
        no = refusal(error, limits_);
        if (!no) co_return std::nullopt;
    } else {
        auto message = parser.release();
        keep = message.keep_alive() && message.version() == 11;
        request.method = std::string(std::string_view(message.method_string()));
        request.target = std::string(std::string_view(message.target()));
        request.peer = connection.peer;
        for (const auto& field : message) {
            std::string name(std::string_view(field.name_string()));
            std::transform(name.begin(), name.end(), name.begin(), [](char c) {
                return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
            });
            request.headers.emplace_back(std::move(name), std::string(std::string_view(field.value())));
        }
        request.body = std::move(message.body());
        if (!parse_target(request.target, request))
            no = problem(400, "bad-request", "the target is not a path");
    }
    if (!no) co_return request;
    keep = false;
    co_await write(connection, request, std::move(*no), false);
    co_return std::nullopt;
}

Task<std::optional<HttpResponse>> HttpServer::Impl::answer(Connection& connection, const HttpRequest& request,
                                                           const Route& route) {
    const auto pending = std::make_shared<Pending>(Pending{connection.timer, std::nullopt});
    Timer& timer = *connection.timer;
    timer.expires_after(route.deadline);
    const auto deadline = timer.expiry();
    route.handler(request, [pending, executor = executor_](HttpResponse response) {
        asio::dispatch(executor, [pending, response = std::move(response)]() mutable {
            if (pending->response) return;
            pending->response = std::move(response);
            if (const auto waits = pending->timer.lock()) waits->cancel();
        });
    });
    while (!pending->response && !stopped_) {
        timer.expires_after(look_for_client_every);
        const bool last = timer.expiry() >= deadline;
        if (last) timer.expires_at(deadline);
        co_await timer.async_wait(as_task);
        if (pending->response || stopped_) break;
        if (last) {
            pending->response = problem(503, "timeout", "the gateway did not find an answer in time");
        } else if (left(connection.stream.socket().native_handle())) {
            request.client->leave();
            break;
        }
    }
    request.client->settle();
    co_return std::move(pending->response);
}

Task<bool> HttpServer::Impl::write(Connection& connection, const HttpRequest& request, HttpResponse response,
                                   bool keep) {
    const bool body = request.method != "HEAD";
    // Whatever an await refers to has a name here: g++ 12 destroys some temporaries of such an expression
    // twice.
    std::string bytes = head(response, keep, response.stream != nullptr);
    if (!response.stream) {
        if (body) bytes += response.body;
        const bool sent = co_await send(connection, bytes);
        co_return sent&& keep;
    }
    const bool begun = co_await send(connection, bytes);
    if (begun && body) co_await write_stream(connection, response.stream);
    response.stream->close();
    co_return false;
}

Task<bool> HttpServer::Impl::write_stream(Connection& connection, std::shared_ptr<BodyStream> body) {
    const auto timer = connection.timer;
    body->on_data([waiting = std::weak_ptr<Timer>(timer)] {
        if (const auto waits = waiting.lock()) waits->cancel();
    });
    while (!stopped_) {
        std::string bytes = body->take();
        if (bytes.empty()) {
            timer->expires_after(limits_.stream_pulse);
            const auto [woken] = co_await timer->async_wait(as_task);
            if (!woken) bytes = "\n";
        }
        if (bytes.empty()) continue;
        bytes = chunk(bytes);
        const bool sent = co_await send(connection, bytes);
        if (!sent) co_return false;
    }
    const std::string end = "0\r\n\r\n";
    co_return co_await send(connection, end);
}

Task<bool> HttpServer::Impl::send(Connection& connection, const std::string& bytes) {
    connection.stream.expires_after(limits_.write);
    const auto [error, count] = co_await asio::async_write(connection.stream, asio::buffer(bytes), as_task);
    co_return !error;
}

void HttpServer::Impl::stop() {
    if (std::exchange(stopped_, true)) return;
    error_code ignored;
    for (const auto& listener : listeners_) listener->acceptor.close(ignored);
    for (Connection& connection : connections_) {
        connection.stream.close();
        connection.timer->cancel();
    }
    if (!socket_file_.empty()) ::unlink(socket_file_.c_str());
}

HttpServer::HttpServer(asio::io_context& loop, HttpLimits limits, std::vector<Route> routes)
    : impl_(std::make_shared<Impl>(loop, limits, std::move(routes))) {}
HttpServer::~HttpServer() { impl_->stop(); }
Result<std::uint16_t> HttpServer::listen_tcp(const std::string& address, std::uint16_t port) {
    return impl_->listen_tcp(address, port);
}
Result<void> HttpServer::listen_unix(const std::filesystem::path& socket, const std::string& group) {
    return impl_->listen_unix(socket, group);
}
void HttpServer::stop() { impl_->stop(); }
HttpStats HttpServer::stats() const { return impl_->stats(); }

}  // namespace touchpoint::gateway
