#include "tools/platform/server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <cctype>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <deque>
#include <fstream>
#include <mutex>
#include <thread>

#include "tools/platform/connection.hpp"
#include "tools/platform/decompress.hpp"

namespace touchpoint::platform {
namespace {

namespace http = boost::beast::http;
using HttpRequest = http::request<http::string_body>;

struct Reply {
    int status = 200;
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;
    bool no_answer = false;
};

std::string text_of(const Reply& reply, bool keep_alive) {
    std::string text = "HTTP/1.1 " + std::to_string(reply.status) + ' ';
    const auto reason = http::obsolete_reason(http::int_to_status(static_cast<unsigned>(reply.status)));
    text.append(reason.data(), reason.size());
    text +=
        "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(reply.body.size()) + "\r\n";
    for (const auto& [name, value] : reply.headers)
        text.append(name).append(": ").append(value).append("\r\n");
    if (!keep_alive) text += "Connection: close\r\n";
    return text + "\r\n" + reply.body;
}

enum class Mode { up, down, slow, status };

}  // namespace

class Server::Impl {
  public:
    explicit Impl(Options options) : options_(std::move(options)) {}

    Result<void> start() {
        if (!options_.cert_file.empty()) {
            auto tls = make_tls_server(options_.cert_file, options_.key_file, options_.client_ca_file);
            if (!tls) return tls.error();
            tls_ = std::move(*tls);
        }
        if (!options_.out.empty()) {
            std::ifstream before(options_.out);
            for (std::string line; std::getline(before, line);) ledger_.take(line);
            out_.reset(std::fopen(options_.out.c_str(), "ae"));
            if (!out_) return fail(Errc::io, "cannot write " + options_.out.string());
        }
        listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const int yes = 1;
        ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<std::uint16_t>(options_.port));
        socklen_t size = sizeof address;
        if (::inet_pton(AF_INET, options_.address.c_str(), &address.sin_addr) != 1 ||
            ::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
            ::listen(listener_, connections_max) != 0 ||
            ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
            return fail(Errc::io,
                        "cannot listen on " + options_.address + ":" + std::to_string(options_.port));
        options_.port = ntohs(address.sin_port);
        acceptor_ = std::thread([this] { accept_all(); });
        return {};
    }

    ~Impl() {
        stop();
        if (listener_ >= 0) ::close(listener_);
    }

