#include "gateway/metrics.hpp"

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/metric_type.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/core/streams.hpp"
#include "gateway/health.hpp"

namespace touchpoint::gateway {
namespace {

using Labels = std::vector<std::pair<std::string, std::string>>;

// Families in the order of the text.
class Exposition {
  public:
    Exposition& counter(std::string name, std::string help) {
        return family(std::move(name), std::move(help), prometheus::MetricType::Counter);
    }
    Exposition& gauge(std::string name, std::string help) {
        return family(std::move(name), std::move(help), prometheus::MetricType::Gauge);
    }
    template <class T>
    Exposition& value(T number, const Labels& labels = {}) {
        prometheus::ClientMetric metric;
        for (const auto& [key, text] : labels) {
            prometheus::ClientMetric::Label label;
            label.name = key;
            label.value = text;
            metric.label.push_back(std::move(label));
        }
        if (families_.back().type == prometheus::MetricType::Counter)
            metric.counter.value = static_cast<double>(number);
        else
            metric.gauge.value = static_cast<double>(number);
        families_.back().metric.push_back(std::move(metric));
        return *this;
    }
    Exposition& histogram(std::string name, std::string help, const store::CommitTimes& times) {
        constexpr double us = 1e6;
        family(std::move(name), std::move(help), prometheus::MetricType::Histogram);
        prometheus::ClientMetric metric;
        std::uint64_t so_far = 0;
        for (std::size_t i = 0; i < times.bounds_us.size(); ++i) {
            so_far += times.counts[i];
            metric.histogram.bucket.push_back({so_far, times.bounds_us[i] / us});
        }
        metric.histogram.sample_count = so_far + times.counts.back();
        metric.histogram.sample_sum = static_cast<double>(times.sum.count()) / us;
        families_.back().metric.push_back(std::move(metric));
        return *this;
    }
    template <class T>
    Exposition& per_stream(const PerStream<T>& values) {
        for (const Stream stream : all_streams)
            value(values[stream], {{"stream", std::string(name(stream))}});
        return *this;
    }
    std::string text() {
        // A family without a sample would be a name that means nothing.
        std::erase_if(families_, [](const prometheus::MetricFamily& f) { return f.metric.empty(); });
        return prometheus::TextSerializer().Serialize(families_);
    }

