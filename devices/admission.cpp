#include "devices/admission.hpp"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <utility>

#include "devices/base64.hpp"
#include "devices/event_type.hpp"
#include "devices/json_slice.hpp"
#include "devices/quarantine_persons.hpp"
#include "devices/sealed_properties.hpp"
#include "gateway/core/event_text.hpp"
#include "gateway/core/json_text.hpp"

namespace touchpoint::devices {
namespace {

void append_text(std::string& out, std::string_view name, std::string_view value) {
    out += ",\"";
    out += name;
    out += "\":";
    append_json_string(out, value);
}

std::uint64_t hash_of(std::string_view type, std::string_view data, std::string_view customer) {
    // Lengths in between, so that no byte can move from one to the other unseen.
    std::string text;
    text.reserve(type.size() + data.size() + customer.size() + 16);
    const auto add = [&](std::string_view part) {
        const std::uint64_t size = part.size();
        for (int i = 0; i < 8; ++i) text += static_cast<char>(static_cast<unsigned char>(size >> (8 * i)));
        text += part;
    };
    add(type), add(data), add(customer);
    return XXH3_64bits(text.data(), text.size());
}

}  // namespace

bool KnownPseudonyms::note(const std::string& pseudonym) {
    if (const auto found = at_.find(pseudonym); found != at_.end()) {
        order_.splice(order_.begin(), order_, found->second);
        return true;
    }
    if (order_.size() == pseudonyms_max) {
        at_.erase(order_.back());
        order_.pop_back();
    }
    order_.push_front(pseudonym);
    at_.emplace(order_.front(), order_.begin());
    return false;
}

void KnownPseudonyms::forget(std::string_view pseudonym) {
    const auto found = at_.find(pseudonym);
    if (found == at_.end()) return;
    const auto place = found->second;
    at_.erase(found);
    order_.erase(place);
}

UtcTime received_at(const store::Incoming& message, const Now& now) {
    if (message.clock_trusted || !now.trusted || message.since_boot > now.since_boot) return message.received;
    return now.utc - (now.since_boot - message.since_boot);
}

Admission::Admission(AdmissionOptions options, Pseudonymiser pseudonymiser, const store::SealedBox& box,
                     std::function<std::uint64_t()> random)
    : options_(std::move(options)),
      pseudonymiser_(std::move(pseudonymiser)),
      box_(box),
      ulids_(std::move(random)),
      mask_(options_.code_fields) {}

std::string Admission::pseudonym_of(std::string_view text, Admitted& out) {
    const Customer customer = normalise(text);
    Identity identity{pseudonymiser_.pseudonym(customer), {}};
    std::string pseudonym = identity.pseudonym;
    if (!known_.note(pseudonym)) {
        identity.sealed = box_.seal(customer.text(), "identity");
        out.identities.push_back(std::move(identity));
    }
    return pseudonym;
}

Admission::Admitted Admission::admit(const DeviceAddress& address, std::string_view name, Report report,
                                     const store::Incoming& message, const Now& now, Ticket ticket) {
    Admitted out;
    Event& event = out.event;
    const UtcTime received = received_at(message, now);
    event.stream = stream_of(address.kind, name, report.type);
    event.device_gave_id = !report.id.empty();
    event.id = event.device_gave_id ? std::move(report.id) : ulids_.make(received);
    event.source = "/stores/" + options_.store_id + '/' + address.key() + report.source_path;
    event.ticket = ticket;
    event.urgent = ticket != 0 || event.stream == Stream::customer || event.stream == Stream::sales;

    if (!report.base64) {
        // Line ends in JSON stand only between its tokens; what is stored has one event a line.
        for (const char line_end : {'\n', '\r'})
            if (report.data.find(line_end) != std::string::npos)
                std::replace(report.data.begin(), report.data.end(), line_end, ' ');
        out.masked = mask_.mask_json(report.data);
    }
    out.masked += CardMask::mask_text(report.subject);

    std::string subject = report.subject;
    if (!report.customer.empty()) subject = "pseudonym/" + pseudonym_of(report.customer, out);
    std::string same_as;
    for (const std::string& other : report.also)
        same_as += (same_as.empty() ? "pseudonym/" : ",pseudonym/") + pseudonym_of(other, out);

    const std::string type = report.type.empty() ? type_of(address.kind, name) : std::move(report.type);
    event.content_hash = hash_of(type, report.data, same_as.empty() ? subject : subject + ',' + same_as);

    // Where our own clock is wrong the device's is all there is; else a time in the future is not believed.
    const bool believed = report.time && (!now.trusted || *report.time <= received + options_.future_max);
    std::string& members = event.members;
    members.reserve(report.data.size() + type.size() + event.source.size() + 256);
    members = "\"id\":";
    append_json_string(members, event.id);
    append_text(members, "source", event.source);
    append_text(members, "type", type);
    append_text(members, "time", to_rfc3339(believed ? *report.time : received));
    append_text(members, "timesource", believed ? "device" : "gateway");
    if (report.time && !believed) append_text(members, "devicetime", to_rfc3339(*report.time));
    if (!subject.empty()) append_text(members, "subject", subject);
    if (!same_as.empty()) append_text(members, "sameas", same_as);
    if (!report.session.empty()) append_text(members, "session", report.session);
    if (message.dup) members += ",\"possiblerepeat\":true";
    if (!report.datacontenttype.empty()) append_text(members, "datacontenttype", report.datacontenttype);
    if (!report.dataschema.empty()) append_text(members, "dataschema", report.dataschema);
    for (auto& [key, json] : report.extensions) {
        out.masked += mask_.mask_json(json);
        members += ",\"" + key + "\":" + json;
    }
    if (!report.data.empty()) {
        members += report.base64 ? ",\"data_base64\":" : ",\"data\":";
        members += report.data;
    }
    return out;
}

Event Admission::quarantine(const std::optional<DeviceAddress>& address, const Rejection& rejection,
                            const store::Incoming& message, const Now& now, bool first) {
    const UtcTime received = received_at(message, now);
    Event event;
    event.stream = Stream::quarantine;
    event.id = ulids_.make(received);
    event.source =
        "/stores/" + options_.store_id + '/' + (address ? address->key() : "gateway/" + options_.gateway_id);
    std::string& members = event.members;
    members = "\"id\":";
    append_json_string(members, event.id);
    append_text(members, "source", event.source);
    append_text(members, "type", type_of(address ? address->kind : "gateway", "quarantined"));
    append_text(members, "time", to_rfc3339(received));
    append_text(members, "timesource", "gateway");
    if (message.dup) members += ",\"possiblerepeat\":true";
    std::size_t properties_bytes = message.content_type.size();
    for (const auto& [key, value] : message.user_properties) properties_bytes += key.size() + value.size();
    // Half a megabyte of properties with each of 10,000 items would be 5 GB.
    const std::size_t raw_bytes = std::min(rejection.raw.size(), quarantined_bytes_max);
    const bool fits = raw_bytes + properties_bytes <= quarantined_bytes_max + quarantined_properties_max;
    const bool with_properties =
        properties_bytes != 0 && fits && (first || properties_bytes <= properties_repeated_bytes_max);
    // Of what is not kept here nobody needs to be noted.
    const std::vector<std::pair<std::string, std::string>> none;
    const CustomersNamed named =
        customers_named(rejection.raw, with_properties ? message.user_properties : none, persons_max);
    std::string persons;
    for (const std::string& customer : named.customers)
        persons += (persons.empty() ? "\"" : ",\"") + pseudonymiser_.pseudonym(normalise(customer)) + '"';
    if (!persons.empty()) members += ",\"persons\":[" + persons + ']';
    std::string topic = valid_utf8(message.topic) ? message.topic : std::string("?");
    CardMask::mask_text(topic);
    members += ",\"data\":{\"topic\":";
    append_json_string(members, topic);
    members += ",\"error\":" + problem_json(rejection);
    // Journals of an earlier release may hold more. Whom an erasure would not find is not kept.
    const std::string_view raw =
        std::string_view(rejection.raw).substr(0, std::min(raw_bytes, named.known_bytes));
    if (raw.size() < rejection.raw.size() || !named.properties_known)
        members += ",\"kept_bytes\":" + std::to_string(raw.size());
    members += ",\"sealed\":\"" + base64_encode(box_.seal(raw, "quarantine")) + '"';
    if (with_properties && named.properties_known) {
        // Of a binary CloudEvent they are half of it. They may hold persons, as the payload may.
        members += ",\"sealed_properties\":\"" +
                   base64_encode(box_.seal(write_properties(message), "quarantine")) + '"';
    }
    members += '}';
    event.content_hash = XXH3_64bits(rejection.raw.data(), rejection.raw.size());
    return event;
}

}  // namespace touchpoint::devices
