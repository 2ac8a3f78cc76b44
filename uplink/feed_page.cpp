#include "uplink/feed_page.hpp"

#include <algorithm>

#include "gateway/core/json_slice.hpp"

namespace touchpoint::uplink {
namespace {

// One that is the feed's own is short.
constexpr std::size_t own_line_bytes_max = feed_token_bytes_max + 64;

// True: `line` is none of a profile.
bool take_own(std::string_view line, FeedPage& page) {
    if (line.size() > own_line_bytes_max || validate_json(line)) return false;
    line = json_trim(line);
    if (!is_object(line)) return false;
    const auto members = json_members(line);
    if (members.size() != 1) return false;
    const auto next = json_find(members, "next");
    if (next && is_string(*next)) {
        page.next = json_unescape(*next);
        return true;
    }
    const auto op = json_find(members, "op");
    if (!op || !is_string(*op) || json_unescape(*op) != "resync") return false;
    page.resync = true;
    return true;
}

void append_escaped(std::string& out, std::string_view text) {
    constexpr char hex[] = "0123456789ABCDEF";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           c == '-' || c == '_' || c == '.' || c == '~';
        if (plain)
            out += c;
        else
            out.append(1, '%').append(1, hex[byte >> 4]).append(1, hex[byte & 15]);
    }
}

}  // namespace

FeedPage feed_page(const Answer& answer) {
    FeedPage page;
    std::string_view body = answer.body;
    while (!body.empty()) {
        const std::size_t end = std::min(body.find('\n'), body.size());
        const std::string_view line = json_trim(body.substr(0, end));
        body.remove_prefix(std::min(end + 1, body.size()));
        if (line.empty() || take_own(line, page)) continue;
        page.lines.push_back(line);
        if (page.lines.size() > feed_lines_max) {
            page.problem = "more than " + std::to_string(feed_lines_max) + " lines in one answer";
            return page;
        }
    }
    if (!answer.next_cursor.empty()) page.next = answer.next_cursor;
    if (page.next.size() > feed_token_bytes_max) page.problem = "the continuation token is too long";
    if (page.next.empty() && !page.resync) page.problem = "no continuation token";
    return page;
}

std::string feed_target(std::string_view target, std::string_view token, std::chrono::seconds wait,
                        std::string_view gateway) {
    std::string out(target);
    out += out.find('?') == std::string::npos ? '?' : '&';
    if (!token.empty()) {
        out += "after=";
        append_escaped(out, token);
        out += '&';
    }
    out += "wait=" + std::to_string(wait.count()) + "&gateway=";
    append_escaped(out, gateway);
    return out;
}

FeedTrouble feed_trouble(const Answer& answer, unsigned failures, const PushOptions& options, UtcTime now,
                         std::uint64_t random) {
    const int status = answer.status;
    const bool passes = status == 0 || (status >= 200 && status < 300) || status == 408 || status == 425 ||
                        status == 429 || status >= 500;
    FeedTrouble trouble;
    trouble.state = passes ? PushState::retrying : PushState::paused;
    trouble.wait =
        passes ? back_off(failures, options.retry_first, options.retry_max, random) : options.probe;
    if (const auto asked = parse_retry_after(answer.retry_after, now)) trouble.wait = *asked;
    return trouble;
}

}  // namespace touchpoint::uplink
