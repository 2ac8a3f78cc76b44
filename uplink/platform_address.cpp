#include "uplink/platform_address.hpp"

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

namespace touchpoint::uplink {

std::string Address::authority_with_port() const {
    const bool v6 = host.find(':') != std::string::npos;
    return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::string Address::authority() const {
    std::string all = authority_with_port();
    const std::string usual = tls ? ":443" : ":80";
    if (all.ends_with(usual)) all.resize(all.size() - usual.size());
    return all;
}

Result<Address> parse_address(std::string_view url) {
    const auto parsed = boost::urls::parse_uri(boost::core::string_view(url.data(), url.size()));
    if (!parsed) return fail(Errc::invalid_argument, "not a URL");
    const boost::urls::url_view& view = *parsed;
    Address address;
    if (view.scheme_id() == boost::urls::scheme::https)
        address.tls = true;
    else if (view.scheme_id() != boost::urls::scheme::http)
        return fail(Errc::invalid_argument, "URL is neither http:// nor https://");
    if (view.has_userinfo()) return fail(Errc::invalid_argument, "user or password in the URL");
    address.host = view.host_address();
    if (address.host.empty()) return fail(Errc::invalid_argument, "URL without host");
    address.port = view.has_port() && view.port_number() != 0 ? view.port_number() : address.tls ? 443 : 80;
    const auto target = view.encoded_target();
    address.target.assign(target.data(), target.size());
    if (!address.target.starts_with('/')) address.target.insert(0, "/");
    return address;
}

}  // namespace touchpoint::uplink
