#include "devices/decode.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <exception>
#include <iterator>
#include <string_view>

#include "devices/cloudevent.hpp"
#include "devices/event_type.hpp"
#include "devices/json_slice.hpp"
#include "gateway/core/ascii.hpp"
#include "gateway/core/consent.hpp"

namespace touchpoint::devices {
namespace {

Rejection reject(Problem type, std::string detail, std::string_view raw, std::string pointer = {}) {
    return {type, std::move(detail), std::move(pointer), {}, std::string(raw)};
}

Rejection reject(const JsonFault& fault, std::string_view raw) {
    Problem type = Problem::not_json;
    switch (fault.kind) {
        case JsonFault::Kind::not_json:
            type = Problem::not_json;
            break;
        case JsonFault::Kind::invalid_utf8:
            type = Problem::invalid_utf8;
            break;
        case JsonFault::Kind::too_deep:
            type = Problem::too_deep;
            break;
    }
    return reject(type, fault.text, raw);
}

constexpr std::array<std::string_view, 4> reserved = {"event_id", "event_time", "customer", "session"};

// What stands in user properties holds for every item that does not say it itself.
using Reserved = std::array<std::string, reserved.size()>;

// Sets one reserved value; `text` is already unescaped. Empty: it is fine.
std::optional<Rejection> set_reserved(Report& report, std::size_t which, const std::string& text) {
    const auto no = [](Problem type, std::string detail) { return reject(type, std::move(detail), {}); };
    switch (which) {
        case 0:
            if (!is_event_id(text))
                return no(Problem::bad_event_id, "1 to 128 bytes without control characters are allowed");
            report.id = text;
            break;
        case 1:
            report.time = parse_event_time(text);
            if (!report.time) return no(Problem::bad_event_time, "RFC 3339 or Unix time in ms is allowed");
            break;
        case 2:
            if (!is_customer(text))
                return no(Problem::bad_customer,
                          "a text like card:2900000012345 is expected, at most 256 bytes");
            report.customer = text;
            break;
        default:
            if (text.empty() || text.size() > session_bytes_max || has_control(text))
                return no(Problem::bad_session, "1 to 128 bytes without control characters are allowed");
            report.session = text;
    }
    return std::nullopt;
}

// ["card:2900000012345","email:a@b.example"]: one person with several names.
std::optional<Rejection> set_customers(Report& report, std::string_view list) {
    auto customers = customers_in(list);
    if (!customers)
        return reject(Problem::bad_customer,
                      "a text like card:2900000012345 is expected, or a list of 1 to 4 of the same person",
                      {});
    report.customer = std::move(customers->front());
    report.also.assign(std::make_move_iterator(customers->begin() + 1),
                       std::make_move_iterator(customers->end()));
    return std::nullopt;
}

// {"event_id":"a1","query":"oat milk"}: our reserved keys are cut out, the rest is data.
Item plain_item(std::string_view object, const std::vector<JsonMember>& members, const Reserved& outside) {
    Report report;
    std::array<bool, reserved.size()> seen{};
    std::optional<Rejection> problem;
    std::vector<const JsonMember*> rest;
    rest.reserve(members.size());
    for (const JsonMember& member : members) {
        rest.push_back(&member);
        for (std::size_t which = 0; which < reserved.size(); ++which) {
            if (!member.is(reserved[which])) continue;
            rest.pop_back();
            std::optional<Rejection> found;
            if (std::exchange(seen[which], true)) {
                found = reject(Problem::duplicate_key, "which of the two is meant cannot be known", {});
            } else if (member.value != "null") {
                // Numbers are taken as they stand: 1790000000000, 4711.
                const bool usable = is_string(member.value) || (which != 2 && is_number(member.value));
                if (which == 2 && is_array(member.value))
                    found = set_customers(report, member.value);
                else
                    found = set_reserved(report, which,
                                         is_string(member.value) ? json_unescape(member.value)
                                         : usable                ? std::string(member.value)
                                                                 : std::string());
            }
            if (found && !problem) {
                problem = std::move(found);
                problem->pointer = '/' + std::string(reserved[which]);
            }
        }
    }
    for (std::size_t which = 0; which < reserved.size() && !problem; ++which) {
        if (seen[which] || outside[which].empty()) continue;
        problem = set_reserved(report, which, outside[which]);
        if (problem)
            problem->detail = "user property " + std::string(reserved[which]) + ": " + problem->detail;
    }
    if (problem) {
        problem->id = report.id;
        problem->raw = object;
        return std::move(*problem);
    }
    if (rest.size() == members.size()) {
        report.data = object;
        return report;
    }
    report.data.reserve(object.size());
    report.data = '{';
    for (const JsonMember* member : rest) {
        if (report.data.size() > 1) report.data += ',';
        // From the first byte of the name to the last of the value, as the device wrote it.
        report.data.append(member->key.data(), member->value.data() + member->value.size());
    }
    report.data += '}';
    return report;
}

struct Shape {
    bool cloudevents = false;  // the content type says that every item is one
    bool batch = false;
};

// A withdrawal that nobody can obey must not be answered as if it were. Its bytes are `whole`.
Item with_consent_checked(Item item, const Decoded& out, std::string_view whole, bool data_is_whole = false) {
    const Report* report = std::get_if<Report>(&item);
    if (report == nullptr) return item;
    if (!is_consent(out.name, report->type)) return item;
    std::optional<Rejection> problem;
    const auto said = read_consent(report->base64 ? std::string_view() : std::string_view(report->data));
    auto mistake = std::holds_alternative<ConsentMistake>(said)
                       ? std::optional(std::get<ConsentMistake>(said))
                       : misspelled_purpose(std::get<ConsentChange>(said));
    if (mistake) {
        problem = reject(Problem::bad_consent, std::string(mistake->words), whole);
        const bool enveloped = !report->type.empty() && !data_is_whole;  // its members stand in `data`
        if (!mistake->member.empty())
            problem->pointer = std::string(enveloped ? "/data/" : "/") + std::string(mistake->member);
    } else if (report->customer.empty() && report->session.empty()) {
        problem = reject(Problem::bad_consent, "whose it is must stand there: customer or session", whole);
    }
    if (!problem) return item;
    problem->id = report->id;
    return std::move(*problem);
}

Item one_item(std::string_view value, Shape shape, const Reserved& outside, std::string_view own_source) {
    if (!is_object(value)) return reject(Problem::not_an_object, "this item is of another kind", value);
    const std::vector<JsonMember> members = json_members(value);
    if (shape.cloudevents || looks_like_cloudevent(members))
        return structured_cloudevent(value, members, own_source);
    return plain_item(value, members, outside);
}

std::string property(const store::Incoming& message, std::string_view name) {
    for (const auto& [key, value] : message.user_properties)
        if (key == name) return value;
    return {};
}

bool content_is(const store::Incoming& message, std::string_view type) {
    std::string_view given = message.content_type;
    given = json_trim(given.substr(0, given.find(';')));
    return ascii_iequals(given, type);
}

void decode_event(Decoded& out, const store::Incoming& message, const DecodeOptions& options) {
    const std::string& payload = message.payload;
    if (message.left_out_bytes != 0) {
        out.items.push_back(reject(Problem::too_large,
                                   std::to_string(payload.size() + message.left_out_bytes) +
                                       " bytes with its properties; only the beginning was kept",
                                   payload));
        return;
    }
    if (payload.size() > options.message_bytes_max) {
        const bool cut = payload.size() > quarantined_bytes_max;
        out.items.push_back(reject(Problem::too_large,
                                   std::to_string(payload.size()) + " bytes, at most " +
                                       std::to_string(options.message_bytes_max) + " are allowed" +
                                       (cut ? "; only the beginning was kept" : ""),
                                   std::string_view(payload).substr(0, quarantined_bytes_max)));
        return;
    }
    for (const auto& [key, value] : message.user_properties) {
        if (valid_utf8(key) && valid_utf8(value)) continue;
        out.items.push_back(reject(Problem::invalid_utf8, "a user property is not UTF-8", payload));
        return;
    }
    if (!valid_utf8(message.content_type)) {
        out.items.push_back(reject(Problem::invalid_utf8, "the content type is not UTF-8", payload));
        return;
    }
    const std::string own_source = "/stores/" + options.store_id + '/' + out.address->key();
    Shape shape;
    shape.batch = content_is(message, "application/cloudevents-batch+json");
    shape.cloudevents = shape.batch || content_is(message, "application/cloudevents+json");

    if (!shape.cloudevents && !property(message, "specversion").empty()) {
        out.items.push_back(
            with_consent_checked(binary_cloudevent(message, own_source), out, message.payload, true));
        return;
    }
    if (const auto fault = validate_json(payload)) {
        out.items.push_back(reject(*fault, payload));
        return;
    }
    Reserved outside;
    for (std::size_t i = 0; i < reserved.size(); ++i) outside[i] = property(message, reserved[i]);

    const std::string_view text = json_trim(payload);
    if (!is_array(text)) {
        if (shape.batch) {
            out.items.push_back(reject(Problem::bad_cloudevent, "a batch is a JSON array", payload));
            return;
        }
        out.items.push_back(with_consent_checked(one_item(text, shape, outside, own_source), out, text));
        return;
    }
    if (shape.cloudevents && !shape.batch) {
        out.items.push_back(reject(Problem::bad_cloudevent,
                                   "an array needs the content type application/cloudevents-batch+json",
                                   payload));
        return;
    }
    const std::vector<std::string_view> items = json_items(text, options.array_items_max);
    if (items.size() > options.array_items_max) {
        out.items.push_back(
            reject(Problem::too_many_items,
                   "at most " + std::to_string(options.array_items_max) + " items are allowed", payload));
        return;
    }
    if (!outside[0].empty() && items.size() > 1) {
        out.items.push_back(
            reject(Problem::bad_event_id, "the user property event_id cannot name several events", payload));
        return;
    }
    out.items.reserve(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) {
        Item item = with_consent_checked(one_item(items[i], shape, outside, own_source), out, items[i]);
        if (auto* rejection = std::get_if<Rejection>(&item))
            rejection->pointer = '/' + std::to_string(i) + rejection->pointer;
        out.items.push_back(std::move(item));
    }
}

}  // namespace

std::optional<UtcTime> parse_event_time(std::string_view text) {
    const bool digits = !text.empty() && std::all_of(text.begin() + (text[0] == '-' ? 1 : 0), text.end(),
                                                     [](char c) { return c >= '0' && c <= '9'; });
    if (!digits || text == "-") return parse_rfc3339(text);
    std::int64_t ms = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), ms);
    // The years 0000 to 9999, which RFC 3339 can write.
    if (ec != std::errc() || end != text.data() + text.size() || ms < -62'167'219'200'000 ||
        ms > 253'402'300'799'999)
        return std::nullopt;
    return UtcTime{ms};
}

