#include "tests/system/hostile_shop.hpp"

#include <fstream>
#include <sstream>

#include "tests/support/wait.hpp"

namespace touchpoint::tests {
namespace {

namespace fs = std::filesystem;

struct Shop {
    TempFolder folder;
    Broker broker{folder.path() / "broker", "max_packet_size 327680\n"};
    int platform_port = free_port();
    std::unique_ptr<GatewayProcess> gateway;
    std::unique_ptr<MqttWire> till;
    int sales = 0;
};
// Made and ended with the suite; GoogleTest gives such things no other place.
std::unique_ptr<Shop> shop;  // NOLINT

}  // namespace

void HostileShop::SetUpTestSuite() {
    shop = std::make_unique<Shop>();
    shop->broker.start();
    shop->gateway = std::make_unique<GatewayProcess>(
        fs::path(BINARY_DIR), shop->folder.path() / "gateway", shop->broker.url(),
        "[http.platform]\nlisten = \"127.0.0.1:" + std::to_string(shop->platform_port) +
            "\"\n[devices]\nmessage_bytes_max = " + std::to_string(message_bytes_max) + "\n");
    shop->gateway->start();
    shop->till = std::make_unique<MqttWire>(shop->broker.port(), "till");
    ASSERT_TRUE(shop->till->connected());
    ASSERT_TRUE(shop->till->subscribe("touchpoint/v1/pos/t1/receipt"));
}

void HostileShop::TearDownTestSuite() {
    shop->gateway->stop();
    shop.reset();
}

GatewayProcess& HostileShop::gateway() { return *shop->gateway; }
int HostileShop::broker_port() { return shop->broker.port(); }
int HostileShop::platform_port() { return shop->platform_port; }

std::size_t HostileShop::anonymous_bytes() {
    std::istringstream lines(read_file("/proc/" + std::to_string(gateway().process().pid()) + "/status"));
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with("RssAnon:")) return std::stoull(line.substr(8)) * 1024;
    return 0;
}

std::string HostileShop::command(std::vector<std::string> arguments, std::optional<int>* status) {
    const fs::path out = shop->folder.path() / "command.out";
    fs::remove(out);
    arguments.insert(arguments.begin(),
                     (fs::path(BINARY_DIR) / "gateway" / "command" / "touchpoint").string());
    arguments.insert(arguments.begin() + 1, {"--socket", gateway().control_socket().string()});
    Process process(arguments, out);
    const auto ended = process.wait();
    if (status != nullptr) *status = ended;
    return read_file(out);
}

std::string HostileShop::newest_in_quarantine() { return command({"quarantine", "list", "--limit", "1"}); }

std::string HostileShop::stored(const std::string& stream, const std::string& text) {
    std::string found;
    wait_for([&] {
        // All of the stream, page by page: what is looked for is among the newest.
        const auto page =
            http_get(platform_port(), "/v1/events?streams=" + stream + "&from=oldest&max=10000");
        std::istringstream lines(page.value_or(""));
        for (std::string line; std::getline(lines, line);)
            if (line.find(text) != std::string::npos) found = line;
        return !found.empty();
    });
    return found;
}

void HostileShop::a_sale_goes_through() {
    ASSERT_TRUE(gateway().process().running()) << gateway().log();
    const std::string id = "sale-" + std::to_string(++shop->sales);
    const std::string topic = "touchpoint/v1/pos/t1/event/sale";
    ASSERT_EQ(shop->till->publish(topic, R"({"event_id":")" + id + R"(","total":"1.00","currency":"EUR"})"),
              0);
    const auto receipt = shop->till->next("touchpoint/v1/pos/t1/receipt");
    ASSERT_TRUE(receipt) << id << " has no receipt\n" << gateway().log();
    EXPECT_EQ(receipt->payload, R"({"stored":[")" + id + R"("],"duplicate":[]})");
}

}  // namespace touchpoint::tests
