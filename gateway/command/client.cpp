#include "gateway/command/client.hpp"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <system_error>

namespace touchpoint::command {
namespace {

// The daemon's streams say something at least every 10 s.
constexpr int read_deadline_s = 30;
constexpr std::size_t head_bytes_max = 16u << 10;
constexpr std::size_t body_bytes_max = 64u << 20;

class Connection {
  public:
    ~Connection() {
        if (fd_ >= 0) ::close(fd_);
    }
    Connection() = default;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    Result<void> open(const std::filesystem::path& socket) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        const std::string path = socket.string();
        if (path.size() >= sizeof address.sun_path) return fail(Errc::io, "the socket's path is too long");
        std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
        fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd_ < 0) return failure();
        const timeval deadline{read_deadline_s, 0};
        setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
        setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof deadline);
        const auto* any = static_cast<const sockaddr*>(static_cast<const void*>(&address));
        if (::connect(fd_, any, sizeof address) != 0) return failure();
        return {};
    }
    Result<void> send(std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return failure();
            bytes.remove_prefix(static_cast<std::size_t>(n));
        }
        return {};
    }
    // Appends what comes next; false: the end.
    Result<bool> receive(std::string& out) {
        char bytes[16384];
        ssize_t n = 0;
        do n = ::recv(fd_, bytes, sizeof bytes, 0);
        while (n < 0 && errno == EINTR);
        if (n < 0) return failure();
        out.append(bytes, static_cast<std::size_t>(n));
        return n > 0;
    }

  private:
    static Error failure() {
        const int code = errno;
        const std::string text = std::generic_category().message(code);
        if (code == ENOENT || code == ECONNREFUSED) return fail(Errc::not_found, text);
        if (code == EACCES || code == EPERM) return fail(Errc::refused, text);
        if (code == EAGAIN || code == EWOULDBLOCK) return fail(Errc::timed_out, "no answer in time");
        return fail(Errc::io, text);
    }
    int fd_ = -1;
};

// Takes whole chunks off the front of `raw`. True: the last one was there. Empty: this is no chunked body.
std::optional<bool> take_chunks(std::string& raw, std::string& body) {
    for (;;) {
        const std::size_t end = raw.find("\r\n");
        if (end == std::string::npos) return false;
        std::size_t size = 0;
        const auto [at, error] = std::from_chars(raw.data(), raw.data() + end, size, 16);
        if (error != std::errc() || at == raw.data() || size > body_bytes_max) return std::nullopt;
        if (raw.size() < end + 2 + size + 2) return false;
        body.append(raw, end + 2, size);
        raw.erase(0, end + 2 + size + 2);
        if (size == 0) return true;
    }
}

bool give_lines(std::string& body, const std::function<bool(std::string_view)>& on_line) {
    std::size_t from = 0;
    for (std::size_t end; (end = body.find('\n', from)) != std::string::npos; from = end + 1) {
        const std::string_view line = std::string_view(body).substr(from, end - from);
        if (!line.empty() && !on_line(line)) return false;
    }
    body.erase(0, from);
    return true;
}

}  // namespace

Result<Answer> ask(const std::filesystem::path& socket, const std::string& target,
                   const std::function<bool(std::string_view)>& on_line, std::string_view method) {
    Connection connection;
    if (const auto opened = connection.open(socket); !opened) return opened.error();
    const auto sent =
        connection.send(std::string(method) + ' ' + target +
                        " HTTP/1.1\r\nHost: touchpoint\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    // Who has no right is told so and cut off: what was said is still there to read.
    std::string raw;
    std::size_t head_end = std::string::npos;
    while ((head_end = raw.find("\r\n\r\n")) == std::string::npos) {
        const auto more = connection.receive(raw);
        if (!more) return sent ? more.error() : sent.error();
        if (!*more || raw.size() > head_bytes_max)
            return fail(Errc::io, "this is not the gateway's control socket");
    }
    const std::string head = raw.substr(0, head_end);
    raw.erase(0, head_end + 4);
    Answer answer;
    if (head.compare(0, 9, "HTTP/1.1 ") != 0)
        return fail(Errc::io, "this is not the gateway's control socket");
    answer.status = static_cast<unsigned>(std::strtoul(head.c_str() + 9, nullptr, 10));
    const bool chunked = head.find("Transfer-Encoding: chunked") != std::string::npos;
    const bool lines = on_line && answer.status == 200;
    for (;;) {
        if (chunked) {
            const auto last = take_chunks(raw, answer.body);
            if (!last) return fail(Errc::io, "a body that cannot be read");
            if (lines && !give_lines(answer.body, on_line)) return answer;
            if (*last) return answer;
        }
        if (answer.body.size() + raw.size() > body_bytes_max)
            return fail(Errc::io, "the answer is too large");
        const auto more = connection.receive(raw);
        if (!more) return more.error();
        if (*more) continue;
        if (!chunked) answer.body = std::move(raw);
        return answer;
    }
}

}  // namespace touchpoint::command
