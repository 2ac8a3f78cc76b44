#include "uplink/formats.hpp"

#include <fmt/format.h>
#include <xxhash.h>
#include <algorithm>
#include <iterator>

#include <utility>

#include "gateway/core/event_text.hpp"
#include "gateway/core/json_text.hpp"

namespace touchpoint::uplink {
namespace {

// The pseudonym that such a text names: "pseudonym/p1_..".
std::string_view pseudonym_in(std::string_view subject) {
    if (!subject.starts_with(pseudonym_prefix)) return {};
    return subject.substr(pseudonym_prefix.size());
}

// A name that the platform does not know as his must reach it, or it never hears whose it is.
std::string name_to_tell(PersonName name) {
    return name.other.empty() ? std::move(name.subject) : std::move(name.other);
}

// JSON members with another text in the place of `old`, which is a part of them.
void append_with(std::string& out, std::string_view members, std::string_view old, std::string_view text) {
    const auto at = static_cast<std::size_t>(old.data() - members.data());
    out += members.substr(0, at);
    std::string quoted = json_string(text);
    out += std::string_view(quoted).substr(1, quoted.size() - 2);
    out += members.substr(at + old.size());
}

}  // namespace

BodyText::BodyText(Format format, const BatchLimits& limits, std::size_t expected_bytes)
    : limits_(limits), array_(format == Format::cloudevents_batch) {
    text_.reserve(std::min(limits.bytes_max, expected_bytes) + 2);
    if (array_) text_ += '[';
}

bool BodyText::append(std::string_view item) {
    constexpr std::size_t frame = 2;  // "[" and "]", or a separator and a line end
    if (items_ > 0) {
        if (items_ >= limits_.events_max || text_.size() + item.size() + frame > limits_.bytes_max)
            return false;
        if (array_) text_ += ',';
    }
    text_ += item;
    if (!array_) text_ += '\n';
    ++items_;
    return true;
}

std::string BodyText::finish() {
    if (array_) text_ += ']';
    return std::move(text_);
}

Formatter::Formatter(Origin origin, Format format, Join join, NamePerson name)
    : origin_(std::move(origin)), format_(format), join_(std::move(join)), name_(std::move(name)) {
    head_ = "{\"specversion\":\"1.0\",\"gatewayid\":" + json_string(origin_.gateway_id) +
            ",\"epoch\":" + json_string(origin_.epoch) + ",\"stream\":\"";
}

void Formatter::append_head(std::string& out, Stream stream, Sequence sequence, UtcTime recorded) const {
    out += head_;
    out += name(stream);
    fmt::format_to(std::back_inserter(out), "\",\"sequence\":\"{:020}\",\"recordedtime\":\"", sequence);
    out += to_rfc3339(recorded);
    out += "\",";
}

std::string Formatter::event(Stream stream, const store::StoredEvent& event) const {
    std::string out;
    out.reserve(head_.size() + event.members.size() + 128);
    append_head(out, stream, event.sequence, event.recorded);
    // Which persons a quarantined message speaks of is for the gateway's own erasures.
    if (stream == Stream::quarantine)
        out += without_member(event.members, "persons");
    else
        append_members(out, stream, event.members);
    out += '}';
    return out;
}

void Formatter::append_members(std::string& out, Stream stream, std::string_view members) const {
    const std::string_view subject = join_ || name_ ? outer_text(members, "subject") : std::string_view();
    const std::string_view pseudonym = pseudonym_in(subject);
    if (pseudonym.empty()) {
        out += members;
        return;
    }
    const PersonName person = name_ ? name_(pseudonym, stream) : PersonName{std::string(subject), true};
    if (join_ && person.raw) {
        if (const auto raw = join_(pseudonym)) {
            out += "\"customer\":";
            append_json_string(out, *raw);
            out += ',';
        }
    }
    std::string named;
    append_with(named, members, subject, person.subject);
    // Other names of the same person, each as it may leave.
    const std::string_view same = name_ ? outer_text(named, "sameas") : std::string_view();
    if (same.empty()) {
        out += named;
        return;
    }
    std::vector<std::string> others;
    const auto add = [&](std::string other) {
        if (other != person.subject && std::find(others.begin(), others.end(), other) == others.end())
            others.push_back(std::move(other));
    };
    add(name_to_tell(person));
    for (std::string_view rest = same; !rest.empty();) {
        const std::size_t comma = std::min(rest.find(','), rest.size());
        const std::string_view one = pseudonym_in(rest.substr(0, comma));
        add(one.empty() ? std::string(rest.substr(0, comma)) : name_to_tell(name_(one, stream)));
        rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    // All of them are his by what the platform itself has said.
    if (others.empty()) others.push_back(person.subject);
    append_with(out, named, same, fmt::format("{}", fmt::join(others, ",")));
}

std::string Formatter::gap(const store::Gap& gap) const {
    std::string out;
    append_head(out, gap.stream, gap.last, gap.time);
    out += "\"id\":";
    append_json_string(out,
                       fmt::format("gap-{}-{}-{}-{}", origin_.epoch, name(gap.stream), gap.first, gap.last));
    out += ",\"source\":";
    append_json_string(out, "/stores/" + origin_.store_id + "/gateway/" + origin_.gateway_id);
    const std::string time = to_rfc3339(gap.time);
    out += fmt::format(
        ",\"type\":\"store.system.gap.v1\",\"time\":\"{}\",\"data\":{{\"stream\":\"{}\",\"first\":{},"
        "\"last\":{},"
        "\"count\":{},\"reason\":",
        time, name(gap.stream), gap.first, gap.last, gap.last - gap.first + 1);
    append_json_string(out, gap.reason);
    if (!gap.consumer.empty()) {
        out += ",\"consumer\":";
        append_json_string(out, gap.consumer);
    }
    out += ",\"time\":\"" + time + '"';
    if (!gap.detail.empty()) out += ',' + gap.detail;
    out += "}}";
    return out;
}

Batch Formatter::build(const store::Slice& slice, const BatchLimits& limits, const store::Gap* lead) const {
    Batch batch;
    batch.stream = lead != nullptr ? lead->stream : slice.stream;
    BodyText body(format_, limits, slice.bytes + 256 * slice.events.size());
    const auto take = [&](const std::string& text, Item item) {
        const bool taken = body.append(text);
        if (taken) batch.items.push_back(item);
        return taken;
    };
    bool room = lead == nullptr || take(gap(*lead), {lead->first, lead->last, true});
    for (const store::StoredEvent& each : slice.events) {
        if (!room) break;
        if (each.gap >= 0) {
            const store::Gap& row = slice.gaps[static_cast<std::size_t>(each.gap)];
            room = take(gap(row), {row.first, row.last, true});
        } else {
            room = take(event(slice.stream, each), {each.sequence, each.sequence, false});
        }
    }
    batch.body = body.finish();
    return batch;
}

std::string_view Formatter::content_type(Format format) {
    switch (format) {
        case Format::cloudevents_batch:
            return "application/cloudevents-batch+json";
        case Format::ndjson:
            return "application/x-ndjson";
    }
    return {};
}

std::string idempotency_key(const Origin& origin, const Batch& batch, std::string_view sent_body) {
    return fmt::format("{}-{}-{}-{}-{}-{:016x}", origin.gateway_id, origin.epoch, name(batch.stream),
                       batch.first(), batch.last(), XXH3_64bits(sent_body.data(), sent_body.size()));
}

}  // namespace touchpoint::uplink
