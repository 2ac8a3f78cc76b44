// What a cursor keeps, and what is not taken for one.
#include "uplink/cursor.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>

namespace touchpoint::uplink {
namespace {

Cursor place() {
    Cursor cursor;
    cursor.epoch = "9f2c41d07be3a865";
    cursor.positions[Stream::sales] = 123'456;
    cursor.positions[Stream::telemetry] = 0;
    cursor.turn = 7;
    return cursor;
}

TEST(Cursor, KeepsEpochPositionsAndTurn) {
    EXPECT_EQ(decode_cursor(encode(place())), place());
    Cursor largest;
    largest.epoch = std::string(32, 'f');
    largest.turn = 255;
    for (const Stream stream : all_streams) largest.positions[stream] = std::numeric_limits<Sequence>::max();
    const std::string text = encode(largest);
    EXPECT_EQ(decode_cursor(text), largest);
    EXPECT_LE(text.size(), cursor_text_max);
    EXPECT_EQ(decode_cursor(encode(Cursor{})), Cursor{});
}

TEST(Cursor, StandsInAUrlAsItIs) {
    for (Sequence n = 0; n < 5'000; n += 7) {
        Cursor cursor = place();
        cursor.positions[Stream::customer] = n;
        const std::string text = encode(cursor);
        EXPECT_EQ(text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
                  std::string::npos)
            << text;
        ASSERT_EQ(decode_cursor(text), cursor);
    }
}

TEST(Cursor, EveryOneThatIsCutOffOrMistypedIsRefused) {
    const std::string text = encode(place());
    for (std::size_t length = 0; length < text.size(); ++length)
        EXPECT_FALSE(decode_cursor(text.substr(0, length))) << length;
    for (std::size_t at = 0; at < text.size(); ++at) {
        std::string mistyped = text;
        mistyped[at] = text[at] == 'A' ? 'B' : 'A';
        EXPECT_FALSE(decode_cursor(mistyped)) << at;
    }
    for (const std::string behind : {"A", "AA", "=", " ", "\n"}) EXPECT_FALSE(decode_cursor(text + behind));
}

TEST(Cursor, WhatSomebodyMadeUpIsRefused) {
    for (const std::string text : {"", "0", "42", "sales:42", "AQ", "AAAAAAAAAAAAAAAA", "../../etc/passwd",
                                   "eyJzYWxlcyI6NDJ9", "\xff\xfe"})
        EXPECT_FALSE(decode_cursor(text)) << text;
    EXPECT_FALSE(decode_cursor(std::string(1u << 20, 'A')));
}

}  // namespace
}  // namespace touchpoint::uplink
