#include "gateway/core/event_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace touchpoint {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(EventText, AnOuterMemberIsFoundAndTakenOutWhereverItStands) {
    const std::string_view text = R"("a":"1","b":{"a":"2","c":[1,2]},"c":[{"x":","}],"d":7)";
    EXPECT_EQ(outer_text(text, "a"), "1");
    EXPECT_EQ(outer_value(text, "b"), R"({"a":"2","c":[1,2]})");
    EXPECT_EQ(outer_value(text, "c"), R"([{"x":","}])");
    EXPECT_EQ(outer_value(text, "d"), "7");
    EXPECT_EQ(outer_text(text, "d"), "");
    EXPECT_EQ(outer_value(text, "x"), "");
    EXPECT_EQ(without_member(text, "a"), R"("b":{"a":"2","c":[1,2]},"c":[{"x":","}],"d":7)");
    EXPECT_EQ(without_member(text, "c"), R"("a":"1","b":{"a":"2","c":[1,2]},"d":7)");
    EXPECT_EQ(without_member(text, "d"), R"("a":"1","b":{"a":"2","c":[1,2]},"c":[{"x":","}])");
    EXPECT_EQ(without_member(text, "x"), text);
    EXPECT_EQ(without_member(R"("a":1)", "a"), "");
}

TEST(EventText, AValueThatLooksLikeAMemberIsNone) {
    EXPECT_EQ(outer_text(R"("id":"subject","type":"subject","subject":"s")", "subject"), "s");
    EXPECT_EQ(outer_text(R"("id":"\"subject\":\"x\"")", "subject"), "");
    EXPECT_EQ(without_member(R"("id":"\"subject\":\"x\",","n":1)", "subject"),
              R"("id":"\"subject\":\"x\",","n":1)");
}

TEST(EventText, PersonsAreTheSubjectAndInQuarantineTheMemberPersons) {
    EXPECT_THAT(persons_in(Stream::sales, R"("subject":"pseudonym/p1_a","persons":["p1_b"])"),
                ElementsAre("p1_a"));
    EXPECT_THAT(persons_in(Stream::sales, R"("subject":"order/7")"), IsEmpty());
    const std::string_view joined =
        R"("subject":"pseudonym/p1_a","sameas":"pseudonym/p1_b,profile/7,pseudonym/p1_c")";
    EXPECT_THAT(persons_in(Stream::customer, joined), ElementsAre("p1_a", "p1_b", "p1_c"));
    EXPECT_EQ(without_person(Stream::customer, joined), "");
    EXPECT_THAT(persons_in(Stream::quarantine, R"("persons":["p1_b","p1_c"],"data":{"persons":["x"]})"),
                ElementsAre("p1_b", "p1_c"));
    EXPECT_THAT(persons_in(Stream::quarantine, R"("persons":[],"data":{})"), IsEmpty());
}

TEST(EventText, TextThatEndsTooEarlyIsReadToItsEndAndNotFurther) {
    const std::string whole =
        R"("id":"1","subject":"pseudonym/p1_a","persons":["p1_a"],"data":{"sealed":"x\"y"})";
    for (std::size_t length = 0; length <= whole.size(); ++length) {
        const std::string cut = whole.substr(0, length);  // of its own, so that ASan sees its end
        (void)persons_in(Stream::quarantine, cut);
        EXPECT_LE(without_person(Stream::quarantine, cut).size(), cut.size() + 32);
    }
}

}  // namespace
}  // namespace touchpoint
