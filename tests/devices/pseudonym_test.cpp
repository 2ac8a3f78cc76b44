#include "devices/pseudonym.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace touchpoint::devices {
namespace {

std::string of(std::string_view text, char key = 'k') {
    return Pseudonymiser(std::string(32, key), "p1").pseudonym(normalise(text));
}

// Computed with Python: base64.b32encode(hmac.digest(b'k' * 32, b'card:2900000012345', 'sha256')).lower()
TEST(PseudonymTest, ItIsTheFirst26CharactersOfTheHmac) {
    EXPECT_EQ(of("card:2900000012345"), "p1_fscum2avdfage6sn7ex2ocegg7");
    EXPECT_THAT(of("card:2900000012345"), testing::MatchesRegex("p1_[a-z2-7]{26}"));
}

TEST(PseudonymTest, TheSamePersonIsRecognisedHoweverADeviceWritesIt) {
    EXPECT_EQ(of("email:Jane.Doe@Example.ORG "), of("EMAIL: jane.doe@example.org"));
    EXPECT_EQ(of("phone:+49 (30) 123-456"), of("phone:+4930123456"));
    EXPECT_NE(of("phone:+4930123456"), of("phone:4930123456"));
    EXPECT_EQ(of("card: 2900000012345 "), of("Card:2900000012345"));
    EXPECT_NE(of("card:a"), of("card:A"));
    EXPECT_NE(of("phone:--"), of("phone:()"));
}

TEST(PseudonymTest, AnotherSchemeOrAnotherKeyIsAnotherPseudonym) {
    EXPECT_NE(of("card:1"), of("loyalty:1"));
    EXPECT_NE(of("card:1"), of("card:1", 'x'));
}

}  // namespace
}  // namespace touchpoint::devices
