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

std::string text(const json::object& object, const char* key) {
    const json::value* value = object.if_contains(key);
    const json::string* string = value == nullptr ? nullptr : value->if_string();
    return string == nullptr ? std::string() : std::string(string->data(), string->size());
}

std::string number(const json::object& object, const char* key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_int64() ? std::to_string(value->get_int64()) : "0";
}

}  // namespace

std::string tail_text(std::string_view line) {
    boost::system::error_code error;
    const json::value value = json::parse({line.data(), line.size()}, error);
    const json::object* entry = error ? nullptr : value.if_object();
    if (entry == nullptr) return {};
    if (entry->contains("dropped"))
        return "... " + number(*entry, "dropped") + " not shown, too fast for this screen";
    // "2026-09-21T08:01:02.113Z": the day is known to who watches.
    const std::string time = text(*entry, "time");
    std::string out = (time.size() == 24 ? time.substr(11, 12) : time) + "  ";
    std::string verdict = text(*entry, "verdict");
    verdict.resize(std::max<std::size_t>(verdict.size(), 9), ' ');
    out += verdict + "  " + text(*entry, "topic") + "  " + number(*entry, "bytes") + " bytes";
    if (const std::string events = number(*entry, "events"); events != "0" && events != "1")
        out += ", " + events + " events";
    if (entry->contains("rejected")) out += ", " + number(*entry, "rejected") + " rejected";
    if (const std::string detail = text(*entry, "detail"); !detail.empty()) out += ": " + detail;
    return out;
}

int tail(const Target& target, bool as_json) {
    bool well = true;
    const auto show = [&](std::string_view line) {
        std::cout << (as_json ? std::string(line) : tail_text(line)) << '\n' << std::flush;
        well = static_cast<bool>(std::cout);
        return well;  // the reader of our output has gone
    };
    const auto answer = ask(target.socket, "/v1/tail", show);
    if (!answer) return no_answer(target, answer.error());
    if (answer->status == 200) {
        if (well) std::cerr << "touchpoint: the gateway has stopped\n";
        return 0;
    }
    if (answer->status == 403) return no_answer(target, fail(Errc::refused, "HTTP 403"));
    std::cerr << "touchpoint: too many listeners already; end another tail first\n";
    return 1;
}

}  // namespace touchpoint::command
