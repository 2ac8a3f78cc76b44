#include "gateway/profiles/touch.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "devices/event_type.hpp"
#include "devices/json_slice.hpp"

namespace touchpoint::gateway {
namespace {

using devices::is_number;
using devices::is_object;
using devices::is_string;
using devices::json_find;
using devices::JsonMember;

constexpr std::string_view pseudonym_prefix = "pseudonym/";
constexpr std::string_view gateway_types = "store.system.";
constexpr std::string_view merge_type = "store.system.merge.v1";
constexpr std::int64_t quantity_max = 1'000'000'000;  // a million pieces
// What a person is told of an event, the first that it has.
constexpr std::array<std::string_view, 12> telling = {
    "query", "item", "name", "page", "code", "gtin", "zone", "purpose", "score", "button", "state", "total"};

std::string text_of(const std::vector<JsonMember>& members, std::string_view name) {
    const auto value = json_find(members, name);
    return value && is_string(*value) ? devices::json_unescape(*value) : std::string();
}

// A text or a number, as a person reads it.
std::string shown(std::string_view value) {
    if (is_string(value)) return devices::json_unescape(value);
    return is_number(value) ? std::string(value) : std::string();
}

// "/stores/s1/kiosk/k7" -> "kiosk/k7"
std::string device_of(std::string_view source) {
    constexpr std::string_view root = "/stores/";
    if (!source.starts_with(root)) return cut(source, touch_word_bytes_max);
    source.remove_prefix(root.size());
    const std::size_t slash = source.find('/');
    return cut(slash == std::string_view::npos ? source : source.substr(slash + 1), touch_word_bytes_max);
}

std::int64_t thousandths(std::string_view value) {
    const std::string text = shown(value);
    double number = 1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || error != std::errc() || end != text.data() + text.size() || !std::isfinite(number))
        return 1000;
    const double limit = static_cast<double>(quantity_max);
    return static_cast<std::int64_t>(std::llround(std::clamp(number * 1000, 0.0, limit)));
}

std::optional<CartChange> cart_of(const std::vector<JsonMember>& data) {
    const std::string action = text_of(data, "action");
    CartChange change;
    if (action == "clear") {
        change.kind = CartChange::Kind::clear;
        return change;
    }
    if (action == "remove")
        change.kind = CartChange::Kind::remove;
    else if (action == "set")
        change.kind = CartChange::Kind::set;
    else if (action != "add")
        return std::nullopt;
    for (const std::string_view name : {"item", "gtin", "code"})
        if (const auto value = json_find(data, name); value && change.item.empty())
            change.item = cut(shown(*value), touch_word_bytes_max);
    if (change.item.empty()) return std::nullopt;
    if (const auto quantity = json_find(data, "quantity")) change.quantity = thousandths(*quantity);
    return change;
}

std::string line_of(std::string_view word, const std::vector<JsonMember>& data) {
    std::string line(word);
    for (const std::string_view name : telling) {
        const auto value = json_find(data, name);
        const std::string text = value ? shown(*value) : std::string();
        if (text.empty()) continue;
        line += ": " + text;
        break;
    }
    return cut(line, touch_line_bytes_max);
}

std::vector<std::string> pseudonyms_in(std::string_view list) {
    std::vector<std::string> found;
    while (!list.empty() && found.size() < touch_persons_max) {
        const std::size_t comma = std::min(list.find(','), list.size());
        const std::string_view one = list.substr(0, comma);
        if (one.starts_with(pseudonym_prefix)) found.emplace_back(one.substr(pseudonym_prefix.size()));
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
    return found;
}

}  // namespace

std::string cut(std::string_view text, std::size_t bytes_max) {
    if (text.size() <= bytes_max) return std::string(text);
    std::size_t end = bytes_max;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    return std::string(text.substr(0, end));
}

std::optional<Told> read_touch(Stream stream, Sequence sequence, UtcTime recorded, std::string_view members) {
    // Most events of a shop name nobody: that is found out before anything is parsed.
    if (members.find("\"subject\":\"pseudonym/") == std::string_view::npos &&
        members.find("\"session\":\"") == std::string_view::npos)
        return std::nullopt;
    const std::string text = "{" + std::string(members) + "}";
    if (devices::validate_json(text)) return std::nullopt;
    const auto event = devices::json_members(text);

    Told told;
    const std::string subject = text_of(event, "subject");
    if (subject.starts_with(pseudonym_prefix)) told.person = subject.substr(pseudonym_prefix.size());
    if (!told.person.empty()) told.same_as = pseudonyms_in(text_of(event, "sameas"));
    const std::string source = text_of(event, "source");
    const std::string session = text_of(event, "session");
    if (!session.empty()) told.session = source + ' ' + session;
    if (told.person.empty() && told.session.empty()) return std::nullopt;

    Touch& touch = told.touch;
    touch.mark = {stream, sequence, recorded};
    touch.time = parse_rfc3339(text_of(event, "time")).value_or(recorded);
    const std::string type = text_of(event, "type");
    if (type == merge_type) {
        Told ours;
        ours.tells = text_of(event, "id");
        return ours;
    }
    if (type.starts_with(gateway_types)) return std::nullopt;  // our own, about what is here already
    touch.type = cut(type, touch_word_bytes_max);
    touch.device = device_of(source);
    // Of the whole of it: that a consent was named at length must not make it another event.
    const std::string_view word = devices::last_word(type);

    const std::string_view body = json_find(event, "data").value_or("");
    std::vector<JsonMember> data;
    if (is_object(body)) data = devices::json_members(body);
    touch.line = line_of(word, data);
    if (word == "cart") told.cart = cart_of(data);
    told.sale = stream == Stream::sales && word == "sale";
    told.session_end = word == "session" && text_of(data, "state") == "end";
    if (stream == Stream::customer && word == "consent") {
        auto said = read_consent(body);
        if (auto* change = std::get_if<ConsentChange>(&said)) told.consent = std::move(*change);
    }
    told.left = word == "left";
    if (const auto zone = json_find(data, "zone"); zone && is_string(*zone))
        told.zone = cut(devices::json_unescape(*zone), touch_word_bytes_max);
    return told;
}

}  // namespace touchpoint::gateway