  private:
    Exposition& family(std::string name, std::string help, prometheus::MetricType type) {
        prometheus::MetricFamily family;
        family.name = std::move(name);
        family.help = std::move(help);
        family.type = type;
        families_.push_back(std::move(family));
        return *this;
    }
    std::vector<prometheus::MetricFamily> families_;
};

double seconds(UtcTime time) { return static_cast<double>(time.ms) / 1000.0; }

void add_program(Exposition& out, const Snapshot& s) {
    out.gauge("touchpoint_build_info", "1, labelled with the version and the names of the gateway")
        .value(1, {{"version", s.version}, {"gateway", s.gateway_id}, {"store", s.store_id}});
    out.gauge("touchpoint_start_time_seconds", "When the daemon started, Unix time")
        .value(seconds(s.started));
    out.gauge("touchpoint_uptime_seconds", "Since the daemon started").value(s.uptime.count() / 1000);
    out.gauge("touchpoint_clock_synchronized", "1 when the operating system follows a time source")
        .value(s.clock_trusted ? 1 : 0);
    std::array<int, 3> by_severity{};
    for (const Condition& condition : conditions(s))
        ++by_severity[static_cast<std::size_t>(condition.severity)];
    out.gauge("touchpoint_conditions", "Troubles that touchpoint status shows now, by severity");
    for (const Severity severity : {Severity::info, Severity::warning, Severity::error})
        out.value(by_severity[static_cast<std::size_t>(severity)],
                  {{"severity", std::string(name(severity))}});
}

void add_http(Exposition& out, const HttpPicture& http) {
    const auto each = [&](std::uint64_t HttpStats::*number) {
        for (const ListenerPicture& one : http.listeners)
            out.value(one.stats.*number, {{"listener", one.name}});
    };
    out.gauge("touchpoint_http_connections", "HTTP connections open now");
    each(&HttpStats::connections);
    out.gauge("touchpoint_http_streams", "Of them, those that only listen and take nobody's place");
    each(&HttpStats::streams);
    out.counter("touchpoint_http_accepted_total", "HTTP connections accepted");
    each(&HttpStats::accepted);
    out.counter("touchpoint_http_requests_total", "HTTP requests answered");
    each(&HttpStats::requests);
    out.counter("touchpoint_http_refused_total",
                "HTTP connections refused: all places taken, too many of one address, or no right");
    each(&HttpStats::refused);
    out.counter("touchpoint_http_malformed_total", "HTTP requests that broke a rule or a limit");
    each(&HttpStats::malformed);
    out.counter("touchpoint_http_throttled_total",
                "HTTP requests and connections of addresses that ask too often or gave wrong tokens");
    each(&HttpStats::throttled);
    out.counter("touchpoint_http_wrong_tokens_total", "HTTP requests with a token that is not known");
    each(&HttpStats::wrong_tokens);
    out.counter("touchpoint_http_forbidden_total", "HTTP requests without the role, or from a foreign page");
    each(&HttpStats::forbidden);
    out.counter("touchpoint_http_handshakes_failed_total", "TLS handshakes that failed");
    each(&HttpStats::handshakes_failed);
    out.gauge("touchpoint_http_certificate_end_time_seconds",
              "When a listener's certificate ends, Unix time");
    for (const ListenerPicture& one : http.listeners)
        if (one.tls) out.value(seconds(one.certificate_ends), {{"listener", one.name}});
    out.gauge("touchpoint_http_tokens", "Access tokens known").value(http.tokens);
}

void add_intake(Exposition& out, const Snapshot& s) {
    const devices::LinkStats& link = s.link;
    out.gauge("touchpoint_mqtt_connected", "1 when connected to the broker").value(link.connected ? 1 : 0);
    out.gauge("touchpoint_mqtt_subscribed", "1 when the broker has granted our subscriptions")
        .value(link.subscribed ? 1 : 0);
    out.gauge("touchpoint_mqtt_closed_for_room",
              "1 while the connection is closed because the journal or store is full")
        .value(link.closed_for_room ? 1 : 0);
    out.counter("touchpoint_mqtt_connects_total", "Connections to the broker made").value(link.connects);
    out.counter("touchpoint_mqtt_messages_total", "Messages taken from the broker into the journal")
        .value(link.messages);
    out.counter("touchpoint_mqtt_received_bytes_total", "Payload bytes taken from the broker")
        .value(link.bytes);
    out.counter("touchpoint_mqtt_publish_failures_total",
                "Receipts, rejections and status that could not be published")
        .value(link.publishes_failed);
    out.gauge("touchpoint_journal_bytes", "Bytes in the journal that are not durable in the store yet")
        .value(s.journal.uncut_bytes);
    out.gauge("touchpoint_journal_soft_bound_bytes", "Bytes in the journal at which the link is closed")
        .value(s.journal.soft_bytes);

    const devices::IntakeStats& intake = s.intake;
    out.counter("touchpoint_intake_messages_total", "Messages decoded").value(intake.messages);
    out.counter("touchpoint_intake_events_total", "Events admitted").per_stream(intake.admitted);
    out.counter("touchpoint_intake_rejected_total", "Items that broke a rule, by the rule");
    for (const auto& [type, count] : intake.rejected_by_type) out.value(count, {{"type", type}});
    if (intake.rejected_by_type.empty()) out.value(0, {{"type", "none"}});
    out.counter("touchpoint_intake_retained_ignored_total",
                "Retained messages on event topics, which are no events")
        .value(intake.retained_ignored);
    out.counter("touchpoint_intake_requests_total", "Requests of devices over MQTT, by what became of them")
        .value(intake.requests, {{"result", "answered"}})
        .value(intake.requests_expired, {{"result", "expired"}});
    out.counter("touchpoint_intake_possible_repeats_total",
                "Messages that the broker marked as given before (DUP)")
        .value(intake.possible_repeats);
    out.counter("touchpoint_intake_masked_total", "Card-like numbers masked").value(intake.masked);
    out.counter("touchpoint_receipts_total", "Receipts sent to devices").value(intake.receipts);
    out.gauge("touchpoint_devices", "Devices known").value(intake.devices);
    out.gauge("touchpoint_devices_online", "Devices that say they are online").value(intake.devices_online);
}

void add_vault(Exposition& out, const Snapshot& s) {
    out.gauge("touchpoint_vault_used_bytes", "Pages of identities and devices that hold something")
        .value(s.cache_used_bytes);
    out.gauge("touchpoint_vault_limit_bytes", "At which no identity of a new customer is kept")
        .value(s.vault_limit_bytes);
    out.gauge("touchpoint_identities_waiting", "Raw identifiers that the vault does not take now")
        .value(s.store.identities_waiting);
    out.counter("touchpoint_identities_lost_total", "Raw identifiers given up because too many waited")
        .value(s.store.identities_lost);
}

void add_store(Exposition& out, const store::StoreStats& store) {
    out.counter("touchpoint_store_commits_total", "Commits").value(store.commits);
    out.counter("touchpoint_store_flushes_total", "Flushes to the disk").value(store.flushes);
    out.histogram("touchpoint_store_commit_seconds",
                  "From when the committer began with a commit to when a flush made it durable",
                  store.commit_times);
    out.counter("touchpoint_store_duplicates_total", "Repeats recognised by their id and not stored again")
        .value(store.duplicates);
    out.counter("touchpoint_store_ids_reused_total",
                "Events stored under an id that was used for other content")
        .value(store.ids_reused);
    out.gauge("touchpoint_store_horizon_sequence", "Last sequence that a power cut cannot take back")
        .per_stream(store.horizon);
    out.gauge("touchpoint_store_events", "Events held").per_stream(store.events);
    out.gauge("touchpoint_store_chunk_bytes", "Bytes of events held, compressed").per_stream(store.bytes);
    out.gauge("touchpoint_store_oldest_time_seconds",
              "When the oldest event held was recorded, Unix time; 0: none");
    for (const Stream stream : all_streams)
        out.value(seconds(store.oldest[stream]), {{"stream", std::string(name(stream))}});
    out.gauge("touchpoint_store_file_bytes", "Size of the events file").value(store.file_bytes);
    out.gauge("touchpoint_store_used_bytes", "Bytes of it in use").value(store.live_bytes);
    out.gauge("touchpoint_store_limit_bytes", "Bytes in use at which no more events are taken")
        .value(store.limit_bytes);
    out.counter("touchpoint_store_shed_total", "Events given up because the room was full")
        .per_stream(store.shed);
    out.counter("touchpoint_store_expired_total", "Events given up because they were too old")
        .per_stream(store.expired);
    out.counter("touchpoint_store_released_total", "Events not kept for a reader that stayed away")
        .per_stream(store.released);
    out.gauge("touchpoint_store_shedding", "1 while the oldest events are given up")
        .value(store.shedding ? 1 : 0);
    out.gauge("touchpoint_consumer_waiting_events", "Events that a reader has not acknowledged");
    for (const store::ConsumerState& consumer : store.consumers)
        out.value(static_cast<double>(backlog(store, consumer.name).events),
                  {{"consumer", consumer.name},
                   {"kind", consumer.kind == store::ConsumerKind::push ? "push" : "pull"}});
    out.gauge("touchpoint_store_dedup_ids", "Ids remembered to recognise repeats").value(store.dedup_ids);
    out.gauge("touchpoint_store_erased_persons", "Erased persons of whom events may wait")
        .value(store.erased_persons);
}

void add_profiles(Exposition& out, const ProfilePicture& profiles) {
    const store::ProfileStats& held = profiles.stats;
    out.gauge("touchpoint_profiles", "Customers' profiles in the cache").value(held.profiles);
    out.gauge("touchpoint_profiles_merged", "Ids that lead to the profile they were merged into")
        .value(held.merged);
    out.gauge("touchpoint_profiles_bytes", "Bytes of profiles on the disk, about").value(held.bytes);
    out.gauge("touchpoint_profiles_limit_bytes", "Bytes above which profiles leave").value(held.bytes_max);
    out.counter("touchpoint_profiles_evicted_total", "Profiles that left for want of room")
        .value(held.evicted);
    out.gauge("touchpoint_profiles_erasures", "Erasures that are remembered").value(held.erasures);
    out.counter("touchpoint_profiles_damaged_total", "Reads that met a profile which does not open")
        .value(held.damaged);
    const ProfileReadStats& reads = profiles.reads;
    out.counter("touchpoint_profile_reads_total", "Profiles asked for, by what was found")
        .value(reads.hits, {{"result", "hit"}})
        .value(reads.misses, {{"result", "miss"}})
        .value(reads.limited, {{"result", "limited"}})
        .value(reads.not_now, {{"result", "not_now"}});
    out.gauge("touchpoint_profiles_wanted", "Customers asked for who are not here").value(reads.wanted);
    out.counter("touchpoint_profiles_wanted_dropped_total", "Of them, forgotten because the list was full")
        .value(reads.wanted_dropped);
    out.gauge("touchpoint_profile_followers", "Who is told of changes of a profile")
        .value(profiles.follows.followers);
    out.counter("touchpoint_profile_changes_told_total", "Changes that followers were told")
        .value(profiles.follows.told);
    out.gauge("touchpoint_loop_lag_max_seconds",
              "Longest time that the loop was late by, in the last minute or two")
        .value(static_cast<double>(profiles.follows.longest_lag.count()) / 1000);
}

void add_live(Exposition& out, const LivePictureStats& live) {
    out.gauge("touchpoint_live_pictures_behind_events", "Events that are not in the customers' pictures yet")
        .value(live.behind_events);
    out.gauge("touchpoint_live_pictures_trouble", "1 while the pictures cannot be kept")
        .value(live.trouble ? 1 : 0);
}

void add_feeds(Exposition& out, const std::vector<uplink::FeedStats>& feeds) {
    const auto each = [&](const auto& number) {
        for (const uplink::FeedStats& feed : feeds) out.value(number(feed), {{"feed", feed.name}});
    };
    out.gauge("touchpoint_feed_state", "1 for the state a feed of profiles is in");
    for (const uplink::FeedStats& feed : feeds)
        for (const uplink::PushState state : {uplink::PushState::idle, uplink::PushState::delivering,
                                              uplink::PushState::retrying, uplink::PushState::paused})
            out.value(feed.state == state ? 1 : 0, {{"feed", feed.name}, {"state", name(state)}});
    out.counter("touchpoint_feed_lines_total", "Lines that came");
    each([](const uplink::FeedStats& f) { return f.lines; });
    out.counter("touchpoint_feed_lines_refused_total", "Lines that could not be read or taken");
    each([](const uplink::FeedStats& f) { return f.refused; });
    out.counter("touchpoint_feed_resyncs_total", "Times that it was read from the beginning");
    each([](const uplink::FeedStats& f) { return f.resyncs; });
    out.counter("touchpoint_feed_profiles_dropped_total", "Profiles that a resync did not name");
    each([](const uplink::FeedStats& f) { return f.dropped; });
    out.counter("touchpoint_feed_failures_total", "Questions without a useful answer");
    each([](const uplink::FeedStats& f) { return f.failures; });
    out.gauge("touchpoint_feed_last_heard_time_seconds",
              "Last useful answer, Unix time; 0: none in this run");
    each([](const uplink::FeedStats& f) { return seconds(f.last_heard); });
    out.gauge("touchpoint_feed_behind_since_time_seconds",
              "Since when it is not at its end, Unix time; 0: it is");
    each([](const uplink::FeedStats& f) { return seconds(f.behind_since); });
}

void add_push(Exposition& out, const Snapshot& s) {
    const auto each = [&](const auto& number) {
        for (const PushPicture& push : s.push)
            out.value(number(push.stats), {{"destination", push.stats.name}});
    };
    out.gauge("touchpoint_push_state", "1 for the state a destination is in");
    for (const PushPicture& push : s.push)
        for (const uplink::PushState state : {uplink::PushState::idle, uplink::PushState::delivering,
                                              uplink::PushState::retrying, uplink::PushState::paused})
            out.value(push.stats.state == state ? 1 : 0,
                      {{"destination", push.stats.name}, {"state", name(state)}});
    out.counter("touchpoint_push_events_total", "Events that the destination acknowledged");
    for (const PushPicture& push : s.push)
        for (const Stream stream : all_streams)
            out.value(push.stats.delivered[stream],
                      {{"destination", push.stats.name}, {"stream", std::string(name(stream))}});
    out.counter("touchpoint_push_batches_total", "Batches that the destination acknowledged");
    each([](const uplink::PushStats& p) { return p.batches; });
    out.counter("touchpoint_push_attempts_total", "Requests sent");
    each([](const uplink::PushStats& p) { return p.attempts; });
    out.counter("touchpoint_push_failures_total", "Requests that did not deliver");
    each([](const uplink::PushStats& p) { return p.failures; });
    out.counter("touchpoint_push_parked_total", "Events that the destination refused for good");
    each([](const uplink::PushStats& p) { return p.parked; });
    out.counter("touchpoint_push_sent_bytes_total", "Bytes of bodies sent, compressed");
    each([](const uplink::PushStats& p) { return p.bytes_sent; });
    out.gauge("touchpoint_push_last_success_time_seconds",
              "Last acknowledgement, Unix time; 0: none in this run");
    each([](const uplink::PushStats& p) { return seconds(p.last_success); });
    out.gauge("touchpoint_push_waiting_events", "Events between the destination's position and the horizon");
    each([&](const uplink::PushStats& p) { return backlog(s.store, p.name).events; });
}

}  // namespace

std::string metrics_text(const Snapshot& snapshot) {
    Exposition out;
    add_program(out, snapshot);
    add_http(out, snapshot.http);
    add_intake(out, snapshot);
    add_vault(out, snapshot);
    add_store(out, snapshot.store);
    add_profiles(out, snapshot.profiles);
    add_live(out, snapshot.profiles.live);
    add_feeds(out, snapshot.profiles.feeds);
    add_push(out, snapshot);
    return out.text();
}

}  // namespace touchpoint::gateway
