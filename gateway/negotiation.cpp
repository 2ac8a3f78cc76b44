#include "gateway/negotiation.hpp"

#include <algorithm>
#include <string>

#include "gateway/core/ascii.hpp"

namespace touchpoint::gateway {
namespace {

constexpr int quality_of_one = 1000;  // "q" has three digits behind the point

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

std::string_view take(std::string_view& text, char separator) {
    const std::size_t end = std::min(text.find(separator), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return trimmed(part);
}

// Of "q=0.5" and the like; what cannot be read counts as 1.
int quality_in(std::string_view parameters) {
    while (!parameters.empty()) {
        const std::string parameter = ascii_lower(take(parameters, ';'));
        if (!parameter.starts_with("q=")) continue;
        if (parameter[2] != '0') return quality_of_one;
        int quality = 0;
        int unit = quality_of_one / 10;
        for (std::size_t i = 4; i < parameter.size() && unit > 0; ++i, unit /= 10)
            if (parameter[i] >= '0' && parameter[i] <= '9') quality += (parameter[i] - '0') * unit;
        return quality;
    }
    return quality_of_one;
}

// How exactly a range names an offer: 0 not at all, 3 by its name.
int covers(std::string_view range, std::string_view offer) {
    if (range == offer) return 3;
    if (range.ends_with("/*") && range != "*/*" && offer.starts_with(range.substr(0, range.size() - 1)))
        return 2;
    return range == "*" || range == "*/*" ? 1 : 0;
}

int quality_of(std::string_view header, std::string_view offer) {
    int exact = 0;
    int quality = 0;
    while (!header.empty()) {
        std::string_view item = take(header, ',');
        const std::string range = ascii_lower(take(item, ';'));
        const int how = covers(range, offer);
        if (how > exact) {
            exact = how;
            quality = quality_in(item);
        }
    }
    return quality;
}

}  // namespace

std::optional<std::size_t> preferred(std::string_view header, const std::vector<std::string_view>& offers) {
    std::optional<std::size_t> best;
    int best_quality = 0;
    for (std::size_t i = 0; i < offers.size(); ++i) {
        const int quality = quality_of(header, offers[i]);
        if (quality <= best_quality) continue;
        best = i;
        best_quality = quality;
    }
    return best;
}

}  // namespace touchpoint::gateway
