#include "config/rules.hpp"

#include <algorithm>
#include <array>
#include <boost/url/ipv4_address.hpp>
#include <boost/url/ipv6_address.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <cctype>
#include <charconv>
#include <string_view>

namespace touchpoint::config {
namespace {

bool all(std::string_view text, std::string_view extra) {
    return std::all_of(text.begin(), text.end(), [&](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || extra.find(c) != std::string_view::npos;
    });
}

constexpr std::string_view upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

struct UrlShape {
    std::string_view scheme, secure_scheme;
    bool path_allowed;
};

bool is_url(const std::string& text, const UrlShape& shape) {
    const auto url = boost::urls::parse_uri(text);
    if (!url) return false;
    const std::string_view scheme(url->scheme().data(), url->scheme().size());
    if (scheme != shape.scheme && (shape.secure_scheme.empty() || scheme != shape.secure_scheme))
        return false;
    if (url->host().empty() || url->has_userinfo() || url->has_fragment()) return false;
    if (url->has_port() && (url->port_number() == 0)) return false;
    return shape.path_allowed || ((url->path().empty() || url->path() == "/") && !url->has_query());
}

}  // namespace

std::string name_rule(const std::string& text) {
    const bool right = !text.empty() && text.size() <= 64 && all(text, "-") && text.front() != '-';
    return right ? "" : "1 to 64 characters of a-z, 0-9 and -, not beginning with -";
}

std::string kind_rule(const std::string& text) {
    const bool right = !text.empty() && text.size() <= 32 && all(text, "-");
    return right ? "" : "a kind of device: 1 to 32 characters of a-z, 0-9 and -";
}

std::string client_id_rule(const std::string& text) {
    const bool right = !text.empty() && text.size() <= 64 && all(text, std::string(upper) + "-_.");
    return right ? "" : "1 to 64 characters of a-z, A-Z, 0-9, -, _ and .";
}

std::string printable_rule(const std::string& text) {
    const bool right = !text.empty() && text.size() <= 256 &&
                       std::none_of(text.begin(), text.end(),
                                    [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
    return right ? "" : "1 to 256 characters without control characters";
}

std::string group_rule(const std::string& text) {
    const bool right = text.size() <= 32 && all(text, std::string(upper) + "-_");
    return right ? "" : "the name of a Unix group, or \"\" for none";
}

std::string broker_url_rule(const std::string& text) {
    return is_url(text, {"mqtt", "mqtts", false})
               ? ""
               : "mqtt://host:port or mqtts://host:port (the user stands in username and password_file)";
}

std::string push_url_rule(const std::string& text) {
    return is_url(text, {"http", "https", true}) ? ""
                                                 : "an address such as https://platform.example/events (a "
                                                   "user stands in username and password_file)";
}

std::string proxy_url_rule(const std::string& text) {
    return is_url(text, {"http", "", false}) ? "" : "http://host:port";
}

std::string header_name_rule(const std::string& text) {
    const bool token =
        !text.empty() && text.size() <= 64 && all(text, std::string(upper) + "-_.!#$%&'*+^`|~");
    if (!token) return "the name of an HTTP header";
    std::string lower = text;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); });
    constexpr std::array ours = {"host",
                                 "content-type",
                                 "content-length",
                                 "content-encoding",
                                 "authorization",
                                 "transfer-encoding",
                                 "idempotency-key",
                                 "connection",
                                 "user-agent",
                                 "expect",
                                 "proxy-authorization"};
    if (std::find(ours.begin(), ours.end(), lower) != ours.end())
        return "one that the gateway does not set itself (" + lower + " is its own)";
    return "";
}

std::string header_value_rule(const std::string& text) {
    const bool right = text.size() <= 4096 && std::all_of(text.begin(), text.end(), [](char c) {
                           return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
                       });
    return right ? "" : "at most 4096 characters without control characters";
}

std::string origin_rule(const std::string& text) {
    constexpr std::string_view plain = "http://";
    constexpr std::string_view secure = "https://";
    const bool tls = text.starts_with(secure);
    const std::string_view host = std::string_view(text).substr(
        tls ? secure.size() : (text.starts_with(plain) ? plain.size() : text.size()));
    // Compared as text with what a browser sends: it leaves the usual port away and writes small letters.
    const bool usual_port = host.ends_with(tls ? ":443" : ":80");
    const bool right = !host.empty() && host.size() <= 256 && all(host, ".-:[]") && !usual_port &&
                       boost::urls::parse_uri(text);
    return right ? ""
                 : "the origin of a page as browsers write it, such as https://kiosk.example: small letters, "
                   "no path, no usual port, never *";
}

std::optional<ListenAddress> parse_listen(const std::string& text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string::npos) return std::nullopt;
    ListenAddress out;
    out.address = text.substr(0, colon);
    const std::string port = text.substr(colon + 1);
    unsigned number = 0;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (error != std::errc() || end != port.data() + port.size() || number > 65535) return std::nullopt;
    out.port = static_cast<std::uint16_t>(number);
    if (out.address.size() > 2 && out.address.front() == '[' && out.address.back() == ']') {
        out.address = out.address.substr(1, out.address.size() - 2);
        if (!boost::urls::parse_ipv6_address(out.address)) return std::nullopt;
    } else if (!boost::urls::parse_ipv4_address(out.address)) {
        return std::nullopt;
    }
    return out;
}

std::string listen_rule(const std::string& text) {
    return parse_listen(text) ? "" : "an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080";
}

bool is_loopback(const ListenAddress& address) {
    if (const auto v4 = boost::urls::parse_ipv4_address(address.address)) return v4->is_loopback();
    const auto v6 = boost::urls::parse_ipv6_address(address.address);
    return v6 && v6->is_loopback();
}

}  // namespace touchpoint::config
