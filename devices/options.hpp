// What the parts of devices/ are told by the configuration. Checked there (config/); trusted here.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace touchpoint::devices {

struct LinkOptions {
    std::string url = "mqtt://127.0.0.1:1883";  // or mqtts://
    std::string client_id;                      // fixed: the broker keeps our session under it
    std::string username;
    std::string password_file;  // first line; read at every connect
    std::string ca_file;        // mqtts: PEM; empty: the system's
    // How long the broker keeps session and queue while we are away. Below 2^31: Paho C 1.3.12 reads it
    // signed.
    std::chrono::seconds session_expiry = std::chrono::hours(24 * 365);
    std::chrono::seconds keepalive{30};
    std::chrono::milliseconds retry_first{500};
    std::chrono::milliseconds retry_max{5000};
};

struct AdmissionOptions {
    std::string store_id;    // gateway.store
    std::string gateway_id;  // gateway.id
    // Kinds whose devices get a receipt for every event without asking.
    std::vector<std::string> receipt_kinds = {"pos"};
    // Member names whose 13 to 19 digit texts are codes, not card numbers: not masked.
    std::vector<std::string> code_fields = {"gtin", "ean",  "upc",          "code",     "barcode",
                                            "sku",  "item", "digital_link", "epc",      "serial",
                                            "imei", "time", "ts",           "timestamp"};
    // A device's time further ahead than this is not believed when our own clock is trusted.
    std::chrono::milliseconds future_max = std::chrono::minutes(5);
    std::size_t message_bytes_max = 262'144;  // the same in the broker
    std::size_t array_items_max = 10'000;
};

}  // namespace touchpoint::devices
