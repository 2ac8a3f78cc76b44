#include "gateway/http_server.hpp"

#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/http/status.hpp>
#include <cerrno>
#include <exception>
#include <list>
#include <optional>
#include <system_error>
#include <utility>

#include "gateway/core/log.hpp"
#include "gateway/http_door.hpp"
#include "gateway/http_reader.hpp"
#include "gateway/http_stream.hpp"

namespace touchpoint::gateway {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using Acceptor = asio::basic_socket_acceptor<HttpProtocol, HttpExecutor>;

// While a route looks for its answer.
constexpr std::chrono::milliseconds look_for_client_every{200};
// While a stream has nothing to say: there may be hundreds.
constexpr std::chrono::milliseconds look_for_listener_every{1000};
// What took longer than its deadline will not be quicker in a second.
constexpr std::chrono::seconds retry_after_timeout{5};
// After the last answer: what the client still sends is read and thrown away, or its system would throw our
// answer away. See HttpServer, "Not promised".
constexpr std::chrono::milliseconds farewell_max{1000};
constexpr std::size_t farewell_bytes_max = 256u << 10;
constexpr std::size_t slowest_reader_bytes_per_s = 16u << 10;

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

asio::ip::tcp::endpoint tcp_peer(const HttpSocket& socket) {
    error_code error;
    const auto endpoint = socket.remote_endpoint(error);
    asio::ip::tcp::endpoint address;
    if (error || endpoint.size() > address.capacity()) return {};
    address.resize(endpoint.size());
    std::copy_n(static_cast<const char*>(static_cast<const void*>(endpoint.data())), endpoint.size(),
                static_cast<char*>(static_cast<void*>(address.data())));
    return address;
}

// Whether this machine has the address now: any port of it can be had.
bool is_here(const asio::ip::tcp::endpoint& endpoint) {
    const int probe = ::socket(endpoint.protocol().family(), SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (probe < 0) return true;  // not known: nobody is alarmed
    const asio::ip::tcp::endpoint any_port(endpoint.address(), 0);
    const bool bound = ::bind(probe, any_port.data(), static_cast<socklen_t>(any_port.size())) == 0;
    const bool missing = !bound && errno == EADDRNOTAVAIL;
    ::close(probe);
    return !missing;
}

ClientAddress client_address(const asio::ip::tcp::endpoint& endpoint) {
    const auto of = [](const auto& bytes) {
        return ClientAddress::of(
            {static_cast<const char*>(static_cast<const void*>(bytes.data())), bytes.size()});
    };
    const auto ip = endpoint.address();
    return ip.is_v4() ? of(ip.to_v4().to_bytes()) : of(ip.to_v6().to_bytes());
}

// Of an answer with the fields that a route and the door add.
constexpr std::size_t head_bytes_likely = 512;

// A header's value that a route made, perhaps from a client's words: nothing in it ends the line. From `at`
// on.
void one_line(std::string& text, std::size_t at) {
    std::replace_if(
        text.begin() + static_cast<std::ptrdiff_t>(at), text.end(),
        [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
}

// Room for the body is kept behind it.
std::string head(const HttpResponse& response, bool keep, bool chunked) {
    std::string out;
    out.reserve(head_bytes_likely + response.body.size());
    out += "HTTP/1.1 ";
    out += std::to_string(response.status);
    out += ' ';
    out += std::string_view(http::obsolete_reason(static_cast<http::status>(response.status)));
    out += "\r\n";
    const auto field = [&](std::string_view name, std::string_view value) {
        out += name;
        out += ": ";
        const std::size_t at = out.size();
        out += value;
        one_line(out, at);
        out += "\r\n";
    };
    if (!response.content_type.empty()) field("Content-Type", response.content_type);
    bool cached = false;
    bool policy = false;
    for (const auto& [name, value] : response.headers) {
        cached = cached || name == "Cache-Control";
        policy = policy || name == "Content-Security-Policy";
        field(name, value);
    }
    if (response.stream != nullptr)
        out += chunked ? "Transfer-Encoding: chunked\r\n" : "";
    else if (response.status != 204 && response.status != 304)
        field("Content-Length", std::to_string(response.body.size()));
    // What a route does not say otherwise: nothing is kept, nothing is run, nothing is told to others.
    if (!cached) out += "Cache-Control: no-store\r\n";
    if (!policy) out += "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n";
    out += "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n";
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

}  // namespace

class HttpServer::Impl : public std::enable_shared_from_this<Impl> {
  public:
    Impl(asio::io_context& loop, HttpLimits limits, std::vector<Route> routes, Guards guards)
        : executor_(loop.get_executor()), limits_(limits), routes_(std::move(routes)), guards_(guards) {}

    Result<std::uint16_t> listen_tcp(const std::string& address, std::uint16_t port);
    Result<void> listen_unix(const std::filesystem::path& path, const std::string& group);
    void stop();
    bool address_is_here() const { return !tcp_address_ || is_here(*tcp_address_); }
    HttpStats stats() const {
        HttpStats now = stats_;
        now.connections = connections_.size();
        now.streams = streams_;
        if (guards_.door != nullptr) {
            now.throttled = guards_.door->stats().throttled;
            now.wrong_tokens = guards_.door->stats().wrong_tokens;
            now.forbidden = guards_.door->stats().forbidden;
        }
        return now;
    }

  private:
    struct Connection {
        std::unique_ptr<HttpStream> stream;
        ClientAddress address;  // none: of a Unix socket
        std::string peer;
        // What the session waits on when it does not wait for its peer. The Reply or BodyStream that ends the
        // wait may outlive the session, and even the loop: it only looks whether the timer is still there.
        std::shared_ptr<HttpTimer> timer;
        bool streams = false;  // it has given its place up
    };
    using Place = std::list<Connection>::iterator;
    struct Listener {
        Acceptor acceptor;
        Guard guard;
    };

    // A route's answer on its way; shared by the session and the Reply.
    struct Pending {
        std::weak_ptr<HttpTimer> timer;
        std::optional<HttpResponse> response;  // stays set once it is given: a late reply changes nothing
    };

    static Result<void> open(Listener& listener, const HttpProtocol::endpoint& endpoint, bool tcp);
    void start_accepting(Listener listener);
    HttpTask<> accept(std::shared_ptr<Listener> listener);
    void take(HttpSocket socket, const Guard& guard);
    void turn_away(HttpSocket& socket, const HttpResponse& why);
    void let_go(Place place);
    HttpTask<> serve(Place place);
    HttpTask<> converse(Connection& connection);
    // Whether the connection stays.
    HttpTask<bool> serve_one(Connection& connection, HttpReader& reader);
    // Empty: the client has gone.
    HttpTask<std::optional<HttpResponse>> respond(Connection& connection, HttpReader& reader,
                                                  HttpRequest& request);
    HttpTask<std::optional<HttpResponse>> answer(Connection& connection, const HttpRequest& request,
                                                 const Route& route);
    HttpTask<bool> write(Connection& connection, const HttpRequest& request, HttpResponse response,
                         bool keep);
    void give_place_up(Connection& connection);
    HttpTask<bool> write_stream(Connection& connection, const HttpRequest& request,
                                std::shared_ptr<BodyStream> body);
    HttpTask<bool> send(Connection& connection, const std::string& bytes);
    HttpTask<> say_farewell(Connection& connection);

    HttpExecutor executor_;
    HttpLimits limits_;
    std::vector<Route> routes_;
    Guards guards_;
    std::vector<std::shared_ptr<Listener>> listeners_;
    std::list<Connection> connections_;
    std::size_t streams_ = 0;  // of them
    std::filesystem::path socket_file_;
    std::optional<asio::ip::tcp::endpoint> tcp_address_;
    HttpStats stats_;
    bool stopped_ = false;
};

Result<void> HttpServer::Impl::open(Listener& listener, const HttpProtocol::endpoint& endpoint, bool tcp) {
    error_code error;
    listener.acceptor.open(endpoint.protocol(), error);
    if (!error && tcp) listener.acceptor.set_option(asio::socket_base::reuse_address(true), error);
    // After a power cut the box is up before its network: an address that comes later is listened on already.
    // A kernel that does not know the option says so in bind().
    const int yes = 1;
    if (!error && tcp && endpoint.protocol().family() == AF_INET)
        ::setsockopt(listener.acceptor.native_handle(), IPPROTO_IP, IP_FREEBIND, &yes, sizeof yes);
    if (!error && tcp && endpoint.protocol().family() == AF_INET6)
        ::setsockopt(listener.acceptor.native_handle(), IPPROTO_IPV6, IPV6_FREEBIND, &yes, sizeof yes);
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
    tcp_address_ = local;
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
        asio::basic_stream_socket<asio::local::stream_protocol, HttpExecutor> probe(executor_);
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

HttpTask<> HttpServer::Impl::accept(std::shared_ptr<Listener> listener) {
    // Out of descriptors: the connection stays in the kernel's queue, and we look again when some may be
    // free.
    constexpr std::chrono::milliseconds pause{100};
    HttpTimer timer(executor_);
    while (!stopped_) {
        auto [error, socket] = co_await listener->acceptor.async_accept(as_http_task);
        if (stopped_) co_return;
        if (!error) {
            take(HttpSocket(std::move(socket)), listener->guard);
        } else if (error != asio::error::connection_aborted) {
            timer.expires_after(pause);
            co_await timer.async_wait(as_http_task);
        }
    }
}

// As much as fits into the socket at once: nobody waits for a client that gets no place.
void HttpServer::Impl::turn_away(HttpSocket& socket, const HttpResponse& why) {
    ++stats_.refused;
    if (guards_.tls != nullptr) return;  // it would not understand us
    error_code ignored;
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(head(why, false, false) + why.body), ignored);
}

void HttpServer::Impl::take(HttpSocket socket, const Guard& guard) {
    ++stats_.accepted;
    Connection connection;
    if (guard.check) {
        if (!allowed(socket.native_handle(), guard, connection.peer))
            return turn_away(socket,
                             problem(403, "forbidden", "this socket is for root and the gateway's group"));
    } else {
        const auto endpoint = tcp_peer(socket);
        connection.address = client_address(endpoint);
        connection.peer = endpoint.address().to_string() + ":" + std::to_string(endpoint.port());
    }
    if (connections_.size() - streams_ >= limits_.connections_max)
        return turn_away(socket, not_now(503, "too-many-connections", "all places are taken; try again"));
    if (guards_.door != nullptr && !guards_.door->enter(connection.address))
        return turn_away(socket, not_now(429, "too-many-requests", "this address has too many connections"));
    const bool tls = guards_.tls != nullptr && !guard.check;
    connection.stream =
        tls ? make_tls_stream(std::move(socket), *guards_.tls) : make_plain_stream(std::move(socket));
    connection.timer = std::make_shared<HttpTimer>(executor_);
    connections_.push_back(std::move(connection));
    const Place place = std::prev(connections_.end());
    asio::co_spawn(executor_, serve(place),
                   [self = shared_from_this(), place](const std::exception_ptr& error) {
                       self->let_go(place);
                       if (error) std::rethrow_exception(error);
                   });
}

void HttpServer::Impl::let_go(Place place) {
    // After stop() the door may be gone; nobody comes in any more either.
    if (place->streams)
        --streams_;
    else if (guards_.door != nullptr && !stopped_)
        guards_.door->leave(place->address);
    connections_.erase(place);
}

void HttpServer::Impl::give_place_up(Connection& connection) {
    if (stopped_ || std::exchange(connection.streams, true)) return;
    ++streams_;
    if (guards_.door != nullptr) guards_.door->leave(connection.address);
}

HttpTask<> HttpServer::Impl::serve(Place place) {
    Connection& connection = *place;
    connection.stream->expires_after(limits_.handshake);
    const error_code refused = co_await connection.stream->handshake();
    if (refused) {
        ++stats_.handshakes_failed;
        co_return;
    }
    if (const std::string subject = connection.stream->certificate(); !subject.empty())
        connection.peer += " " + subject;
    co_await converse(connection);
    if (!stopped_) co_await say_farewell(connection);
}

// From the first request to the last.
HttpTask<> HttpServer::Impl::converse(Connection& connection) {
    HttpReader reader(*connection.stream, limits_);
    for (bool keep = true; keep && !stopped_;) keep = co_await serve_one(connection, reader);
}

HttpTask<bool> HttpServer::Impl::serve_one(Connection& connection, HttpReader& reader) {
    HttpRequest request;
    request.peer = connection.peer;
    request.caller.certificate = connection.stream->certificate();
    std::optional<HttpResponse> response = co_await respond(connection, reader, request);
    if (!response) co_return false;
    if (guards_.door != nullptr && !stopped_) guards_.door->dress(request, *response);
    const bool keep = reader.keep() && reader.complete() && response->status != 429;
    co_return co_await write(connection, request, std::move(*response), keep);
}

HttpTask<std::optional<HttpResponse>> HttpServer::Impl::respond(Connection& connection, HttpReader& reader,
                                                                HttpRequest& request) {
    HttpReader::Outcome outcome = co_await reader.read_header(request);
    if (outcome == HttpReader::Outcome::gone || stopped_) co_return std::nullopt;
    if (outcome == HttpReader::Outcome::refused) {
        ++stats_.malformed;
        co_return std::move(reader.refusal);
    }
    ++stats_.requests;
    HttpResponse refusal;
    const Route* route = find_route(routes_, request, refusal);
    if (guards_.door == nullptr)
        request.caller.roles = Roles::all();
    else if (!guards_.door->admit(connection.address, request, route, routes_, refusal))
        co_return refusal;
    if (route == nullptr) co_return refusal;
    outcome = co_await reader.read_body(request);
    if (outcome == HttpReader::Outcome::gone) co_return std::nullopt;
    if (outcome == HttpReader::Outcome::refused) {
        ++stats_.malformed;
        co_return std::move(reader.refusal);
    }
    co_return co_await answer(connection, request, *route);
}

HttpTask<std::optional<HttpResponse>> HttpServer::Impl::answer(Connection& connection,
                                                               const HttpRequest& request,
                                                               const Route& route) {
    const auto pending = std::make_shared<Pending>(Pending{connection.timer, std::nullopt});
    HttpTimer& timer = *connection.timer;
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
        co_await timer.async_wait(as_http_task);
        if (pending->response || stopped_) break;
        if (last) {
            pending->response =
                not_now(503, "timeout", "the gateway did not find an answer in time", retry_after_timeout);
        } else if (left(connection.stream->socket().native_handle())) {
            request.client->leave();
            break;
        }
    }
    request.client->settle();
    co_return std::move(pending->response);
}

HttpTask<bool> HttpServer::Impl::write(Connection& connection, const HttpRequest& request,
                                       HttpResponse response, bool keep) {
    const bool body = request.method != "HEAD";
    // Whatever an await refers to has a name here: g++ 12 destroys some temporaries of such an expression
    // twice.
    std::string bytes = head(response, keep, request.chunked);
    if (!response.stream) {
        if (body) bytes += response.body;
        const bool sent = co_await send(connection, bytes);
        co_return sent&& keep;
    }
    if (body) give_place_up(connection);
    const bool begun = co_await send(connection, bytes);
    if (begun && body) co_await write_stream(connection, request, response.stream);
    response.stream->close();
    co_return false;
}

HttpTask<bool> HttpServer::Impl::write_stream(Connection& connection, const HttpRequest& request,
                                              std::shared_ptr<BodyStream> body) {
    const auto timer = connection.timer;
    body->on_data([waiting = std::weak_ptr<HttpTimer>(timer)] {
        if (const auto waits = waiting.lock()) waits->cancel();
    });
    std::chrono::milliseconds silence{0};
    while (!stopped_ && (guards_.door == nullptr || guards_.door->still_welcome(request.caller))) {
        std::string bytes = body->take();
        if (bytes.empty()) {
            const auto pause = std::min(look_for_listener_every, limits_.stream_pulse - silence);
            timer->expires_after(pause);
            const auto [woken] = co_await timer->async_wait(as_http_task);
            // Its place is for the next one.
            if (left(connection.stream->socket().native_handle())) co_return false;
            if (woken) continue;
            silence += pause;
            if (silence >= limits_.stream_pulse) bytes = body->pulse();
        }
        if (bytes.empty()) continue;
        silence = std::chrono::milliseconds(0);
        if (request.chunked) bytes = chunk(bytes);
        const bool sent = co_await send(connection, bytes);
        if (!sent) co_return false;
    }
    if (!request.chunked) co_return true;
    const std::string end = "0\r\n\r\n";
    co_return co_await send(connection, end);
}

HttpTask<bool> HttpServer::Impl::send(Connection& connection, const std::string& bytes) {
    connection.stream->expires_after(limits_.write +
                                     std::chrono::seconds(bytes.size() / slowest_reader_bytes_per_s));
    const auto [error, count] = co_await connection.stream->write(asio::buffer(bytes));
    co_return !error;
}

HttpTask<> HttpServer::Impl::say_farewell(Connection& connection) {
    HttpStream& stream = *connection.stream;
    stream.expires_after(farewell_max);
    co_await stream.farewell();
    error_code ignored;
    stream.socket().shutdown(asio::socket_base::shutdown_send, ignored);
    std::string rest(16u << 10, '\0');
    for (std::size_t left = farewell_bytes_max; left != 0;) {
        const auto [error, size] = co_await stream.socket().async_read_some(
            asio::buffer(rest.data(), std::min(left, rest.size())), as_http_task);
        if (error) break;
        left -= size;
    }
}

void HttpServer::Impl::stop() {
    if (std::exchange(stopped_, true)) return;
    error_code ignored;
    for (const auto& listener : listeners_) listener->acceptor.close(ignored);
    for (Connection& connection : connections_) {
        connection.stream->close();
        connection.timer->cancel();
    }
    if (!socket_file_.empty()) ::unlink(socket_file_.c_str());
}

HttpServer::HttpServer(asio::io_context& loop, HttpLimits limits, std::vector<Route> routes, Guards guards)
    : impl_(std::make_shared<Impl>(loop, limits, std::move(routes), guards)) {}
HttpServer::~HttpServer() { impl_->stop(); }
Result<std::uint16_t> HttpServer::listen_tcp(const std::string& address, std::uint16_t port) {
    return impl_->listen_tcp(address, port);
}
Result<void> HttpServer::listen_unix(const std::filesystem::path& socket, const std::string& group) {
    return impl_->listen_unix(socket, group);
}
void HttpServer::stop() { impl_->stop(); }
HttpStats HttpServer::stats() const { return impl_->stats(); }
bool HttpServer::address_is_here() const { return impl_->address_is_here(); }

}  // namespace touchpoint::gateway
