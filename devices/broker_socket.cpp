#include "devices/broker_socket.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <charconv>
#include <filesystem>
#include <optional>
#include <string>

namespace touchpoint::devices {
namespace {

std::optional<std::uint16_t> peer_port(int fd) {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return std::nullopt;
    if (peer.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&peer)->sin_port);
    if (peer.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(&peer)->sin6_port);
    return std::nullopt;
}

}  // namespace

std::uint16_t port_of(std::string_view url) {
    const std::uint16_t usual = url.starts_with("mqtts://") || url.starts_with("ssl://") ? 8883 : 1883;
    const std::size_t colon = url.rfind(':');
    std::uint16_t port = 0;
    const char* end = url.data() + url.size();
    const auto read =
        std::from_chars(url.data() + (colon == std::string_view::npos ? url.size() : colon + 1), end, port);
    return read.ec == std::errc() && read.ptr == end ? port : usual;
}

int send_at_once(std::uint16_t wanted) {
    int found = 0;
    std::error_code error;
    // With increment(error): what calls us is a callback of a C library, which no exception may leave.
    for (std::filesystem::directory_iterator entry("/proc/self/fd", error), end; !error && entry != end;
         entry.increment(error)) {
        const std::string name = entry->path().filename().string();
        int fd = -1;
        std::from_chars(name.data(), name.data() + name.size(), fd);
        const int on = 1;
        if (peer_port(fd) == wanted && ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0)
            ++found;
    }
    return found;
}

}  // namespace touchpoint::devices
