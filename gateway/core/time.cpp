#include <algorithm>
#include <array>
#include <cstdio>

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
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  static_cast<int>(in_day / 3'600'000), static_cast<int>(in_day / 60'000 % 60),
                  static_cast<int>(in_day / 1000 % 60), static_cast<int>(in_day % 1000));
    return text.data();
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
    const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month(static_cast<unsigned>(month)),
                                           std::chrono::day(static_cast<unsigned>(day))};
    if (!date.ok()) return std::nullopt;
    const std::int64_t days = std::chrono::sys_days{date}.time_since_epoch().count();
    return UtcTime{days * ms_per_day + (((hour * 60LL + minute) - offset_min) * 60 + second) * 1000 + ms};
}

}  // namespace touchpoint
