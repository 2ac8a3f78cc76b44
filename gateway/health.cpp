#include "gateway/health.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "gateway/core/json_text.hpp"

namespace touchpoint::gateway {
namespace {

using std::chrono::milliseconds;

// A trouble that heals by itself within this time is not shown: brokers restart, platforms hiccup.
constexpr milliseconds broker_grace{10'000};
constexpr milliseconds platform_grace{60'000};
constexpr milliseconds address_grace{60'000};  // since the start: the network comes later than we do
// Of the room for events.
constexpr std::uint64_t filling_percent = 80;
constexpr std::uint64_t full_percent = 95;

constexpr const char* status_command = "touchpoint status";

// With the file that this gateway was started with.
std::string check_config(const Snapshot& s) {
    return s.config_file == default_config_file ? "touchpointd --check-config"
                                                : "touchpointd --config " + s.config_file + " --check-config";
}

bool platform_may_pull(const Snapshot& s) {
    return std::any_of(s.http.listeners.begin(), s.http.listeners.end(),
                       [](const ListenerPicture& one) { return one.name == "platform"; });
}

bool lasted(const Snapshot& s, UtcTime since, milliseconds grace) { return s.now - since >= grace; }

std::uint64_t used_percent(const store::StoreStats& store) {
    return store.limit_bytes == 0 ? 0 : store.live_bytes * 100 / store.limit_bytes;
}

bool full(const store::StoreStats& store) { return store.full || used_percent(store) >= full_percent; }

std::uint64_t held(const store::StoreStats& store) {
    std::uint64_t events = 0;
    for (const Stream stream : all_streams) events += store.events[stream];
    return events;
}

std::string waiting(const Snapshot& s, const Backlog& b) {
    if (b.events == 0) return "No event waits.";
    std::string text = counted(b.events, "event") + (b.events == 1 ? " waits" : " wait") + " on disk";
    if (b.oldest.ms != 0) text += ", the oldest for " + spoken(s.now - b.oldest);
    text += "; " + std::to_string(used_percent(s.store)) + " % of the room is used.";
    return s.store.shedding ? text : text + " Nothing is lost.";
}

// "1,284 telemetry, 3 quarantine events were shed; 12 interactions expired"; empty: none.
std::string given_up(const store::StoreStats& store) {
    const auto part = [](const PerStream<std::uint64_t>& counts, const std::string& what) {
        std::string text;
        for (const Stream stream : all_streams)
            if (counts[stream] != 0)
                text +=
                    (text.empty() ? "" : ", ") + grouped(counts[stream]) + " of " + std::string(name(stream));
        return text.empty() ? text : text + ' ' + what;
    };
    std::string text;
    for (const std::string& one :
         {part(store.shed, "were shed for want of room"), part(store.expired, "were too old"),
          part(store.released, "were not kept for a reader that stayed away")})
        if (!one.empty()) text += (text.empty() ? "" : "; ") + one;
    return text;
}

void add_store(const Snapshot& s, std::vector<Condition>& out) {
    if (s.store_failed)
        out.push_back(
            {"store-failed", "", Severity::error, "the disk refused a write",
             "The gateway stops and starts again; what it took stays in its journal. Devices get no "
             "receipts meanwhile.",
             "look at the disk: dmesg --level=err,warn; replace the card if it reports errors",
             "journalctl -u touchpoint -n 50"});
    if (s.cache_failed)
        out.push_back(
            {"cache-failed", "", Severity::error, "the disk refused a write of profiles or identities",
             "Events are complete. Touchpoints get no profiles, and raw identifiers of customers who are new "
             "since then are lost, until the gateway starts again: by itself ten minutes after its last "
             "start.",
             "look at the disk: dmesg --level=err,warn; replace the card if it reports errors; to "
             "start again now: systemctl restart touchpoint",
             "journalctl -u touchpoint -n 50"});
    const std::uint64_t used = used_percent(s.store);
    const std::string room = spoken_bytes(s.store.live_bytes) + " of " + spoken_bytes(s.store.limit_bytes) +
                             " (" + std::to_string(used) + " %) hold " + counted(held(s.store), "event") +
                             ". ";
    if (full(s.store))
        out.push_back(
            {"store-full", "", Severity::error, "the room for events is full",
             room + "New events stay with the broker until there is room; when its queue is full too, they "
                    "are lost.",
             "bring the platform back (see below); is the disk itself full (df)? or raise store.bytes in " +
                 s.config_file,
             status_command});
    else if (s.store.shedding)
        out.push_back(
            {"store-shedding", "", Severity::error, "the room for events is full: the oldest are given up",
             room + "Quarantine goes first, then telemetry, then interactions; sales and what concerns "
                    "customers "
                    "are kept. The platform is told which numbers are missing.",
             "bring the platform back (see below), or raise store.bytes in " + s.config_file,
             "touchpoint backlog"});
    else if (used >= filling_percent)
        out.push_back({"store-filling", "", Severity::warning, "the room for events is filling",
                       room + "Nothing is lost yet.",
                       "bring the platform back (see below), or raise store.bytes in " + s.config_file,
                       status_command});
    if (const std::string gone = given_up(s.store); !gone.empty())
        out.push_back({"events-given-up", "", Severity::info, gone,
                       "They will not come; the platform gets a gap in their place that says which and why.",
                       "nothing, if that was meant; else raise store.bytes or the ages in " + s.config_file,
                       "touchpoint backlog"});
    if (s.store.replaced)
        out.push_back(
            {"events-replaced", "", Severity::error,
             "the event store was damaged or gone at this start, and a new one begun",
             "What it held and had not delivered stays behind in events.damaged-1, if that is there; the "
             "platform is told which numbers are missing. New events are safe.",
             "keep the folder events.damaged-1 for support; check the disk: dmesg | grep -i error",
             "ls /var/lib/touchpoint"});
    if (!s.store.identities_trouble.empty()) {
        const std::string lost = s.store.identities_lost == 0
                                     ? std::string()
                                     : " Of " + grouped(s.store.identities_lost) + " it is lost already.";
        const std::string effect =
            "Events are complete, under the pseudonym. Of " + grouped(s.store.identities_waiting) +
            " customers who are new the raw identifier waits in memory; destinations with identifiers = "
            "\"raw\" get the pseudonym for them." +
            lost;
        if (s.store.vault_full)
            out.push_back(
                {"vault-full", "", Severity::error, "identity vault full", effect,
                 "is the disk full (df)? else, when nothing waits that needs a raw identifier (touchpoint "
                 "backlog): systemctl stop touchpoint; rm -r /var/lib/touchpoint/cache; systemctl start "
                 "touchpoint",
                 status_command});
        else
            out.push_back({"vault-unwritable", "", Severity::error,
                           "raw identifiers cannot be written: " + s.store.identities_trouble, effect,
                           "look at the disk: dmesg --level=err,warn", status_command});
    }
    if (s.cache_replaced)
        out.push_back(
            {"cache-replaced", "", Severity::warning,
             "the cache of devices, identities and profiles was damaged and begun anew",
             "Events are complete. Raw identifiers of customers that waited are gone: destinations with "
             "identifiers = \"raw\" get the pseudonym for them. Customers are strangers at the till, and "
             "erased ones are not refused, until the platform sends its profiles again.",
             "let the platform send its profiles again (a change feed does so by itself); if it happens "
             "again, replace the disk",
             "ls /var/lib/touchpoint"});
}

void add_link(const Snapshot& s, std::vector<Condition>& out) {
    const devices::LinkStats& link = s.link;
    if (link.closed_for_room) {
        if (!full(s.store) && lasted(s, link.since, broker_grace))
            out.push_back({"intake-paused", "", Severity::warning,
                           "events come faster than the disk takes them; the connection to the broker is "
                           "closed for now",
                           "The broker keeps what devices send (" + spoken_bytes(s.journal.uncut_bytes) +
                               " wait in the journal). Receipts are late.",
                           "if this stays: look for a slow or worn card, or devices that send too much",
                           status_command});
    } else if (!link.refusal.empty()) {
        out.push_back(
            {"subscription-refused", "", Severity::error,
             "the broker " + s.broker + " does not let the gateway read (" + link.refusal + ")",
             "No event comes in over MQTT, and what devices send is not kept for the gateway. It tries again "
             "by "
             "itself every few seconds.",
             "allow this client to read touchpoint/v1/# in the broker's access rules; is mqtt.username "
             "right?",
             status_command});
    } else if (!link.connected && lasted(s, link.since, broker_grace)) {
        out.push_back({"broker-unreachable", "", Severity::error,
                       "no connection to the broker " + s.broker +
                           (link.last_error.empty() ? std::string() : " (" + link.last_error + ")"),
                       "No event comes in over MQTT since " + spoken(s.now - link.since) +
                           "; HTTP goes on. Devices that cannot reach the broker keep their events or lose "
                           "them, as they are built.",
                       "systemctl status touchpoint-broker; is mqtt.url right, and the password?",
                       status_command});
    }
}

// A pull consumer's last sign of life is written hourly.
constexpr std::chrono::hours reader_grace{3};

bool is_pull(const store::ConsumerState& consumer) { return consumer.kind == store::ConsumerKind::pull; }

// What a destination that is paused refuses, as one reads it in the status of its answer.
struct Refusal {
    const char* code;
    const char* words;
    std::string remedy;
};

Refusal refusal(int status, const std::string& config) {
    if (status == 401 || status == 403 || status == 407)
        return {"uplink-credential", "the platform refuses this gateway's credential",
                "put the new token or password into the file that the destination names in " + config +
                    "; it is read at the next try"};
    if (status == 404 || status == 410 || (status >= 300 && status < 400))
        return {"uplink-address", "the platform does not know this address",
                "correct the url of the destination in " + config + ", then: systemctl restart touchpoint"};
    return {
        "uplink-refused", "the platform refuses whatever this gateway sends",
        "show this to the platform's operator: not single events are refused, but all; is the destination's "
        "format right in " +
            config + "?"};
}

void add_pictures(const Snapshot& s, std::vector<Condition>& out) {
    if (!s.profiles.live.trouble) return;
    out.push_back(
        {"pictures-unwritable", "", Severity::error,
         "what customers do in this store is not kept for the other touchpoints",
         "Events are complete. Touchpoints read profiles as the platform sent them; after a restart what "
         "happened since the trouble began is read again from the events that are still held.",
         "is the disk full or broken? journalctl -u touchpoint says why", status_command});
}

void add_feeds(const Snapshot& s, std::vector<Condition>& out) {
    for (const uplink::FeedStats& feed : s.profiles.feeds) {
        const std::string why = !feed.last_error.empty() ? feed.last_error
                                : feed.last_status != 0  ? "HTTP " + std::to_string(feed.last_status)
                                                         : "no answer";
        const std::string known =
            feed.last_heard.ms == 0
                ? "It was not heard since this start: touchpoints see what was known before."
                : "Touchpoints see profiles as they were " + spoken(s.now - feed.last_heard) +
                      " ago. Nothing is lost.";
        if (feed.state == uplink::PushState::paused)
            out.push_back({"profile-feed-refused", feed.name, Severity::error,
                           "the platform refuses the question for profiles (" + why + ")", known,
                           "are url and credential of [profiles.feed] in " + s.config_file + " right?",
                           std::string(status_command) + "; tries again by itself every minute or so"});
        else if (feed.state == uplink::PushState::retrying && lasted(s, feed.since, platform_grace))
            out.push_back(
                {"profile-feed-away", feed.name, Severity::warning,
                 "no profiles from the platform for " + spoken(s.now - feed.since) + " (" + why + ")", known,
                 "is the internet there? else wait for the platform", status_command});
    }
}

void add_push(const Snapshot& s, std::vector<Condition>& out) {
    for (const PushPicture& push : s.push) {
        const uplink::PushStats& stats = push.stats;
        const Backlog waits = backlog(s.store, stats.name);
        const std::string place = push.host + ", destination " + stats.name;
        const std::string check = std::string(status_command) + "; tries again by itself every minute or so";
        if (stats.state == uplink::PushState::paused) {
            const Refusal what = refusal(stats.last_status, s.config_file);
            out.push_back(
                {what.code, stats.name, Severity::error,
                 std::string(what.words) + " (HTTP " + std::to_string(stats.last_status) + ", " + place + ")",
                 waiting(s, waits), what.remedy, check});
        } else if (stats.state == uplink::PushState::retrying && lasted(s, stats.since, platform_grace)) {
            const std::string why = !stats.last_error.empty() ? stats.last_error
                                    : stats.last_status != 0  ? "HTTP " + std::to_string(stats.last_status)
                                                              : "no answer";
            out.push_back(
                {"uplink-away", stats.name, Severity::warning,
                 "the platform has not taken events for " + spoken(s.now - stats.since) + " (" + why + ", " +
                     place + ")",
                 waiting(s, waits),
                 "is the internet there? else wait for the platform: the gateway sends everything by itself",
                 status_command});
        }
        if (stats.parked != 0)
            out.push_back(
                {"uplink-parked", stats.name, Severity::warning,
                 "the platform refused " + counted(stats.parked, "event") + " for good (" + place + ")",
                 "They are left out and not kept for it. Where it did not name them itself, a gap in their "
                 "place tells it which. Later events pass.",
                 "show the platform's operator the lines of the log: stream, sequence and HTTP status",
                 "journalctl -u touchpoint -g 'refused for good'"});
    }
    const auto& consumers = s.store.consumers;
    const bool pulled = std::any_of(consumers.begin(), consumers.end(), is_pull);
    if (s.push.empty() && !pulled)
        out.push_back({"uplink-none", "", Severity::warning, "nobody takes the events",
                       counted(held(s.store), "event") +
                           (held(s.store) == 1 ? " is on disk and stays" : " are on disk and stay") +
                           " there until the room is full.",
                       platform_may_pull(s)
                           ? "give the platform its address and token: [http.platform] of " + s.config_file +
                                 " is there for it to pull; or add an [[uplink.push]] table, then: systemctl "
                                 "restart touchpoint"
                           : "add an [[uplink.push]] table to " + s.config_file +
                                 ", then: systemctl restart touchpoint; or let the platform pull "
                                 "([http.platform])",
                       check_config(s)});
    for (const store::ConsumerState& consumer : consumers) {
        const Backlog waits = backlog(s.store, consumer.name);
        if (waits.events == 0) continue;
        if (!consumer.configured)
            out.push_back({"consumer-removed", consumer.name, Severity::warning,
                           "the destination " + consumer.name +
                               " was removed from the configuration and still holds events",
                           counted(waits.events, "event") + (waits.events == 1 ? " is" : " are") +
                               " kept for it and never sent, until store.removed_age_h is over.",
                           "put it back into " + s.config_file + " if that was a mistake", status_command});
        else if (is_pull(consumer) && consumer.last_seen.ms != 0 && s.now - consumer.last_seen > reader_grace)
            out.push_back(
                {"consumer-away", consumer.name, Severity::warning,
                 "the reader " + consumer.name + " has not pulled for " + spoken(s.now - consumer.last_seen),
                 waiting(s, waits),
                 "ask the platform's operator; a reader that is not used any more is taken away by "
                 "DELETE /v1/consumers/" +
                     consumer.name,
                 "touchpoint backlog"});
    }
    for (const std::string& name : s.store.forgotten)
        out.push_back({"consumer-forgotten", name, Severity::info,
                       "the destination " + name + " was removed from the configuration long ago",
                       "Nothing is kept for it any more.", "nothing", "touchpoint backlog"});
}

void add_keys(const Snapshot& s, std::vector<Condition>& out) {
    for (const std::string& file : s.keys.readable_by_others)
        out.push_back(
            {"key-readable", file, Severity::warning,
             "the key " + file + " can be read by others than the gateway",
             "Who has read it and gets hold of the disk can open what is encrypted there, or tell whose "
             "pseudonym one is.",
             "chmod 400 " + file + ", then: systemctl restart touchpoint", "ls -l " + file});
    if (s.keys.box_also_in_file)
        out.push_back({"box-key-on-disk", "", Severity::info,
                       "the box key comes from a credential and lies beside the data, too",
                       "Who takes the disk away has the key of what is encrypted on it.",
                       "keep a backup of the key elsewhere, then remove keys/box.key below store.path",
                       status_command});
}

constexpr std::chrono::hours certificate_warned_before{24 * 14};

void add_http(const Snapshot& s, std::vector<Condition>& out) {
    if (!s.http.tokens_trouble.empty())
        out.push_back(
            {"tokens-unreadable", "", Severity::error,
             "the file of access tokens cannot be used: " + s.http.tokens_trouble,
             s.http.tokens == 0
                 ? "Nobody is let in by HTTP who needs a token. Events over MQTT are not concerned."
                 : "The tokens from before (" + grouped(s.http.tokens) +
                       ") are still right, also those that were revoked since.",
             "correct the file, or make it anew: touchpoint token create; it is read again by itself",
             "touchpoint token list"});
    for (const ListenerPicture& one : s.http.listeners) {
        if (one.address_missing && s.uptime >= address_grace)
            out.push_back(
                {"listener-address", one.name, Severity::warning,
                 "this box does not have the address of the listener " + one.name + " (" + one.address + ")",
                 "Nobody reaches it by HTTP until the box has this address. Events over MQTT are not "
                 "concerned.",
                 "is the network cable in, and has the box got its address? else correct http." + one.name +
                     ".listen in " + s.config_file + ", then: systemctl restart touchpoint",
                 "ip address"});
        const std::string check =
            "openssl s_client -connect HOST:PORT </dev/null | openssl x509 -noout -dates";
        if (!one.certificate_trouble.empty())
            out.push_back({"certificate-unreadable", one.name, Severity::error,
                           "the new certificate of the listener " + one.name +
                               " was not taken over: " + one.certificate_trouble,
                           "The one from before is still shown.",
                           "correct tls_cert and tls_key of http." + one.name + " in " + s.config_file +
                               ", then: systemctl reload touchpoint",
                           check});
        const std::string ends =
            one.tls ? certificate_ends(one.name, one.certificate_ends, s.now) : std::string();
        if (ends.empty()) continue;
        const bool over = one.certificate_ends < s.now;
        out.push_back({"certificate-ends", one.name, over ? Severity::error : Severity::warning, ends,
                       over ? "Clients that check it do not connect." : "Nothing yet.",
                       "put a new one into its file, then: systemctl reload touchpoint", check});
    }
}

void add_rest(const Snapshot& s, std::vector<Condition>& out) {
    if (!s.clock_trusted)
        out.push_back({"clock-untrusted", "", Severity::warning, "the clock is not synchronised",
                       "Events are kept in order; their times may be wrong, and are marked so.",
                       "timedatectl set-ntp true; is a time server reachable?",
                       "timedatectl timesync-status"});
    if (s.intake.rejected != 0)
        out.push_back({"rejected", "", Severity::info,
                       counted(s.intake.rejected, "message") + " broke a rule since the start",
                       "They are in quarantine; devices that their topics name were told.",
                       "show them to who wrote the device", "touchpoint quarantine list"});
    for (const std::string& warning : s.config_warnings)
        out.push_back({"configuration", "", Severity::info, warning,
                       "The gateway runs with what is written there.", "correct " + s.config_file,
                       check_config(s)});
}

std::string json_conditions(const std::vector<Condition>& list) {
    std::string out = "[";
    for (const Condition& c : list) out += (out.size() == 1 ? "" : ",") + json_string(c.code);
    return out + "]";
}

}  // namespace

UtcTime waiting_since(const store::StoreStats& store, const std::string& consumer, Stream stream) {
    const auto found = store.waiting_since.find(consumer);
    const UtcTime since = found == store.waiting_since.end() ? UtcTime{} : found->second[stream];
    return since.ms != 0 ? since : store.oldest[stream];
}

Backlog backlog(const store::StoreStats& store, const std::string& consumer) {
    Backlog out;
    const auto found = std::find_if(store.consumers.begin(), store.consumers.end(),
                                    [&](const store::ConsumerState& c) { return c.name == consumer; });
    if (found == store.consumers.end()) return out;
    for (const Stream stream : all_streams) {
        const Sequence horizon = store.horizon[stream];
        const Sequence done = std::max(found->acknowledged[stream],
                                       store.first[stream] == 0 ? Sequence{0} : store.first[stream] - 1);
        if (!found->streams[stream] || horizon <= done) continue;
        out.events += horizon - done;
        const UtcTime oldest = waiting_since(store, consumer, stream);
        if (oldest.ms != 0 && (out.oldest.ms == 0 || oldest < out.oldest)) out.oldest = oldest;
    }
    return out;
}

std::string certificate_ends(const std::string& listener, UtcTime ends, UtcTime now) {
    if (ends - now > certificate_warned_before) return {};
    return "the certificate of the listener " + listener +
           (ends < now ? " has ended " + spoken(now - ends) + " ago" : " ends in " + spoken(ends - now));
}

std::string_view name(Severity severity) {
    switch (severity) {
        case Severity::info:
            return "info";
        case Severity::warning:
            return "warning";
        case Severity::error:
            return "error";
    }
    return "?";
}

std::vector<Condition> conditions(const Snapshot& snapshot) {
    std::vector<Condition> out;
    add_store(snapshot, out);
    add_keys(snapshot, out);
    add_link(snapshot, out);
    add_push(snapshot, out);
    add_pictures(snapshot, out);
    add_feeds(snapshot, out);
    add_http(snapshot, out);
    add_rest(snapshot, out);
    std::stable_sort(out.begin(), out.end(),
                     [](const Condition& a, const Condition& b) { return a.severity > b.severity; });
    return out;
}

HttpResponse healthz(const Snapshot& snapshot) {
    return json_response("{\"status\":\"alive\",\"gateway\":" + json_string(snapshot.gateway_id) +
                         ",\"version\":" + json_string(snapshot.version) +
                         ",\"conditions\":" + json_conditions(conditions(snapshot)) + "}\n");
}

HttpResponse readyz(const Snapshot& snapshot) {
    std::string reasons;
    const auto add = [&](bool holds, const char* reason) {
        if (holds) reasons += (reasons.empty() ? "" : ",") + json_string(reason);
    };
    add(snapshot.store_failed, "store-failed");
    add(full(snapshot.store), "store-full");
    add(snapshot.link.closed_for_room, "intake-paused");
    const bool refused = !snapshot.link.refusal.empty();
    add(refused, "subscription-refused");
    add(!refused && !snapshot.link.subscribed && !snapshot.link.closed_for_room, "broker-unreachable");
    const bool ready = reasons.empty();
    return json_response(
        std::string("{\"ready\":") + (ready ? "true" : "false") + ",\"reasons\":[" + reasons + "]}\n",
        ready ? 200 : 503);
}

std::string status_line(const Snapshot& snapshot) {
    std::string line = snapshot.link.subscribed ? "taking events" : "not taking events";
    for (const PushPicture& push : snapshot.push) {
        const Backlog waits = backlog(snapshot.store, push.stats.name);
        line += "; " + push.stats.name + " " + name(push.stats.state);
        if (waits.events != 0) line += ", " + grouped(waits.events) + " wait";
    }
    const auto list = conditions(snapshot);
    const auto serious = std::count_if(list.begin(), list.end(),
                                       [](const Condition& c) { return c.severity != Severity::info; });
    if (serious != 0) line += "; " + list.front().what + " (touchpoint status)";
    return line;
}

}  // namespace touchpoint::gateway
