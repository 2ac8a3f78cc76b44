#include "store/chunk.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/process.hpp"

namespace touchpoint::store {
namespace {

constexpr ChunkHeader two_events{
    .events = 2, .first = 7, .last = 8, .raw_bytes = 0, .recorded = {1'790'000'000'123}};
const std::string compressible = std::string(2000, 'a') + "\n" + std::string(2000, 'b') + "\n";
const std::string incompressible = "\"id\":\"1\"\n\"x\":2\n";

std::string packed(const std::string& lines) {
    ChunkPacker packer;
    return std::string(packer.pack(two_events, lines));
}

TEST(Chunk, GivesBackItsLinesAndItsHeader) {
    const std::string chunk = packed(compressible);
    EXPECT_LT(chunk.size(), 200U);
    const auto header = read_header(chunk);
    ASSERT_TRUE(header);
    EXPECT_EQ(header->events, 2U);
    EXPECT_EQ(header->first, 7U);
    EXPECT_EQ(header->last, 8U);
    EXPECT_EQ(header->raw_bytes, compressible.size());
    EXPECT_EQ(header->recorded, two_events.recorded);
    EXPECT_EQ(*unpack(chunk), compressible);
}

TEST(Chunk, SaysWhetherTheClockWasTrusted) {
    EXPECT_TRUE(read_header(packed(compressible))->trusted);
    ChunkHeader guessed = two_events;
    guessed.trusted = false;
    ChunkPacker packer;
    EXPECT_FALSE(read_header(packer.pack(guessed, compressible))->trusted);
}

TEST(Chunk, LinesThatDoNotShrinkStandAsTheyAre) {
    const std::string chunk = packed(incompressible);
    EXPECT_EQ(chunk.size(), 48 + incompressible.size());
    EXPECT_THAT(chunk, testing::EndsWith(incompressible));
    EXPECT_EQ(*unpack(chunk), incompressible);
}

TEST(Chunk, EveryFlippedBitIsNoticed) {
    for (const std::string& lines : {compressible, incompressible}) {
        const std::string good = packed(lines);
        for (std::size_t at = 0; at < good.size(); ++at)
            for (int bit = 0; bit < 8; ++bit) {
                std::string bad = good;
                bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
                const auto lines_of_bad = unpack(bad);
                ASSERT_FALSE(lines_of_bad) << "byte " << at << " bit " << bit;
                EXPECT_EQ(lines_of_bad.error().code, Errc::damaged);
            }
    }
}

TEST(Chunk, EveryMissingByteIsNoticed) {
    for (const std::string& lines : {compressible, incompressible}) {
        const std::string good = packed(lines);
        for (std::size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(unpack(good.substr(0, size)));
        EXPECT_FALSE(unpack(good + "x"));
    }
}

TEST(Chunk, APackerCanBeUsedAgain) {
    ChunkPacker packer;
    const std::string first(packer.pack(two_events, compressible));
    packer.pack(two_events, incompressible);
    EXPECT_EQ(packer.pack(two_events, compressible), first);
}

TEST(Chunk, IsWhatTheExampleInTheReadmeShows) {
    ChunkPacker packer;
    const std::string lines = "\"id\":\"i1\",\"data\":\"1\"\n";
    std::string hex;
    for (const char byte : packer.pack(
             {.events = 1, .first = 1, .last = 1, .raw_bytes = 0, .recorded = {1'790'000'000'000}}, lines)) {
        constexpr char digits[] = "0123456789abcdef";
        hex += digits[static_cast<unsigned char>(byte) >> 4];
        hex += digits[byte & 15];
    }
    std::string readme = tests::read_file(SOURCE_DIR "/store/README.md");
    std::erase_if(readme, [](char c) { return c == ' ' || c == '\n'; });
    EXPECT_NE(readme.find(hex), std::string::npos) << hex;
}

}  // namespace
}  // namespace touchpoint::store
