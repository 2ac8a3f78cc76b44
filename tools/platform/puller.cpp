#include "tools/platform/puller.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "tools/platform/connection.hpp"
#include "tools/platform/decompress.hpp"
#include "tools/platform/json_scan.hpp"

namespace touchpoint::platform {
namespace {

namespace http = boost::beast::http;
using std::chrono::milliseconds;
using std::chrono::seconds;

// An answer that takes longer than its wait and this is given up.
constexpr seconds patience{30};

struct Answer {
    unsigned status = 0;
    std::string body;
    http::fields headers;

    std::string header(std::string_view name) const {
        const auto value = headers[boost::beast::string_view(name.data(), name.size())];
        return std::string(value.data(), value.size());
    }
};

}  // namespace

class Puller::Impl {
  public:
    explicit Impl(Options options)
        : options_(std::move(options)),
          path_("/v1/consumers/" + options_.consumer),
          ledger_(!options_.types.empty()) {
        if (!options_.out.empty()) out_.reset(std::fopen(options_.out.c_str(), "ae"));
        thread_ = std::thread([this] { run(); });
    }

    ~Impl() { stop(); }

    void stop() {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
            if (connection_) connection_->interrupt();
        }
        changed_.notify_all();
        if (thread_.joinable()) thread_.join();
    }

    void set_away(bool away) {
        {
            const std::lock_guard lock(mutex_);
            away_ = away;
            if (away && connection_) connection_->interrupt();
        }
        changed_.notify_all();
    }

    bool made() const {
        const std::lock_guard lock(mutex_);
        return made_;
    }
    Summary summary() const {
        const std::lock_guard lock(mutex_);
        return ledger_.summary();
    }

  private:
    // --- the loop

    void run() {
        for (;;) {
            {
                std::unique_lock lock(mutex_);
                changed_.wait(lock, [this] { return stopping_ || !away_; });
                if (stopping_) return;
            }
            const milliseconds rest = step();
            std::unique_lock lock(mutex_);
            changed_.wait_for(lock, rest, [this] { return stopping_; });
        }
    }

    // One request; returns how long to rest before the next.
    milliseconds step() {
        if (!made_) return make();
        if (!options_.ride && !cursor_.empty()) return acknowledge();
        return read();
    }

    milliseconds make() {
        const auto answer = ask("PUT", path_, wanted());
        if (!answer) return retry;
        if (answer->status != 200 && answer->status != 201) return not_now(*answer);
        const std::lock_guard lock(mutex_);
        begin(answer->body);
        made_ = true;
        return {};
    }

