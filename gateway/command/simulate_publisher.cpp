#include "gateway/command/simulate_publisher.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <functional>

#include "gateway/core/assert.hpp"
#include "gateway/core/json_text.hpp"

namespace touchpoint::simulate {
namespace {

using std::chrono::milliseconds;

// A broker that is not configured otherwise accepts 20 unfinished messages of an MQTT 5 client, and Paho's
// search for a free message id grows with their number.
constexpr std::size_t in_flight_max = 20;
constexpr milliseconds reconnect_first{250};
constexpr milliseconds reconnect_max{5'000};
constexpr milliseconds connect_max{15'000};

std::string payload_of(const Draft& draft, const std::string& id, const std::string& marker) {
    std::string text = "{";
    if (draft.identified) {
        text += "\"event_id\":" + json_string(id) + ",\"event_time\":" + json_string(to_rfc3339(draft.time));
    } else {
        text += "\"n\":" + json_string(marker);
    }
    return text + "," + draft.members + "}";
}

}  // namespace

Publisher::Publisher(Options options, Ledger& ledger) : options_(std::move(options)), ledger_(ledger) {
    const std::size_t count = options_.links_identified + options_.links_plain;
    for (std::size_t i = 0; i < count; ++i) {
        Link::Options link = options_.broker;
        link.mqtt5 = i < options_.links_identified;
        link.client_id = "simulate-" + options_.run + "-" + std::to_string(i + 1);
        Line line;
        line.link = std::make_unique<Link>(i, std::move(link), inbox_);
        lines_.push_back(std::move(line));
    }
}

Publisher::~Publisher() = default;

bool Publisher::has_room(std::size_t source, std::size_t outstanding_max) const {
    const auto found = by_source_.find(source);
    const std::size_t own = found == by_source_.end() ? 0 : found->second;
    return own < outstanding_max && events_.size() < options_.events_max && bytes_ < options_.bytes_max;
}

const Publisher::Device& Publisher::device_for(const Draft& draft) {
    const std::string name = draft.kind + "/" + draft.device;
    const auto [found, fresh] = devices_.try_emplace(name);
    Device& device = found->second;
    if (fresh) {
        device.prefix = "touchpoint/v1/" + name + "/";
        if (draft.identified) {
            device.link = identified_devices_++ % options_.links_identified;
            lines_[device.link].link->listen_to({device.prefix + "receipt", device.prefix + "rejected"});
        } else {
            device.link = options_.links_identified + plain_devices_++ % options_.links_plain;
        }
    }
    return device;
}

void Publisher::take(Draft draft, std::size_t source) {
    TP_ASSERT(events_.size() < options_.events_max);
    const std::uint64_t key = next_key_++;
    Entry entry;
    entry.device = &device_for(draft);
    const std::string unique = options_.run + "-" + std::to_string(key);
    if (draft.identified)
        entry.id = draft.id.empty() ? unique : draft.id;
    else
        entry.marker = unique;
    entry.payload = payload_of(draft, entry.id, entry.marker);
    entry.kind = std::move(draft.kind);
    entry.device_name = std::move(draft.device);
    entry.name = std::move(draft.name);
    entry.source = source;
    entry.patience = options_.receipt_first;
    if (!entry.id.empty()) by_id_[entry.id] = key;
    bytes_ += entry.payload.size();
    ++by_source_[source];
    ++stats_.taken;
    lines_[entry.device->link].queue.push_back(key);
    events_.emplace(key, std::move(entry));
}

void Publisher::settle(std::uint64_t key, Outcome outcome) {
    const auto found = events_.find(key);
    if (found == events_.end()) return;
    const Entry& entry = found->second;
    ledger_.note(entry.kind, entry.device_name, entry.name, entry.id, entry.marker, outcome, entry.sends);
    bytes_ -= entry.payload.size();
    --by_source_[entry.source];
    if (!entry.id.empty()) by_id_.erase(entry.id);
    events_.erase(found);
}

void Publisher::settle_id(const std::string& id, Outcome outcome) {
    const auto found = by_id_.find(id);
    if (found != by_id_.end()) settle(found->second, outcome);
}

void Publisher::arm(std::uint64_t key, SteadyTime at) {
    const auto found = events_.find(key);
    if (found == events_.end()) return;
    found->second.alarm_at = at;
    alarms_.emplace(at, key);
}

void Publisher::requeue(std::uint64_t key) {
    const auto found = events_.find(key);
    if (found == events_.end() || found->second.queued) return;
    found->second.queued = true;
    lines_[found->second.device->link].queue.push_back(key);
}

// {"stored":[..],"duplicate":[..]} or {"id":..,"error":{..}}
void Publisher::hear_answer(const std::string& topic, const std::string& payload) {
    boost::system::error_code error;
    const boost::json::value answer = boost::json::parse(payload, error);
    const auto* object = error ? nullptr : answer.if_object();
    if (object == nullptr) return;
    if (topic.ends_with("/rejected")) {
        const auto* id = object->if_contains("id");
        if (id != nullptr && id->is_string()) settle_id(std::string(id->as_string()), Outcome::rejected);
        return;
    }
    const auto each = [&](const char* member, Outcome outcome) {
        const auto* list = object->if_contains(member);
        if (list == nullptr || !list->is_array()) return;
        for (const auto& id : list->as_array())
            if (id.is_string()) settle_id(std::string(id.as_string()), outcome);
    };
    each("stored", Outcome::receipted);
    each("duplicate", Outcome::duplicate);
}

// The connection is gone. What had no PUBACK goes back to the front of the queue, in its old order.
void Publisher::drop(Line& line, SteadyTime now) {
    if (line.up) ++stats_.reconnects;
    line.up = false;
    line.connecting = false;
    line.retry_wait = std::clamp(line.retry_wait * 2, reconnect_first, reconnect_max);
    line.retry_at = now + line.retry_wait;
    for (auto key = line.in_flight.rbegin(); key != line.in_flight.rend(); ++key) {
        const auto found = events_.find(*key);
        if (found == events_.end() || found->second.queued) continue;
        found->second.queued = true;
        line.queue.push_front(*key);
    }
    line.in_flight.clear();
}

void Publisher::hear(const Notice& notice, SteadyTime now) {
    Line& line = lines_[notice.link];
    if (notice.kind == Notice::Kind::arrived) {  // an answer is true whichever connection brought it
        hear_answer(notice.topic, notice.payload);
        return;
    }
    if (notice.session != line.link->session()) return;
    switch (notice.kind) {
        case Notice::Kind::connected:
            line.up = true;
            line.connecting = false;
            line.retry_wait = milliseconds(0);
            line.link->subscribe();
            return;
        case Notice::Kind::lost:
            if (line.connecting && notice.reason != 0) ++stats_.logins_refused;
            if (line.up || line.connecting) drop(line, now);
            return;
        case Notice::Kind::published: {
            if (line.in_flight.erase(notice.key) == 0) return;
            const auto found = events_.find(notice.key);
            if (found == events_.end()) return;  // its receipt was faster
            if (notice.reason != 0) {
                // No permission, too large: the broker has not kept it. (That nobody subscribed is told by
                // the broker too, but not by Paho C 1.3.12: there only the missing receipt shows it.)
                ++stats_.refused;
                arm(notice.key, now + found->second.patience);
                return;
            }
            if (found->second.id.empty()) settle(notice.key, Outcome::pubacked);
            return;
        }
        case Notice::Kind::unsent:
            if (line.in_flight.erase(notice.key) > 0) arm(notice.key, now + reconnect_first);
            return;
        case Notice::Kind::arrived:
            return;
    }
}

void Publisher::send(Line& line, SteadyTime now) {
    while (line.up && !line.queue.empty() && line.in_flight.size() < in_flight_max) {
        const std::uint64_t key = line.queue.front();
        const auto found = events_.find(key);
        if (found == events_.end()) {
            line.queue.pop_front();
            continue;
        }
        Entry& entry = found->second;
        const bool identified = !entry.id.empty();
        const std::string& prefix = entry.device->prefix;
        if (!line.link->publish(key, prefix + "event/" + entry.name, entry.payload,
                                identified ? prefix + "receipt" : std::string()))
            return;
        line.queue.pop_front();
        line.in_flight.insert(key);
        entry.queued = false;
        ++stats_.sends;
        if (++entry.sends > 1) ++stats_.resends;
        if (identified) {
            arm(key, now + entry.patience);
            entry.patience = std::min(entry.patience * 2, options_.receipt_max);
        }
    }
}

// An identified event without receipt, or any event that the broker or Paho refused, goes again.
void Publisher::resend_overdue(SteadyTime now) {
    while (!alarms_.empty() && alarms_.top().first <= now) {
        const auto [at, key] = alarms_.top();
        alarms_.pop();
        const auto found = events_.find(key);
        if (found == events_.end() || found->second.alarm_at != at) continue;
        Line& line = lines_[found->second.device->link];
        if (line.in_flight.contains(key)) {  // not even a PUBACK: the connection's end will bring it back
            arm(key, now + found->second.patience);
            continue;
        }
        requeue(key);
    }
}

void Publisher::look_after(Line& line, SteadyTime now) {
    if (line.up && !line.link->alive()) drop(line, now);
    // Paho answers every connect; a deadline all the same, so that one lost answer cannot silence a link.
    if (line.connecting && now > line.retry_at + connect_max) drop(line, now);
    const bool wanted = !line.queue.empty() || !line.in_flight.empty() || line.up;
    if (!line.up && !line.connecting && wanted && now >= line.retry_at) {
        line.connecting = true;
        line.retry_at = now;
        line.link->connect();
    }
    send(line, now);
}

void Publisher::step(SteadyTime now, milliseconds patience) {
    for (Line& line : lines_) look_after(line, now);
    const std::vector<Notice> notices = inbox_.take(patience);
    for (const Notice& notice : notices) hear(notice, now);
    resend_overdue(now);
    for (Line& line : lines_) send(line, now);
}

void Publisher::finish() {
    while (!events_.empty()) settle(events_.begin()->first, Outcome::unknown);
    for (Line& line : lines_) line.link->disconnect();
}

Publisher::Stats Publisher::stats() const {
    Stats stats = stats_;
    stats.outstanding = events_.size();
    for (const Line& line : lines_) {
        stats.links += line.link->session() > 0 ? 1 : 0;
        stats.links_up += line.up ? 1 : 0;
    }
    return stats;
}

}  // namespace touchpoint::simulate
