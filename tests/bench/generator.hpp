// What the benchmarks send: events of about 300 bytes as devices write them, the same for both sides of a
// ratio. Every event has a random id (21 of 64 characters: 126 bits) and some ten fields that differ from
// event to event; names of fields and some values repeat, as they do in a shop. bench_commit says how far
// zstd -19 gets with them: an upper bound of what is in them.
//
// Threads: confined to one.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <string_view>

namespace touchpoint::bench {

enum class Kind { sale, screen, beacon };

struct Device {
    Kind kind = Kind::sale;
    int number = 0;
    std::string prefix() const {
        const char* name = kind == Kind::sale ? "pos" : kind == Kind::screen ? "kiosk" : "beacon";
        return std::string("touchpoint/v1/") + name + "/d" + std::to_string(number);
    }
    std::string event_topic() const {
        return prefix() + (kind == Kind::sale     ? "/event/sale"
                           : kind == Kind::screen ? "/event/view"
                                                  : "/event/sighting");
    }
};

class Generator {
  public:
    // `with_ids` false: a plain device, which gives no event_id.
    Generator(std::uint64_t seed, bool with_ids) : random_(seed), with_ids_(with_ids) {}

    std::string id() {
        constexpr std::string_view letters =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        std::string text(21, ' ');
        std::uint64_t bits = 0;
        for (std::size_t i = 0; i < text.size(); ++i, bits >>= 6) {
            if (i % 10 == 0) bits = random_();
            text[i] = letters[bits & 63];
        }
        return text;
    }

    // Appends one JSON object.
    void event(std::string& out, Kind kind, std::string_view id) {
        out += '{';
        if (with_ids_) print(out, R"("event_id":"%.*s",)", static_cast<int>(id.size()), id.data());
        const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
                             std::chrono::system_clock::now().time_since_epoch())
                             .count();
        print(out, R"("event_time":%lld,)", static_cast<long long>(now));
        switch (kind) {
            case Kind::sale:
                sale(out);
                break;
            case Kind::screen:
                screen(out);
                break;
            case Kind::beacon:
                beacon(out);
                break;
        }
        out += '}';
    }

  private:
    template <class... Values>
    static void print(std::string& out, const char* format, Values... values) {
        char text[256];
        const int length = std::snprintf(text, sizeof text, format, values...);
        out.append(text, static_cast<std::size_t>(length));
    }
    unsigned below(unsigned bound) { return static_cast<unsigned>(random_() % bound); }
    // One of 5,000 articles of the shop, 13 digits.
    unsigned long long article() { return 4'006'381'000'000ULL + below(5'000) * 197ULL; }

    void sale(std::string& out) {
        print(out, R"("receipt":"%08u","till":"t%u","cashier":"c%02u","lines":[)", below(100'000'000),
              below(10) + 1, below(30));
        for (int line = 0; line < 2; ++line)
            print(out, R"(%s{"gtin":"%llu","quantity":%u,"price":"%u.%02u"})", line == 0 ? "" : ",",
                  article(), below(4) + 1, below(30), below(100));
        print(out, R"(],"total":"%u.%02u","currency":"EUR","tender":"%s","receipt_printed":%s)", below(120),
              below(100), below(3) == 0 ? "cash" : "card", below(2) == 0 ? "true" : "false");
    }
    void screen(std::string& out) {
        static constexpr const char* queries[] = {"oat milk", "screws 4x40", "gift for kids", "sunscreen",
                                                  "LED lamp E27"};
        print(out, R"("session":"%016llx","screen":"product","query":"%s","results":%u,"position":%u,)",
              static_cast<unsigned long long>(random_()), queries[below(5)], below(200), below(20));
        print(
            out,
            R"("gtin":"%llu","dwell_ms":%u,"language":"%s","scroll":%u.%u,"in_stock":%s,"aisle":%u,"ui":"4.12.0")",
            article(), below(60'000), below(4) == 0 ? "en" : "de", below(100), below(10),
            below(10) == 0 ? "false" : "true", below(40));
    }
    void beacon(std::string& out) {
        print(
            out,
            R"("beacon":"f7826da6-4fa2-4e98-8024-bc5b71e0893e","major":%u,"minor":%u,"rssi":-%u,"tx_power":-59,)",
            below(12), below(600), 40 + below(55));
        print(
            out,
            R"("battery_mv":%u,"temperature":"%u.%u","humidity":"%u.%u","frame":"0201061aff4c0002%016llx","reader":"r%02u")",
            2'600 + below(500), 17 + below(9), below(10), 30 + below(40), below(10),
            static_cast<unsigned long long>(random_()), below(20));
    }

    std::mt19937_64 random_;
    bool with_ids_;
};

}  // namespace touchpoint::bench