    // Its answer is the promise that none of it comes again, also after a power cut.
    milliseconds acknowledge() {
        const auto answer =
            ask("POST", path_ + "/ack?reader=" + reader(), R"({"cursor":")" + cursor_ + "\"}");
        if (!answer) return retry;
        if (answer->status != 200) return not_now(*answer);
        cursor_.clear();
        const std::lock_guard lock(mutex_);
        ledger_.acknowledged();
        return {};
    }

    milliseconds read() {
        const auto answer = ask("GET", path_ + "/events?" + query(), {});
        if (!answer) {
            const std::lock_guard lock(mutex_);
            if (options_.ride) ledger_.acknowledged_perhaps();
            return retry;
        }
        if (answer->status != 200 && answer->status != 204) return not_now(*answer);
        if (!keep(*answer)) return seconds(1);
        cursor_ = answer->header("Touchpoint-Next-Cursor");
        return answer->status == 200 ? options_.pace : milliseconds(0);
    }

    std::string query() const {
        std::string query = "max=" + std::to_string(options_.max) +
                            "&wait=" + std::to_string(options_.wait.count()) + "&reader=" + reader();
        if (!options_.types.empty()) query += "&types=" + options_.types;
        if (!cursor_.empty()) query += "&ack=" + cursor_;  // only when it rides
        return query;
    }

    std::string wanted() const {
        if (options_.streams.empty()) return "{}";
        std::string names;
        for (const std::string& stream : options_.streams)
            names += (names.empty() ? "\"" : ",\"") + stream + '"';
        return "{\"streams\":[" + names + "]}";
    }

    std::string reader() const { return options_.consumer + "-reader"; }

    // --- what came

    bool keep(const Answer& answer) {
        std::vector<std::string_view> events;
        std::optional<std::string> body{std::in_place};
        bool whole = true;
        if (answer.status == 200) {
            const std::string encoding = answer.header("Content-Encoding");
            body = decompress(answer.body, encoding, unpacked_bytes_max);
            whole = body && encoding == options_.encoding && answer.header("Content-Type") == type() &&
                    (options_.array ? split_array(*body, events) : split_lines(*body, events)) &&
                    !events.empty() && events.size() <= options_.max;
        }
        const std::lock_guard lock(mutex_);
        Summary& counts = ledger_.counts();
        ++counts.requests;
        counts.bytes += answer.body.size();
        if (!whole || answer.header("Touchpoint-Next-Cursor").empty()) {
            ++counts.malformed;
            ledger_.error("an answer that is not what was asked for: " + answer.header("Content-Type") + " " +
                          answer.header("Content-Encoding") + " " + std::to_string(events.size()));
            return false;
        }
        // The read has taken the acknowledgement of all before it.
        if (options_.ride && !cursor_.empty()) ledger_.acknowledged();
        for (const std::string_view event : events) {
            if (!ledger_.take(event)) continue;
            if (options_.on_event) options_.on_event(event);
            if (!out_) continue;
            std::fwrite(event.data(), 1, event.size(), out_.get());
            std::fputc('\n', out_.get());
        }
        if (out_) std::fflush(out_.get());
        counts.batches += events.empty() ? 0 : 1;
        return true;
    }

    const char* type() const {
        return options_.array ? "application/cloudevents-batch+json" : "application/x-ndjson";
    }

    // Positions of a consumer as the gateway tells them: what a careful platform begins to count from.
    void begin(std::string_view picture) {
        std::string_view epoch, streams;
        for_each_member(picture, [&](std::string_view key, std::string_view value) {
            if (key == "epoch") epoch = text_of(value);
            if (key == "streams") streams = value;
        });
        for_each_member(streams, [&](std::string_view stream, std::string_view position) {
            for_each_member(position, [&](std::string_view key, std::string_view value) {
                if (key == "acknowledged")
                    ledger_.begin(epoch, stream, std::strtoull(std::string(value).c_str(), nullptr, 10));
            });
        });
    }

    // 503 and 429 say when; everything else is somebody's mistake.
    milliseconds not_now(const Answer& answer) {
        const long later = std::strtol(answer.header("Retry-After").c_str(), nullptr, 10);
        if (answer.status != 503 && answer.status != 429) {
            const std::lock_guard lock(mutex_);
            ++ledger_.counts().refused;
            ledger_.error("answered " + std::to_string(answer.status) + " " + answer.body);
        }
        return seconds(std::clamp(later, 1L, 60L));
    }

    // --- one exchange

    // Empty: no gateway there, or it went away in between.
    std::optional<Answer> ask(const char* method, const std::string& target, const std::string& body) {
        std::string request = std::string(method) + " " + target + " HTTP/1.1\r\nHost: " + options_.address +
                              "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
        if (options_.array) request += std::string("Accept: ") + type() + "\r\n";
        if (!options_.encoding.empty()) request += "Accept-Encoding: " + options_.encoding + "\r\n";
        if (!options_.token.empty()) request += "Authorization: Bearer " + options_.token + "\r\n";
        request += "\r\n" + body;
        if (!connection_ && !connect()) return std::nullopt;
        Answer answer;
        if (connection_->write(request) && receive(answer)) return answer;
        const std::lock_guard lock(mutex_);
        connection_.reset();
        return std::nullopt;
    }

    bool connect() {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<std::uint16_t>(options_.port));
        if (::inet_pton(AF_INET, options_.address.c_str(), &address.sin_addr) != 1) return false;
        const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (socket < 0) return false;
        const timeval longest{(options_.wait + patience).count(), 0};
        const int yes = 1;
        ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof longest);
        ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &longest, sizeof longest);
        ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        if (::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
            ::close(socket);
            return false;
        }
        const std::lock_guard lock(mutex_);
        connection_ = accept_connection(socket, nullptr);
        if (stopping_ || away_) connection_->interrupt();
        return true;
    }

    bool receive(Answer& answer) {
        http::response_parser<http::string_body> parser;
        parser.body_limit(body_bytes_max);
        parser.eager(true);
        std::string unread;
        std::array<char, 64 * 1024> piece;
        while (!parser.is_done()) {
            const std::size_t got = connection_->read_some(piece.data(), piece.size());
            if (got == 0) return false;
            unread.append(piece.data(), got);
            boost::system::error_code error;
            while (!parser.is_done() && !unread.empty() && !error)
                unread.erase(0, parser.put(boost::asio::const_buffer(unread.data(), unread.size()), error));
            if (error && error != http::error::need_more) return false;
        }
        if (!parser.keep_alive()) {
            const std::lock_guard lock(mutex_);
            connection_.reset();
        }
        answer.status = parser.get().result_int();
        answer.body = std::move(parser.get().body());
        answer.headers = std::move(parser.get().base());
        return true;
    }

    const Options options_;
    const std::string path_;
    struct Close {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };
    std::unique_ptr<std::FILE, Close> out_;
    std::string cursor_;  // to be acknowledged

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    // Under mutex_: changed by the thread only, so that it may look without.
    std::unique_ptr<Connection> connection_;
    bool made_ = false;
    // Under mutex_.
    bool stopping_ = false;
    bool away_ = false;
    Ledger ledger_;
    std::thread thread_;
};

Puller::Puller(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Puller::~Puller() = default;
void Puller::stop() { impl_->stop(); }
void Puller::set_away(bool away) { impl_->set_away(away); }
bool Puller::made() const { return impl_->made(); }
Summary Puller::summary() const { return impl_->summary(); }

}  // namespace touchpoint::platform
