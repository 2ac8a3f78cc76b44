#include "store/positions.hpp"

#include <algorithm>

namespace touchpoint::store {

void Positions::reconcile(const EventLog& log, const std::vector<ConsumerSpec>& wanted) {
    consumers_ = log.consumers();
    for (auto& [name, consumer] : consumers_) {
        const bool configured = std::any_of(wanted.begin(), wanted.end(),
                                            [&name](const ConsumerSpec& spec) { return spec.name == name; });
        if (consumer.configured != configured) changed_.insert(name);
        consumer.configured = configured;
    }
    for (const ConsumerSpec& spec : wanted) {
        auto [it, fresh] = consumers_.try_emplace(spec.name);
        ConsumerState& consumer = it->second;
        for (const Stream stream : all_streams) {
            if (!spec.streams[stream] || (!fresh && consumer.streams[stream])) continue;
            const Sequence first = log.fronts()[stream].first;
            const Sequence before = first == 0 ? log.state().last[stream] : first - 1;
            // The gap row of a new epoch stands before the first chunk and belongs to everybody.
            const bool epoch_gap = fresh && before == 1 && log.begins_with_gap()[stream];
            consumer.acknowledged[stream] = epoch_gap ? 0 : std::max(consumer.acknowledged[stream], before);
        }
        if (fresh || consumer.streams != spec.streams) changed_.insert(spec.name);
        consumer.name = spec.name;
        consumer.streams = spec.streams;
        consumer.configured = true;
    }
}

std::optional<bool> Positions::acknowledge(const std::string& consumer, Stream stream, Sequence last) {
    const auto it = consumers_.find(consumer);
    if (it == consumers_.end()) return std::nullopt;
    if (last <= it->second.acknowledged[stream]) return false;
    it->second.acknowledged[stream] = last;
    changed_.insert(consumer);
    return true;
}

Sequence Positions::acknowledged(const std::string& consumer, Stream stream) const {
    const auto it = consumers_.find(consumer);
    return it == consumers_.end() ? 0 : it->second.acknowledged[stream];
}

std::vector<ConsumerState> Positions::take_changed() {
    std::vector<ConsumerState> rows;
    for (const std::string& name : changed_) rows.push_back(consumers_.at(name));
    changed_.clear();
    return rows;
}

void Positions::not_written(const std::vector<ConsumerState>& rows) {
    for (const ConsumerState& row : rows) changed_.insert(row.name);
}

}  // namespace touchpoint::store
