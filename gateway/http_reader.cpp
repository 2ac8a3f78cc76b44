#include "gateway/http_reader.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <string_view>
#include <utility>

#include "gateway/core/ascii.hpp"

namespace touchpoint::gateway {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

constexpr std::size_t read_bytes = 16u << 10;         // at a time
constexpr std::size_t chunk_line_bytes_max = 4096;    // size and extensions of a chunk, or all trailers
constexpr std::size_t framing_bytes_max = 64u << 10;  // of a chunked body, besides as much as the body itself
constexpr std::string_view header_end = "\r\n\r\n";

bool is_control(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7f;
}

}  // namespace

struct HttpReader::Parsing {
    http::request_parser<http::string_body> parser;
    std::size_t raw_body_bytes = 0;
};

HttpReader::HttpReader(HttpStream& stream, const HttpLimits& limits) : stream_(stream), limits_(limits) {}
HttpReader::~HttpReader() = default;

bool HttpReader::complete() const { return parsing_ && parsing_->parser.is_done(); }

bool HttpReader::refuse(unsigned status, std::string_view type, std::string_view detail) {
    refusal = problem(status, type, detail);
    keep_ = false;
    return false;
}

HttpTask<bool> HttpReader::read_more(std::size_t bytes_max) {
    const std::size_t old = buffer_.size();
    buffer_.resize(old + std::min(bytes_max, read_bytes));
    const auto [error, size] =
        co_await stream_.read_some(asio::buffer(buffer_.data() + old, buffer_.size() - old));
    buffer_.resize(old + (error ? 0 : size));
    co_return !error;
}

// Beast reads these in a way of its own (a folded line becomes a blank), or not at all; another program on
// the way may read them differently.
bool HttpReader::check_text(std::string_view header) {
    const std::size_t first_end = header.find("\r\n");
    const std::string_view line = header.substr(0, first_end);
    if (std::any_of(line.begin(), line.end(), is_control))
        return refuse(400, "bad-request", "this is not HTTP/1.1");
    // "GET /path HTTP/1.1"
    const std::size_t begin = std::min(line.find(' '), line.size());
    const std::size_t target = line.substr(std::min(begin + 1, line.size())).find(' ');
    if (line.size() - begin > limits_.target_bytes_max + 16 ||
        (target != std::string_view::npos && target > limits_.target_bytes_max))
        return refuse(414, "target-too-long",
                      "the target is longer than " + std::to_string(limits_.target_bytes_max) + " bytes");
    if (first_end == std::string_view::npos) return true;

    std::string_view fields = header.substr(first_end + 2);
    std::size_t count = 0;
    while (!fields.empty()) {
        const std::size_t end = std::min(fields.find("\r\n"), fields.size());
        const std::string_view field = fields.substr(0, end);
        fields.remove_prefix(std::min(end + 2, fields.size()));
        if (field.empty()) break;
        if (field.front() == ' ' || field.front() == '\t')
            return refuse(400, "bad-request", "a header line must not be folded");
        const bool whole = !fields.empty();
        if (whole && std::any_of(field.begin(), field.end(), is_control))
            return refuse(400, "bad-request", "a header line holds a control character");
        if (++count > limits_.header_fields_max)
            return refuse(431, "header-too-large",
                          "the header has more than " + std::to_string(limits_.header_fields_max) + " lines");
    }
    return true;
}

std::optional<std::size_t> HttpReader::header_size() {
    const std::size_t end = buffer_.find(header_end);
    const std::size_t size = end == std::string::npos ? buffer_.size() : end + header_end.size();
    // A CR at the very end may be the first half of a line's end.
    std::string_view seen(buffer_.data(), std::min(size, limits_.header_bytes_max));
    if (!seen.empty() && seen.back() == '\r') seen.remove_suffix(1);
    if (!check_text(seen)) return std::nullopt;
    if (size > limits_.header_bytes_max || (end == std::string::npos && size == limits_.header_bytes_max)) {
        refuse(431, "header-too-large",
               "the header is larger than " + std::to_string(limits_.header_bytes_max) + " bytes");
        return std::nullopt;
    }
    return end == std::string::npos ? 0 : size;
}

