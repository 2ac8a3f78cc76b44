// Our compression, undone by the platform's own code.

#include "uplink/compress.hpp"

#include <gtest/gtest.h>

#include "tools/platform/decompress.hpp"

namespace touchpoint::uplink {
namespace {

constexpr std::size_t plenty = 16u << 20;

TEST(CompressTest, EveryBodyComesBackUnchanged) {
    std::string noise;
    for (std::uint32_t i = 0, x = 1; i < 700'000; ++i)
        noise += static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
    for (const auto compression : {Compression::none, Compression::gzip, Compression::zstd}) {
        for (const std::string& text :
             {std::string(), std::string("[]"), std::string(1u << 20, 'a'), noise}) {
            const std::string body = compress(text, compression);
            EXPECT_EQ(platform::decompress(body, content_encoding(compression), plenty), text);
        }
    }
}

TEST(CompressTest, RepeatedTextGetsSmall) {
    std::string text;
    for (int i = 0; i < 1000; ++i)
        text += R"({"specversion":"1.0","gatewayid":"gw-s1","sequence":")" + std::to_string(i) + "\"}\n";
    EXPECT_LT(compress(text, Compression::gzip).size() * 5, text.size());
    EXPECT_LT(compress(text, Compression::zstd).size() * 5, text.size());
}

TEST(DecompressTest, RefusesWhatIsDamagedCutOrTooLarge) {
    for (const auto compression : {Compression::gzip, Compression::zstd}) {
        const auto encoding = content_encoding(compression);
        const std::string body = compress(std::string(1u << 20, 'a'), compression);
        EXPECT_TRUE(platform::decompress(body, encoding, (1u << 20) + 1));
        EXPECT_FALSE(platform::decompress(body, encoding, 1u << 19)) << encoding;
        EXPECT_FALSE(platform::decompress(body.substr(0, body.size() - 3), encoding, plenty)) << encoding;
        EXPECT_FALSE(platform::decompress("garbage", encoding, plenty)) << encoding;
    }
    EXPECT_FALSE(platform::decompress("x", "br", plenty));
}

}  // namespace
}  // namespace touchpoint::uplink
