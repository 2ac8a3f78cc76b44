#include "gateway/http.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "devices/json_slice.hpp"
#include "gateway/core/json_text.hpp"

namespace touchpoint::gateway {
namespace {

constexpr std::size_t query_items_max = 32;

using Pairs = std::vector<std::pair<std::string, std::string>>;

std::string_view value_of(const Pairs& pairs, std::string_view name) {
    const auto found =
        std::find_if(pairs.begin(), pairs.end(), [&](const auto& p) { return p.first == name; });
    return found == pairs.end() ? std::string_view() : std::string_view(found->second);
}

int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::optional<std::string> decoded(std::string_view text, bool plus_is_space) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%') {
            if (i + 2 >= text.size()) return std::nullopt;
            const int high = hex(text[i + 1]);
            const int low = hex(text[i + 2]);
            if (high < 0 || low < 0 || high + low == 0) return std::nullopt;
            out += static_cast<char>(high * 16 + low);
            i += 2;
        } else {
            out += plus_is_space && text[i] == '+' ? ' ' : text[i];
        }
    }
    return out;
}

std::vector<std::string_view> parts(std::string_view path) {
    std::vector<std::string_view> out;
    while (!path.empty()) {
        path.remove_prefix(1);  // the slash
        const std::size_t end = std::min(path.find('/'), path.size());
        out.push_back(path.substr(0, end));
        path.remove_prefix(end);
    }
    return out;
}

bool matches(std::string_view pattern, std::string_view path, Pairs& parameters) {
    const auto wanted = parts(pattern);
    const auto given = parts(path);
    if (wanted.size() != given.size()) return false;
    Pairs found;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        const std::string_view part = wanted[i];
        if (part.size() > 2 && part.front() == '{' && part.back() == '}')
            found.emplace_back(part.substr(1, part.size() - 2), given[i]);
        else if (part != given[i])
            return false;
    }
    parameters = std::move(found);
    return true;
}

std::string_view title(unsigned status) {
    switch (status) {
        case 400:
            return "Bad request";
        case 401:
            return "Unauthorized";
        case 403:
            return "Forbidden";
        case 404:
            return "Not found";
        case 405:
            return "Method not allowed";
        case 406:
            return "Not acceptable";
        case 408:
            return "Request took too long";
        case 409:
            return "Conflict";
        case 410:
            return "Gone";
        case 412:
            return "Precondition failed";
        case 413:
            return "Body too large";
        case 414:
            return "Target too long";
        case 415:
            return "Unsupported media type";
        case 417:
            return "Expectation failed";
        case 422:
            return "Cannot be processed";
        case 429:
            return "Too many requests";
        case 431:
            return "Header too large";
        case 500:
            return "Internal error";
        case 501:
            return "Not implemented";
        case 503:
            return "Not available now";
        default:
            return "Error";
    }
}

}  // namespace

std::optional<std::string> percent_decoded(std::string_view text) { return decoded(text, false); }

std::string_view HttpRequest::query_value(std::string_view name) const { return value_of(query, name); }
std::string_view HttpRequest::parameter(std::string_view name) const { return value_of(parameters, name); }
std::string_view HttpRequest::header(std::string_view name) const { return value_of(headers, name); }

bool BodyStream::push(std::string_view line) {
    if (closed_) return false;
    if (waiting_.size() + line.size() > waiting_bytes_max) {
        ++dropped_;
        ++dropped_unsaid_;
        return true;
    }
    // The loss is told where it happened: in front of the first line that fits again.
    if (dropped_unsaid_ != 0) waiting_ += dropped_line_(std::exchange(dropped_unsaid_, 0));
    waiting_ += line;
    if (wake_) wake_();
    return true;
}

std::string BodyStream::take() {
    std::string out = std::exchange(waiting_, {});
    if (out.empty() && dropped_unsaid_ != 0) out = dropped_line_(std::exchange(dropped_unsaid_, 0));
    return out;
}

void BodyStream::close() {
    closed_ = true;
    wake_ = nullptr;
    waiting_.clear();
}

HttpResponse json_response(std::string body, unsigned status) {
    return {status, "application/json", std::move(body), {}, nullptr};
}

HttpResponse text_response(std::string body, std::string content_type) {
    return {200, std::move(content_type), std::move(body), {}, nullptr};
}

HttpResponse problem(unsigned status, std::string_view type, std::string_view detail) {
    std::string body = R"({"type":)" + json_string(type);
    body += R"(,"title":)" + json_string(title(status)) + R"(,"status":)" + std::to_string(status);
    body += R"(,"detail":)" + json_string(detail) + "}\n";
    return {status, "application/problem+json", std::move(body), {}, nullptr};
}

HttpResponse not_now(unsigned status, std::string_view type, std::string_view detail,
                     std::chrono::seconds retry_after) {
    HttpResponse response = problem(status, type, detail);
    response.headers.emplace_back("Retry-After", std::to_string(retry_after.count()));
    return response;
}

Route get(std::string path, std::function<HttpResponse(const HttpRequest&)> handler) {
    Route route;
    route.method = "GET";
    route.path = std::move(path);
    route.handler = [handler = std::move(handler)](const HttpRequest& request, const Reply& reply) {
        reply(handler(request));
    };
    return route;
}

bool parse_target(std::string_view target, HttpRequest& out) {
    if (target.empty() || target.front() != '/') return false;
    const std::size_t question = std::min(target.find('?'), target.size());
    auto path = decoded(target.substr(0, question), false);
    if (!path || !devices::valid_utf8(*path)) return false;
    std::string_view rest = target.substr(std::min(question + 1, target.size()));
    while (!rest.empty()) {
        const std::string_view item = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(item.size() + 1, rest.size()));
        if (item.empty()) continue;
        const std::size_t equals = std::min(item.find('='), item.size());
        auto name = decoded(item.substr(0, equals), true);
        auto value = decoded(item.substr(std::min(equals + 1, item.size())), true);
        if (!name || !value || out.query.size() == query_items_max) return false;
        if (!devices::valid_utf8(*name) || !devices::valid_utf8(*value)) return false;
        out.query.emplace_back(std::move(*name), std::move(*value));
    }
    out.path = std::move(*path);
    return true;
}

const Route* find_route(const std::vector<Route>& routes, HttpRequest& request, HttpResponse& refusal) {
    const std::string_view wanted = request.method == "HEAD" ? std::string_view("GET") : request.method;
    std::string allow;
    for (const Route& route : routes) {
        if (!matches(route.path, request.path, request.parameters)) continue;
        if (route.method == wanted) return &route;
        allow += (allow.empty() ? "" : ", ") + route.method;
        if (route.method == "GET") allow += ", HEAD";
    }
    if (allow.empty()) {
        refusal = problem(404, "not-found", "there is nothing under this path");
    } else {
        refusal = problem(405, "method-not-allowed", "on this listener this path takes " + allow);
        refusal.headers.emplace_back("Allow", allow);
    }
    return nullptr;
}

}  // namespace touchpoint::gateway
