// The listeners as health, metrics and `touchpoint status` show them.
//
// Threads: plain values.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "gateway/core/clock.hpp"
#include "gateway/http.hpp"

namespace touchpoint::gateway {

struct ListenerPicture {
    std::string name;     // "local", "platform", "control"
    std::string address;  // "127.0.0.1 port 8080", or the socket's path
    HttpStats stats;
    bool address_missing = false;  // the machine does not have it (yet)
    bool tls = false;
    UtcTime certificate_ends;         // 0: without TLS
    std::string certificate_trouble;  // why the last reading of its files changed nothing; empty: it did
};

struct HttpPicture {
    std::vector<ListenerPicture> listeners;
    std::string tokens_file;     // empty: none are needed
    std::string tokens_trouble;  // why the last reading of it changed nothing; empty: all is well
    std::size_t tokens = 0;
};

}  // namespace touchpoint::gateway
