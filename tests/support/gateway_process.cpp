#include "tests/support/gateway_process.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <cstdlib>

#include "tests/support/wait.hpp"

namespace touchpoint::tests {

HttpSaid http_ask(int port, const std::string& method, const std::string& target, const std::string& body) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval patience{5, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const std::string request = method + ' ' + target +
                                " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: " +
                                std::to_string(body.size()) + "\r\n\r\n" + body;
    std::string answer;
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
        send(fd, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size())) {
        char piece[4096];
        for (ssize_t n = 0; (n = recv(fd, piece, sizeof piece, 0)) > 0;)
            answer.append(piece, static_cast<std::size_t>(n));
    }
    close(fd);
    const std::size_t head = answer.find("\r\n\r\n");
    if (!answer.starts_with("HTTP/1.1 ") || head == std::string::npos) return {};
    return {std::atoi(answer.c_str() + 9), answer.substr(head + 4)};
}

std::optional<std::string> http_get(int port, const std::string& target) {
    HttpSaid said = http_ask(port, "GET", target);
    if (said.status != 200) return std::nullopt;
    return std::move(said.body);
}

GatewayProcess::GatewayProcess(std::filesystem::path build, std::filesystem::path folder,
                               const std::string& broker_url, std::string more)
    : build_(std::move(build)),
      folder_(std::move(folder)),
      config_(folder_ / "touchpoint.toml"),
      port_(free_port()) {
    std::filesystem::create_directories(folder_);
    write_file(config_, "[gateway]\nid = \"gw-test\"\nstore = \"s9\"\n[mqtt]\nurl = \"" + broker_url +
                            "\"\n[store]\npath = \"" + data().string() + "\"\njournal_path = \"" +
                            (folder_ / "run").string() +
                            "\"\n[http.local]\nlisten = \"127.0.0.1:" + std::to_string(port_) +
                            "\"\n[control]\nsocket = \"" + control_socket().string() + "\"\n" + more);
}

GatewayProcess::~GatewayProcess() {
    for (const char* report : {"Sanitizer", "runtime error:"})
        EXPECT_EQ(log().find(report), std::string::npos) << log();
}

void GatewayProcess::start(bool broker_is_there) {
    process_ = std::make_unique<Process>(
        std::vector<std::string>{(build_ / "gateway" / "touchpointd").string(), "--config", config_.string(),
                                 "--boot-id", std::string(31, '0') + std::to_string(boot_)},
        folder_ / "gateway.log");
    const std::string ready = broker_is_there ? "/readyz" : "/healthz";
    ASSERT_TRUE(wait_for([&] { return http_get(port_, ready).has_value() || !process_->running(); },
                         std::chrono::seconds(60)))
        << log();
    ASSERT_TRUE(process_->running()) << log();
}

std::chrono::milliseconds GatewayProcess::stop() {
    const auto began = std::chrono::steady_clock::now();
    process_->signal(SIGTERM);
    const auto status = process_->wait();
    EXPECT_EQ(status, 0) << log();
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
}

void GatewayProcess::kill() { process_->kill(); }

void GatewayProcess::cut_power() {
    process_->kill();
    std::filesystem::remove_all(folder_ / "run");
    ++boot_;
}

std::optional<double> GatewayProcess::metric(const std::string& name) const {
    const auto text = http_get(port_, "/metrics");
    if (!text) return std::nullopt;
    const std::size_t at = text->find("\n" + name + " ");
    if (at == std::string::npos) return std::nullopt;
    return std::stod(text->substr(at + name.size() + 2, 40));
}

}  // namespace touchpoint::tests