    void stop() {
        {
            const std::lock_guard lock(mutex_);
            if (stopping_) return;
            stopping_ = true;
            for (const auto& [number, connection] : connections_) connection->interrupt();
        }
        changed_.notify_all();
        if (listener_ >= 0) ::shutdown(listener_, SHUT_RDWR);
        if (acceptor_.joinable()) acceptor_.join();
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return threads_ == 0; });
    }

    bool control(std::string_view text) {
        boost::system::error_code error;
        const auto document = boost::json::parse(boost::json::string_view(text.data(), text.size()), error);
        if (error || !document.is_object()) return false;
        const auto& object = document.get_object();
        const auto integer = [&object](const char* key, std::int64_t otherwise) {
            const auto* value = object.if_contains(key);
            return value != nullptr && value->is_int64() ? value->get_int64() : otherwise;
        };
        const auto* mode = object.if_contains("mode");
        if (mode == nullptr || !mode->is_string()) return false;
        const std::lock_guard lock(mutex_);
        if (mode->get_string() == "up")
            mode_ = Mode::up;
        else if (mode->get_string() == "down")
            mode_ = Mode::down;
        else if (mode->get_string() == "slow")
            mode_ = Mode::slow;
        else if (mode->get_string() == "status")
            mode_ = Mode::status;
        else
            return false;
        mode_status_ = static_cast<int>(integer("status", 503));
        mode_for_ = integer("for", -1);
        mode_delay_ = std::chrono::milliseconds(integer("delay_ms", 200));
        const auto* wait = object.if_contains("retry_after");
        mode_retry_after_ =
            wait != nullptr && wait->is_string() ? std::string(wait->get_string()) : std::string();
        if (wait != nullptr && wait->is_int64()) mode_retry_after_ = std::to_string(wait->get_int64());
        return true;
    }

    Options options_;
    mutable std::mutex mutex_;
    mutable std::condition_variable changed_;
    Ledger ledger_;
    std::deque<Scripted> script_;
    std::function<std::optional<Scripted>(const std::vector<std::string_view>&)> rule_;
    std::deque<Request> requests_;
    std::vector<std::string> events_;

  private:
    void accept_all() {
        for (;;) {
            const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            const int error = errno;
            const std::lock_guard lock(mutex_);
            if (stopping_ && socket >= 0) ::close(socket);
            if (stopping_) return;
            if (socket < 0 && (error == EINTR || error == ECONNABORTED)) continue;
            if (socket < 0) return;
            if (threads_ >= connections_max) {
                ::close(socket);
                continue;
            }
            const int yes = 1;
            ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
            const std::uint64_t number = ++connections_made_;
            connections_[number] = accept_connection(socket, tls_.get());
            ++threads_;
            std::thread([this, number, connection = connections_[number].get()] {
                serve(*connection, number);
                const std::lock_guard end(mutex_);
                connections_.erase(number);
                --threads_;
                changed_.notify_all();
            }).detach();  // stop() waits until threads_ is 0
        }
    }

    void serve(Connection& connection, std::uint64_t number) {
        sigset_t pipe;
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
        if (!connection.handshake()) return;
        boost::beast::flat_buffer buffer;
        while (auto request = read_request(connection, buffer)) {
            const Reply reply = answer(*request, number);
            if (reply.no_answer) return;
            if (!connection.write(text_of(reply, request->keep_alive())) || !request->keep_alive()) return;
        }
    }

    static std::optional<HttpRequest> read_request(Connection& connection,
                                                   boost::beast::flat_buffer& buffer) {
        http::request_parser<http::string_body> parser;
        parser.eager(true);
        parser.body_limit(body_bytes_max);
        boost::system::error_code error;
        for (;;) {
            while (buffer.size() > 0 && !error && !parser.is_done())
                buffer.consume(parser.put(buffer.data(), error));
            if (parser.is_done()) return parser.release();
            if (error == http::error::need_more) error = {};
            if (error) return std::nullopt;
            const auto room = buffer.prepare(64 * 1024);
            const std::size_t size = connection.read_some(static_cast<char*>(room.data()), room.size());
            if (size == 0) return std::nullopt;
            buffer.commit(size);
        }
    }

    Reply answer(const HttpRequest& request, std::uint64_t connection) {
        const std::string_view target(request.target().data(), request.target().size());
        if (request.method() == http::verb::get && target == "/summary") {
            const std::lock_guard lock(mutex_);
            return {200, ledger_.summary().to_json(), {}, false};
        }
        if (request.method() == http::verb::post && target == "/control")
            return {control(request.body()) ? 200 : 400, {}, {}, false};
        if (request.method() == http::verb::post) return take_batch(request, connection);
        return {404, {}, {}, false};
    }

    Reply take_batch(const HttpRequest& request, std::uint64_t connection) {
        const auto header = [&request](std::string_view name) {
            const auto value = request[boost::beast::string_view(name.data(), name.size())];
            return std::string(value.data(), value.size());
        };
        // Unpacked outside the lock: it is most of the work.
        const auto body = decompress(request.body(), header("Content-Encoding"), unpacked_bytes_max);
        std::vector<std::string_view> events;
        const std::string type = header("Content-Type");
        bool whole = body.has_value();
        if (whole && type.starts_with("application/cloudevents-batch+json"))
            whole = split_array(*body, events);
        else if (whole && type.starts_with("application/x-ndjson"))
            whole = split_lines(*body, events);
        else
            whole = false;

        std::unique_lock lock(mutex_);
        Summary& counts = ledger_.counts();
        ++counts.requests;
        counts.bytes += request.body().size();
        Request seen;
        seen.method.assign(request.method_string().data(), request.method_string().size());
        seen.target.assign(request.target().data(), request.target().size());
        for (const auto& field : request) {
            std::string name(field.name_string().data(), field.name_string().size());
            std::transform(name.begin(), name.end(), name.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
            seen.headers[name].assign(field.value().data(), field.value().size());
        }
        seen.connection = connection;
        seen.body_bytes = request.body().size();
        seen.body_hash = XXH3_64bits(request.body().data(), request.body().size());
        seen.events = events.size();
        check_key(header("Idempotency-Key"), seen.body_hash);

        Scripted plan = whole ? next_plan(events) : Scripted{415};
        if (!whole) {
            ++counts.malformed;
            ledger_.error("a body that is not of its Content-Type and Content-Encoding");
        }
        keep(events, plan);
        if (plan.take > 0) ++counts.batches;
        seen.status = plan.no_answer ? 0 : plan.status;
        requests_.push_back(seen);
        if (requests_.size() > requests_kept_max) requests_.pop_front();
        if (options_.verbose) {
            std::printf("%d  %zu events  %zu bytes  total %llu\n", seen.status, seen.events, seen.body_bytes,
                        static_cast<unsigned long long>(counts.events));
            std::fflush(stdout);
        }
        changed_.notify_all();
        if (plan.delay.count() > 0) changed_.wait_for(lock, plan.delay, [this] { return stopping_; });
        return {plan.status, plan.body, plan.headers, plan.no_answer};
    }

    void check_key(const std::string& key, std::uint64_t hash) {
        if (key.empty()) return;
        const auto [place, fresh] = keys_.try_emplace(key, hash);
        if (fresh) {
            key_order_.push_back(key);
            if (key_order_.size() > requests_kept_max)
                keys_.erase(key_order_.front()), key_order_.pop_front();
        } else if (place->second != hash) {
            ++ledger_.counts().keys_reused;
            ledger_.error("an Idempotency-Key with other bytes than before");
        }
    }

    Scripted next_plan(const std::vector<std::string_view>& events) {
        if (rule_)
            if (auto plan = rule_(events)) return *plan;
        if (!script_.empty()) {
            Scripted plan = std::move(script_.front());
            script_.pop_front();
            return plan;
        }
        Scripted plan;
        plan.take = Scripted::all;
        const Mode mode = mode_;
        if (mode != Mode::up && mode_for_ > 0 && --mode_for_ == 0) mode_ = Mode::up;
        switch (mode) {
            case Mode::up:
                break;
            case Mode::slow:
                plan.delay = mode_delay_;
                break;
            case Mode::down:
                plan.take = 0;
                plan.no_answer = true;
                break;
            case Mode::status:
                plan.status = mode_status_;
                if (plan.status < 200 || plan.status > 299) plan.take = 0;
                if (!mode_retry_after_.empty()) plan.headers.emplace_back("Retry-After", mode_retry_after_);
                break;
        }
        return plan;
    }

    void keep(const std::vector<std::string_view>& events, const Scripted& plan) {
        const std::size_t count = std::min(plan.take, events.size());
        for (std::size_t i = 0; i < count; ++i) {
            if (plan.refuse.contains(i)) {
                ledger_.refuse(events[i]);
                continue;
            }
            if (!ledger_.take(events[i])) continue;
            if (options_.keep_events && events_.size() < events_kept_max) events_.emplace_back(events[i]);
            if (out_) {
                std::fwrite(events[i].data(), 1, events[i].size(), out_.get());
                std::fputc('\n', out_.get());
            }
        }
        if (out_) std::fflush(out_.get());
    }

    TlsServerPtr tls_;
    int listener_ = -1;
    struct Close {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };
    std::unique_ptr<std::FILE, Close> out_;
    std::thread acceptor_;
    // Under mutex_ from here on.
    bool stopping_ = false;
    int threads_ = 0;
    std::uint64_t connections_made_ = 0;
    std::map<std::uint64_t, std::unique_ptr<Connection>> connections_;
    Mode mode_ = Mode::up;
    int mode_status_ = 503;
    std::int64_t mode_for_ = -1;  // batches; -1: until told otherwise
    std::chrono::milliseconds mode_delay_{200};
    std::string mode_retry_after_;
    std::map<std::string, std::uint64_t> keys_;
    std::deque<std::string> key_order_;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::start(Options options) {
    auto impl = std::make_unique<Impl>(std::move(options));
    if (auto started = impl->start(); !started) return started.error();
    return std::unique_ptr<Server>(new Server(std::move(impl)));
}

void Server::stop() { impl_->stop(); }
int Server::port() const { return impl_->options_.port; }
std::string Server::url() const {
    return (impl_->options_.cert_file.empty() ? "http://" : "https://") + impl_->options_.address + ":" +
           std::to_string(port()) + "/events";
}
void Server::script(std::vector<Scripted> answers) {
    const std::lock_guard lock(impl_->mutex_);
    impl_->script_.insert(impl_->script_.end(), answers.begin(), answers.end());
}
void Server::rule(std::function<std::optional<Scripted>(const std::vector<std::string_view>&)> rule) {
    const std::lock_guard lock(impl_->mutex_);
    impl_->rule_ = std::move(rule);
}
bool Server::control(std::string_view json) { return impl_->control(json); }
Summary Server::summary() const {
    const std::lock_guard lock(impl_->mutex_);
    return impl_->ledger_.summary();
}
std::vector<Request> Server::requests() const {
    const std::lock_guard lock(impl_->mutex_);
    return {impl_->requests_.begin(), impl_->requests_.end()};
}
std::vector<std::string> Server::events() const {
    const std::lock_guard lock(impl_->mutex_);
    return impl_->events_;
}
bool Server::wait_until(const std::function<bool(const Summary&)>& condition,
                        std::chrono::milliseconds deadline) const {
    std::unique_lock lock(impl_->mutex_);
    return impl_->changed_.wait_for(lock, deadline, [&] { return condition(impl_->ledger_.summary()); });
}

}  // namespace touchpoint::platform