std::optional<std::vector<std::string>> customers_in(std::string_view json) {
    std::vector<std::string> found;
    const auto items = is_array(json) ? json_items(json, customers_max) : std::vector{json};
    if (items.empty() || items.size() > customers_max) return std::nullopt;
    for (const std::string_view item : items) {
        if (!is_string(item)) return std::nullopt;
        found.push_back(json_unescape(item));
        if (!is_customer(found.back())) return std::nullopt;
    }
    return found;
}

bool is_customer(std::string_view text) {
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos || colon == 0 || colon > 32 || text.size() > customer_bytes_max ||
        has_control(text))
        return false;
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    if (!letter(text[0]) ||
        !std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(colon),
                     [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-'; }))
        return false;
    return text.find_first_not_of(' ', colon + 1) != std::string_view::npos;
}

Decoded decode(const store::Incoming& message, const DecodeOptions& options) noexcept try {
    Decoded out;
    const auto topic = Topic::parse(message.topic);
    out.address = topic ? topic->address : address_in(message.topic);
    if (!topic || topic->role != TopicRole::event) {
        out.items.push_back(
            reject(Problem::bad_topic,
                   "touchpoint/v1/{kind}/{device}/event/{name} is expected, kind of [a-z0-9-]{1,32}, "
                   "device and name of [A-Za-z0-9_-]{1,64}",
                   message.payload));
        return out;
    }
    out.name = topic->name;
    decode_event(out, message, options);
    return out;
} catch (const std::exception&) {
    // Only the want of memory throws here. An empty answer would lose the message in silence: the process
    // dies, and the journal still has it.
    std::terminate();
}

}  // namespace touchpoint::devices
