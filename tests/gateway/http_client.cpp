#include "tests/gateway/http_client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <utility>

namespace touchpoint::tests {
namespace {

int connect_to(int fd, const sockaddr* address, socklen_t size) {
    const timeval deadline{10, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
    if (::connect(fd, address, size) == 0) return fd;
    ::close(fd);
    return -1;
}

}  // namespace

HttpClient HttpClient::tcp(int port, const std::string& from) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    inet_pton(AF_INET, from.c_str(), &address.sin_addr);
    if (::bind(fd, static_cast<sockaddr*>(static_cast<void*>(&address)), sizeof address) != 0) {
        ::close(fd);
        return HttpClient(-1);
    }
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return HttpClient(connect_to(fd, static_cast<sockaddr*>(static_cast<void*>(&address)), sizeof address));
}

HttpClient HttpClient::unix_socket(const std::filesystem::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    return HttpClient(connect_to(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
                                 static_cast<sockaddr*>(static_cast<void*>(&address)), sizeof address));
}

HttpClient::HttpClient(HttpClient&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
HttpClient::~HttpClient() {
    if (fd_ >= 0) ::close(fd_);
}

void HttpClient::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n <= 0) return;  // cut off: the test reads why
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
}

std::string HttpClient::read_all() { return read_until({}); }

std::string HttpClient::read_until(std::string_view text) {
    std::string out;
    char bytes[65536];
    while (text.empty() || out.find(text) == std::string::npos) {
        const ssize_t n = ::recv(fd_, bytes, sizeof bytes, 0);
        if (n <= 0) break;
        out.append(bytes, static_cast<std::size_t>(n));
    }
    return out;
}

std::string HttpClient::get(const std::string& target, const std::string& method) {
    send(method + " " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    return read_all();
}

std::string request_of(const std::string& target, const std::string& headers, const std::string& method,
                       const std::string& body) {
    std::string out =
        method + " " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" + headers;
    if (!body.empty()) out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    return out + "\r\n" + body;
}

std::string body_of(const std::string& answer) {
    const std::size_t end = answer.find("\r\n\r\n");
    return end == std::string::npos ? std::string() : answer.substr(end + 4);
}

}  // namespace touchpoint::tests
