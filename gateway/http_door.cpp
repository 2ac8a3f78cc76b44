#include "gateway/http_door.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "gateway/core/ascii.hpp"

namespace touchpoint::gateway {
namespace {

constexpr const char* preflight_max_age_s = "600";

HttpResponse unauthorized(std::string_view detail, const char* error) {
    HttpResponse answer = problem(401, "unauthorized", detail);
    std::string challenge = R"(Bearer realm="touchpoint")";
    if (*error != '\0') challenge += std::string(", error=\"") + error + "\"";
    answer.headers.emplace_back("WWW-Authenticate", std::move(challenge));
    return answer;
}

// "Bearer tp_..." -> "tp_..."; empty: another scheme.
std::string_view bearer(std::string_view value) {
    constexpr std::string_view scheme = "Bearer";
    if (value.size() <= scheme.size() || !ascii_iequals(value.substr(0, scheme.size()), scheme)) return {};
    value.remove_prefix(scheme.size());
    if (value.front() != ' ') return {};
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
    return value;
}

// A page that this listener has served itself.
bool is_own_page(std::string_view origin, std::string_view host) {
    const std::size_t at = origin.find("://");
    return !host.empty() && at != std::string_view::npos && ascii_iequals(origin.substr(at + 3), host);
}

// Of a Host field: an IP address or localhost, with or without a port. No page's name can look like these.
bool names_this_machine(std::string_view host) {
    if (host.starts_with('[')) return host.find(']') != std::string_view::npos;
    host = host.substr(0, host.find(':'));
    if (host.empty() || ascii_iequals(host, "localhost")) return true;
    const auto dots = std::count(host.begin(), host.end(), '.');
    return dots == 3 &&
           std::all_of(host.begin(), host.end(), [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
}

}  // namespace

HttpDoor::HttpDoor(DoorOptions options, const Clock& clock)
    : options_(std::move(options)), clock_(clock), clients_(options_.clients) {}

bool HttpDoor::enter(const ClientAddress& address) {
    const auto entry = clients_.enter(address, clock_.steady());
    if (entry == ClientTable::Entry::too_many_requests) ++stats_.throttled;
    return entry == ClientTable::Entry::welcome;
}

bool HttpDoor::listed(std::string_view origin) const {
    return std::find(options_.allowed_origins.begin(), options_.allowed_origins.end(), origin) !=
           options_.allowed_origins.end();
}

bool HttpDoor::is_preflight(const HttpRequest& request) const {
    return request.method == "OPTIONS" && !request.header("origin").empty() &&
           !request.header("access-control-request-method").empty();
}

HttpResponse HttpDoor::preflight(const HttpRequest& request, const std::vector<Route>& routes) const {
    HttpRequest asked = request;
    HttpResponse refusal;
    if (find_route(routes, asked, refusal) != nullptr || refusal.status != 405) return refusal;
    HttpResponse answer;
    answer.status = 204;
    for (const auto& [name, value] : refusal.headers)
        if (name == "Allow") answer.headers.emplace_back("Access-Control-Allow-Methods", value);
    answer.headers.emplace_back("Access-Control-Allow-Headers",
                                "Authorization, Content-Type, If-Match, If-None-Match, Last-Event-ID");
    answer.headers.emplace_back("Access-Control-Max-Age", preflight_max_age_s);
    // A page from the internet that asks a machine in the shop's LAN.
    if (request.header("access-control-request-private-network") == "true")
        answer.headers.emplace_back("Access-Control-Allow-Private-Network", "true");
    return answer;
}

bool HttpDoor::throttled(const ClientAddress& address, HttpResponse& answer) {
    const auto wait = clients_.request(address, clock_.steady());
    if (wait.count() == 0) return false;
    ++stats_.throttled;
    answer = problem(429, "too-many-requests", "this address asks too often, or gave too many wrong tokens");
    answer.headers.emplace_back("Retry-After", std::to_string(wait.count()));
    return true;
}

// Browsers send a page's requests from wherever the person is: on loopback without tokens any page could use
// the rights of the machine.
bool HttpDoor::from_a_stranger(const HttpRequest& request, HttpResponse& answer) {
    const std::string_view origin = request.header("origin");
    const char* why = nullptr;
    if (!origin.empty() && !listed(origin) && !is_own_page(origin, request.header("host")))
        why = "this page's origin is not in allowed_origins";
    else if (!options_.tokens && !names_this_machine(request.header("host")))
        why = "without access tokens the gateway answers to localhost or an IP address only";
    if (why == nullptr) return false;
    ++stats_.forbidden;
    answer = problem(403, "forbidden", why);
    return true;
}

bool HttpDoor::still_welcome(const Caller& caller) const {
    if (!options_.tokens || caller.token.empty()) return true;
    if (!tokens_) return false;
    const std::vector<Token>& all = tokens_->tokens();
    const auto found =
        std::lower_bound(all.begin(), all.end(), caller.token,
                         [](const Token& token, const std::string& id) { return token.id < id; });
    return found != all.end() && found->id == caller.token && caller.roles.has(found->role) &&
           found->device == caller.device;
}

bool HttpDoor::authenticate(const ClientAddress& address, HttpRequest& request, const Route& route,
                            HttpResponse& answer) {
    if (!options_.tokens) {
        request.caller.roles = Roles::all();
        return true;
    }
    if (route.roles.empty()) return true;  // for everybody: nothing to prove, and nothing to try out
    const std::string_view authorization = request.header("authorization");
    if (authorization.empty()) {
        answer = unauthorized("this path needs a token: Authorization: Bearer tp_...", "");
        return false;
    }
    ++stats_.tokens_checked;
    static const TokenSet none;
    const Token* token = (tokens_ ? *tokens_ : none).find(bearer(authorization));
    if (token == nullptr) {
        ++stats_.wrong_tokens;
        clients_.wrong_token(address, clock_.steady());
        answer = unauthorized("this token is not known here", "invalid_token");
        return false;
    }
    request.caller.roles = {token->role};
    request.caller.device = token->device;
    request.caller.token = token->id;
    if (route.roles.has(token->role)) return true;
    ++stats_.forbidden;
    answer = problem(403, "forbidden",
                     "this path is for the role " + words(route.roles) + "; this token has the role " +
                         std::string(name(token->role)));
    return false;
}

bool HttpDoor::admit(const ClientAddress& address, HttpRequest& request, const Route* route,
                     const std::vector<Route>& routes, HttpResponse& answer) {
    if (throttled(address, answer) || from_a_stranger(request, answer)) return false;
    if (is_preflight(request)) {
        answer = preflight(request, routes);
        return false;
    }
    return route != nullptr && authenticate(address, request, *route, answer);
}

void HttpDoor::dress(const HttpRequest& request, HttpResponse& answer) const {
    if (options_.allowed_origins.empty()) return;
    // The answer depends on who asks, also when nobody did: a cache must not give it to another page.
    answer.headers.emplace_back("Vary", "Origin");
    const std::string_view origin = request.header("origin");
    if (origin.empty() || !listed(origin)) return;
    answer.headers.emplace_back("Access-Control-Allow-Origin", std::string(origin));
    answer.headers.emplace_back("Access-Control-Expose-Headers", "ETag, Age, Retry-After");
}

}  // namespace touchpoint::gateway
