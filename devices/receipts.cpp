#include "devices/receipts.hpp"

#include <algorithm>
#include <utility>

#include "gateway/core/assert.hpp"
#include "gateway/core/json_text.hpp"

namespace touchpoint::devices {
namespace {

// One receipt while it is written: three lists of ids, each already JSON.
struct Lists {
    std::string stored;
    std::string duplicate;
    std::string reused;

    std::size_t bytes() const { return stored.size() + duplicate.size() + reused.size(); }
    void clear() { stored.clear(), duplicate.clear(), reused.clear(); }
    std::string text() const {
        std::string out = "{\"stored\":[" + stored + "],\"duplicate\":[" + duplicate + ']';
        if (!reused.empty()) out += ",\"idreused\":[" + reused + ']';
        return out += '}';
    }
};

void add(std::string& list, std::string_view id) {
    if (!list.empty()) list += ',';
    append_json_string(list, id);
}

}  // namespace

std::string receipt_topic(const DeviceAddress& address, const store::Incoming& message,
                          const std::vector<std::string>& receipt_kinds) {
    if (may_answer_on(message.response_topic, address)) return message.response_topic;
    if (std::find(receipt_kinds.begin(), receipt_kinds.end(), address.kind) == receipt_kinds.end()) return {};
    return Topic{TopicRole::receipt, address, {}}.build();
}

std::string correlation_of(const store::Incoming& message) {
    return message.correlation_data.size() <= correlation_bytes_max ? message.correlation_data
                                                                    : std::string();
}

Ticket Receipts::open(std::string topic, std::string correlation, std::uint32_t outstanding) {
    TP_ASSERT(outstanding > 0);
    last_ = (last_ + 1) & ~http_ticket_bit;
    if (last_ == 0) last_ = 1;
    open_.emplace(last_, Waiting{std::move(topic), std::move(correlation), outstanding});
    return last_;
}

std::vector<Outgoing> Receipts::settle(std::span<const Settled> settled) {
    std::vector<Outgoing> out;
    std::vector<std::pair<std::size_t, Lists>>
        groups;  // index into `out`, whose payload is written at the end
    std::unordered_map<std::string, std::size_t> group_of;
    std::vector<Ticket> done;
    for (const Settled& one : settled) {
        const auto found = open_.find(one.ticket);
        if (found == open_.end()) continue;
        Waiting& waiting = found->second;
        // Topics hold no NUL, so the key is unambiguous.
        std::string key = waiting.topic + '\0' + waiting.correlation;
        auto [place, fresh] = group_of.try_emplace(std::move(key), groups.size());
        if (fresh) {
            groups.emplace_back(out.size(), Lists{});
            out.push_back({waiting.topic, {}, waiting.correlation});
        }
        auto& [index, lists] = groups[place->second];
        // An id of 128 bytes can take six times as much as JSON.
        if (lists.bytes() + one.id.size() * 12 + 64 > receipt_bytes_max) {
            out[index].payload = lists.text();
            lists.clear();
            index = out.size();
            out.push_back({waiting.topic, {}, waiting.correlation});
        }
        switch (one.verdict) {
            case Verdict::stored:
                add(lists.stored, one.id);
                break;
            case Verdict::duplicate:
                add(lists.duplicate, one.id);
                break;
            case Verdict::stored_id_reused:
                add(lists.stored, one.id);
                add(lists.reused, one.id);
                break;
        }
        if (waiting.outstanding > 0 && --waiting.outstanding == 0) done.push_back(one.ticket);
    }
    for (const auto& [index, lists] : groups) out[index].payload = lists.text();
    for (const Ticket ticket : done) open_.erase(ticket);
    return out;
}

}  // namespace touchpoint::devices
