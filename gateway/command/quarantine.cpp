#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <cstdint>
#include <iostream>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/command/client.hpp"
#include "gateway/command/commands.hpp"
#include "gateway/command/json_view.hpp"

namespace touchpoint::command {
namespace {

namespace json = boost::json;

std::string text(const json::object* object, const char* key) {
    const json::value* value = object == nullptr ? nullptr : object->if_contains(key);
    const json::string* string = value == nullptr ? nullptr : value->if_string();
    return string == nullptr ? std::string() : std::string(string->data(), string->size());
}

const json::object* inner(const json::object& object, const char* key) {
    const json::value* value = object.if_contains(key);
    return value == nullptr ? nullptr : value->if_object();
}

int no(const Target& target, const Answer& answer) {
    if (answer.status == 403) return no_answer(target, fail(Errc::refused, "HTTP 403"));
    boost::system::error_code error;
    const json::value problem = json::parse(answer.body, error);
    const std::string detail = error ? std::string() : text(problem.if_object(), "detail");
    std::cerr << "touchpoint: " << (detail.empty() ? "HTTP " + std::to_string(answer.status) : detail)
              << '\n';
    return 1;
}

struct Range {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
};

std::optional<Range> range_of(std::string_view which) {
    if (which == "all") return Range{1, std::numeric_limits<std::uint64_t>::max()};
    const auto number = [](std::string_view digits) -> std::uint64_t {
        std::uint64_t value = 0;
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
        return error == std::errc() && end == digits.data() + digits.size() ? value : 0;
    };
    const std::size_t dots = which.find("..");
    const std::uint64_t first = number(which.substr(0, dots));
    const std::uint64_t last = dots == std::string_view::npos ? first : number(which.substr(dots + 2));
    if (first == 0 || last < first) return std::nullopt;
    return Range{first, last};
}

int not_a_range(const std::string& which) {
    std::cerr << "touchpoint: " << which << " is neither a number nor a range like 5..9 nor all\n";
    return 2;
}

int nothing_kept(const std::string& which) {
    if (which == "all") {
        std::cout << "Nothing is in quarantine.\n";
        return 0;
    }
    std::cerr << "touchpoint: nothing is kept under " << which << '\n';
    return 1;
}

std::string become_events(std::uint64_t count) {
    return std::to_string(count) + (count == 1 ? " is an event now" : " are events now");
}

std::string query(Range range) {
    return "?first=" + std::to_string(range.first) + "&last=" + std::to_string(range.last);
}

void print_refused(View one) {
    std::cout << one["sequence"].number() << "  " << one["error"]["type"].text() << "  "
              << one["error"]["detail"].text() << '\n';
}

}  // namespace

std::string quarantine_text(std::string_view body) {
    boost::system::error_code error;
    const json::value root = json::parse({body.data(), body.size()}, error);
    const json::object* page = error ? nullptr : root.if_object();
    const json::value* items = page == nullptr ? nullptr : page->if_contains("items");
    if (items == nullptr || !items->is_array()) return {};
    if (items->get_array().empty()) return "Nothing is in quarantine.\n";
    std::string out;
    for (const json::value& value : items->get_array()) {
        const json::object* item = value.if_object();
        if (item == nullptr) continue;
        const json::value* sequence = item->if_contains("sequence");
        std::string number =
            sequence != nullptr && sequence->is_int64() ? std::to_string(sequence->get_int64()) : "?";
        const json::object* gap = inner(*item, "gap");
        if (gap != nullptr) {
            const View range = View(&value)["gap"];
            if (range["first"].number() < range["last"].number())
                number = std::to_string(range["first"].number()) + ".." + number;
        }
        number.insert(0, std::max<std::size_t>(number.size(), 6) - number.size(), ' ');
        if (gap != nullptr) {
            out += number + "  not kept (" + text(gap, "reason") + ")\n";
            continue;
        }
        const json::object* problem = inner(*item, "error");
        out += number + "  " + text(item, "time") + "  " + text(problem, "type") + "  " +
               text(item, "topic") + "\n";
        const std::string pointer = text(problem, "pointer");
        const std::string detail = text(problem, "detail");
        if (!detail.empty())
            out += "        " + detail + (pointer.empty() ? "" : " (at " + pointer + ")") + "\n";
    }
    return out + "Show one with its payload: touchpoint quarantine show NUMBER\n";
}

int quarantine_list(const Target& target, std::uint32_t limit, std::uint64_t after, bool as_json) {
    std::string path = "/v1/quarantine?limit=" + std::to_string(limit);
    if (after != 0) path += "&after=" + std::to_string(after);
    const auto answer = ask(target.socket, path);
    if (!answer) return no_answer(target, answer.error());
    if (answer->status != 200) return no(target, *answer);
    std::cout << (as_json ? answer->body : quarantine_text(answer->body));
    return 0;
}

int quarantine_show(const Target& target, std::uint64_t sequence) {
    const auto answer = ask(target.socket, "/v1/quarantine/" + std::to_string(sequence));
    if (!answer) return no_answer(target, answer.error());
    if (answer->status != 200) return no(target, *answer);
    std::cout << answer->body;
    return 0;
}

int quarantine_retry(const Target& target, const std::string& which) {
    const auto range = range_of(which);
    if (!range) return not_a_range(which);
    std::uint64_t retried = 0;
    std::uint64_t refused = 0;
    for (std::uint64_t first = range->first; first != 0;) {
        const auto answer =
            ask(target.socket, "/v1/quarantine/retry" + query({first, range->last}), {}, "POST");
        if (!answer) return no_answer(target, answer.error());
        if (answer->status == 503 && retried + refused > 0)
            std::cout << become_events(retried) << "; " << refused
                      << (refused == 1 ? " still breaks" : " still break") << " a rule. From " << first
                      << " on none was tried.\n";
        if (answer->status != 200) return no(target, *answer);
        boost::system::error_code error;
        const json::value root = json::parse(answer->body, error);
        if (error || !root.is_object()) return no(target, *answer);
        const View body(&root);
        retried += body["retried"].number();
        refused += body["refused"].number();
        for (const json::value& one : body["first_refused"].items()) print_refused(View(&one));
        first = body["next"].number();
    }
    if (retried + refused == 0) return nothing_kept(which);
    std::cout << become_events(retried) << "; " << refused
              << (refused == 1 ? " still breaks" : " still break") << " a rule and "
              << (refused == 1 ? "stays" : "stay") << " in quarantine.\n";
    return refused == 0 ? 0 : 1;
}

int quarantine_discard(const Target& target, const std::string& which) {
    const auto range = range_of(which);
    if (!range) return not_a_range(which);
    std::uint64_t discarded = 0;
    for (std::uint64_t first = range->first; first != 0;) {
        const auto answer =
            ask(target.socket, "/v1/quarantine/discard" + query({first, range->last}), {}, "POST");
        if (!answer) return no_answer(target, answer.error());
        if (answer->status == 404) break;  // of these, or behind those that were discarded: none is kept
        if (answer->status != 200 && discarded > 0) std::cout << discarded << " were discarded.\n";
        if (answer->status != 200) return no(target, *answer);
        boost::system::error_code error;
        const json::value root = json::parse(answer->body, error);
        if (error || !root.is_object()) return no(target, *answer);
        const View body(&root);
        discarded += body["discarded"].number();
        first = body["next"].number();
    }
    if (discarded == 0) return nothing_kept(which);
    std::cout << discarded << (discarded == 1 ? " message was" : " messages were")
              << " discarded. The numbers stay on record: touchpoint quarantine list\n";
    return 0;
}

}  // namespace touchpoint::command
