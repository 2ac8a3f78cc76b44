#include "tests/support/process.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "tests/support/wait.hpp"

namespace touchpoint::tests {

namespace {

// Outside of the ports that the kernel gives to outgoing connections (32768 and above): a port of those can
// be gone again before somebody listens on it, or while a gateway is down between a kill and its next start.
constexpr int port_first = 20'000;
constexpr int port_last = 32'000;

bool can_listen(int port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool free =
        bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && listen(fd, 1) == 0;
    close(fd);
    return free;
}

// For the life of this process the port is ours, also while nobody listens on it: a name in the abstract
// namespace of unix sockets is a lock that leaves nothing behind.
bool reserve(int port) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = "touchpoint-test-port-" + std::to_string(port);
    std::copy(name.begin(), name.end(), address.sun_path + 1);
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0) return true;  // stays open on purpose
    close(fd);
    return false;
}

}  // namespace

int free_port() {
    // Two programs that begin together do not try the same ports one after the other.
    static std::atomic<unsigned> next{static_cast<unsigned>(getpid()) * 61U};
    constexpr unsigned ports = port_last - port_first;
    for (unsigned tries = 0; tries < ports; ++tries) {
        const int port = port_first + static_cast<int>(next++ % ports);
        if (can_listen(port) && reserve(port)) return port;
    }
    std::abort();
}

Process::Process(std::vector<std::string> arguments, std::filesystem::path output,
                 std::map<std::string, std::string> environment) {
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    const int out = open(output.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    for (const auto& [key, value] : environment) setenv(key.c_str(), value.c_str(), 1);
    execvp(argv[0], argv.data());
    dprintf(STDERR_FILENO, "cannot run %s\n", argv[0]);
    _exit(127);
}

Process::~Process() {
    if (running()) kill();
}

bool Process::running() { return !wait(std::chrono::milliseconds(0)).has_value(); }

void Process::signal(int number) {
    if (!status_) ::kill(pid_, number);
}

std::optional<int> Process::wait(std::chrono::milliseconds deadline) {
    wait_for(
        [this] {
            int status = 0;
            if (!status_ && waitpid(pid_, &status, WNOHANG) == pid_)
                status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            return status_.has_value();
        },
        deadline);
    return status_;
}

std::string read_file(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const std::filesystem::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

}  // namespace touchpoint::tests
