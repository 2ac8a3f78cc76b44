#include "gateway/command/simulate_shop.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "gateway/command/simulate_pace.hpp"

namespace touchpoint::simulate {
namespace {

struct Product {
    std::string_view name;
    std::string_view category;
    std::uint64_t number;  // first 12 digits of its EAN-13
    std::uint64_t price;   // hundredths
};

constexpr std::array<Product, 8> products = {{
    {"Oat drink barista 1 l", "chilled/plant-drinks", 400123456789, 219},
    {"Arabica whole beans 500 g", "grocery/coffee", 400511120457, 899},
    {"Men's running shoe Strada 42", "sport/shoes", 761234500018, 8995},
    {"Wireless headphones A4 black", "electronics/audio", 501234567890, 5999},
    {"Sourdough bread sliced 750 g", "bakery/bread", 200999800112, 349},
    {"Rain jacket unisex M petrol", "outdoor/jackets", 761234511122, 11900},
    {"Vitamin C serum 30 ml", "beauty/face", 336012345670, 2450},
    {"Board game Harbour Masters", "toys/games", 426012880011, 3290},
}};
constexpr std::array<std::string_view, 6> queries = {
    "oat milk", "running shoes 42", "coffee beans", "gift for ten year old", "rain jacket", "headphones"};

}  // namespace

std::string money(std::uint64_t hundredths) {
    return fmt::format("{}.{:02}", hundredths / 100, hundredths % 100);
}

std::string ean13(std::uint64_t number) {
    std::string text = fmt::format("{:012}", number);
    int sum = 0;
    for (std::size_t i = 0; i < text.size(); ++i) sum += (text[i] - '0') * (i % 2 == 0 ? 1 : 3);
    text += static_cast<char>('0' + (10 - sum % 10) % 10);
    return text;
}

Shop::Shop(Options options) : options_(options), random_(options.seed) {
    const std::uint32_t tills = options_.tills > 0 ? options_.tills : std::max(1u, options_.devices / 5);
    const std::uint32_t others = options_.devices > tills ? options_.devices - tills : 0;
    const std::uint32_t kiosks = (others + 1) / 2;
    const auto add = [&](const char* kind, const char* prefix, std::uint32_t count) {
        for (std::uint32_t i = 1; i <= count; ++i)
            devices_.push_back({kind, prefix + std::to_string(i), i % 3 != 0, 0, 0});
    };
    add("kiosk", "k", kiosks);
    add("beacon", "b", others - kiosks);
    add("pos", "t", tills);
}

// The distributions of <random> differ between libraries; this does not.
std::uint64_t Shop::below(std::uint64_t bound) { return random_() % bound; }

std::string Shop::card() { return fmt::format("card:{}", ean13(290000000000 + below(5000))); }

std::optional<Draft> Shop::next(SteadyTime now, UtcTime utc) {
    if (!pace_allows(due_, now, options_.rate)) return std::nullopt;
    Device& device = devices_[below(devices_.size())];
    ++device.counter;
    Draft draft;
    draft.kind = device.kind;
    draft.device = device.name;
    draft.identified = device.identified;
    draft.time = utc;
    if (device.kind == "kiosk")
        kiosk(device, draft);
    else if (device.kind == "beacon")
        beacon(device, draft);
    else
        till(device, draft);
    return draft;
}

void Shop::kiosk(Device& device, Draft& draft) {
    if (below(12) == 0) ++device.session;  // another person walks up
    const Product& product = products[below(products.size())];
    const std::string session = fmt::format("\"session\":\"{}-s{}\"", device.name, device.session);
    const std::string screen = R"("screen":{"app":"endless-aisle","version":"4.12.1","locale":"en-GB"})";
    const std::uint64_t dice = below(100);
    if (dice < 35) {
        draft.name = "search";
        draft.members = fmt::format(
            R"({},"query":"{}","results":{},"took_ms":{},"filters":{{"in_stock":true,"category":"{}"}},{})",
            session, queries[below(queries.size())], below(60), 20 + below(300), product.category, screen);
    } else if (dice < 70) {
        draft.name = "view";
        draft.members = fmt::format(
            R"({},"gtin":"{}","title":"{}","category":"{}","price":"{}","currency":"EUR","dwell_ms":{},{})",
            session, ean13(product.number), product.name, product.category, money(product.price),
            400 + below(30000), screen);
    } else if (dice < 85) {
        draft.name = "scan";
        draft.members = fmt::format(
            R"({},"gtin":"{}","symbology":"ean13","title":"{}","price":"{}","currency":"EUR","stock":{{"here":{},"nearby":{}}},{})",
            session, ean13(product.number), product.name, money(product.price), below(12), below(80), screen);
    } else if (dice < 97) {
        draft.name = "cart";
        const std::uint64_t quantity = 1 + below(3);
        draft.members = fmt::format(
            R"({},"action":"add","gtin":"{}","title":"{}","quantity":{},"unit_price":"{}","amount":"{}","currency":"EUR",{})",
            session, ean13(product.number), product.name, quantity, money(product.price),
            money(product.price * quantity), screen);
    } else {
        draft.name = "identify";
        draft.members = fmt::format(
            R"({},"customer":"{}","method":"card","purpose":"personal offers","terms":"2026-03",{})", session,
            card(), screen);
    }
}

void Shop::beacon(Device& device, Draft& draft) {
    if (below(20) == 0) {
        draft.name = "telemetry";
        draft.members = fmt::format(
            R"("battery_mv":{},"temperature_c":"{}.{}","uptime_s":{},"advertisements":{},"firmware":"2.7.0","hardware":"nrf52-r3","restarts":{},"radio":{{"tx_power_dbm":-4,"interval_ms":350,"channel_errors":{}}})",
            2700 + below(400), 17 + below(8), below(10), 100000 + device.counter * 7, device.counter * 31,
            below(3), below(50));
        return;
    }
    draft.name = "seen";
    draft.members = fmt::format(
        R"("beacon":{{"uuid":"7f3b2c9e-51d4-4a0e-9c55-0a1b2c3d4e5f","major":{},"minor":{}}},"rssi_dbm":-{},"distance_m":"{}.{}","zone":"zone-{}","dwell_ms":{},"channel":{},"seen_in_window":{})",
        1 + below(4), below(500), 40 + below(50), below(12), below(10), 1 + below(9), below(90000),
        37 + below(3), 1 + below(40));
}

void Shop::till(Device& device, Draft& draft) {
    const std::string receipt = fmt::format("{}-{}", device.name, device.counter);
    if (below(2) == 0) {
        const Product& a = products[below(products.size())];
        const Product& b = products[below(products.size())];
        const std::string customer = below(3) == 0 ? "\"customer\":\"" + card() + "\"," : "";
        draft.name = "sale";
        draft.members = fmt::format(
            R"({}"sale":"{}","currency":"EUR","total":"{}","lines":[{{"gtin":"{}","description":"{}","quantity":1,"unit_price":"{}"}},{{"gtin":"{}","description":"{}","quantity":1,"unit_price":"{}"}}])",
            customer, receipt, money(a.price + b.price), ean13(a.number), a.name, money(a.price),
            ean13(b.number), b.name, money(b.price));
    } else {
        draft.name = "payment";
        draft.members = fmt::format(
            R"("sale":"{}","method":"card","scheme":"girocard","amount":"{}","currency":"EUR","approved":true,"terminal":{{"id":"{}-pt","software":"9.4.2"}},"entry":"contactless","authorisation":"A{:06}","took_ms":{})",
            receipt, money(100 + below(20000)), device.name, below(1000000), 900 + below(4000));
    }
}

}  // namespace touchpoint::simulate
