// A real touchpointd in a folder of the test, and a few words with it over HTTP.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "tests/support/process.hpp"

namespace touchpoint::tests {

// GET http://127.0.0.1:{port}{target}: the body of a 200, else empty.
std::optional<std::string> http_get(int port, const std::string& target);
// Any request to 127.0.0.1. Status 0: there was no whole answer within 5 s.
struct HttpSaid {
    int status = 0;
    std::string body;
};
HttpSaid http_ask(int port, const std::string& method, const std::string& target,
                  const std::string& body = {});

class GatewayProcess {
  public:
    // `build` is the folder that holds gateway/touchpointd. `more` is appended to the configuration.
    GatewayProcess(std::filesystem::path build, std::filesystem::path folder, const std::string& broker_url,
                   std::string more);

    // Fails the test if a sanitizer had something to say.
    ~GatewayProcess();
    GatewayProcess(const GatewayProcess&) = delete;
    GatewayProcess& operator=(const GatewayProcess&) = delete;

    // Returns when /readyz says yes (or /healthz, if the broker is not there).
    void start(bool broker_is_there = true);
    // SIGTERM; returns how long it took and fails the test if it did not end with 0.
    std::chrono::milliseconds stop();
    void kill();  // kill -9
    // What a power cut does to the gateway: kill -9, the journal's memory is gone, another boot.
    void cut_power();

    int port() const { return port_; }
    const std::filesystem::path& config() const { return config_; }
    std::filesystem::path data() const { return folder_ / "data"; }
    std::filesystem::path control_socket() const { return folder_ / "control.sock"; }
    std::string log() const { return read_file(folder_ / "gateway.log"); }
    Process& process() { return *process_; }

    // One metric, e.g. `touchpoint_store_horizon_sequence{stream="sales"}`; empty when it cannot be asked.
    std::optional<double> metric(const std::string& name) const;

  private:
    std::filesystem::path build_;
    std::filesystem::path folder_;
    std::filesystem::path config_;
    int port_;
    int boot_ = 1;
    std::unique_ptr<Process> process_;
};

}  // namespace touchpoint::tests
