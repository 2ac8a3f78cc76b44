#include "uplink/pull_page.hpp"

#include <algorithm>

#include "gateway/core/event_text.hpp"

namespace touchpoint::uplink {

std::optional<TypeFilter> TypeFilter::parse(std::string_view text) {
    TypeFilter filter;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(','), text.size());
        const std::string_view pattern = text.substr(0, end);
        if (end + 1 == text.size()) return std::nullopt;  // a comma and nothing behind it
        text.remove_prefix(std::min(end + 1, text.size()));
        const std::size_t star = pattern.find('*');
        const bool star_inside = star != std::string_view::npos && star + 1 != pattern.size();
        if (pattern.empty() || pattern.size() > pattern_bytes_max || star_inside) return std::nullopt;
        if (filter.patterns_.size() == patterns_max) return std::nullopt;
        filter.patterns_.emplace_back(pattern);
    }
    return filter;
}

bool TypeFilter::wants(std::string_view type) const {
    if (patterns_.empty()) return true;
    return std::any_of(patterns_.begin(), patterns_.end(), [type](std::string_view pattern) {
        if (!pattern.ends_with('*')) return type == pattern;
        pattern.remove_suffix(1);
        return type.starts_with(pattern);
    });
}

std::vector<Stream> filling_order(const PerStream<std::uint64_t>& waiting, unsigned turn) {
    std::vector<Stream> order;
    for (const Stream stream : all_streams)
        if (waiting[stream] > 0) order.push_back(stream);
    turn %= turns;
    if (turn < turns_for_highest) return order;
    const std::size_t leader = turn - turns_for_highest + 1;
    if (leader < order.size())
        std::rotate(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(leader),
                    order.begin() + static_cast<std::ptrdiff_t>(leader) + 1);
    return order;
}

bool PullPage::add(const store::Slice& slice, Sequence& position) {
    for (const store::StoredEvent& each : slice.events) {
        const bool gap = each.gap >= 0;
        if (gap || types_.wants_all() || types_.wants(outer_text(each.members, "type"))) {
            const std::string text = gap ? formatter_.gap(slice.gaps[static_cast<std::size_t>(each.gap)])
                                         : formatter_.event(slice.stream, each);
            if (!body_.append(text)) return false;
            if (!gap && (oldest_.ms == 0 || each.recorded < oldest_)) oldest_ = each.recorded;
        }
        position = each.sequence;
    }
    return true;
}

}  // namespace touchpoint::uplink
