// /metrics, judged by promtool.
#include "gateway/metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/gateway/pictures.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace touchpoint::gateway {
namespace {

using testing::HasSubstr;

Snapshot busy() {
    Snapshot s = tests::healthy();
    s.intake.rejected_by_type = {{"not-json", 3}, {"too-large", 1}};
    s.intake.admitted[Stream::sales] = 17;
    s.push[0].stats.state = uplink::PushState::delivering;
    ListenerPicture listener;
    listener.name = "local";
    listener.tls = true;
    listener.certificate_ends = {1'790'000'000'000};
    listener.stats.wrong_tokens = 3;
    listener.stats.throttled = 4;
    listener.stats.refused = 5;
    s.http.listeners.push_back(listener);
    return s;
}

TEST(MetricsTest, NumbersStandUnderTheirNamesAndLabels) {
    const std::string text = metrics_text(busy());
    EXPECT_THAT(text, HasSubstr("touchpoint_intake_events_total{stream=\"sales\"} 17\n"));
    EXPECT_THAT(text, HasSubstr("touchpoint_intake_rejected_total{type=\"not-json\"} 3\n"));
    EXPECT_THAT(text, HasSubstr("touchpoint_push_state{destination=\"platform\",state=\"delivering\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("touchpoint_http_wrong_tokens_total{listener=\"local\"} 3\n"));
    EXPECT_THAT(text, HasSubstr("touchpoint_http_throttled_total{listener=\"local\"} 4\n"));
    EXPECT_THAT(text, HasSubstr("touchpoint_http_refused_total{listener=\"local\"} 5\n"));
    EXPECT_THAT(text,
                HasSubstr("touchpoint_http_certificate_end_time_seconds{listener=\"local\"} 1790000000\n"));
    EXPECT_THAT(text, HasSubstr("# HELP touchpoint_mqtt_connected 1 when connected to the broker\n"));
}

TEST(MetricsTest, BucketsCountAllThatTookNoLonger) {
    Snapshot s = tests::healthy();
    s.store.commit_times = {};
    s.store.commit_times.add(std::chrono::microseconds(1'000));  // a bound is in its bucket
    s.store.commit_times.add(std::chrono::microseconds(1'001));
    s.store.commit_times.add(std::chrono::seconds(20));
    const std::string text = metrics_text(s);
    EXPECT_THAT(text, HasSubstr("touchpoint_store_commit_seconds_bucket{le=\"0.00068\"} 0\n"));
    EXPECT_THAT(text, HasSubstr("touchpoint_store_commit_seconds_bucket{le=\"0.001\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("touchpoint_store_commit_seconds_bucket{le=\"0.0015\"} 2\n"));
    EXPECT_THAT(text, HasSubstr("touchpoint_store_commit_seconds_bucket{le=\"10\"} 2\n"));
    EXPECT_THAT(text, HasSubstr("touchpoint_store_commit_seconds_bucket{le=\"+Inf\"} 3\n"));
    EXPECT_THAT(text, HasSubstr("touchpoint_store_commit_seconds_count 3\n"));
    EXPECT_THAT(text, HasSubstr("touchpoint_store_commit_seconds_sum 20.002001\n"));
}

TEST(MetricsTest, PromtoolHasNoComplaint) {
    tests::TempFolder folder;
    if (tests::Process({"sh", "-c", "command -v promtool"}, folder.path() / "which").wait() != 0)
        GTEST_SKIP() << "SKIPPED: promtool (package prometheus) is not installed";
    for (const Snapshot& snapshot : {busy(), Snapshot{}}) {
        tests::write_file(folder.path() / "metrics", metrics_text(snapshot));
        tests::Process check({"sh", "-c", "promtool check metrics < \"$METRICS\""}, folder.path() / "out",
                             {{"METRICS", (folder.path() / "metrics").string()}});
        EXPECT_EQ(check.wait(), 0);
        EXPECT_EQ(tests::read_file(folder.path() / "out"), "");
    }
}

}  // namespace
}  // namespace touchpoint::gateway
