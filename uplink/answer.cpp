#include "uplink/answer.hpp"

#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <charconv>

#include "gateway/core/assert.hpp"

namespace touchpoint::uplink {
namespace {

namespace json = boost::json;

std::optional<std::uint64_t> number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::optional<std::uint64_t> unsigned_member(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    if (value == nullptr) return std::nullopt;
    if (value->is_string()) return number(value->get_string());
    boost::system::error_code error;
    const auto whole = value->to_number<std::uint64_t>(error);
    if (error) return std::nullopt;
    return whole;
}

bool worth_repeating(std::uint64_t status) {
    return status == 408 || status == 409 || status == 425 || status == 429 ||
           (status >= 500 && status <= 599);
}

// The item that an entry of "rejected" names, by its index in the batch or by its sequence.
std::optional<std::size_t> named_item(const json::object& entry, const std::vector<Item>& items) {
    if (const auto index = unsigned_member(entry, "index"))
        return *index < items.size() ? std::optional<std::size_t>(*index) : std::nullopt;
    const auto sequence = unsigned_member(entry, "sequence");
    if (!sequence) return std::nullopt;
    for (std::size_t i = 0; i < items.size(); ++i)
        if (items[i].last == *sequence) return i;
    return std::nullopt;
}

// Empty: the body says nothing about single items.
std::optional<Verdict> judge_items(const std::string& body, const std::vector<Item>& items) {
    boost::system::error_code error;
    const json::value document = json::parse(body, error);
    if (error || !document.is_object()) return std::nullopt;
    const json::object& object = document.get_object();
    const auto taken = unsigned_member(object, "taken");
    const json::value* rejected = object.if_contains("rejected");
    if (rejected != nullptr && !rejected->is_array()) rejected = nullptr;
    if (!taken && rejected == nullptr) return std::nullopt;

    Verdict verdict;
    verdict.settled = std::min<std::uint64_t>(taken.value_or(items.size()), items.size());
    if (rejected != nullptr) {
        for (const json::value& entry : rejected->get_array()) {
            const auto item = entry.is_object() ? named_item(entry.get_object(), items) : std::nullopt;
            if (!item) {  // refuses something that we did not send: nothing in this answer can be relied on
                verdict.settled = 0;
                break;
            }
            if (worth_repeating(unsigned_member(entry.get_object(), "status").value_or(400)))
                verdict.settled = std::min(verdict.settled, *item);
            else
                verdict.refused.push_back(*item);
        }
    }
    std::sort(verdict.refused.begin(), verdict.refused.end());
    verdict.refused.erase(std::unique(verdict.refused.begin(), verdict.refused.end()), verdict.refused.end());
    // One that is refused for good directly behind what was taken is done with, too.
    if (taken)
        for (const std::size_t index : verdict.refused)
            if (index == verdict.settled && *taken <= index) ++verdict.settled;
    std::erase_if(verdict.refused, [&](std::size_t index) { return index >= verdict.settled; });
    if (verdict.settled == 0)
        verdict.action = Action::retry;
    else if (verdict.settled == items.size() && verdict.refused.empty())
        verdict.action = Action::delivered;
    else
        verdict.action = Action::partial;
    return verdict;
}

Action action_for(int status) {
    switch (status) {
        case 400:
        case 422:
            return Action::narrow;
        case 413:
            return Action::too_large;
        case 408:
        case 409:  // "still at work on this key"
        case 425:
        case 429:
            return Action::retry;
        default:
            break;
    }
    if (status >= 300 && status < 500) return Action::pause;  // 401, 403, 404; a redirect; a wrong media type
    return Action::retry;
}

}  // namespace

Verdict judge(const Answer& answer, const std::vector<Item>& items, UtcTime now) {
    Verdict verdict;
    const bool success = answer.status >= 200 && answer.status < 300;
    if (success) {
        const auto by_item = judge_items(answer.body, items);
        if (by_item) {
            verdict = *by_item;
        } else if (answer.status == 207) {
            verdict.action = Action::retry;  // partial, but it does not say which part
        } else {
            verdict.action = Action::delivered;
            verdict.settled = items.size();
        }
    } else {
        verdict.action = action_for(answer.status);
    }
    verdict.wait = parse_retry_after(answer.retry_after, now);
    return verdict;
}

std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view text, UtcTime now) {
    while (text.starts_with(' ')) text.remove_prefix(1);
    while (text.ends_with(' ')) text.remove_suffix(1);
    if (const auto seconds = number(text)) {
        const auto most = static_cast<std::uint64_t>(retry_after_max / std::chrono::seconds(1));
        return std::chrono::seconds(std::min(*seconds, most));
    }
    // "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7: the only form that may be sent today)
    if (text.size() != 29 || !text.ends_with(" GMT") || text[3] != ',') return std::nullopt;
    constexpr std::array<std::string_view, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const auto day = number(text.substr(5, 2)), year = number(text.substr(12, 4));
    const auto hour = number(text.substr(17, 2)), minute = number(text.substr(20, 2)),
               second = number(text.substr(23, 2));
    const auto month = std::find(months.begin(), months.end(), text.substr(8, 3));
    if (!day || !year || !hour || !minute || !second || month == months.end()) return std::nullopt;
    const std::chrono::year_month_day date(
        std::chrono::year(static_cast<int>(*year)),
        std::chrono::month(static_cast<unsigned>(month - months.begin() + 1)),
        std::chrono::day(static_cast<unsigned>(*day)));
    if (!date.ok()) return std::nullopt;
    const std::chrono::sys_seconds at =
        std::chrono::sys_days(date) + std::chrono::seconds(*hour * 3600 + *minute * 60 + *second);
    const UtcTime then{std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count()};
    return std::clamp(then - now, std::chrono::milliseconds(0), retry_after_max);
}

std::chrono::milliseconds back_off(unsigned failures, std::chrono::milliseconds first,
                                   std::chrono::milliseconds max, std::uint64_t random) {
    TP_ASSERT(failures >= 1);
    std::chrono::milliseconds most = std::min(first, max);
    for (unsigned i = 1; i < failures && most < max; ++i) most = std::min(most * 2, max);
    if (most.count() <= 0) return std::chrono::milliseconds(0);
    return std::chrono::milliseconds(
        1 + static_cast<std::int64_t>(random % static_cast<std::uint64_t>(most.count())));
}

}  // namespace touchpoint::uplink
