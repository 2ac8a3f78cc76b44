#include "gateway/platform_json.hpp"

#include <algorithm>
#include <array>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <boost/system/error_code.hpp>
#include <cstdint>
#include <utility>

#include "gateway/core/json_text.hpp"
#include "gateway/json_words.hpp"

namespace touchpoint::gateway {
namespace {

namespace json = boost::json;

template <class T>
using Read = boost::system::result<T, Mistake>;

std::string_view text_of(const json::string& text) { return {text.data(), text.size()}; }

std::string stream_names() {
    std::string words;
    for (const Stream stream : all_streams) words += (words.empty() ? "" : ", ") + std::string(name(stream));
    return words;
}

Mistake no_stream(std::string_view text) {
    return {"'" + std::string(text.substr(0, 32)) + "' is not a stream; there are " + stream_names()};
}

// An object whose members are all among `known`.
Read<json::object> object_of(std::string_view body, std::initializer_list<std::string_view> known) {
    boost::system::error_code error;
    json::value value = json::parse(json::string_view(body.data(), body.size()), error);
    if (error || !value.is_object()) return Mistake{"the body must be a JSON object"};
    for (const auto& member : value.get_object()) {
        const std::string_view key(member.key().data(), member.key().size());
        if (std::find(known.begin(), known.end(), key) == known.end()) {
            std::string words;
            for (const std::string_view each : known)
                words += (words.empty() ? "'" : ", '") + std::string(each) + "'";
            return Mistake{"the body's members are " + words + "; there is another one"};
        }
    }
    return std::move(value.get_object());
}

json::object picture_json(const uplink::PullPicture& picture) {
    const store::ConsumerState& state = picture.state;
    json::object streams;
    std::uint64_t lag = 0;
    UtcTime oldest;
    for (const Stream stream : all_streams) {
        if (!state.streams[stream]) continue;
        const UtcTime time = picture.oldest[stream];
        lag += picture.lag[stream];
        if (time.ms != 0 && (oldest.ms == 0 || time < oldest)) oldest = time;
        streams[json::string_view(name(stream).data(), name(stream).size())] =
            json::object{{"acknowledged", state.acknowledged[stream]},
                         {"horizon", picture.horizon[stream]},
                         {"lag", picture.lag[stream]},
                         {"oldest", when(time)}};
    }
    json::object out{{"name", state.name},
                     {"kind", state.kind == store::ConsumerKind::push ? "push" : "pull"},
                     {"cursor", picture.cursor},
                     {"lag", lag},
                     {"oldest", when(oldest)},
                     {"since", when(state.since)},
                     {"last_seen", when(state.last_seen)},
                     {"streams", std::move(streams)}};
    if (state.kind == store::ConsumerKind::push) out["configured"] = state.configured;
    return out;
}

}  // namespace

Read<PerStream<bool>> streams_named(std::string_view text) {
    PerStream<bool> streams;
    for (bool more = true; more;) {
        const std::size_t end = text.find(',');
        const auto stream = stream_named(text.substr(0, end));
        if (!stream) return no_stream(text.substr(0, end));
        if (streams[*stream]) return Mistake{"'" + std::string(name(*stream)) + "' is named twice"};
        streams[*stream] = true;
        more = end != std::string_view::npos;
        text.remove_prefix(more ? end + 1 : 0);
    }
    return streams;
}

Read<ConsumerBody> consumer_body(std::string_view body) {
    ConsumerBody wanted;
    if (body.empty()) return wanted;
    const auto object = object_of(body, {"streams", "from"});
    if (!object) return object.error();
    if (const json::value* streams = object->if_contains("streams")) {
        if (!streams->is_array() || streams->get_array().empty())
            return Mistake{"'streams' must be a list of at least one of " + stream_names()};
        wanted.streams.emplace();
        for (const json::value& one : streams->get_array()) {
            if (!one.is_string()) return Mistake{"'streams' must be a list of names"};
            const auto stream = stream_named(text_of(one.get_string()));
            if (!stream)
                return Mistake{"'streams' names something that is not a stream; there are " + stream_names()};
            (*wanted.streams)[*stream] = true;
        }
    }
    if (const json::value* from = object->if_contains("from")) {
        if (*from == "latest")
            wanted.from = store::From::latest;
        else if (*from != "oldest")
            return Mistake{"'from' must be \"oldest\" or \"latest\""};
    }
    return wanted;
}

Read<std::string> cursor_body(std::string_view body) {
    const auto object = object_of(body, {"cursor"});
    if (!object) return object.error();
    const json::value* cursor = object->if_contains("cursor");
    if (cursor == nullptr || !cursor->is_string())
        return Mistake{"'cursor' must be the text of Touchpoint-Next-Cursor"};
    return Read<std::string>(boost::system::in_place_value, text_of(cursor->get_string()));
}

Read<uplink::PullPlace> place_body(std::string_view body) {
    using Kind = uplink::PullPlace::Kind;
    const std::string forms =
        R"('to' must be "oldest", "latest", {"time":"2026-09-21T08:00:00Z"}, {"cursor":".."} or, with the next )"
        R"(number of each stream, {"sales":123})";
    const auto object = object_of(body, {"to"});
    if (!object) return object.error();
    const json::value* to = object->if_contains("to");
    uplink::PullPlace place;
    if (to == nullptr) return Mistake{forms};
    if (*to == "oldest" || *to == "latest") {
        place.kind = *to == "oldest" ? Kind::oldest : Kind::latest;
        return place;
    }
    if (!to->is_object() || to->get_object().empty()) return Mistake{forms};
    const json::object& members = to->get_object();
    if (const json::value* time = members.if_contains("time")) {
        const auto parsed = time->is_string() ? parse_rfc3339(text_of(time->get_string())) : std::nullopt;
        if (!parsed || members.size() != 1) return Mistake{forms};
        place.kind = Kind::time;
        place.time = *parsed;
        return place;
    }
    if (const json::value* cursor = members.if_contains("cursor")) {
        if (!cursor->is_string() || members.size() != 1) return Mistake{forms};
        place.kind = Kind::cursor;
        place.cursor = std::string(text_of(cursor->get_string()));
        return place;
    }
    place.kind = Kind::sequences;
    for (const auto& member : members) {
        const auto stream = stream_named({member.key().data(), member.key().size()});
        boost::system::error_code error;
        const auto number = member.value().to_number<std::uint64_t>(error);
        if (!stream || error || number == 0) return Mistake{forms};
        place.sequences[*stream] = number;
    }
    return place;
}

std::string consumer_json(const uplink::PullPicture& picture, const std::string& epoch) {
    json::object out = picture_json(picture);
    out["epoch"] = epoch;
    return json::serialize(out) + "\n";
}

std::string consumers_json(const std::vector<uplink::PullPicture>& pictures, const std::string& epoch) {
    json::array consumers;
    for (const uplink::PullPicture& picture : pictures) consumers.push_back(picture_json(picture));
    return json::serialize(json::object{{"epoch", epoch}, {"consumers", std::move(consumers)}}) + "\n";
}

std::string gaps_json(const uplink::GapsPage& page, const std::string& epoch) {
    const auto number = [](Sequence value) { return std::to_string(value); };
    std::string rows;
    for (const store::Gap& gap : page.gaps) {
        rows += rows.empty() ? "\n" : ",\n";
        rows += "{\"stream\":" + json_string(name(gap.stream)) + ",\"first\":" + number(gap.first) +
                ",\"last\":" + number(gap.last) + ",\"count\":" + number(gap.last - gap.first + 1) +
                ",\"reason\":" + json_string(gap.reason) +
                ",\"consumer\":" + (gap.consumer.empty() ? "null" : json_string(gap.consumer)) +
                ",\"time\":" + json_string(to_rfc3339(gap.time));
        if (gap.since.ms != 0) rows += ",\"since\":" + json_string(to_rfc3339(gap.since));
        if (!gap.detail.empty()) rows += ",\"detail\":{" + gap.detail + "}";
        rows += "}";
    }
    std::string next = "null";
    if (page.more) {
        const store::Gap& last = page.gaps.back();
        next = json_string(std::string(name(last.stream)) + ":" + number(last.last));
    }
    return "{\"epoch\":" + json_string(epoch) + ",\"gaps\":[" + rows + "],\"next\":" + next + "}\n";
}

}  // namespace touchpoint::gateway
