#include "store/positions.hpp"

#include <algorithm>
#include <chrono>

#include "gateway/core/log.hpp"

namespace touchpoint::store {
namespace {

constexpr std::chrono::hours seen_written_every{1};
constexpr std::size_t name_bytes_max = 64;

bool is_name(const std::string& text) {
    return !text.empty() && text.size() <= name_bytes_max &&
           std::all_of(text.begin(), text.end(),
                       [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

UtcTime known(Now now) { return now.trusted ? now.time : UtcTime{}; }

}  // namespace

void Positions::reconcile(const EventLog& log, const std::vector<ConsumerSpec>& wanted, Now now) {
    consumers_ = log.consumers();
    for (auto& [name, consumer] : consumers_) {
        seen_written_[name] = consumer.last_seen;
        if (consumer.kind == ConsumerKind::pull) continue;
        const bool configured = std::any_of(wanted.begin(), wanted.end(),
                                            [&name](const ConsumerSpec& spec) { return spec.name == name; });
        if (consumer.configured == configured) continue;
        changed_.insert(name);
        consumer.configured = configured;
        consumer.last_seen = configured ? UtcTime{} : known(now);
    }
    for (const ConsumerSpec& spec : wanted) {
        auto [it, fresh] = consumers_.try_emplace(spec.name);
        ConsumerState& consumer = it->second;
        for (const Stream stream : all_streams)
            if (spec.streams[stream] && (fresh || !consumer.streams[stream]))
                consumer.acknowledged[stream] =
                    std::max(consumer.acknowledged[stream], log.before_oldest(stream));
        if (fresh) consumer.since = known(now);
        if (consumer.kind == ConsumerKind::pull) {
            log::warning("store", "a pull consumer is now a push destination", {{"consumer", spec.name}});
            consumer.kind = ConsumerKind::push;
            consumer.last_seen = {};
            changed_.insert(spec.name);
        }
        if (fresh || consumer.streams != spec.streams) changed_.insert(spec.name);
        consumer.name = spec.name;
        consumer.streams = spec.streams;
        consumer.configured = true;
    }
}

Result<bool> Positions::put(const ConsumerSpec& spec, From from, const PerStream<Sequence>& oldest,
                            const PerStream<Sequence>& horizon, Now now) {
    if (!is_name(spec.name)) return fail(Errc::invalid_argument, "a consumer's name is [a-z0-9-]{1,64}");
    if (spec.streams == PerStream<bool>{})
        return fail(Errc::invalid_argument, "a consumer reads at least one stream");
    const auto found = consumers_.find(spec.name);
    const bool fresh = found == consumers_.end();
    if (!fresh && found->second.kind == ConsumerKind::push)
        return fail(Errc::invalid_argument, "a push destination has this name");
    const auto pull = std::count_if(consumers_.begin(), consumers_.end(),
                                    [](const auto& one) { return one.second.kind == ConsumerKind::pull; });
    if (fresh && static_cast<std::size_t>(pull) >= EventStore::consumers_max)
        return fail(Errc::full, "there are " + std::to_string(pull) + " pull consumers already");

    ConsumerState& consumer = consumers_[spec.name];
    if (!fresh && consumer.streams == spec.streams) return touch(spec.name, now);
    const PerStream<Sequence>& begin = from == From::oldest ? oldest : horizon;
    for (const Stream stream : all_streams) {
        if (!spec.streams[stream] || consumer.streams[stream]) continue;
        consumer.acknowledged[stream] = std::max(consumer.acknowledged[stream], begin[stream]);
        if (from == From::oldest) fresh_[spec.name][stream] = true;
    }
    if (fresh) consumer.since = known(now);
    consumer.name = spec.name;
    consumer.kind = ConsumerKind::pull;
    consumer.streams = spec.streams;
    seen(consumer, now);
    changed_.insert(spec.name);
    return true;
}

Result<void> Positions::erase(const std::string& name) {
    const auto found = consumers_.find(name);
    if (found == consumers_.end()) return fail(Errc::not_found, "no such consumer");
    if (found->second.kind == ConsumerKind::push && found->second.configured)
        return fail(Errc::refused, "a push destination that is configured");
    consumers_.erase(found);
    seen_written_.erase(name);
    changed_.erase(name);
    fresh_.erase(name);
    seen_untrusted_.erase(name);
    erased_.insert(name);
    return {};
}

Result<void> Positions::seek(const std::string& name, const PerStream<std::optional<Sequence>>& acknowledged,
                             Now now) {
    const auto found = consumers_.find(name);
    if (found == consumers_.end()) return fail(Errc::not_found, "no such consumer");
    ConsumerState& consumer = found->second;
    for (const Stream stream : all_streams)
        if (acknowledged[stream] && !consumer.streams[stream])
            return fail(Errc::invalid_argument,
                        "the consumer does not read " + std::string(touchpoint::name(stream)));
    for (const Stream stream : all_streams)
        consumer.acknowledged[stream] = acknowledged[stream].value_or(consumer.acknowledged[stream]);
    seen(consumer, now);
    changed_.insert(name);
    return {};
}

// Of a pull consumer. True: it is time to write that down.
bool Positions::seen(ConsumerState& consumer, Now now) {
    if (consumer.kind != ConsumerKind::pull) return false;
    if (now.trusted)
        consumer.last_seen = now.time;
    else
        seen_untrusted_.insert(consumer.name);
    const UtcTime written = seen_written_[consumer.name];
    return consumer.last_seen - written >= seen_written_every || consumer.last_seen < written;
}

bool Positions::touch(const std::string& name, Now now) {
    const auto found = consumers_.find(name);
    if (found == consumers_.end() || !seen(found->second, now)) return false;
    changed_.insert(name);
    return true;
}

bool Positions::settle_times(UtcTime now) {
    bool any = false;
    for (auto& [name, consumer] : consumers_) {
        if (consumer.kind == ConsumerKind::push && consumer.configured) continue;
        if (consumer.last_seen != UtcTime{} && consumer.last_seen <= now && !seen_untrusted_.contains(name))
            continue;
        consumer.last_seen = now;
        changed_.insert(name);
        any = true;
    }
    seen_untrusted_.clear();
    return any;
}

void Positions::leave_out(UtcTime alive, std::chrono::milliseconds off) {
    for (auto& [name, consumer] : consumers_) {
        if (consumer.last_seen == UtcTime{} || consumer.last_seen > alive) continue;
        consumer.last_seen = consumer.last_seen + off;
        changed_.insert(name);
    }
}

void Positions::released(const std::string& consumer, Stream stream, Sequence through) {
    const auto found = consumers_.find(consumer);
    if (found == consumers_.end()) return;
    Sequence& released = found->second.released[stream];
    released = std::max(released, through);
}

std::optional<bool> Positions::acknowledge(const std::string& consumer, Stream stream, Sequence last,
                                           Now now) {
    const auto it = consumers_.find(consumer);
    if (it == consumers_.end()) return std::nullopt;
    const bool say = touch(consumer, now);
    if (last <= it->second.acknowledged[stream]) return say;
    it->second.acknowledged[stream] = last;
    changed_.insert(consumer);
    return true;
}

Sequence Positions::acknowledged(const std::string& consumer, Stream stream) const {
    const auto it = consumers_.find(consumer);
    return it == consumers_.end() ? 0 : it->second.acknowledged[stream];
}

Positions::Changes Positions::take_changed(const PerStream<Sequence>& oldest) {
    for (const auto& [name, streams] : fresh_) {
        ConsumerState& consumer = consumers_.at(name);
        for (const Stream stream : all_streams)
            if (streams[stream] && consumer.streams[stream])
                consumer.acknowledged[stream] = std::max(consumer.acknowledged[stream], oldest[stream]);
    }
    fresh_.clear();
    Changes changes;
    for (const std::string& name : changed_) {
        const ConsumerState& consumer = consumers_.at(name);
        seen_written_[name] = consumer.last_seen;
        changes.rows.push_back(consumer);
    }
    changes.erased.assign(erased_.begin(), erased_.end());
    changed_.clear();
    erased_.clear();
    return changes;
}

void Positions::not_written(const Changes& changes) {
    for (const ConsumerState& row : changes.rows)
        if (consumers_.contains(row.name)) changed_.insert(row.name);
    erased_.insert(changes.erased.begin(), changes.erased.end());
}

}  // namespace touchpoint::store
