#include "gateway/quarantine.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <utility>

#include "devices/sealed_properties.hpp"
#include "gateway/core/clock.hpp"

namespace touchpoint::gateway {
namespace {

namespace json = boost::json;

std::optional<json::object> parsed(std::string_view members) {
    boost::system::error_code error;
    json::value value = json::parse("{" + std::string(members) + "}", error);
    if (error || !value.is_object()) return std::nullopt;
    return std::move(value.get_object());
}

const json::object* data_of(const json::object& event) {
    const json::value* data = event.if_contains("data");
    return data == nullptr ? nullptr : data->if_object();
}

void copy(json::object& to, const json::object* from, std::string_view key) {
    if (from == nullptr) return;
    if (const json::value* value = from->if_contains(json::string_view(key.data(), key.size())))
        to[json::string_view(key.data(), key.size())] = *value;
}

std::optional<std::string> base64_decoded(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    std::string out(text.size() / 4 * 3, '\0');
    const auto* from = static_cast<const unsigned char*>(static_cast<const void*>(text.data()));
    auto* to = static_cast<unsigned char*>(static_cast<void*>(out.data()));
    const int bytes = EVP_DecodeBlock(to, from, static_cast<int>(text.size()));
    if (bytes < 0) return std::nullopt;
    const auto padding = static_cast<std::size_t>(
        std::count(text.end() - std::min<std::ptrdiff_t>(2, text.end() - text.begin()), text.end(), '='));
    out.resize(static_cast<std::size_t>(bytes) - padding);
    return out;
}

std::string base64_encoded(std::string_view bytes) {
    std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
    const auto* from = static_cast<const unsigned char*>(static_cast<const void*>(bytes.data()));
    auto* to = static_cast<unsigned char*>(static_cast<void*>(out.data()));
    out.resize(static_cast<std::size_t>(EVP_EncodeBlock(to, from, static_cast<int>(bytes.size()))));
    return out;
}

Result<std::string> opened(const json::object& data, std::string_view key, const store::SealedBox& box) {
    const json::value* sealed = data.if_contains(json::string_view(key.data(), key.size()));
    if (sealed == nullptr || !sealed->is_string()) return fail(Errc::not_found, "no sealed payload");
    const auto bytes =
        base64_decoded(std::string_view(sealed->get_string().data(), sealed->get_string().size()));
    if (!bytes) return fail(Errc::damaged, "the sealed payload is no base64");
    return box.open(*bytes, "quarantine");
}

std::string text_of(const json::object* object, std::string_view key) {
    const json::value* value =
        object == nullptr ? nullptr : object->if_contains(json::string_view(key.data(), key.size()));
    const json::string* text = value == nullptr ? nullptr : value->if_string();
    return text == nullptr ? std::string() : std::string(text->data(), text->size());
}

// Boost.JSON does not check what it serialises; JSON text must be UTF-8. Its own parser is the judge.
bool is_text(std::string_view bytes) {
    boost::system::error_code error;
    std::string quoted = json::serialize(json::string(bytes.data(), bytes.size()));
    json::parse(quoted, error);
    return !error;
}

}  // namespace

void add_quarantine_items(std::string& items, const store::Slice& slice) {
    for (const store::StoredEvent& stored : slice.events) {
        json::object item;
        item["sequence"] = stored.sequence;
        if (stored.gap >= 0) {
            const store::Gap& gap = slice.gaps[static_cast<std::size_t>(stored.gap)];
            item["gap"] = json::object{{"first", gap.first}, {"last", gap.last}, {"reason", gap.reason}};
        } else if (const auto event = parsed(stored.members)) {
            for (const char* key : {"time", "source"}) copy(item, &*event, key);
            for (const char* key : {"topic", "error"}) copy(item, data_of(*event), key);
        }
        if (!items.empty()) items += ',';
        items += json::serialize(item);
    }
}

Result<std::string> quarantine_show(const store::Slice& slice, Sequence sequence,
                                    const store::SealedBox& box) {
    if (slice.events.empty() || slice.events.front().sequence != sequence || slice.events.front().gap >= 0)
        return fail(Errc::not_found, "nothing is kept under this sequence");
    auto event = parsed(slice.events.front().members);
    const json::object* data = event ? data_of(*event) : nullptr;
    if (data == nullptr) return fail(Errc::damaged, "the event cannot be read");
    const bool erased = data->if_contains("erased") != nullptr;
    const auto payload = opened(*data, "sealed", box);
    if (!payload && !erased) return payload.error();
    json::object out = *event;
    out.erase("persons");
    json::object& shown = out["data"].get_object();
    out["sequence"] = sequence;
    if (erased) return json::serialize(out) + "\n";  // who asks for its payload is told why there is none
    shown.erase("sealed");
    shown.erase("sealed_properties");
    shown[is_text(*payload) ? "payload" : "payload_base64"] =
        is_text(*payload) ? *payload : base64_encoded(*payload);
    if (const auto properties = opened(*data, "sealed_properties", box); properties && is_text(*properties))
        shown["properties"] = *properties;
    return json::serialize(out) + "\n";
}

Result<store::Incoming> quarantined_message(std::string_view members, const store::SealedBox& box) {
    const auto event = parsed(members);
    const json::object* data = event ? data_of(*event) : nullptr;
    if (data == nullptr) return fail(Errc::damaged, "the event cannot be read");
    if (data->if_contains("erased") != nullptr)
        return fail(Errc::refused, "a person in it was erased, and its payload with him");
    if (data->if_contains("kept_bytes") != nullptr)
        return fail(Errc::full, "only its beginning is kept, for the persons in it");
    auto payload = opened(*data, "sealed", box);
    if (!payload) return payload.error();
    store::Incoming message;
    message.topic = text_of(data, "topic");
    message.payload = std::move(*payload);
    if (const auto came = parse_rfc3339(text_of(&*event, "time"))) {
        message.received = *came;
        message.clock_trusted = true;
    }
    const auto properties = opened(*data, "sealed_properties", box);
    if (!properties && properties.error().code != Errc::not_found) return properties.error();
    if (properties) devices::read_properties(*properties, message);
    return message;
}

}  // namespace touchpoint::gateway
