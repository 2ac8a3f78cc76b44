// `touchpoint token list`, as a technician and a program read it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/command/token.hpp"

namespace touchpoint::command {
namespace {

using testing::HasSubstr;

std::vector<gateway::Token> two() {
    gateway::Token till;
    till.id = "k7qd2m9xab";
    till.role = gateway::Role::device;
    till.device = "pos/t1";
    till.created = {1'790'000'000'000};
    till.note = "till \"1\"";
    gateway::Token platform;
    platform.id = "p";
    platform.role = gateway::Role::platform;
    return {till, platform};
}

TEST(TokenListTest, IsATableWithoutSecrets) {
    EXPECT_EQ(token_list_text(two()),
              "ID          ROLE        DEVICE  CREATED                   NOTE\n"
              "k7qd2m9xab  device      pos/t1  2026-09-21T14:13:20.000Z  till \"1\"\n"
              "p           platform    -       1970-01-01T00:00:00.000Z\n");
    EXPECT_THAT(token_list_text({}), HasSubstr("touchpoint token create"));
}

TEST(TokenListTest, IsAnArrayForPrograms) {
    EXPECT_EQ(token_list_json(two()),
              "[{\"id\":\"k7qd2m9xab\",\"role\":\"device\",\"device\":\"pos/t1\","
              "\"created\":\"2026-09-21T14:13:20.000Z\",\"note\":\"till \\\"1\\\"\"},"
              "{\"id\":\"p\",\"role\":\"platform\",\"device\":null,"
              "\"created\":\"1970-01-01T00:00:00.000Z\",\"note\":\"\"}]\n");
    EXPECT_EQ(token_list_json({}), "[]\n");
}

}  // namespace
}  // namespace touchpoint::command
