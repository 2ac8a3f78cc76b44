#include "tests/support/broker.hpp"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/support/wait.hpp"

namespace touchpoint::tests {

bool accepts(int port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool ok = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    close(fd);
    return ok;
}

Broker::Broker(std::filesystem::path folder, std::string more)
    : folder_(std::move(folder)), port_(free_port()) {
    std::filesystem::create_directories(folder_);
    write_file(folder_ / "mosquitto.conf", "listener " + std::to_string(port_) +
                                               " 127.0.0.1\n"
                                               "allow_anonymous true\n"
                                               "persistence true\n"
                                               "persistence_location " +
                                               folder_.string() +
                                               "/\n"
                                               "autosave_interval 60\n"
                                               "max_queued_messages 1000000\n"
                                               "max_inflight_messages 100\n"
                                               "message_size_limit 262144\n"
                                               "set_tcp_nodelay true\n"
                                               "log_dest stdout\n"
                                               "user root\n" +
                                               more);
}

void Broker::start() {
    // Debian keeps it in /usr/sbin, which is not on everybody's path.
    process_ = std::make_unique<Process>(
        std::vector<std::string>{
            std::filesystem::exists("/usr/sbin/mosquitto") ? "/usr/sbin/mosquitto" : "mosquitto", "-c",
            (folder_ / "mosquitto.conf").string()},
        folder_ / "mosquitto.log");
    ASSERT_TRUE(wait_for([this] { return accepts(port_); })) << read_file(folder_ / "mosquitto.log");
}

void Broker::stop() {
    // Mosquitto listens before its main loop begins, and a signal that comes in between is lost: it says "go
    // on" to itself at the loop's beginning.
    ASSERT_TRUE(wait_for(
        [this] {
            process_->signal(SIGTERM);
            return process_->wait(std::chrono::milliseconds(500)).has_value();
        },
        std::chrono::seconds(60)))
        << read_file(folder_ / "mosquitto.log");
}

void Broker::kill() { process_->kill(); }

}  // namespace touchpoint::tests
