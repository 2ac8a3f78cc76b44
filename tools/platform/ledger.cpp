#include "tools/platform/ledger.hpp"

#include <xxhash.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <optional>
#include <utility>

#include "tools/platform/json_scan.hpp"

namespace touchpoint::platform {
namespace {

constexpr std::uint64_t explained_by_gap = 0;
constexpr std::size_t sequence_digits = 20;
// A longer range is a mistake, not a reason to take the memory.
constexpr std::uint64_t gap_events_max = 20'000'000;

std::optional<std::uint64_t> number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

// What a platform needs of one event.
struct Seen {
    bool whole = false;  // the contract's shape
    bool gap = false;
    std::string_view gateway, epoch, stream;
    std::uint64_t sequence = 0;
    std::uint64_t first = 0;    // of a gap
    std::uint64_t content = 0;  // hash over everything but `customer`
};

bool read_range(std::string_view data, Seen& seen) {
    std::optional<std::uint64_t> first, last;
    for_each_member(data, [&](std::string_view key, std::string_view value) {
        if (key == "first") first = number(value);
        if (key == "last") last = number(value);
    });
    if (!first || !last || *last != seen.sequence || *first == 0 || *first > *last) return false;
    seen.first = *first;
    return *last - *first < gap_events_max;
}

Seen look_at(std::string_view event) {
    Seen seen;
    std::string_view version, sequence, id, source, type, data;
    XXH64_hash_t hash = 1;
    const bool object = for_each_member(event, [&](std::string_view key, std::string_view value) {
        // `customer` is joined when sending: a person who was erased meanwhile is rightly missing in a
        // repeat.
        if (key != "customer") {
            hash = XXH3_64bits_withSeed(key.data(), key.size(), hash);
            hash = XXH3_64bits_withSeed(value.data(), value.size(), hash);
        }
        const std::string_view text = text_of(value);
        if (key == "data") data = value;
        if (key == "specversion") version = text;
        if (key == "gatewayid") seen.gateway = text;
        if (key == "epoch") seen.epoch = text;
        if (key == "stream") seen.stream = text;
        if (key == "sequence") sequence = text;
        if (key == "id") id = text;
        if (key == "source") source = text;
        if (key == "type") type = text;
    });
    seen.sequence = number(sequence).value_or(0);
    seen.content = hash == explained_by_gap ? 1 : hash;
    seen.gap = type == "store.system.gap.v1";
    seen.whole = object && version == "1.0" && !seen.gateway.empty() && !seen.epoch.empty() &&
                 !seen.stream.empty() && !id.empty() && !source.empty() && !type.empty() &&
                 sequence.size() == sequence_digits && seen.sequence > 0 &&
                 (!seen.gap || read_range(data, seen));
    return seen;
}

}  // namespace

std::uint64_t Summary::events_in(std::string_view stream) const {
    std::uint64_t count = 0;
    for (const StreamSummary& each : streams)
        if (each.stream == stream) count += each.events;
    return count;
}

std::string Summary::to_json() const {
    boost::json::array rows, words;
    for (const StreamSummary& each : streams)
        rows.push_back(boost::json::object{{"gatewayid", each.gateway_id},
                                           {"epoch", each.epoch},
                                           {"stream", each.stream},
                                           {"last", each.last},
                                           {"events", each.events},
                                           {"missing", each.missing}});
    for (const std::string& each : errors) words.push_back(boost::json::string(each));
    return boost::json::serialize(boost::json::object{{"events", events},
                                                      {"gaps", gaps},
                                                      {"repeats", repeats},
                                                      {"errors", error_count()},
                                                      {"changed", changed},
                                                      {"holes", holes},
                                                      {"malformed", malformed},
                                                      {"keys_reused", keys_reused},
                                                      {"again", again},
                                                      {"refused", refused},
                                                      {"requests", requests},
                                                      {"batches", batches},
                                                      {"bytes", bytes},
                                                      {"streams", std::move(rows)},
                                                      {"first_errors", std::move(words)}});
}

bool split_array(std::string_view body, std::vector<std::string_view>& events) {
    std::size_t at = skip_space(body, 0);
    if (at >= body.size() || body[at] != '[') return false;
    at = skip_space(body, at + 1);
    if (at < body.size() && body[at] == ']') return skip_space(body, at + 1) == body.size();
    while (at < body.size() && body[at] == '{') {
        const std::size_t end = value_end(body, at);
        if (end == std::string_view::npos) return false;
        events.push_back(body.substr(at, end - at));
        at = skip_space(body, end);
        if (at < body.size() && body[at] == ']') return skip_space(body, at + 1) == body.size();
        if (at >= body.size() || body[at] != ',') return false;
        at = skip_space(body, at + 1);
    }
    return false;
}

bool split_lines(std::string_view body, std::vector<std::string_view>& events) {
    while (!body.empty()) {
        const std::size_t end = body.find('\n');
        if (end == std::string_view::npos) return false;  // each line is ended
        if (end > 0) events.push_back(body.substr(0, end));
        body.remove_prefix(end + 1);
    }
    return true;
}

void Ledger::error(std::string words) {
    if (summary_.errors.size() < errors_max) summary_.errors.push_back(std::move(words));
}

bool Ledger::take(std::string_view event) {
    const Seen seen = look_at(event);
    if (!seen.whole) {
        ++summary_.malformed;
        error(
            "an event lacks specversion, id, source, type, gatewayid, epoch, stream, a 20-digit sequence or, "
            "of a "
            "gap, its range");
        return false;
    }
    Numbered& stream = numbered(seen.gateway, seen.epoch, seen.stream);
    if (seen.gap) return take_gap(stream, seen.first, seen.sequence, seen.stream);

    const std::uint64_t have = stream.content.size();
    if (seen.sequence <= have) {
        const std::uint64_t held = stream.content[seen.sequence - 1];
        if (held == seen.content || held == explained_by_gap) {
            repeated(stream, seen.sequence, seen.stream);
            return false;
        }
        ++summary_.changed;
        error("changed content: " + std::string(seen.stream) + " " + std::to_string(seen.sequence));
        return false;
    }
    if (filtered_) stream.content.resize(seen.sequence - 1, explained_by_gap);
    if (!follows(stream.content.size(), seen.sequence, seen.stream)) return false;
    stream.content.push_back(seen.content);
    ++stream.events;
    ++summary_.events;
    return true;
}

void Ledger::refuse(std::string_view event) {
    const Seen seen = look_at(event);
    if (!seen.whole) return;
    Numbered& stream = numbered(seen.gateway, seen.epoch, seen.stream);
    if (seen.sequence == stream.content.size() + 1) stream.content.push_back(explained_by_gap);
}

void Ledger::begin(std::string_view epoch, std::string_view stream, std::uint64_t position) {
    begins_[{std::string(epoch), std::string(stream)}] = position;
}

void Ledger::acknowledged() {
    for (auto& [where, numbered] : streams_) numbered.acknowledged = numbered.content.size();
}

void Ledger::acknowledged_perhaps() {
    for (auto& [where, numbered] : streams_) numbered.acknowledged = 0;
}

Ledger::Numbered& Ledger::numbered(std::string_view gateway, std::string_view epoch,
                                   std::string_view stream) {
    const auto [place, fresh] =
        streams_.try_emplace({std::string(gateway), std::string(epoch), std::string(stream)});
    if (fresh)
        if (const auto begin = begins_.find({std::string(epoch), std::string(stream)});
            begin != begins_.end())
            place->second.content.resize(begin->second, explained_by_gap);
    return place->second;
}

void Ledger::repeated(const Numbered& numbered, std::uint64_t sequence, std::string_view stream) {
    ++summary_.repeats;
    if (sequence > numbered.acknowledged) return;
    ++summary_.again;
    error("given again after it was acknowledged: " + std::string(stream) + " " + std::to_string(sequence));
}

bool Ledger::take_gap(Numbered& numbered, std::uint64_t first, std::uint64_t last, std::string_view stream) {
    const std::uint64_t have = numbered.content.size();
    if (last <= have) {
        repeated(numbered, last, stream);
        return false;
    }
    if (!filtered_ && first > have + 1 && !follows(have, first, "system.gap")) return false;
    numbered.content.resize(last, explained_by_gap);
    ++summary_.gaps;
    return true;
}

bool Ledger::follows(std::uint64_t have, std::uint64_t sequence, std::string_view what) {
    if (sequence == have + 1) return true;
    ++summary_.holes;
    error("hole: " + std::string(what) + " " + std::to_string(sequence) + " came after " +
          std::to_string(have));
    return false;
}

Summary Ledger::summary() const {
    Summary summary = summary_;
    for (const auto& [where, numbered] : streams_) {
        const auto& [gateway, epoch, stream] = where;
        summary.streams.push_back({gateway, epoch, stream, numbered.content.size(), numbered.events,
                                   numbered.content.size() - numbered.events});
    }
    return summary;
}

}  // namespace touchpoint::platform
