// Which form a client is given.
#include "gateway/negotiation.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace touchpoint::gateway {
namespace {

const std::vector<std::string_view> types = {"application/x-ndjson", "application/cloudevents-batch+json"};
const std::vector<std::string_view> codings = {"zstd", "gzip"};

TEST(Negotiation, TakesTheHighestQualityAndOfEqualOnesOurFirst) {
    EXPECT_EQ(preferred("application/cloudevents-batch+json", types), 1u);
    EXPECT_EQ(preferred("application/x-ndjson, application/cloudevents-batch+json", types), 0u);
    EXPECT_EQ(preferred("application/x-ndjson;q=0.5, application/cloudevents-batch+json;q=0.51", types), 1u);
    EXPECT_EQ(preferred("Application/X-NDJSON ; charset=utf-8 ;q=0.2", types), 0u);
    EXPECT_EQ(preferred("gzip, deflate, br", codings), 1u);
    EXPECT_EQ(preferred("gzip,zstd", codings), 0u);
}

TEST(Negotiation, TheMoreExactRangeHolds) {
    EXPECT_EQ(preferred("*/*", types), 0u);
    EXPECT_EQ(preferred("application/*", types), 0u);
    EXPECT_EQ(preferred("*/*;q=0.1, application/cloudevents-batch+json", types), 1u);
    EXPECT_EQ(preferred("application/x-ndjson;q=0, */*", types), 1u);
    EXPECT_EQ(preferred("zstd;q=0.0, *", codings), 1u);
}

TEST(Negotiation, NothingOfOursIsNothing) {
    for (const std::string header :
         {"", "text/html", "application/json", "application/x-ndjson;q=0", "text/*", ",;,"})
        EXPECT_EQ(preferred(header, types), std::nullopt) << header;
    EXPECT_EQ(preferred("identity", codings), std::nullopt);
    EXPECT_EQ(preferred("*;q=0", codings), std::nullopt);
}

}  // namespace
}  // namespace touchpoint::gateway
