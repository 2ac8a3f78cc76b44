#include "gateway/profiles/wanted.hpp"

#include "gateway/core/json_text.hpp"

namespace touchpoint::gateway {
namespace {

constexpr std::string_view context = "wanted";

}  // namespace

void Wanted::note(const std::string& key, std::string_view identifier, UtcTime now) {
    if (entries_max_ == 0) return;
    if (const auto known = at_.find(key); known != at_.end()) {
        entries_.splice(entries_.begin(), entries_, known->second);
    } else {
        if (entries_.size() == entries_max_) {
            at_.erase(entries_.back().key);
            entries_.pop_back();
            ++dropped_;
        }
        entries_.push_front({key, box_.seal(identifier, context), 0, now, now});
        at_.emplace(entries_.front().key, entries_.begin());
    }
    ++entries_.front().asked;
    entries_.front().last = now;
}

void Wanted::found(std::string_view key) {
    const auto known = at_.find(key);
    if (known == at_.end()) return;
    const auto place = known->second;
    at_.erase(known);
    entries_.erase(place);
}

std::vector<std::string> Wanted::to_ask(std::size_t max, bool raw, SteadyTime now) {
    std::vector<std::string> names;
    asked_.clear();
    for (Entry& entry : entries_) {
        if (names.size() == max) break;
        if (entry.not_before && now < *entry.not_before) continue;
        const auto identifier = box_.open(entry.sealed, context);
        if (!identifier) continue;
        // What has no scheme is no alias, and has no pseudonym.
        if (!raw && identifier->find(':') == std::string::npos) continue;
        names.push_back(raw ? *identifier : entry.key);
        entry.not_before = now + again_after;
        asked_.push_back(entry.key);
    }
    return names;
}

void Wanted::not_answered() {
    for (const std::string& key : asked_)
        if (const auto known = at_.find(key); known != at_.end()) known->second->not_before.reset();
    asked_.clear();
}

std::string Wanted::json(std::size_t max) const {
    std::string out = "{\"wanted\":[";
    std::size_t told = 0;
    for (const Entry& entry : entries_) {
        if (told == max) break;
        const auto identifier = box_.open(entry.sealed, context);
        if (!identifier) continue;
        out += told++ == 0 ? "\n{\"key\":" : ",\n{\"key\":";
        append_json_string(out, entry.key);
        out += ",\"identifier\":" + json_string(*identifier) + ",\"asked\":" + std::to_string(entry.asked) +
               ",\"first\":" + json_string(to_rfc3339(entry.first)) +
               ",\"last\":" + json_string(to_rfc3339(entry.last)) + '}';
    }
    return out + "],\"dropped\":" + std::to_string(dropped_) + "}\n";
}

}  // namespace touchpoint::gateway
