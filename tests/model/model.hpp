// The event store as a few maps: what it must hold after a list of submissions. No disk, no thread, no bound.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "gateway/core/event.hpp"

namespace touchpoint::tests {

class Model {
  public:
    void apply(const Event& event) {
        bool reused = false;
        if (event.device_gave_id) {
            std::set<std::uint64_t>& contents = seen_[{event.source, event.id}];
            if (!contents.insert(event.content_hash).second) {
                verdicts_[event.ticket] = Verdict::duplicate;
                return;
            }
            reused = contents.size() > 1;
        }
        held_[event.stream].push_back((reused ? "\"idreused\":true," : "") + event.members);
        verdicts_[event.ticket] = reused ? Verdict::stored_id_reused : Verdict::stored;
    }

    Sequence last(Stream stream) const { return held_[stream].size(); }
    // REQUIRES: 1 <= sequence <= last(stream)
    const std::string& members(Stream stream, Sequence sequence) const { return held_[stream][sequence - 1]; }
    Verdict verdict(Ticket ticket) const { return verdicts_.at(ticket); }

  private:
    PerStream<std::vector<std::string>> held_;
    std::map<std::pair<std::string, std::string>, std::set<std::uint64_t>> seen_;
    std::map<Ticket, Verdict> verdicts_;
};

}  // namespace touchpoint::tests
