#include "gateway/backlog.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cmath>
#include <optional>
#include <utility>

#include "gateway/json_words.hpp"
#include "gateway/snapshot.hpp"

namespace touchpoint::gateway {
namespace {

namespace json = boost::json;

constexpr double window_seconds_min = 5;  // of a rate: shorter ones say what one commit did

// Whole numbers: a fraction of an event an hour is not known.
json::value rounded(std::optional<double> value) {
    return value ? json::value(std::llround(*value)) : json::value(nullptr);
}

// Events an hour since the sample; a consumer that was moved back has a negative one.
double per_hour(Sequence now, Sequence then, double seconds) {
    return (static_cast<double>(now) - static_cast<double>(then)) / seconds * 3600;
}

// Minutes until `bytes` is reached; empty: it is not growing towards it.
std::optional<double> minutes_until(std::uint64_t bytes, std::uint64_t live,
                                    std::optional<double> bytes_an_hour) {
    if (bytes == 0 || !bytes_an_hour) return std::nullopt;
    if (live >= bytes) return 0;
    if (*bytes_an_hour <= 0) return std::nullopt;
    return static_cast<double>(bytes - live) / *bytes_an_hour * 60;
}

}  // namespace

bool BacklogHistory::due(SteadyTime now) const {
    return samples_.empty() || now - samples_.back().time >= sample_every;
}

void BacklogHistory::sample(SteadyTime now, const store::StoreStats& stats) {
    Sample sample;
    sample.time = now;
    sample.epoch = stats.epoch;
    sample.horizon = stats.horizon;
    sample.live_bytes = stats.live_bytes;
    for (const store::ConsumerState& consumer : stats.consumers)
        sample.acknowledged.emplace(consumer.name, consumer.acknowledged);
    samples_.push_back(std::move(sample));
    if (samples_.size() > samples_max) samples_.pop_front();
}

const BacklogHistory::Sample* BacklogHistory::oldest(const std::string& epoch) const {
    return samples_.empty() || samples_.front().epoch != epoch ? nullptr : &samples_.front();
}

std::string backlog_json(const store::StoreStats& stats, const BacklogHistory& history, SteadyTime now,
                         UtcTime utc) {
    const BacklogHistory::Sample* then = history.oldest(stats.epoch);
    const double seconds = then == nullptr ? 0 : std::chrono::duration<double>(now - then->time).count();
    if (seconds < window_seconds_min) then = nullptr;

    json::array streams;
    for (const Stream stream : all_streams) {
        std::optional<double> in;
        if (then != nullptr) in = per_hour(stats.horizon[stream], then->horizon[stream], seconds);
        streams.push_back(json::object{{"stream", view(name(stream))},
                                       {"events", stats.events[stream]},
                                       {"chunk_bytes", stats.bytes[stream]},
                                       {"oldest", when(stats.oldest[stream])},
                                       {"events_per_h", rounded(in)}});
    }
    json::array consumers;
    for (const store::ConsumerState& consumer : stats.consumers) {
        json::object waiting;
        std::uint64_t all = 0;
        double in = 0;
        double out = 0;
        UtcTime oldest;
        const auto before =
            then == nullptr ? decltype(then->acknowledged.end()){} : then->acknowledged.find(consumer.name);
        const bool known = then != nullptr && before != then->acknowledged.end();
        for (const Stream stream : all_streams) {
            if (!consumer.streams[stream]) continue;
            // What is not held any more does not wait: a gap says so.
            const Sequence gone = stats.first[stream] == 0 ? 0 : stats.first[stream] - 1;
            const Sequence position =
                std::min(std::max(consumer.acknowledged[stream], gone), stats.horizon[stream]);
            const std::uint64_t waits = stats.horizon[stream] - position;
            waiting[view(name(stream))] = waits;
            all += waits;
            const UtcTime since = waiting_since(stats, consumer.name, stream);
            if (waits != 0 && since.ms != 0 && (oldest.ms == 0 || since < oldest)) oldest = since;
            if (!known) continue;
            in += per_hour(stats.horizon[stream], then->horizon[stream], seconds);
            out += per_hour(consumer.acknowledged[stream], before->second[stream], seconds);
        }
        std::optional<double> drain;
        if (all == 0) drain = 0;
        if (all != 0 && known && out > in) drain = static_cast<double>(all) / (out - in) * 3600;
        consumers.push_back(
            json::object{{"name", consumer.name},
                         {"kind", consumer.kind == store::ConsumerKind::push ? "push" : "pull"},
                         {"configured", consumer.configured},
                         {"last_seen", when(consumer.last_seen)},
                         {"waiting", std::move(waiting)},
                         {"waiting_events", all},
                         {"waiting_oldest", when(oldest)},
                         {"events_per_h", rounded(known ? std::optional(out) : std::nullopt)},
                         {"drain_s", rounded(drain)}});
    }
    std::optional<double> growth;
    if (then != nullptr)
        growth =
            (static_cast<double>(stats.live_bytes) - static_cast<double>(then->live_bytes)) / seconds * 3600;
    const json::object out{
        {"now", when(utc)},
        {"rates_over_s", std::llround(then == nullptr ? 0 : seconds)},
        {"used_bytes", stats.live_bytes},
        {"shed_bytes", stats.shed_bytes},
        {"limit_bytes", stats.limit_bytes},
        {"bytes_per_h", rounded(growth)},
        {"minutes_until_shedding", rounded(minutes_until(stats.shed_bytes, stats.live_bytes, growth))},
        {"minutes_until_full", rounded(minutes_until(stats.limit_bytes, stats.live_bytes, growth))},
        {"streams", std::move(streams)},
        {"consumers", std::move(consumers)}};
    return json::serialize(out) + "\n";
}

}  // namespace touchpoint::gateway
