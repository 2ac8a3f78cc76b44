#include <algorithm>

#include "gateway/core/clock.hpp"

namespace touchpoint {
namespace {

constexpr std::int64_t ms_per_day = 86'400'000;
constexpr std::int64_t year_0000_ms = -62'167'219'200'000;
constexpr std::int64_t year_9999_end_ms = 253'402'300'799'999;

struct Digits {
    std::string_view text;
    std::size_t at = 0;
    bool ok = true;

    int number(int digits) {
        int value = 0;
        for (int i = 0; i < digits; ++i, ++at) {
            if (at >= text.size() || text[at] < '0' || text[at] > '9') return ok = false, 0;
            value = value * 10 + (text[at] - '0');
        }
        return value;
    }
    bool next(std::string_view any_of) {
        if (at >= text.size() || any_of.find(text[at]) == std::string_view::npos) return false;
        ++at;
        return true;
    }
    void expect(std::string_view any_of) { ok = next(any_of) && ok; }
};

}  // namespace

std::string to_rfc3339(UtcTime time) {
    const std::int64_t ms = std::clamp(time.ms, year_0000_ms, year_9999_end_ms);
    const std::int64_t day_number = (ms >= 0 ? ms : ms - (ms_per_day - 1)) / ms_per_day;
    const std::int64_t in_day = ms - day_number * ms_per_day;
    const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{day_number}}};
    // By hand: it is written for every event, and snprintf showed in profiles of the intake.
    std::string text = "0000-00-00T00:00:00.000Z";
    const auto put = [&text](std::size_t at, int digits, std::int64_t value) {
        for (; digits > 0; --digits, value /= 10)
            text[at + static_cast<std::size_t>(digits) - 1] = static_cast<char>('0' + value % 10);
    };
    put(0, 4, static_cast<int>(date.year()));
    put(5, 2, static_cast<unsigned>(date.month()));
    put(8, 2, static_cast<unsigned>(date.day()));
    put(11, 2, in_day / 3'600'000);
    put(14, 2, in_day / 60'000 % 60);
    put(17, 2, in_day / 1000 % 60);
    put(20, 3, in_day % 1000);
    return text;
}

std::optional<UtcTime> parse_rfc3339(std::string_view text) {
    Digits in{text};
    const int year = in.number(4);
    in.expect("-");
    const int month = in.number(2);
    in.expect("-");
    const int day = in.number(2);
    in.expect("Tt ");
    const int hour = in.number(2);
    in.expect(":");
    const int minute = in.number(2);
    in.expect(":");
    const int second = in.number(2);
    int ms = 0;
    if (in.ok && in.next(".,")) {
        int scale = 100;
        int digits = 0;
        for (; in.at < text.size() && text[in.at] >= '0' && text[in.at] <= '9'; ++in.at, ++digits) {
            ms += scale * (text[in.at] - '0');
            scale /= 10;
        }
        in.ok = digits > 0;
    }
    std::int64_t offset_min = 0;
    if (in.ok && !in.next("Zz")) {
        const bool west = in.at < text.size() && text[in.at] == '-';
        in.expect("+-");
        const int hours = in.number(2);
        in.expect(":");
        const int minutes = in.number(2);
        if (hours > 23 || minutes > 59) in.ok = false;
        offset_min = (west ? -1 : 1) * (hours * 60 + minutes);
    }
    if (!in.ok || in.at != text.size() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
    const std::chrono::year_month_day date{std::chrono::year{year},
                                           std::chrono::month(static_cast<unsigned>(month)),
                                           std::chrono::day(static_cast<unsigned>(day))};
    if (!date.ok()) return std::nullopt;
    const std::int64_t days = std::chrono::sys_days{date}.time_since_epoch().count();
    return UtcTime{days * ms_per_day + (((hour * 60LL + minute) - offset_min) * 60 + second) * 1000 + ms};
}

}  // namespace touchpoint
