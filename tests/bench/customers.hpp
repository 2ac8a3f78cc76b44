// Customers of the profile benchmarks: number n is the same in every program, so that one loads what another
// reads. About `bytes` of JSON, with names that repeat and values that do not.
//
// Threads: pure.
#pragma once

#include <cstdint>
#include <cstdio>
#include <random>
#include <string>

namespace touchpoint::bench {

inline std::string card_of(std::uint64_t number) {
    char text[32];
    std::snprintf(text, sizeof text, "card:29%011llu", static_cast<unsigned long long>(number));
    return text;
}

inline std::string id_of(std::uint64_t number) { return "c-" + std::to_string(number); }

// What stands beside id, version and aliases, without the braces.
inline std::string members_of(std::uint64_t number, std::size_t bytes) {
    constexpr char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    std::mt19937_64 random(number);
    std::string out =
        R"("segments":["frequent","wine","family"],"consents":{"marketing":{"state":"granted"},)"
        R"("personalisation":{"state":"granted"},"analytics":{"state":"denied"}},"traits":{"tier":"gold")";
    for (int trait = 0; out.size() + 50 < bytes; ++trait) {
        out += ",\"trait_" + std::to_string(trait) + "\":\"";
        for (int i = 0; i < 32; ++i) out += letters[random() % 36];
        out += '"';
    }
    return out + '}';
}

// A line of POST /v1/profiles/batch.
inline std::string line_of(std::uint64_t number, std::size_t bytes) {
    std::string out = R"({"op":"put","id":")" + id_of(number) + R"(","version":1,"aliases":[")" +
                      card_of(number) + R"(","email:customer)" + std::to_string(number) +
                      R"(@example.net"],)";
    const std::size_t around = out.size() + 1;
    return out + members_of(number, bytes > around ? bytes - around : 0) + '}';
}

}  // namespace touchpoint::bench
