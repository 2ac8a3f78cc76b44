#include "devices/intake.hpp"

#include <utility>
#include <variant>

#include "devices/decode.hpp"
#include "devices/topics.hpp"
#include "gateway/core/log.hpp"

namespace touchpoint::devices {

Intake::Intake(Parts parts, Publish publish) : parts_(parts), publish_(std::move(publish)) {}

Intake::Step Intake::step() {
    if (next_ == frames_.size()) {
        auto read = parts_.journal.read(slice_bytes);
        if (!read) {
            log::error("intake", "the journal cannot be read", {{"error", read.error().context}});
            return {false, false, true};
        }
        frames_ = std::move(*read);
        next_ = 0;
    }
    // A submission that was refused is offered again as it is.
    if (!pending_open_) {
        while (next_ < frames_.size() && pending_.events.size() < step_events &&
               pending_bytes_ < step_bytes) {
            take(frames_[next_]);
            pending_.journal_end = frames_[next_].end;
            pending_open_ = true;
            frames_[next_] = {};  // its bytes are in the events now
            ++next_;
        }
    }
    if (!pending_open_) return {};
    if (const auto submitted = parts_.store.submit(std::move(pending_)); !submitted)
        return {false, true, false};
    pending_ = {};
    pending_bytes_ = 0;
    pending_open_ = false;
    return {next_ < frames_.size() || parts_.journal.read_position() < parts_.journal.end(), false, false};
}

void Intake::settle(const store::HorizonNote& note) {
    parts_.journal.cut(note.journal_end);
    for (Outgoing& receipt : parts_.receipts.settle(note.settled)) {
        waiting_receipts_bytes_ += receipt.payload.size();
        waiting_receipts_.push_back(std::move(receipt));
    }
    send_waiting();
    while (waiting_receipts_.size() > receipts_waiting_max ||
           waiting_receipts_bytes_ > receipts_waiting_bytes_max) {
        waiting_receipts_bytes_ -= waiting_receipts_.front().payload.size();
        waiting_receipts_.pop_front();
    }
}

void Intake::send_waiting() {
    while (!waiting_receipts_.empty()) {
        const Outgoing& receipt = waiting_receipts_.front();
        if (!publish_(receipt.topic, receipt.payload, 0, false, receipt.correlation)) return;
        ++stats_.receipts;
        waiting_receipts_bytes_ -= receipt.payload.size();
        waiting_receipts_.pop_front();
    }
}

IntakeStats Intake::stats() const {
    IntakeStats out = stats_;
    out.devices = parts_.registry.count();
    out.devices_online = parts_.registry.online();
    return out;
}

void Intake::take(const store::Journal::Frame& frame) {
    const store::Incoming& message = frame.message;
    const Now now = Now::of(parts_.clock);
    ++stats_.messages;
    if (message.dup) ++stats_.possible_repeats;
    if (!frame.may_be_decoded) {
        // Twice the process died under it: it is kept, and not looked into again.
        log::error("intake", "a message that ended the process twice was put into quarantine",
                   {{"bytes", message.payload.size()}});
        const Rejection poison{
            Problem::poison, "it ended the process twice and was not read again", {}, {}, message.payload};
        reject(address_in(message.topic), poison, message, now, true);
        return;
    }
    parts_.journal.decoding(frame);
    const auto topic = Topic::parse(message.topic);
    if (topic && topic->role == TopicRole::status) {
        parts_.registry.status(topic->address, message.payload, received_at(message, now));
        observed(message, "status");
    } else if (message.retain) {
        // The broker kept it from earlier: it was an event then, or never was one.
        ++stats_.retained_ignored;
        observed(message, "retained");
    } else {
        take_event(message, now);
    }
    parts_.journal.decoded();
}

void Intake::take_event(const store::Incoming& message, const Now& now) {
    const AdmissionOptions& options = parts_.admission.options();
    Decoded decoded = decode(message, {options.store_id, options.message_bytes_max, options.array_items_max});
    if (decoded.address) parts_.registry.seen(*decoded.address, received_at(message, now));

    std::uint32_t reports = 0;
    for (const Item& item : decoded.items)
        if (std::holds_alternative<Report>(item)) ++reports;
    Ticket ticket = 0;
    if (reports > 0) {
        std::string topic = receipt_topic(*decoded.address, message, options.receipt_kinds);
        if (!topic.empty()) ticket = parts_.receipts.open(std::move(topic), correlation_of(message), reports);
    }
    std::size_t told = 0;
    for (Item& item : decoded.items) {
        if (const auto* rejection = std::get_if<Rejection>(&item)) {
            reject(decoded.address, *rejection, message, now, ++told <= rejections_told_max);
            continue;
        }
        Admission::Admitted admitted = parts_.admission.admit(
            *decoded.address, decoded.name, std::move(std::get<Report>(item)), message, now, ticket);
        stats_.masked += admitted.masked;
        if (admitted.identity) pending_.identities.push_back(std::move(*admitted.identity));
        ++stats_.admitted[admitted.event.stream];
        observed(message, "admitted", admitted.event.id);
        add(std::move(admitted.event));
    }
}

void Intake::reject(const std::optional<DeviceAddress>& address, const Rejection& rejection,
                    const store::Incoming& message, const Now& now, bool tell) {
    ++stats_.rejected;
    ++stats_.rejected_by_type[std::string(slug(rejection.type))];
    observed(message, "rejected", rejection.id, slug(rejection.type));
    if (tell && address) {
        publish_(Topic{TopicRole::rejected, *address, {}}.build(), rejected_payload(rejection), 0, false,
                 may_answer_on(message.response_topic, *address) ? correlation_of(message) : std::string());
    }
    add(parts_.admission.quarantine(address, rejection, message, now));
}

void Intake::observed(const store::Incoming& message, std::string_view verdict, std::string_view id,
                      std::string_view problem) {
    if (observer_) observer_({message.topic, verdict, id, message.payload.size(), problem});
}

void Intake::add(Event event) {
    pending_bytes_ += event.members.size();
    pending_.events.push_back(std::move(event));
}

}  // namespace touchpoint::devices