bool HttpReader::check_fields() {
    const auto& message = parsing_->parser.get();
    // Twice any of these, and two programs may believe two different ones.
    struct Single {
        http::field field;
        const char* name;
    };
    constexpr std::array<Single, 6> once = {{{http::field::content_length, "Content-Length"},
                                             {http::field::transfer_encoding, "Transfer-Encoding"},
                                             {http::field::host, "Host"},
                                             {http::field::authorization, "Authorization"},
                                             {http::field::content_type, "Content-Type"},
                                             {http::field::origin, "Origin"}}};
    for (const Single& one : once)
        if (message.count(one.field) > 1)
            return refuse(400, "bad-request", std::string("there is more than one ") + one.name);
    // Beast takes "3, 3" for 3; another program may take it for nothing.
    const std::string_view length(message[http::field::content_length]);
    if (!std::all_of(length.begin(), length.end(), [](char c) { return c >= '0' && c <= '9'; }))
        return refuse(400, "bad-request", "Content-Length is not a number");
    const bool coded = message.count(http::field::transfer_encoding) != 0;
    if (coded && message.count(http::field::content_length) != 0)
        return refuse(400, "bad-request", "Content-Length and Transfer-Encoding exclude each other");
    if (coded && message.version() != 11)
        return refuse(400, "bad-request", "Transfer-Encoding is of HTTP/1.1");
    if (coded && !beast::iequals(message[http::field::transfer_encoding], "chunked"))
        return refuse(501, "not-implemented", "no Transfer-Encoding but chunked is known here");
    if (message.version() == 11 && message.count(http::field::host) == 0)
        return refuse(400, "bad-request", "there is no Host");
    const auto codings = message.equal_range(http::field::content_encoding);
    for (auto coding = codings.first; coding != codings.second; ++coding) {
        if (coding->value().empty() || beast::iequals(coding->value(), "identity")) continue;
        refuse(415, "unsupported-media-type", "no Content-Encoding is known here; send the body as it is");
        refusal.headers.emplace_back("Accept-Encoding", "identity");
        return false;
    }
    const auto expect = message[http::field::expect];
    if (!expect.empty() && !beast::iequals(expect, "100-continue"))
        return refuse(417, "expectation-failed", "only 100-continue can be expected here");
    return true;
}

bool HttpReader::take_header(HttpRequest& request, std::size_t bytes) {
    parsing_ = std::make_unique<Parsing>();
    auto& parser = parsing_->parser;
    parser.header_limit(static_cast<std::uint32_t>(limits_.header_bytes_max + 1));
    parser.body_limit(limits_.body_bytes_max);
    error_code error;
    parser.put(asio::buffer(buffer_.data(), bytes), error);
    if (error == http::error::body_limit)
        return refuse(413, "body-too-large",
                      "the body is larger than " + std::to_string(limits_.body_bytes_max) + " bytes");
    if (error || !parser.is_header_done()) return refuse(400, "bad-request", "this is not HTTP/1.1");
    buffer_.erase(0, bytes);
    parser.eager(true);
    if (!check_fields()) return false;

    const auto& message = parser.get();
    keep_ = message.keep_alive() && message.version() == 11;
    request.chunked = message.version() == 11;
    request.method = std::string(std::string_view(message.method_string()));
    request.target = std::string(std::string_view(message.target()));
    for (const auto& field : message)
        request.headers.emplace_back(ascii_lower(std::string_view(field.name_string())),
                                     std::string(std::string_view(field.value())));
    if (!parse_target(request.target, request))
        return refuse(400, "bad-request", "the target is not a path in UTF-8");
    return true;
}

HttpTask<HttpReader::Outcome> HttpReader::read_header(HttpRequest& request) {
    parsing_.reset();
    // Idle and reading are two deadlines: a kept connection may be quiet for long, a request may not.
    if (buffer_.empty()) {
        stream_.expires_after(limits_.idle);
        const bool more = co_await read_more(read_bytes);
        if (!more) co_return Outcome::gone;
    }
    stream_.expires_after(limits_.read);
    while (true) {
        const std::optional<std::size_t> size = header_size();
        if (!size) co_return Outcome::refused;
        if (*size != 0) co_return take_header(request, *size) ? Outcome::done : Outcome::refused;
        const bool more = co_await read_more(limits_.header_bytes_max - buffer_.size());
        if (!more) co_return Outcome::gone;
    }
}

HttpTask<HttpReader::Outcome> HttpReader::read_body(HttpRequest& request) {
    const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    auto& parser = parsing_->parser;
    if (!parser.is_done() && buffer_.empty() && !request.header("expect").empty()) {
        // Inside the deadline for reading: who does not take 25 bytes sends none either.
        const auto [error, size] = co_await stream_.write(asio::buffer(go_on));
        if (error) co_return Outcome::gone;
    }
    while (!parser.is_done()) {
        if (buffer_.empty()) {
            const bool more = co_await read_more(read_bytes);
            if (!more) co_return Outcome::gone;
        }
        error_code error;
        const std::size_t used = parser.put(asio::buffer(buffer_), error);
        buffer_.erase(0, used);
        parsing_->raw_body_bytes += used;
        if (error == http::error::body_limit ||
            parsing_->raw_body_bytes > limits_.body_bytes_max * 2 + framing_bytes_max) {
            refuse(413, "body-too-large",
                   "the body is larger than " + std::to_string(limits_.body_bytes_max) + " bytes");
            co_return Outcome::refused;
        }
        if (error == http::error::need_more) {
            if (buffer_.size() >= chunk_line_bytes_max) {
                refuse(400, "bad-request", "a chunk's size, its extensions or the trailers are too long");
                co_return Outcome::refused;
            }
            if (buffer_.empty()) continue;
            const bool more = co_await read_more(read_bytes);
            if (!more) co_return Outcome::gone;
        } else if (error) {
            refuse(400, "bad-request", "the body is not chunked as HTTP/1.1 says");
            co_return Outcome::refused;
        }
    }
    request.body = std::move(parser.get().body());
    co_return Outcome::done;
}

}  // namespace touchpoint::gateway
