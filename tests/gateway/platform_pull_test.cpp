// Reading as a named consumer, over sockets: what is given, what is acknowledged, what is refused. The
// sentences of uplink/README.md, "Pull".
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <string>
#include <thread>
#include <vector>

#include "tests/gateway/platform_shop.hpp"
#include "tests/support/wait.hpp"
#include "uplink/compress.hpp"
#include "uplink/cursor.hpp"

namespace touchpoint::tests {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

class PullTest : public PlatformShop {
  protected:
    void SetUp() override { open(); }
    void make(const std::string& body = "") { ASSERT_EQ(ask("PUT", crm, body).status, 201); }
    Sequence acknowledged(Stream stream) { return store_->acknowledged("crm", stream); }
};

TEST_F(PullTest, GivesEventsInOrderAndTheCursorForTheRest) {
    make();
    submit(Stream::sales, 3);
    const HttpAnswer first = get(events + "?max=2");
    EXPECT_EQ(first.status, 200);
    EXPECT_THAT(given(first), ElementsAre(one("sales", 1), one("sales", 2)));
    EXPECT_EQ(first.header("content-type"), "application/x-ndjson");
    EXPECT_EQ(first.header("touchpoint-lag"), "1");
    EXPECT_EQ(first.header("touchpoint-epoch"), store_->epoch());
    EXPECT_EQ(first.header("touchpoint-oldest"), to_rfc3339(clock_.utc()));
    EXPECT_THAT(first.body,
                AllOf(HasSubstr(R"("gatewayid":"gw-s1")"), HasSubstr(R"("epoch":")" + store_->epoch())));
    const HttpAnswer second = get(events + "?max=2&ack=" + first.cursor());
    EXPECT_THAT(given(second), ElementsAre(one("sales", 3)));
    EXPECT_EQ(second.header("touchpoint-lag"), "0");
    EXPECT_EQ(acknowledged(Stream::sales), 2u);
}

TEST_F(PullTest, GivesTheSameAgainUntilItIsAcknowledged) {
    make();
    submit(Stream::sales, 2);
    const HttpAnswer first = get(events);
    const HttpAnswer again = get(events);
    EXPECT_EQ(again.body, first.body);
    EXPECT_EQ(again.cursor(), first.cursor());
    const HttpAnswer done = ask("POST", crm + "/ack", cursor_json(first.cursor()));
    EXPECT_EQ(done.status, 200);
    EXPECT_THAT(done.body, HasSubstr(R"("sales":{"acknowledged":2,"horizon":2,"lag":0)"));
    EXPECT_EQ(get(events).status, 204);
}

TEST_F(PullTest, AnAcknowledgementIsOnDiskWhenItIsAnswered) {
    make();
    submit(Stream::sales, 5);
    const std::string two = get(events + "?max=2").cursor();
    const std::string four = get(events + "?max=4").cursor();
    EXPECT_EQ(ask("POST", crm + "/ack", cursor_json(four)).status, 200);
    restart();
    EXPECT_EQ(acknowledged(Stream::sales), 4u);
    // The same again, and an older one: cumulative, so nothing moves.
    EXPECT_EQ(ask("POST", crm + "/ack", cursor_json(four)).status, 200);
    EXPECT_EQ(ask("POST", crm + "/ack", cursor_json(two)).status, 200);
    EXPECT_THAT(given(get(events)), ElementsAre(one("sales", 5)));
}

TEST_F(PullTest, NothingThereIs204WithACursorAllTheSame) {
    make();
    const HttpAnswer empty = get(events + "?wait=0");
    EXPECT_EQ(empty.status, 204);
    EXPECT_EQ(empty.body, "");
    EXPECT_EQ(empty.header("touchpoint-lag"), "0");
    EXPECT_EQ(ask("POST", crm + "/ack", cursor_json(empty.cursor())).status, 200);
}

TEST_F(PullTest, ALongPollEndsWithItsWait) {
    make();
    std::promise<std::size_t> items;
    loop_.on_loop([&] {
        uplink::PullRead wanted;
        wanted.consumer = "crm";
        wanted.wait = std::chrono::milliseconds(20);
        pull_->read(wanted, [&](const auto& result) { items.set_value(result ? result->items : 99); });
    });
    EXPECT_EQ(items.get_future().get(), 0u);
    EXPECT_TRUE(answering(0));
}

TEST_F(PullTest, ALongPollIsAnsweredWhenAnEventIsSafe) {
    make();
    HttpClient waiting = begin(events + "?wait=60");
    ASSERT_TRUE(answering(1));
    submit(Stream::telemetry, 1);
    const HttpAnswer answer = answer_of(waiting.read_all());
    EXPECT_THAT(given(answer), ElementsAre(one("telemetry", 1)));
}

TEST_F(PullTest, ALongPollIsNotWokenByStreamsItDoesNotAskFor) {
    make();
    HttpClient waiting = begin(events + "?wait=60&streams=sales");
    ASSERT_TRUE(answering(1));
    submit(Stream::telemetry, 1);
    submit(Stream::sales, 1);
    EXPECT_THAT(given(answer_of(waiting.read_all())), ElementsAre(one("sales", 1)));
}

TEST_F(PullTest, HigherStreamsComeFirstAndNoneStarves) {
    make();
    submit(Stream::telemetry, 2);
    submit(Stream::sales, 40);
    submit(Stream::customer, 1);
    EXPECT_THAT(given(get(events + "?max=3")),
                ElementsAre(one("customer", 1), one("sales", 1), one("sales", 2)));
    // Full answers of sales for ever: telemetry comes between.
    std::string ack;
    int answers = 0;
    bool seen = false;
    for (; !seen && answers < 24; ++answers) {
        const HttpAnswer answer = get(events + "?max=1" + (ack.empty() ? "" : "&ack=" + ack));
        ack = answer.cursor();
        seen = given(answer).at(0).stream == "telemetry";
    }
    EXPECT_TRUE(seen);
    EXPECT_GT(acknowledged(Stream::sales), 5u);
}

TEST_F(PullTest, TypesThatAreNotWantedArePassedOver) {
    make();
    submit(Stream::sales, 2, "store.pos.shift.v1");
    submit(Stream::sales, 1);
    submit(Stream::sales, 1, "store.pos.shift.v1");
    const HttpAnswer sale = get(events + "?types=store.pos.sale.*,store.kiosk.*");
    EXPECT_THAT(given(sale), ElementsAre(one("sales", 3)));
    EXPECT_EQ(sale.header("touchpoint-lag"), "0");
    // Also a 204 moves the cursor: else it would be read again for ever.
    const HttpAnswer none = get(events + "?types=store.kiosk.*");
    EXPECT_EQ(none.status, 204);
    EXPECT_EQ(none.cursor(), sale.cursor());
    EXPECT_EQ(get(events + "?ack=" + none.cursor()).status, 204);
    EXPECT_EQ(acknowledged(Stream::sales), 4u);
}

TEST_F(PullTest, ALongPollGoesOnOverTypesThatAreNotWanted) {
    make();
    HttpClient waiting = begin(events + "?wait=60&types=store.pos.sale.v1");
    ASSERT_TRUE(answering(1));
    submit(Stream::sales, 3, "store.pos.shift.v1");
    submit(Stream::sales, 1);
    EXPECT_THAT(given(answer_of(waiting.read_all())), ElementsAre(one("sales", 4)));
}

TEST_F(PullTest, StreamsAreThoseOfTheConsumerOrSomeOfThem) {
    make(R"({"streams":["sales","quarantine"]})");
    submit(Stream::sales, 1);
    submit(Stream::customer, 1);
    submit(Stream::quarantine, 1);
    EXPECT_THAT(given(get(events)), ElementsAre(one("sales", 1), one("quarantine", 1)));
    const HttpAnswer some = get(events + "?streams=quarantine");
    EXPECT_THAT(given(some), ElementsAre(one("quarantine", 1)));
    ask("POST", crm + "/ack", cursor_json(some.cursor()));
    EXPECT_EQ(acknowledged(Stream::sales), 0u);
    EXPECT_EQ(acknowledged(Stream::quarantine), 1u);
    const HttpAnswer not_read = get(events + "?streams=customer");
    EXPECT_EQ(not_read.status, 400);
    EXPECT_THAT(not_read.body, HasSubstr("does not read customer"));
}

TEST_F(PullTest, ComesAsACloudEventsBatchAndCompressed) {
    make();
    submit(Stream::sales, 50);
    const std::string plain = get(events).body;
    const HttpAnswer batch = get(events, {{"Accept", "application/cloudevents-batch+json"}});
    EXPECT_EQ(batch.header("content-type"), "application/cloudevents-batch+json");
    EXPECT_THAT(batch.body, AllOf(StartsWith("[{"), testing::EndsWith("}]")));
    EXPECT_EQ(batch.header("content-encoding"), "");
    const HttpAnswer zstd = get(events, {{"Accept-Encoding", "gzip, zstd"}});
    EXPECT_EQ(zstd.header("content-encoding"), "zstd");
    EXPECT_EQ(zstd.body, uplink::compress(plain, uplink::Compression::zstd));
    const HttpAnswer gzip = get(events, {{"Accept-Encoding", "gzip;q=1.0, zstd;q=0, br"}});
    EXPECT_EQ(gzip.header("content-encoding"), "gzip");
    EXPECT_EQ(gzip.body, uplink::compress(plain, uplink::Compression::gzip));
    EXPECT_EQ(get(events, {{"Accept", "text/html"}}).status, 406);
    EXPECT_EQ(get(events, {{"Accept", "text/html, */*;q=0.1"}}).body, plain);
}

TEST_F(PullTest, AnAnswerKeepsToItsBytesAndHoldsOneEventAtLeast) {
    make();
    submit(Stream::sales, 30);
    EXPECT_THAT(given(get(events + "?max_bytes=1")), ElementsAre(one("sales", 1)));
    const HttpAnswer some = get(events + "?max_bytes=2000");
    EXPECT_LE(some.body.size(), 2000u);
    EXPECT_GT(given(some).size(), 3u);
}

TEST_F(PullTest, AGapStandsInThePlaceOfItsNumbers) {
    make();
    ASSERT_EQ(ask("PUT", "/v1/consumers/dwh").status, 201);
    submit(Stream::telemetry, 6);
    record_gap(Stream::telemetry, 2, 3);
    record_gap(Stream::telemetry, 5, 5, "dwh", "expired");
    EXPECT_THAT(given(get(events)),
                ElementsAre(one("telemetry", 1), gap("telemetry", 2, 3, "shed"), one("telemetry", 4),
                            one("telemetry", 5), one("telemetry", 6)));
    const HttpAnswer other = get("/v1/consumers/dwh/events?types=nothing");
    EXPECT_THAT(given(other), ElementsAre(gap("telemetry", 2, 3, "shed"), gap("telemetry", 5, 5, "expired")));
    EXPECT_THAT(other.body, HasSubstr(R"("consumer":"dwh")"));
}

TEST_F(PullTest, ACursorThatIsNotOursIsRefusedAndMovesNothing) {
    make();
    submit(Stream::sales, 2);
    const std::string good = get(events).cursor();
    std::string cut = good.substr(0, good.size() - 1);
    for (const std::string& bad : {std::string("42"), cut, "A" + good}) {
        const HttpAnswer refused = get(events + "?ack=" + bad);
        EXPECT_EQ(refused.status, 400);
        EXPECT_THAT(refused.body, HasSubstr(R"("type":"bad-cursor")"));
        EXPECT_EQ(ask("POST", crm + "/ack", cursor_json(bad)).status, 400);
    }
    uplink::Cursor beyond;
    beyond.epoch = store_->epoch();
    beyond.positions[Stream::sales] = 3;
    const HttpAnswer ahead = ask("POST", crm + "/ack", cursor_json(uplink::encode(beyond)));
    EXPECT_EQ(ahead.status, 400);
    EXPECT_THAT(ahead.body, HasSubstr(R"("type":"cursor-beyond")"));
    EXPECT_EQ(acknowledged(Stream::sales), 0u);
    // A refused acknowledgement does not hold the place either.
    EXPECT_EQ(get(events).status, 200);
}

TEST_F(PullTest, ACursorOfAnotherEpochIsToldThePresentOne) {
    make();
    submit(Stream::sales, 1);
    const std::string old = get(events).cursor();
    close();
    std::filesystem::remove_all(options_.folder);
    open();
    make();
    submit(Stream::sales, 1);
    const HttpAnswer refused = get(events + "?ack=" + old);
    EXPECT_EQ(refused.status, 400);
    EXPECT_THAT(refused.body,
                AllOf(HasSubstr(R"("type":"cursor-epoch")"),
                      HasSubstr("this cursor is of an earlier numbering; the present epoch is " +
                                store_->epoch() + ": read on without a cursor, from its oldest event\""),
                      HasSubstr(R"("epoch":")" + store_->epoch() + "\"")));
    EXPECT_EQ(acknowledged(Stream::sales), 0u);
}

TEST_F(PullTest, WishesThatAreNotUnderstoodAreNamed) {
    make();
    for (const auto& [query, word] :
         std::vector<std::pair<std::string, std::string>>{{"max=0", "max must be"},
                                                          {"max=10001", "max must be"},
                                                          {"max=-1", "max must be"},
                                                          {"max_bytes=2000000", "max_bytes must be"},
                                                          {"wait=61", "wait must be a number from 0 to 60"},
                                                          {"streams=sale", "there are customer, sales"},
                                                          {"streams=sales,sales", "twice"},
                                                          {"types=a*b", "types must be"},
                                                          {"stream=sales", "the parameters here are"},
                                                          {"max=1&max=2", "twice"},
                                                          {"take_over=1", "true or false"},
                                                          {"reader=a%20b", "reader must be"}}) {
        const HttpAnswer refused = get(events + "?" + query);
        EXPECT_EQ(refused.status, 400) << query;
        EXPECT_THAT(refused.body, HasSubstr(word)) << query;
    }
}

// Three platforms pull at their own pace while events come: each has each number once per acknowledged
// position, or the gap that explains it; and the events leave the disk when the last one has acknowledged.
TEST_F(PullTest, ConsumersOfDifferentSpeedEachHaveEverythingAndThenItIsDeleted) {
    constexpr Sequence each_stream = 1'200;
    const std::vector<std::pair<std::string, std::string>> pullers = {
        {"fast", "?max=1000&wait=20"},
        {"middle", "?max=170&wait=20"},
        {"slow", "?max=50&max_bytes=9000&wait=20"}};
    for (const auto& [name, query] : pullers) ASSERT_EQ(ask("PUT", "/v1/consumers/" + name).status, 201);

    std::vector<std::thread> threads;
    std::vector<std::string> faults(pullers.size());
    for (std::size_t i = 0; i < pullers.size(); ++i)
        threads.emplace_back([this, i, &pullers, &faults] {
            const std::string path = "/v1/consumers/" + pullers[i].first;
            std::map<std::string, Sequence> expected{{"sales", 1}, {"telemetry", 1}};
            std::string cursor;
            while (expected["sales"] <= each_stream || expected["telemetry"] <= each_stream) {
                const HttpAnswer answer =
                    get(path + "/events" + pullers[i].second + (cursor.empty() ? "" : "&ack=" + cursor));
                if (answer.status != 200) {
                    faults[i] = std::to_string(answer.status) + " " + answer.body;
                    return;
                }
                for (const Given& one : given(answer)) {
                    if (one.first != expected[one.stream])
                        faults[i] += one.stream + " " + std::to_string(one.first) + " came, expected " +
                                     std::to_string(expected[one.stream]) + "; ";
                    expected[one.stream] = one.last + 1;
                }
                cursor = answer.cursor();
            }
            if (ask("POST", path + "/ack", cursor_json(cursor)).status != 200)
                faults[i] += "not acknowledged";
        });
    for (Sequence n = 0; n < each_stream; n += 300) {
        submit(Stream::sales, 300);
        submit(Stream::telemetry, 300);
        if (n == 300) record_gap(Stream::telemetry, 301, 350);
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_THAT(faults, testing::Each(IsEmpty()));
    EXPECT_TRUE(wait_for([&] {
        const store::StoreStats now = store_->stats();
        return now.events[Stream::sales] == 0 && now.events[Stream::telemetry] == 0;
    }));
}

}  // namespace
}  // namespace touchpoint::tests
