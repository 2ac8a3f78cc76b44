// What single values must look like. Each rule gives the words that complete "... must be", or nothing when
// the text is right. None of them repeats the text: it may hold a secret.
//
// Threads: pure.
#pragma once

#include <optional>
#include <string>

#include "config/settings.hpp"

namespace touchpoint::config {

std::string name_rule(const std::string& text);        // [a-z0-9-]{1,64}, not beginning with '-'
std::string kind_rule(const std::string& text);        // [a-z0-9-]{1,32}: a device kind
std::string client_id_rule(const std::string& text);   // what every broker takes
std::string printable_rule(const std::string& text);   // 1 to 256 printable characters
std::string group_rule(const std::string& text);       // a Unix group, or empty
std::string broker_url_rule(const std::string& text);  // mqtt://host[:port] or mqtts://
std::string push_url_rule(const std::string& text);    // http:// or https://, no user in it
std::string proxy_url_rule(const std::string& text);   // http://host:port
std::string header_name_rule(const std::string& text);
std::string header_value_rule(const std::string& text);
std::string origin_rule(const std::string& text);  // "https://kiosk.example", as browsers write it
std::string listen_rule(const std::string& text);

// "127.0.0.1:8080" or "[::1]:8080"; empty when listen_rule complains.
std::optional<ListenAddress> parse_listen(const std::string& text);
bool is_loopback(const ListenAddress& address);

}  // namespace touchpoint::config
