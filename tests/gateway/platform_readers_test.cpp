// Who reads as a consumer, and what becomes of a reader that is displaced, gone, or at the gateway's end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <string>

#include "tests/gateway/held_flush.hpp"
#include "tests/gateway/platform_shop.hpp"
#include "tests/support/wait.hpp"

namespace touchpoint::tests {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string crm = "/v1/consumers/crm";
const std::string events = crm + "/events";

class ReadersTest : public PlatformShop {
  protected:
    void SetUp() override {
        open();
        ASSERT_EQ(ask("PUT", crm).status, 201);
    }
};

TEST_F(ReadersTest, ASecondOneIsToldThatSomebodyReads) {
    HttpClient first = begin(events + "?wait=60");
    ASSERT_TRUE(answering(1));
    const HttpAnswer second = get(events);
    EXPECT_EQ(second.status, 409);
    EXPECT_THAT(second.body, AllOf(HasSubstr(R"("type":"consumer-busy")"), HasSubstr("take_over=true")));
    EXPECT_GE(std::stoi(second.header("retry-after")), 1);
    EXPECT_LE(std::stoi(second.header("retry-after")), 60);
    // Looking at it and acknowledging are not reading.
    EXPECT_EQ(get(crm).status, 200);
    submit(Stream::sales, 1);
    EXPECT_THAT(given(answer_of(first.read_all())), ElementsAre(one("sales", 1)));
    EXPECT_EQ(get(events).status, 200);
}

TEST_F(ReadersTest, TakingOverEndsTheOthersWait) {
    HttpClient first = begin(events + "?wait=60&reader=a");
    ASSERT_TRUE(answering(1));
    HttpClient second = begin(events + "?wait=60&reader=b&take_over=true");
    const HttpAnswer displaced = answer_of(first.read_all());
    EXPECT_EQ(displaced.status, 409);
    EXPECT_THAT(displaced.body, HasSubstr(R"("type":"taken-over")"));
    submit(Stream::sales, 1);
    EXPECT_THAT(given(answer_of(second.read_all())), ElementsAre(one("sales", 1)));
    EXPECT_EQ(get(events + "?reader=a").status, 409);
    EXPECT_EQ(get(events + "?reader=b").status, 200);
}

TEST_F(ReadersTest, AnIdKeepsThePlaceBetweenRequestsForAMinute) {
    EXPECT_EQ(get(events + "?reader=a").status, 204);
    const HttpAnswer other = get(events + "?reader=b");
    EXPECT_EQ(other.status, 409);
    EXPECT_EQ(other.header("retry-after"), "60");
    EXPECT_EQ(get(events).status, 409);
    clock_.advance(std::chrono::seconds(30));
    const std::string here = get(events + "?reader=a").cursor();
    clock_.advance(std::chrono::seconds(50));
    EXPECT_EQ(ask("POST", crm + "/ack?reader=a", R"({"cursor":")" + here + "\"}").status, 200);
    clock_.advance(std::chrono::seconds(50));
    EXPECT_EQ(get(events + "?reader=b").status, 409);
    clock_.advance(std::chrono::seconds(10));
    EXPECT_EQ(get(events + "?reader=b").status, 204);
}

TEST_F(ReadersTest, AReaderThatReconnectsDisplacesItself) {
    HttpClient lost = begin(events + "?wait=60&reader=a");
    ASSERT_TRUE(answering(1));
    EXPECT_EQ(get(events + "?reader=a").status, 204);
    EXPECT_EQ(answer_of(lost.read_all()).status, 409);
}

TEST_F(ReadersTest, AClientThatLeavesFreesItsPlace) {
    {
        HttpClient leaves = begin(events + "?wait=60");
        ASSERT_TRUE(answering(1));
    }
    EXPECT_TRUE(answering(0));
    EXPECT_EQ(get(events).status, 204);
}

