#include "uplink/platform_client.hpp"

#include <openssl/evp.h>

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <fstream>
#include <functional>
#include <optional>
#include <string_view>
#include <tuple>

#include "gateway/core/assert.hpp"
#include "uplink/name_lookup.hpp"
#include "uplink/platform_address.hpp"
#include "uplink/platform_stream.hpp"

namespace touchpoint::uplink {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

// The first line of a secret's file.
Result<std::string> read_secret(const std::string& path, const char* option) {
    std::ifstream file(path);
    std::string line;
    if (!std::getline(file, line) && line.empty())
        return fail(Errc::io, std::string("cannot read ") + option);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    return line;
}

std::string base64(const std::string& text) {
    std::string out(4 * ((text.size() + 2) / 3), '\0');
    EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                    reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
    return out;
}

Result<std::string> authorization(const PushOptions& options) {
    if (!options.bearer_token_file.empty()) {
        auto token = read_secret(options.bearer_token_file, "bearer_token_file");
        if (!token) return token.error();
        return "Bearer " + *token;
    }
    if (options.username.empty()) return std::string();
    std::string password;
    if (!options.password_file.empty()) {
        auto secret = read_secret(options.password_file, "password_file");
        if (!secret) return secret.error();
        password = *secret;
    }
    return "Basic " + base64(options.username + ":" + password);
}

}  // namespace

class PlatformClient::Impl : public std::enable_shared_from_this<PlatformClient::Impl> {
  public:
    Impl(asio::io_context& loop, PushOptions options)
        : executor_(loop.get_executor()),
          options_(std::move(options)),
          address_(parse_address(options_.url)),
          deadline_(executor_),
          attempt_deadline_(executor_),
          looked_up_(executor_) {
        if (!options_.proxy.empty()) proxy_ = parse_address(options_.proxy);
    }

    void exchange(Exchange exchange, std::function<void(Answer)> done) {
        TP_ASSERT(!busy_);
        busy_ = true;
        end_.clear();
        deadline_.expires_after(options_.timeout);
        deadline_.async_wait([weak = weak_from_this(), turn = ++turn_](error_code error) {
            const auto self = weak.lock();
            if (!error && self && self->busy_ && self->turn_ == turn) self->end("timed out");
        });
        asio::co_spawn(executor_, converse(shared_from_this(), std::move(exchange), std::move(done)),
                       [](const std::exception_ptr& failure) {
                           if (failure) std::rethrow_exception(failure);  // out of io_context::run: our bug
                       });
    }

    // The exchange under way, if any, fails now with `why`.
    void end(const char* why) {
        if (!busy_ || !end_.empty()) return;
        end_ = why;
        lookup_.abandon();
        looked_up_.cancel();
        if (stream_) stream_->close();
    }

    void disconnect() {
        TP_ASSERT(!busy_);
        stream_.reset();
    }

  private:
    struct Attempt {
        Answer answer;
        bool heard = false;  // at least one byte of an answer came
        bool keep = false;   // the connection can be used again
    };

    static asio::awaitable<void> converse(std::shared_ptr<Impl> self, Exchange exchange,
                                          std::function<void(Answer)> done) {
        Answer answer = co_await self->answer_to(exchange);
        self->deadline_.cancel();
        self->busy_ = false;
        done(std::move(answer));
    }

    asio::awaitable<Answer> answer_to(const Exchange& exchange) {
        for (;;) {
            const bool reused = stream_ != nullptr;
            if (!reused) {
                const std::string error = co_await connect();
                if (!error.empty()) {
                    stream_.reset();
                    co_return failed(error);
                }
            }
            Attempt attempt = co_await send_and_read(exchange);
            if (!attempt.keep) stream_.reset();
            // The server closed the idle connection while our request was on its way.
            if (reused && attempt.answer.status == 0 && !attempt.heard && end_.empty()) continue;
            co_return attempt.answer.status != 0 ? std::move(attempt.answer) : failed(attempt.answer.error);
        }
    }

    Answer failed(const std::string& error) const {
        Answer answer;
        answer.error = end_.empty() ? error : end_ + ": " + phase_;
        return answer;
    }

