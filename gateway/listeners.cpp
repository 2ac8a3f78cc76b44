#include "gateway/listeners.hpp"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <optional>
#include <utility>

#include "gateway/core/log.hpp"
#include "gateway/http_door.hpp"
#include "gateway/http_server.hpp"
#include "gateway/server_tls.hpp"
#include "gateway/tokens.hpp"

namespace touchpoint::gateway {
namespace {

HttpLimits limits_of(const config::HttpSettings& settings) {
    HttpLimits out;
    out.connections_max = settings.connections_max;
    out.body_bytes_max = settings.body_bytes_max;
    out.idle = settings.idle;
    out.read = settings.read;
    out.write = settings.write;
    return out;
}

ClientLimits client_limits_of(const config::HttpSettings& settings) {
    ClientLimits out;
    out.connections_max = settings.client_connections_max;
    out.requests_per_s = settings.client_requests_per_s;
    out.requests_burst = settings.client_requests_burst;
    out.wrong_tokens_max = settings.client_wrong_tokens_max;
    out.loopback = settings.limit_loopback;
    return out;
}

}  // namespace

struct Listeners::Tcp {
    std::string name;
    std::string address;
    std::uint16_t port = 0;
    std::unique_ptr<ServerTls> tls;  // null: plain
    std::string tls_trouble;
    std::unique_ptr<HttpDoor> door;
    std::unique_ptr<HttpServer> server;
};

class Listeners::Control {
  public:
    Control(boost::asio::io_context& loop, std::vector<Route> routes, std::string socket)
        : server(loop, HttpLimits{}, std::move(routes)), path(std::move(socket)) {}
    HttpServer server;
    std::string path;
};

struct Listeners::TokenWatch {
    std::filesystem::path file;
    TokenFileMark mark;
    std::shared_ptr<const TokenSet> tokens;  // and of the doors
    std::string trouble;
    bool asked = false;  // the reader is looking
    std::vector<HttpDoor*> doors;

