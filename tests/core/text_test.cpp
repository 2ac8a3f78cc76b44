#include <gtest/gtest.h>

#include "gateway/core/json_text.hpp"
#include "gateway/core/log.hpp"
#include "gateway/core/streams.hpp"

namespace touchpoint {
namespace {

TEST(JsonTextTest, EscapesWhatMustBeEscapedAndNothingElse) {
    EXPECT_EQ(json_string("plain ü €"), "\"plain ü €\"");
    EXPECT_EQ(json_string("a\"b\\c\n\r\t"), R"("a\"b\\c\n\r\t")");
    EXPECT_EQ(json_string(std::string("\0\x1f", 2)), R"("\u0000\u001f")");
}

TEST(LogTest, ALineStaysOneLineAndValuesCanBeToldApart) {
    testing::internal::CaptureStderr();
    log::warning("uplink", "batch refused",
                 {{"status", 503}, {"reason", "two words\nand a line"}, {"empty", ""}});
    log::debug("uplink", "not written at this level");
    EXPECT_EQ(testing::internal::GetCapturedStderr(),
              "<4>uplink: batch refused status=503 reason=\"two words and a line\" empty=\"\"\n");
}

TEST(LogTest, TheLevelDecidesWhatIsWritten) {
    log::set_level(log::Level::debug);
    testing::internal::CaptureStderr();
    log::debug("intake", "seen");
    const std::string said = testing::internal::GetCapturedStderr();
    log::set_level(log::Level::info);
    EXPECT_EQ(said, "<7>intake: seen\n");
}

TEST(StreamsTest, NamesAndStreamsAreInverse) {
    for (const Stream stream : all_streams) EXPECT_EQ(stream_named(name(stream)), stream);
    EXPECT_EQ(stream_named("nothing"), std::nullopt);
}

}  // namespace
}  // namespace touchpoint