TEST_F(ReadersTest, ASeekWaitsForNoReaderAndIsRefusedBesideOne) {
    submit(Stream::sales, 2);
    EXPECT_EQ(get(events + "?reader=a").status, 200);
    const HttpAnswer refused = ask("POST", crm + "/seek", R"({"to":"latest"})");
    EXPECT_EQ(refused.status, 409);
    EXPECT_THAT(refused.body, HasSubstr(R"("type":"consumer-busy")"));
    EXPECT_EQ(ask("POST", crm + "/seek?reader=a", R"({"to":"latest"})").status, 200);
    EXPECT_EQ(ask("POST", crm + "/seek?take_over=true", R"({"to":"oldest"})").status, 200);
    HttpClient waiting = begin(events + "?wait=60&max=1&streams=telemetry");
    ASSERT_TRUE(answering(1));
    EXPECT_EQ(ask("POST", crm + "/seek?take_over=true", R"({"to":"latest"})").status, 200);
    EXPECT_EQ(answer_of(waiting.read_all()).status, 409);
}

TEST_F(ReadersTest, ADeletedConsumersReaderIsToldSo) {
    HttpClient waiting = begin(events + "?wait=60");
    ASSERT_TRUE(answering(1));
    EXPECT_EQ(ask("DELETE", crm).status, 204);
    const HttpAnswer ended = answer_of(waiting.read_all());
    EXPECT_EQ(ended.status, 404);
    EXPECT_THAT(ended.body, HasSubstr("deleted"));
    EXPECT_EQ(ask("PUT", crm).status, 201);
    EXPECT_EQ(get(events).status, 204);
}

TEST_F(ReadersTest, AtTheGatewaysEndNobodyIsLeftWaiting) {
    HttpClient named = begin(events + "?wait=60");
    HttpClient ad_hoc = begin("/v1/events?from=latest&wait=60");
    ASSERT_TRUE(answering(2));
    loop_.on_loop([&] { pull_->stop(); });
    for (HttpClient* client : {&named, &ad_hoc}) {
        const HttpAnswer ended = answer_of(client->read_all());
        EXPECT_EQ(ended.status, 503);
        EXPECT_THAT(ended.body, HasSubstr(R"("type":"stopping")"));
        EXPECT_NE(ended.header("retry-after"), "");
    }
    EXPECT_EQ(get(events).status, 503);
}

TEST_F(ReadersTest, MoreRequestsThanThereArePlacesAreToldToComeBack) {
    std::size_t refused = 0;
    loop_.on_loop([&] {
        for (std::size_t i = 0; i <= uplink::Pull::requests_max; ++i) {
            uplink::PullRead wanted;
            wanted.place.kind = uplink::PullPlace::Kind::latest;
            wanted.wait = uplink::Pull::wait_max;
            pull_->read(wanted, [&](const auto& result) {
                if (!result && result.error().fault == uplink::PullFault::busy) ++refused;
            });
        }
    });
    EXPECT_EQ(refused, 1u);
    EXPECT_TRUE(answering(uplink::Pull::requests_max));
    EXPECT_EQ(get(events).status, 503);
}

long switches() {
    rusage used{};
    getrusage(RUSAGE_SELF, &used);
    return used.ru_nvcsw;
}

// A gap that is committed and not flushed may not be told; a read that waits for it once asked the store
// again and again, as fast as it could, for as long as the disk took.
TEST_F(ReadersTest, AReadThatWaitsForASlowFlushSleepsAndHasTheGapWhenItIsDone) {
    close();
    options_.age_max[Stream::telemetry] = std::chrono::hours(1);
    open();
    submit(Stream::telemetry, 3);
    clock_.advance(std::chrono::hours(2));
    HeldFlush flush(1);  // that inside the commit passes, that of the horizon does not
    store::Submission sale;
    sale.events.emplace_back();
    sale.events.back().stream = Stream::sales;
    sale.events.back().urgent = true;
    sale.events.back().members = R"("id":"s1","type":"store.pos.sale.v1")";
    ASSERT_TRUE(store_->submit(std::move(sale)));
    ASSERT_TRUE(wait_for([&] { return flush.holds(); }));
    const long before = switches();
    EXPECT_EQ(get(events + "?streams=telemetry&wait=1").status, 204);
    EXPECT_LT(switches() - before, 300);
    HttpClient waiting = begin(events + "?streams=telemetry&wait=30");
    ASSERT_TRUE(answering(1));
    flush.let_go();
    EXPECT_THAT(given(answer_of(waiting.read_all())), ElementsAre(gap("telemetry", 1, 3, "expired")));
}

}  // namespace
}  // namespace touchpoint::tests