    // A connection that is ready for requests, in stream_. Returns what went wrong.
    asio::awaitable<std::string> connect() {
        phase_ = "settings";
        if (!address_) co_return "url: " + address_.error().context;
        if (proxy_ && !*proxy_) co_return "proxy: " + proxy_->error().context;
        const auto secret = authorization(options_);
        if (!secret) co_return secret.error().context;
        authorization_ = *secret;

        const Address& next_hop = proxy_ ? **proxy_ : *address_;
        const auto addresses = co_await look_up(next_hop.host);
        if (!addresses) co_return "name lookup: " + addresses.error().context;

        if (address_->tls) {
            auto stream = make_tls_stream(executor_, address_->host,
                                          {options_.ca_file, options_.cert_file, options_.key_file});
            if (!stream) co_return stream.error().context;
            stream_ = std::move(*stream);
        } else {
            stream_ = make_plain_stream(executor_);
        }
        std::string error = co_await connect_to_one(*addresses, next_hop.port);
        if (error.empty() && proxy_ && address_->tls) error = co_await tunnel();
        if (!error.empty()) co_return error;

        phase_ = "tls";
        const error_code refused = co_await stream_->handshake();
        if (!end_.empty()) co_return end_;
        if (!refused) co_return std::string();
        const std::string complaint = stream_->complaint();
        co_return "tls: " + refused.message() + (complaint.empty() ? "" : ": " + complaint);
    }

    asio::awaitable<Result<std::vector<std::string>>> look_up(const std::string& host) {
        phase_ = "name lookup";
        error_code not_an_address;
        asio::ip::make_address(host, not_an_address);
        if (!not_an_address) co_return std::vector<std::string>{host};
        if (!end_.empty()) co_return fail(Errc::stopped, end_);

        found_.reset();
        looked_up_.expires_at(SteadyTime::max());
        const bool started = lookup_.start(
            host, [weak = weak_from_this(), executor = executor_](Result<std::vector<std::string>> found) {
                asio::post(executor, [weak, found = std::move(found)] {
                    const auto self = weak.lock();
                    if (!self) return;
                    self->found_ = found;
                    self->looked_up_.cancel();
                });
            });
        if (!started) co_return fail(Errc::refused, "the one before still hangs");
        co_await looked_up_.async_wait(as_values);
        if (!end_.empty() || !found_) co_return fail(Errc::stopped, end_);
        co_return *found_;
    }

    // Tries one address after the other; each gets its share of the deadline, so that a dead IPv6 route does
    // not use it up.
    asio::awaitable<std::string> connect_to_one(const std::vector<std::string>& addresses,
                                                std::uint16_t port) {
        phase_ = "connect";
        std::string last_error = "connect: no address";
        for (const std::string& address : addresses) {
            if (!end_.empty()) co_return end_;
            error_code error;
            const tcp::endpoint endpoint(asio::ip::make_address(address, error), port);
            if (error) continue;
            tcp::socket& socket = stream_->socket();
            socket.open(endpoint.protocol(), error);
            if (!error) {
                attempt_deadline_.expires_after(options_.timeout / addresses.size());
                attempt_deadline_.async_wait(
                    [weak = weak_from_this(), turn = ++connect_turn_](error_code cancelled) {
                        const auto self = weak.lock();
                        if (!cancelled && self && self->connect_turn_ == turn && self->stream_)
                            self->stream_->close();
                    });
                std::tie(error) = co_await socket.async_connect(endpoint, as_values);
                ++connect_turn_;
                attempt_deadline_.cancel();
            }
            if (!error && socket.is_open()) {
                error_code ignored;  // slower without it, not wrong
                socket.set_option(tcp::no_delay(true), ignored);
                co_return std::string();
            }
            last_error =
                "connect: " + (error == asio::error::operation_aborted ? "no answer" : error.message());
            stream_->close();
        }
        co_return last_error;
    }

    // Asks the proxy for a tunnel to the platform; TLS runs inside it.
    asio::awaitable<std::string> tunnel() {
        phase_ = "proxy";
        const std::string target = address_->authority_with_port();
        const std::string request = "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\n";
        const auto [sent_error, sent] =
            co_await stream_->write({asio::buffer(request), asio::const_buffer()});
        if (sent_error) co_return "proxy: " + sent_error.message();
        std::string answer;
        while (answer.find("\r\n\r\n") == std::string::npos) {
            if (answer.size() > answer_head_bytes_max) co_return "proxy: answer too large";
            std::array<char, 1024> piece{};
            const auto [error, size] = co_await stream_->read_some(asio::buffer(piece));
            if (error) co_return "proxy: " + error.message();
            answer.append(piece.data(), size);
        }
        const bool http1 = answer.starts_with("HTTP/1.") && answer.size() > 12;
        if (http1 && answer[9] == '2') co_return std::string();
        co_return http1 ? "proxy: answered " + answer.substr(9, 3) : std::string("proxy: not an HTTP answer");
    }

