// One gateway and one broker for all tests of a suite: each attacks, and then a till must get its receipt.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "tests/support/broker.hpp"
#include "tests/support/gateway_process.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/system/hostile_mqtt.hpp"

namespace touchpoint::tests {

class HostileShop : public ::testing::Test {
  public:
    // Smaller than the broker's bound, so that there is something between the two.
    static constexpr std::size_t message_bytes_max = 200'000;

    static void SetUpTestSuite();
    static void TearDownTestSuite();

  protected:
    static GatewayProcess& gateway();
    static int broker_port();
    static int platform_port();

    static double metric(const std::string& name) { return gateway().metric(name).value_or(-1); }
    static double rejected(const std::string& type) {
        return gateway().metric("touchpoint_intake_rejected_total{type=\"" + type + "\"}").value_or(0);
    }
    static double horizon(const std::string& stream) {
        return metric("touchpoint_store_horizon_sequence{stream=\"" + stream + "\"}");
    }
    static std::size_t anonymous_bytes();  // of the gateway's memory
    // The newest of quarantine, as the technician's command reads it.
    static std::string newest_in_quarantine();
    // Waits until `text` stands in a stored event, and returns that event; empty when it does not come.
    static std::string stored(const std::string& stream, const std::string& text);
    // Whoever did what: a sale is taken and receipted, and nobody had to be started again.
    static void a_sale_goes_through();
    static std::string command(std::vector<std::string> arguments, std::optional<int>* status = nullptr);
};

}  // namespace touchpoint::tests
