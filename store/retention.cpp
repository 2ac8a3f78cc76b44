#include "store/retention.hpp"

#include <algorithm>

namespace touchpoint::store {

bool ClockWatch::settled(UtcTime utc, std::chrono::milliseconds since_boot, bool trusted) {
    if (!trusted) {
        last_.reset();
        return false;
    }
    const auto step =
        last_ ? (utc - last_->utc) - (since_boot - last_->since_boot) : std::chrono::milliseconds(0);
    if (!last_ || step >= step_min || step <= -step_min) sound_since_ = since_boot;
    last_ = Seen{utc, since_boot};
    return since_boot - sound_since_ >= settle_time;
}

Retention::Look Retention::look(const Clock& clock) {
    Look seen;
    if (looked_ && clock.steady() - *looked_ < look_every) return seen;
    looked_ = clock.steady();
    seen.due = true;
    const UtcTime now = clock.utc();
    if (watch_.settled(now, clock.since_boot(), clock.trusted())) seen.now = now;
    return seen;
}

std::vector<std::string> Retention::forgotten(const Positions::ByName& consumers, UtcTime now) const {
    std::vector<std::string> names;
    for (const auto& [name, consumer] : consumers)
        if (consumer.kind == ConsumerKind::push && !consumer.configured && consumer.last_seen != UtcTime{} &&
            now - consumer.last_seen > limits_.removed_age_max)
            names.push_back(name);
    return names;
}

std::vector<Retention::Release> Retention::releases(const Positions::ByName& consumers,
                                                    const PerStream<Held>& held,
                                                    std::optional<UtcTime> now) const {
    std::vector<Release> all;
    Positions::ByName after = consumers;  // what one lets go of, the next may hold alone
    for (auto& [name, consumer] : after) {
        if (consumer.kind != ConsumerKind::pull) continue;
        const bool away = now && limits_.consumer_age_max.count() > 0 && consumer.last_seen != UtcTime{} &&
                          *now - consumer.last_seen > limits_.consumer_age_max;
        PerStream<Sequence> released = consumer.released;
        if (away) {
            for (const Stream stream : all_streams)
                if (consumer.streams[stream])
                    released[stream] = std::max(released[stream], held[stream].last);
        } else if (limits_.consumer_bytes_max > 0) {
            released =
                release_for_bytes(consumer, after, held, limits_.consumer_bytes_max).value_or(released);
        }
        for (const Stream stream : all_streams) {
            const Sequence before = let_go(consumer, stream);
            if (released[stream] <= before) continue;
            all.push_back({name, stream, before + 1, released[stream], away ? "not-seen" : "backlog"});
            consumer.released[stream] = released[stream];
        }
    }
    return all;
}

std::optional<UtcTime> Retention::too_old(Stream stream, UtcTime now) const {
    if (limits_.age_max[stream].count() <= 0) return std::nullopt;
    return now - limits_.age_max[stream];
}

}  // namespace touchpoint::store