    std::string head_of(const Exchange& exchange) const {
        std::string head = exchange.method + ' ';
        if (proxy_ && !address_->tls) head += "http://" + address_->authority();  // absolute-form
        head += (exchange.target.empty() ? address_->target : exchange.target) + " HTTP/1.1\r\n";
        const auto add = [&head](std::string_view name, std::string_view value) {
            head.append(name).append(": ").append(value).append("\r\n");
        };
        add("Host", address_->authority());
        add("User-Agent", "touchpoint/" TOUCHPOINT_VERSION);
        add("Accept", exchange.accept);
        if (!authorization_.empty()) add("Authorization", authorization_);
        for (const auto& [name, value] : options_.headers) add(name, value);
        for (const auto& [name, value] : exchange.headers) add(name, value);
        add("Content-Length", std::to_string(exchange.body ? exchange.body->size() : 0));
        return head + "\r\n";
    }

    asio::awaitable<Attempt> send_and_read(const Exchange& exchange) {
        phase_ = "send";
        const std::string head = head_of(exchange);
        const asio::const_buffer body = exchange.body ? asio::buffer(*exchange.body) : asio::const_buffer();
        const auto [send_error, sent] = co_await stream_->write({asio::buffer(head), body});
        Attempt attempt;
        if (end_.empty()) {
            // Also after a failed write: a server that refuses a body early says why and closes.
            phase_ = "answer";
            attempt = co_await read_answer(exchange.answer_bytes_max);
        }
        if (send_error) {
            attempt.keep = false;
            if (attempt.answer.status == 0) attempt.answer.error = "send: " + send_error.message();
        }
        co_return attempt;
    }

    asio::awaitable<Attempt> read_answer(std::size_t answer_bytes_max) {
        Attempt attempt;
        boost::beast::flat_buffer buffer;
        std::optional<http::response_parser<http::string_body>> parser;
        const auto begin = [&parser, answer_bytes_max] {
            parser.emplace();
            parser->eager(true);
            parser->header_limit(answer_head_bytes_max);
            parser->body_limit(answer_bytes_max);
        };
        begin();
        while (!parser->is_done()) {
            const auto [error, size] = co_await stream_->read_some(buffer.prepare(8192));
            if (!end_.empty()) co_return attempt;
            buffer.commit(size);
            attempt.heard = attempt.heard || size > 0;
            error_code problem;
            if (error == asio::error::eof && parser->got_some()) {
                parser->put_eof(problem);
            } else if (error) {
                problem = error;
            } else {
                // One call may end at the end of the head, or with a 100 Continue in front of the answer.
                while (!problem && !parser->is_done() && buffer.size() > 0) {
                    buffer.consume(parser->put(buffer.data(), problem));
                    if (!problem && parser->is_done() && parser->get().result_int() < 200) begin();
                }
                if (problem == http::error::need_more) problem = {};
            }
            if (problem) {
                attempt.answer.error = "answer: " + problem.message();
                co_return attempt;
            }
        }
        http::response<http::string_body> response = parser->release();
        attempt.keep = parser->keep_alive() && buffer.size() == 0;
        attempt.answer.status = static_cast<int>(response.result_int());
        const auto wait = response[http::field::retry_after];
        attempt.answer.retry_after.assign(wait.data(), wait.size());
        const auto cursor = response["Touchpoint-Next-Cursor"];
        attempt.answer.next_cursor.assign(cursor.data(), cursor.size());
        attempt.answer.body = std::move(response.body());
        co_return attempt;
    }

    asio::any_io_executor executor_;
    const PushOptions options_;
    const Result<Address> address_;
    std::optional<Result<Address>> proxy_;
    std::string authorization_;
    std::unique_ptr<PlatformStream> stream_;
    asio::steady_timer deadline_;
    asio::steady_timer attempt_deadline_;
    asio::steady_timer looked_up_;  // cancelled when found_ is there
    std::optional<Result<std::vector<std::string>>> found_;
    NameLookup lookup_;
    bool busy_ = false;
    std::uint64_t turn_ = 0;          // a deadline that fired late belongs to an exchange before
    std::uint64_t connect_turn_ = 0;  // the same for one address
    std::string end_;                 // why the exchange must end now; empty: it need not
    const char* phase_ = "";          // what it is doing, for the error text
};

PlatformClient::PlatformClient(asio::io_context& loop, PushOptions options)
    : impl_(std::make_shared<Impl>(loop, std::move(options))) {}
PlatformClient::~PlatformClient() { cancel(); }
void PlatformClient::exchange(Exchange exchange, std::function<void(Answer)> done) {
    impl_->exchange(std::move(exchange), std::move(done));
}
void PlatformClient::cancel() { impl_->end("stopped"); }
void PlatformClient::disconnect() { impl_->disconnect(); }

}  // namespace touchpoint::uplink
