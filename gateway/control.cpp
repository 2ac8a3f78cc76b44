#include "gateway/control.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <memory>
#include <utility>

#include "gateway/health.hpp"
#include "gateway/json_words.hpp"
#include "gateway/metrics.hpp"

namespace touchpoint::gateway {
namespace {

namespace json = boost::json;

template <class T>
json::object per_stream(const PerStream<T>& values) {
    json::object out;
    for (const Stream stream : all_streams) out[view(name(stream))] = values[stream];
    return out;
}

json::array conditions_json(const Snapshot& snapshot) {
    json::array out;
    for (const Condition& c : conditions(snapshot))
        out.push_back(json::object{{"code", c.code},
                                   {"subject", c.subject},
                                   {"severity", view(name(c.severity))},
                                   {"what", c.what},
                                   {"effect", c.effect},
                                   {"do", c.remedy},
                                   {"check", c.check}});
    return out;
}

json::object push_json(const Snapshot& snapshot, const PushPicture& push) {
    const uplink::PushStats& p = push.stats;
    const Backlog waits = backlog(snapshot.store, p.name);
    return {{"name", p.name},
            {"host", push.host},
            {"state", name(p.state)},
            {"since", when(p.since)},
            {"retry_at", when(p.retry_at)},
            {"last_success", when(p.last_success)},
            {"last_status", p.last_status},
            {"last_error", p.last_error},
            {"delivered", per_stream(p.delivered)},
            {"batches", p.batches},
            {"attempts", p.attempts},
            {"failures", p.failures},
            {"parked", p.parked},
            {"sent_bytes", p.bytes_sent},
            {"waiting_events", waits.events},
            {"waiting_oldest", when(waits.oldest)}};
}

json::object store_json(const store::StoreStats& store) {
    json::object oldest;
    for (const Stream stream : all_streams) oldest[view(name(stream))] = when(store.oldest[stream]);
    json::array consumers;
    for (const store::ConsumerState& c : store.consumers)
        consumers.push_back(json::object{{"name", c.name},
                                         {"kind", c.kind == store::ConsumerKind::push ? "push" : "pull"},
                                         {"configured", c.configured},
                                         {"acknowledged", per_stream(c.acknowledged)},
                                         {"waiting_events", backlog(store, c.name).events},
                                         {"last_seen", when(c.last_seen)}});
    return {{"epoch", store.epoch},
            {"horizon", per_stream(store.horizon)},
            {"first", per_stream(store.first)},
            {"events", per_stream(store.events)},
            {"chunk_bytes", per_stream(store.bytes)},
            {"oldest", std::move(oldest)},
            {"commits", store.commits},
            {"flushes", store.flushes},
            {"duplicates", store.duplicates},
            {"ids_reused", store.ids_reused},
            {"file_bytes", store.file_bytes},
            {"used_bytes", store.live_bytes},
            {"shed_bytes", store.shed_bytes},
            {"limit_bytes", store.limit_bytes},
            {"shedding", store.shedding},
            {"shed", per_stream(store.shed)},
            {"expired", per_stream(store.expired)},
            {"released", per_stream(store.released)},
            {"dedup_ids", store.dedup_ids},
            {"consumers", std::move(consumers)}};
}

json::object intake_json(const devices::IntakeStats& intake) {
    json::object rejected;
    for (const auto& [type, count] : intake.rejected_by_type) rejected[view(type)] = count;
    return {{"messages", intake.messages},
            {"admitted", per_stream(intake.admitted)},
            {"rejected", intake.rejected},
            {"rejected_by_type", std::move(rejected)},
            {"retained_ignored", intake.retained_ignored},
            {"requests", intake.requests},
            {"requests_expired", intake.requests_expired},
            {"possible_repeats", intake.possible_repeats},
            {"masked", intake.masked},
            {"receipts", intake.receipts},
            {"devices", intake.devices},
            {"devices_online", intake.devices_online}};
}

json::object link_json(const Snapshot& snapshot) {
    const devices::LinkStats& link = snapshot.link;
    return {{"broker", snapshot.broker},
            {"connected", link.connected},
            {"subscribed", link.subscribed},
            {"closed_for_room", link.closed_for_room},
            {"session_present", link.session_present},
            {"since", when(link.since)},
            {"connects", link.connects},
            {"messages", link.messages},
            {"received_bytes", link.bytes},
            {"publish_failures", link.publishes_failed},
            {"last_error", link.last_error}};
}

json::object http_json(const HttpPicture& http) {
    json::array listeners;
    for (const ListenerPicture& one : http.listeners) {
        const HttpStats& n = one.stats;
        listeners.push_back(json::object{{"listener", one.name},
                                         {"address", one.address},
                                         {"tls", one.tls},
                                         {"certificate_ends", when(one.certificate_ends)},
                                         {"connections", n.connections},
                                         {"requests", n.requests},
                                         {"refused", n.refused},
                                         {"malformed", n.malformed},
                                         {"throttled", n.throttled},
                                         {"wrong_tokens", n.wrong_tokens},
                                         {"forbidden", n.forbidden},
                                         {"handshakes_failed", n.handshakes_failed}});
    }
    return {{"listeners", std::move(listeners)}, {"tokens_file", http.tokens_file}, {"tokens", http.tokens}};
}

json::object profiles_json(const ProfilePicture& profiles) {
    json::array feeds;
    for (const uplink::FeedStats& feed : profiles.feeds)
        feeds.push_back(json::object{{"name", feed.name},
                                     {"state", view(uplink::name(feed.state))},
                                     {"lines", feed.lines},
                                     {"refused", feed.refused},
                                     {"resyncs", feed.resyncs},
                                     {"dropped", feed.dropped},
                                     {"failures", feed.failures},
                                     {"last_status", feed.last_status},
                                     {"last_error", feed.last_error},
                                     {"last_heard", when(feed.last_heard)},
                                     {"behind_since", when(feed.behind_since)}});
    return {{"profiles", profiles.stats.profiles},
            {"merged", profiles.stats.merged},
            {"used_bytes", profiles.stats.bytes},
            {"limit_bytes", profiles.stats.bytes_max},
            {"evicted", profiles.stats.evicted},
            {"damaged", profiles.stats.damaged},
            {"erasures", profiles.stats.erasures},
            {"hits", profiles.reads.hits},
            {"misses", profiles.reads.misses},
            {"limited", profiles.reads.limited},
            {"not_now", profiles.reads.not_now},
            {"wanted", profiles.reads.wanted},
            {"wanted_dropped", profiles.reads.wanted_dropped},
            {"followers", profiles.follows.followers},
            {"live_behind_events", profiles.live.behind_events},
            {"feeds", std::move(feeds)}};
}

void listen_tail(Tail& tail, const Reply& reply) {
    HttpResponse response;
    response.content_type = "application/x-ndjson";
    response.stream = tail.listen();
    if (response.stream == nullptr)
        response = not_now(503, "busy", std::to_string(Tail::listeners_max) + " listeners are there already");
    reply(std::move(response));
}

}  // namespace

std::string status_json(const Snapshot& s) {
    json::array push;
    for (const PushPicture& one : s.push) push.push_back(push_json(s, one));
    const json::object out{{"version", s.version},
                           {"gateway", s.gateway_id},
                           {"store", s.store_id},
                           {"now", when(s.now)},
                           {"started", when(s.started)},
                           {"uptime_s", s.uptime.count() / 1000},
                           {"clock_trusted", s.clock_trusted},
                           {"box_key", s.keys.box_from_credential ? "credential" : "file"},
                           {"status", status_line(s)},
                           {"conditions", conditions_json(s)},
                           {"mqtt", link_json(s)},
                           {"intake", intake_json(s.intake)},
                           {"journal", json::object{{"uncut_bytes", s.journal.uncut_bytes},
                                                    {"soft_bytes", s.journal.soft_bytes}}},
                           {"events", store_json(s.store)},
                           {"push", std::move(push)},
                           {"profiles", profiles_json(s.profiles)},
                           {"http", http_json(s.http)}};
    return json::serialize(out) + "\n";
}

std::vector<Route> local_routes(const RouteParts& parts) {
    const auto snapshot = parts.snapshot;
    Route alive = get("/healthz", [snapshot](const HttpRequest& request) {
        const bool known = request.caller.roles.has(Role::technician);
        return known ? healthz(snapshot()) : json_response("{\"status\":\"alive\"}\n");
    });
    Route ready = get("/readyz", [snapshot](const HttpRequest&) { return readyz(snapshot()); });
    Route metrics = get("/metrics", [snapshot](const HttpRequest&) {
        return text_response(metrics_text(snapshot()), metrics_content_type);
    });
    alive.roles = ready.roles = {};  // everybody
    metrics.roles = {Role::technician, Role::platform};
    return {std::move(alive), std::move(ready), std::move(metrics)};
}

std::vector<Route> control_routes(const RouteParts& parts) {
    std::vector<Route> routes = local_routes(parts);
    const auto snapshot = parts.snapshot;
    routes.push_back(
        get("/v1/status", [snapshot](const HttpRequest&) { return json_response(status_json(snapshot())); }));
    const auto backlog = parts.backlog;
    routes.push_back(get("/v1/backlog", [backlog](const HttpRequest&) { return json_response(backlog()); }));
    Tail& tail = parts.tail;
    routes.push_back(
        {"GET", "/v1/tail", [&tail](const HttpRequest&, const Reply& reply) { listen_tail(tail, reply); }});
    for (Route& route : quarantine_routes(parts.quarantine)) routes.push_back(std::move(route));
    return routes;
}

}  // namespace touchpoint::gateway
