// A real Mosquitto on a free port, with its data in a folder of the test; settings as we ship them.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "tests/support/process.hpp"

namespace touchpoint::tests {

class Broker {
  public:
    // `more` is appended to its configuration.
    explicit Broker(std::filesystem::path folder, std::string more = {});

    void start();  // returns when it accepts connections
    void stop();   // SIGTERM: saves its queues
    void kill();   // kill -9: as a power cut would
    int port() const { return port_; }
    std::string url() const { return "mqtt://127.0.0.1:" + std::to_string(port_); }

  private:
    std::filesystem::path folder_;
    int port_ = 0;
    std::unique_ptr<Process> process_;
};

// True when something accepts connections on 127.0.0.1:port.
bool accepts(int port);

}  // namespace touchpoint::tests
