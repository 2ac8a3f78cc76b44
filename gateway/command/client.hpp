// Asks the daemon over its control socket: a small blocking HTTP/1.1 client for one request.
//
// Threads: none; blocks, with a deadline for each read.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "gateway/core/result.hpp"

namespace touchpoint::command {

struct Answer {
    unsigned status = 0;
    std::string body;  // empty when `on_line` took it
};

// `method` of `target`, without a body. With `on_line`, each line of a 200 answer's body goes there as it
// comes, until it says false or the daemon ends; empty lines (a stream's pulse) are left out. Fails with
// not_found (nobody listens: the daemon is down), refused (no right to the socket), timed_out, or io.
Result<Answer> ask(const std::filesystem::path& socket, const std::string& target,
                   const std::function<bool(std::string_view)>& on_line = {},
                   std::string_view method = "GET");

}  // namespace touchpoint::command