    void take(const TokenFileMark& seen, Result<TokenSet> read) {
        mark = seen;
        if (!read) {
            if (trouble != read.error().context)
                log::error("gateway",
                           tokens ? "access tokens not taken over, those from before stay"
                                  : "access tokens cannot be used, nobody is let in who needs one",
                           {{"why", read.error().context}});
            trouble = read.error().context;
            return;
        }
        trouble.clear();
        tokens = std::make_shared<const TokenSet>(std::move(*read));
        for (HttpDoor* door : doors) door->set_tokens(tokens);
        log::info("gateway", "access tokens read", {{"tokens", tokens->tokens().size()}});
    }
};

Listeners::Listeners(Parts parts) : parts_(parts), looked_(parts.clock.steady()) {}
Listeners::~Listeners() { stop(); }

Result<void> Listeners::open(const config::Settings& settings, RouteSets routes) {
    if (!settings.auth.tokens_file.empty()) {
        tokens_ = std::make_shared<TokenWatch>();
        tokens_->file = settings.auth.tokens_file;
        // Marked before it is read: what changes in between is read again.
        const TokenFileMark mark = look_at_tokens(tokens_->file);
        tokens_->take(mark, read_tokens(tokens_->file));
    }
    if (const auto opened = open_tcp("local", settings.http_local, std::move(routes.local)); !opened)
        return opened;
    if (settings.http_platform) {
        const auto opened = open_tcp("platform", *settings.http_platform, std::move(routes.platform));
        if (!opened) return opened;
    }
    control_ =
        std::make_unique<Control>(parts_.loop, std::move(routes.control), settings.control.socket.string());
    return control_->server.listen_unix(settings.control.socket, settings.control.group);
}

Result<void> Listeners::open_tcp(const std::string& name, const config::HttpSettings& settings,
                                 std::vector<Route> routes) {
    auto tcp = std::make_unique<Tcp>();
    tcp->name = name;
    if (!settings.tls_cert.empty()) {
        auto tls = ServerTls::open({settings.tls_cert, settings.tls_key, settings.client_ca_file});
        if (!tls) return fail(tls.error().code, "http." + name + ": " + tls.error().context);
        tcp->tls = std::move(*tls);
    }
    DoorOptions options;
    options.clients = client_limits_of(settings);
    options.tokens = tokens_ != nullptr;
    options.allowed_origins = settings.allowed_origins;
    tcp->door = std::make_unique<HttpDoor>(std::move(options), parts_.clock);
    if (tokens_) {
        tcp->door->set_tokens(tokens_->tokens);
        tokens_->doors.push_back(tcp->door.get());
    }
    tcp->server = std::make_unique<HttpServer>(parts_.loop, limits_of(settings), std::move(routes),
                                               HttpServer::Guards{tcp->door.get(), tcp->tls.get()});
    const auto port = tcp->server->listen_tcp(settings.listen.address, settings.listen.port);
    if (!port) return fail(port.error().code, "http." + name + ": " + port.error().context);
    tcp->port = *port;
    tcp->address = settings.listen.address + " port " + std::to_string(*port);
    log::info("gateway", "listening",
              {{"listener", name},
               {"address", tcp->address},
               {"tls", tcp->tls != nullptr},
               {"tokens", tokens_ != nullptr}});
    tcp_.push_back(std::move(tcp));
    return {};
}

void Listeners::tick(SteadyTime now) {
    if (now - looked_ < look_at_tokens_every) return;
    looked_ = now;
    look_at_the_tokens();
}

void Listeners::look_at_the_tokens() {
    if (!tokens_ || tokens_->asked) return;
    struct Seen {
        TokenFileMark mark;
        std::optional<Result<TokenSet>> read;  // empty: it has not changed
    };
    boost::asio::io_context& loop = parts_.loop;
    const std::weak_ptr<TokenWatch> watch = tokens_;
    tokens_->asked = parts_.reader.post([&loop, watch, file = tokens_->file, known = tokens_->mark] {
        const auto seen = std::make_shared<Seen>();
        seen->mark = look_at_tokens(file);
        if (seen->mark != known) seen->read.emplace(read_tokens(file));
        boost::asio::post(loop, [watch, seen] {
            const auto alive = watch.lock();
            if (!alive) return;
            alive->asked = false;
            if (seen->read) alive->take(seen->mark, std::move(*seen->read));
        });
    });
}

bool Listeners::reload() {
    // What cannot be seen from outside (a file system with coarse times) is read again, too.
    if (tokens_) tokens_->mark = TokenFileMark{.inode = 1};
    look_at_the_tokens();
    bool taken = true;
    for (const auto& tcp : tcp_) {
        if (!tcp->tls) continue;
        const auto read = tcp->tls->reload();
        tcp->tls_trouble = read ? std::string() : read.error().context;
        if (read)
            log::info("gateway", "certificate read", {{"listener", tcp->name}});
        else
            log::error("gateway", "certificate not taken over, the one from before stays",
                       {{"listener", tcp->name}, {"why", tcp->tls_trouble}});
        taken = taken && read;
    }
    return taken;
}

void Listeners::stop() {
    if (tokens_) tokens_->doors.clear();
    for (const auto& tcp : tcp_) tcp->server->stop();
    if (control_) control_->server.stop();
}

HttpPicture Listeners::picture() const {
    HttpPicture out;
    for (const auto& tcp : tcp_) {
        ListenerPicture one;
        one.name = tcp->name;
        one.address = tcp->address;
        one.stats = tcp->server->stats();
        one.address_missing = !tcp->server->address_is_here();
        one.tls = tcp->tls != nullptr;
        if (tcp->tls) one.certificate_ends = tcp->tls->not_after();
        one.certificate_trouble = tcp->tls_trouble;
        out.listeners.push_back(std::move(one));
    }
    if (control_) {
        ListenerPicture one;
        one.name = "control";
        one.address = control_->path;
        one.stats = control_->server.stats();
        out.listeners.push_back(std::move(one));
    }
    if (tokens_) {
        out.tokens_file = tokens_->file.string();
        out.tokens_trouble = tokens_->trouble;
        out.tokens = tokens_->tokens ? tokens_->tokens->tokens().size() : 0;
    }
    return out;
}

std::uint16_t Listeners::port(const std::string& listener) const {
    const auto found =
        std::find_if(tcp_.begin(), tcp_.end(), [&](const auto& tcp) { return tcp->name == listener; });
    return found == tcp_.end() ? std::uint16_t{0} : (*found)->port;
}

}  // namespace touchpoint::gateway
