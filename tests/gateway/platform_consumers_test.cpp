// Consumers that are made, shown, moved and deleted; reading without one; gaps as a list.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/gateway/platform_shop.hpp"
#include "tests/support/wait.hpp"

namespace touchpoint::tests {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class ConsumersTest : public PlatformShop {
  protected:
    void SetUp() override {
        store::ConsumerSpec push;
        push.name = "platform";
        push.streams = uplink::default_streams;
        options_.consumers = {push};
        open();
    }
    HttpAnswer seek(const std::string& to) { return ask("POST", crm + "/seek", R"({"to":)" + to + "}"); }
    // Everything that a consumer named here has acknowledged leaves the disk.
    void let_go_up_to(Stream stream, Sequence last) {
        ASSERT_TRUE(store_->acknowledge("platform", stream, last));
        ASSERT_TRUE(wait_for([&] { return store_->stats().first[stream] > last; }));
    }
};

TEST_F(ConsumersTest, IsMadeOnceAndKeepsItsPlaceAndStreams) {
    submit(Stream::sales, 3);
    const HttpAnswer made = ask("PUT", crm, R"({"from":"latest"})");
    EXPECT_EQ(made.status, 201);
    EXPECT_EQ(made.header("location"), crm);
    EXPECT_THAT(made.body, AllOf(HasSubstr(R"("name":"crm","kind":"pull")"),
                                 HasSubstr(R"("sales":{"acknowledged":3,"horizon":3,"lag":0,"oldest":null})"),
                                 Not(HasSubstr("quarantine"))));
    restart();
    EXPECT_EQ(ask("PUT", crm, R"({"from":"oldest"})").status, 200);
    EXPECT_EQ(get(events).status, 204);
    const HttpAnswer more = ask("PUT", crm, R"({"streams":["sales","quarantine"]})");
    EXPECT_EQ(more.status, 200);
    EXPECT_THAT(more.body, AllOf(HasSubstr(R"("sales":{"acknowledged":3)"), HasSubstr("quarantine"),
                                 Not(HasSubstr("telemetry"))));
    EXPECT_THAT(ask("PUT", crm).body, HasSubstr("quarantine"));  // no wish: nothing changes
}

TEST_F(ConsumersTest, BeginsAtTheOldestEventUnlessToldOtherwise) {
    submit(Stream::sales, 3);
    EXPECT_EQ(ask("PUT", crm).status, 201);
    EXPECT_THAT(given(get(events)), ElementsAre(one("sales", 1), one("sales", 2), one("sales", 3)));
}

TEST_F(ConsumersTest, ShowsWhatWaitsAndSinceWhen) {
    ASSERT_EQ(ask("PUT", crm).status, 201);
    const UtcTime made = clock_.utc();
    clock_.advance(std::chrono::hours(1));
    submit(Stream::sales, 2);
    const UtcTime first = clock_.utc();
    clock_.advance(std::chrono::hours(1));
    submit(Stream::telemetry, 5);
    const HttpAnswer shown = get(crm);
    EXPECT_EQ(shown.status, 200);
    EXPECT_THAT(
        shown.body,
        AllOf(HasSubstr(R"("lag":7,"oldest":")" + to_rfc3339(first)),
              HasSubstr(R"("since":")" + to_rfc3339(made)), HasSubstr(R"("last_seen":")" + to_rfc3339(made)),
              HasSubstr(R"("sales":{"acknowledged":0,"horizon":2,"lag":2,"oldest":")" + to_rfc3339(first)),
              HasSubstr(R"("epoch":")" + store_->epoch())));
    get(events);
    EXPECT_THAT(get(crm).body, HasSubstr(R"("last_seen":")" + to_rfc3339(clock_.utc())));
    const HttpAnswer all = get("/v1/consumers");
    EXPECT_EQ(all.status, 200);
    EXPECT_THAT(all.body, AllOf(HasSubstr(R"("name":"crm","kind":"pull")"),
                                HasSubstr(R"("name":"platform","kind":"push")")));
}

TEST_F(ConsumersTest, ItsCursorIsWhereItStands) {
    ASSERT_EQ(ask("PUT", crm).status, 201);
    submit(Stream::sales, 3);
    const HttpAnswer two = get(events + "?max=2");
    const HttpAnswer acknowledged = ask("POST", crm + "/ack", cursor_json(two.cursor()));
    EXPECT_THAT(acknowledged.body, HasSubstr(R"("cursor":")" + two.cursor()));
}

TEST_F(ConsumersTest, UnknownOnesAreToldHowToBeMade) {
    for (const HttpAnswer& answer : {get(events), get(crm), ask("DELETE", crm),
                                     ask("POST", crm + "/ack", cursor_json("x")), seek("\"oldest\"")}) {
        EXPECT_EQ(answer.status, 404);
        EXPECT_THAT(answer.body,
                    AllOf(HasSubstr(R"("type":"no-consumer")"), HasSubstr("PUT /v1/consumers/crm")));
    }
}

TEST_F(ConsumersTest, APushDestinationsNameIsNotForPulling) {
    const std::string platform = "/v1/consumers/platform";
    EXPECT_EQ(get(platform).status, 200);
    for (const HttpAnswer& answer : {ask("PUT", platform), ask("DELETE", platform), get(platform + "/events"),
                                     ask("POST", platform + "/ack", cursor_json("x")),
                                     ask("POST", platform + "/seek", R"({"to":"oldest"})")}) {
        EXPECT_EQ(answer.status, 409);
        EXPECT_THAT(answer.body, HasSubstr(R"("type":"push-destination")"));
    }
}

TEST_F(ConsumersTest, NamesAndBodiesAreChecked) {
    for (const std::string& name : std::vector<std::string>{"CRM", "a_b", "a%20b", std::string(65, 'a')})
        EXPECT_EQ(ask("PUT", "/v1/consumers/" + name).status, 400) << name;
    EXPECT_EQ(ask("PUT", "/v1/consumers/" + std::string(64, 'a')).status, 201);
    for (const std::string body : {"[]", "{", R"({"streams":[]})", R"({"streams":["sale"]})",
                                   R"({"streams":"sales"})", R"({"from":"now"})", R"({"stream":["sales"]})"})
        EXPECT_EQ(ask("PUT", crm, body).status, 400) << body;
    EXPECT_EQ(ask("PUT", crm, "{\"from\":\"" + std::string(9000, 'x') + "\"}").status, 413);
    ASSERT_EQ(ask("PUT", crm).status, 201);
    for (const std::string body : {"", "{}", R"({"cursor":7})", R"({"cursor":"x","more":1})"})
        EXPECT_EQ(ask("POST", crm + "/ack", body).status, 400) << body;
    for (const std::string to :
         {"\"now\"", "{}", R"({"sale":1})", R"({"sales":0})", R"({"sales":-1})", R"({"sales":"1"})",
          R"({"time":"yesterday"})", R"({"time":"2026-09-21T08:00:00Z","sales":1})", "7"})
        EXPECT_EQ(seek(to).status, 400) << to;
}

TEST_F(ConsumersTest, ThereIsABoundOnHowMany) {
    for (std::size_t i = 0; i < store::EventStore::consumers_max; ++i)
        ASSERT_EQ(ask("PUT", "/v1/consumers/c" + std::to_string(i)).status, 201);
    const HttpAnswer refused = ask("PUT", crm);
    EXPECT_EQ(refused.status, 409);
    EXPECT_THAT(refused.body, HasSubstr(R"("type":"too-many-consumers")"));
    EXPECT_EQ(ask("DELETE", "/v1/consumers/c0").status, 204);
    EXPECT_EQ(ask("PUT", crm).status, 201);
}

TEST_F(ConsumersTest, DeletingOneLetsItsEventsGo) {
    ASSERT_EQ(ask("PUT", crm).status, 201);
    submit(Stream::sales, 3);
    ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, 3));
    EXPECT_EQ(store_->stats().events[Stream::sales], 3u);
    EXPECT_EQ(ask("DELETE", crm).status, 204);
    EXPECT_TRUE(wait_for([&] { return store_->stats().events[Stream::sales] == 0; }));
    EXPECT_EQ(ask("DELETE", crm).status, 404);
    restart();
    EXPECT_EQ(get(crm).status, 404);
}

TEST_F(ConsumersTest, SeeksToTheEndsToANumberToATimeAndToACursor) {
    ASSERT_EQ(ask("PUT", crm).status, 201);
    submit(Stream::sales, 2);
    clock_.advance(std::chrono::hours(1));
    const std::string later = to_rfc3339(clock_.utc());
    submit(Stream::sales, 2);
    submit(Stream::telemetry, 1);
    const std::string one_in = get(events + "?max=1").cursor();

    EXPECT_THAT(seek("\"latest\"").body, HasSubstr(R"("sales":{"acknowledged":4)"));
    EXPECT_EQ(get(events).status, 204);
    EXPECT_EQ(seek(R"({"sales":3})").status, 200);
    EXPECT_THAT(given(get(events)), ElementsAre(one("sales", 3), one("sales", 4)));  // telemetry stays
    EXPECT_EQ(seek("\"oldest\"").status, 200);
    EXPECT_EQ(given(get(events)).size(), 5u);
    EXPECT_EQ(seek(R"({"time":")" + later + "\"}").status, 200);
    EXPECT_THAT(given(get(events)), ElementsAre(one("sales", 3), one("sales", 4), one("telemetry", 1)));
    EXPECT_EQ(seek(cursor_json(one_in)).status, 200);
    EXPECT_EQ(given(get(events)).front(), one("sales", 2));
    restart();
    EXPECT_EQ(given(get(events)).front(), one("sales", 2));
    EXPECT_EQ(seek(R"({"sales":5})").status, 200);  // the next that comes
    const HttpAnswer beyond = seek(R"({"sales":6})");
    EXPECT_EQ(beyond.status, 400);
    EXPECT_THAT(beyond.body, HasSubstr(R"("type":"cursor-beyond")"));
    EXPECT_THAT(seek(R"({"quarantine":1})").body, HasSubstr("does not read quarantine"));
}

TEST_F(ConsumersTest, ASeekBelowWhatExistsSaysWhatIsGoneAndWhy) {
    close();
    options_.commit_interval =
        std::chrono::hours(1);  // what is recorded below stays in memory: nothing prunes it
    open();
    submit(Stream::telemetry, 4);
    submit(Stream::telemetry, 4);
    ASSERT_TRUE(store_->acknowledge("platform", Stream::telemetry, 4));
    ASSERT_EQ(ask("PUT", crm, R"({"from":"latest"})").status, 201);  // and a commit with it
    ASSERT_TRUE(wait_for([&] { return store_->stats().first[Stream::telemetry] == 5; }));
    record_gap(Stream::telemetry, 2, 3);
    record_gap(Stream::telemetry, 4, 4, "platform", "rejected");  // not this consumer's
    const HttpAnswer gone = seek(R"({"telemetry":1})");
    EXPECT_EQ(gone.status, 410);
    EXPECT_THAT(gone.body, AllOf(HasSubstr(R"("type":"gone")"),
                                 HasSubstr(R"("gone":[{"stream":"telemetry","asked":1,"first_available":5,)"
                                           R"("gaps":[{"first":2,"last":3,"reason":"shed","time":")"),
                                 Not(HasSubstr("rejected"))));
    EXPECT_EQ(get(events).status, 204);  // nothing was moved
    EXPECT_EQ(seek(R"({"telemetry":5})").status, 200);
    EXPECT_EQ(seek("\"oldest\"").status, 200);
    EXPECT_EQ(given(get(events)).front(), one("telemetry", 5));
}

TEST_F(ConsumersTest, TheOldestOfANewEpochIsTheGapThatNamesTheOldOne) {
    submit(Stream::sales, 2);
    const std::string old = store_->epoch();
    close();
    std::filesystem::remove_all(options_.folder);
    open();
    submit(Stream::sales, 1);
    ASSERT_EQ(ask("PUT", crm, R"({"streams":["sales"],"from":"latest"})").status, 201);
    EXPECT_EQ(seek("\"oldest\"").status, 200);
    const HttpAnswer begun = get(events);
    EXPECT_THAT(given(begun), ElementsAre(gap("sales", 1, 1, "epoch"), one("sales", 2)));
    EXPECT_THAT(begun.body, HasSubstr(R"("oldepoch":")" + old));
    EXPECT_EQ(seek(R"({"sales":1})").status, 200);
    EXPECT_EQ(get("/v1/events?streams=sales").body, begun.body);
}

TEST_F(ConsumersTest, ReadingWithoutOneHoldsNothingAndGoesOnByCursor) {
    submit(Stream::sales, 2);
    clock_.advance(std::chrono::hours(1));
    const std::string later = to_rfc3339(clock_.utc());
    submit(Stream::sales, 1);
    submit(Stream::customer, 1);
    const HttpAnswer first = get("/v1/events?max=2");
    EXPECT_THAT(given(first), ElementsAre(one("customer", 1), one("sales", 1)));
    EXPECT_EQ(first.header("touchpoint-lag"), "2");
    const HttpAnswer rest = get("/v1/events?after=" + first.cursor());
    EXPECT_THAT(given(rest), ElementsAre(one("sales", 2), one("sales", 3)));
    EXPECT_EQ(get("/v1/events?after=" + rest.cursor()).status, 204);
    EXPECT_EQ(get("/v1/events?from=latest").status, 204);
    EXPECT_THAT(given(get("/v1/events?from=" + later + "&streams=sales")), ElementsAre(one("sales", 3)));
    EXPECT_EQ(given(get("/v1/events?from=oldest")).size(), 4u);
    EXPECT_EQ(get("/v1/events?from=yesterday").status, 400);
    EXPECT_EQ(get("/v1/events?from=oldest&after=" + rest.cursor()).status, 400);
    EXPECT_EQ(get("/v1/events?after=made-up").status, 400);
    EXPECT_THAT(get("/v1/events?streams=quarantine&after=" + rest.cursor()).body,
                HasSubstr("does not speak of"));
    EXPECT_EQ(ask("DELETE", "/v1/events").status, 405);
}

TEST_F(ConsumersTest, ReadingWithoutOneSeesOnlyWhatIsMissingForEverybody) {
    submit(Stream::telemetry, 3);
    record_gap(Stream::telemetry, 1, 1, "platform", "rejected");
    record_gap(Stream::telemetry, 2, 2);
    EXPECT_THAT(given(get("/v1/events")),
                ElementsAre(one("telemetry", 1), gap("telemetry", 2, 2, "shed"), one("telemetry", 3)));
}

TEST_F(ConsumersTest, AReaderWithoutOneIsToldWhenItWasTooSlow) {
    submit(Stream::sales, 1);
    const std::string slow = get("/v1/events").cursor();
    submit(Stream::sales, 2);
    submit(Stream::sales, 1);
    let_go_up_to(Stream::sales, 3);
    const HttpAnswer gone = get("/v1/events?after=" + slow);
    EXPECT_EQ(gone.status, 410);
    EXPECT_THAT(gone.body, HasSubstr(R"({"stream":"sales","asked":2,"first_available":4,"gaps":[]})"));
    EXPECT_THAT(given(get("/v1/events?from=oldest")), ElementsAre(one("sales", 4)));
}

TEST_F(ConsumersTest, StreamsTakeTurnsForAReaderWithoutOne) {
    submit(Stream::sales, 40);
    submit(Stream::telemetry, 1);
    std::string cursor = get("/v1/events?max=1").cursor();
    bool seen = false;
    for (int answers = 1; !seen && answers < 24; ++answers) {
        const HttpAnswer answer = get("/v1/events?max=1&after=" + cursor);
        cursor = answer.cursor();
        seen = given(answer).at(0).stream == "telemetry";
    }
    EXPECT_TRUE(seen);
}

TEST_F(ConsumersTest, GapsAreListedPageByPage) {
    submit(Stream::sales, 9);
    submit(Stream::telemetry, 9);
    EXPECT_THAT(get("/v1/gaps").body, HasSubstr(R"("gaps":[],"next":null)"));
    record_gap(Stream::telemetry, 1, 2);
    record_gap(Stream::telemetry, 4, 4, "platform", "rejected");
    record_gap(Stream::telemetry, 7, 9);
    record_gap(Stream::sales, 5, 5, "platform", "parked");
    const HttpAnswer all = get("/v1/gaps");
    EXPECT_EQ(all.status, 200);
    EXPECT_THAT(
        all.body,
        AllOf(
            HasSubstr(
                R"({"stream":"sales","first":5,"last":5,"count":1,"reason":"parked","consumer":"platform","time":")"),
            HasSubstr(
                R"({"stream":"telemetry","first":7,"last":9,"count":3,"reason":"shed","consumer":null,"time":")"),
            HasSubstr(R"("epoch":")" + store_->epoch()), HasSubstr(R"("next":null)")));
    const HttpAnswer first = get("/v1/gaps?max=2");
    EXPECT_THAT(first.body, AllOf(HasSubstr(R"("stream":"sales")"), HasSubstr(R"("last":2)"),
                                  HasSubstr(R"("next":"telemetry:2")")));
    const HttpAnswer second = get("/v1/gaps?max=2&after=telemetry:2");
    EXPECT_THAT(second.body, AllOf(Not(HasSubstr("sales")), HasSubstr(R"("first":4)"),
                                   HasSubstr(R"("first":7)"), HasSubstr(R"("next":null)")));
    const HttpAnswer telemetry = get("/v1/gaps?stream=telemetry&after=4");
    EXPECT_THAT(telemetry.body, AllOf(HasSubstr(R"("first":7)"), Not(HasSubstr(R"("first":1,)"))));
    for (const std::string query : {"stream=sale", "after=4", "after=sales:x",
                                    "stream=sales&after=telemetry:1", "max=0", "max=1001", "streams=sales"})
        EXPECT_EQ(get("/v1/gaps?" + query).status, 400) << query;
}

}  // namespace
}  // namespace touchpoint::tests
