#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <iostream>

#include "gateway/command/client.hpp"
#include "gateway/command/commands.hpp"

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

int refused(const Target& target, const Answer& answer) {
    if (answer.status == 403) return no_answer(target, fail(Errc::refused, "HTTP 403"));
    boost::system::error_code error;
    const json::value problem = json::parse(answer.body, error);
    const std::string detail = error ? std::string() : text(problem.if_object(), "detail");
    std::cerr << "touchpoint: " << (detail.empty() ? "HTTP " + std::to_string(answer.status) : detail)
              << '\n';
    return 1;
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
        number.insert(0, std::max<std::size_t>(number.size(), 6) - number.size(), ' ');
        if (const json::object* gap = inner(*item, "gap")) {
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
    if (answer->status != 200) return refused(target, *answer);
    std::cout << (as_json ? answer->body : quarantine_text(answer->body));
    return 0;
}

int quarantine_show(const Target& target, std::uint64_t sequence) {
    const auto answer = ask(target.socket, "/v1/quarantine/" + std::to_string(sequence));
    if (!answer) return no_answer(target, answer.error());
    if (answer->status != 200) return refused(target, *answer);
    std::cout << answer->body;
    return 0;
}

}  // namespace touchpoint::command
