#include "devices/intake.hpp"

#include <algorithm>
#include <utility>

#include "devices/topics.hpp"
#include "gateway/core/log.hpp"

namespace touchpoint::devices {

Intake::Intake(Parts parts, Publish publish, Request request)
    : parts_(parts),
      publish_(std::move(publish)),
      request_(std::move(request)),
      covered_(parts.journal.read_position()),
      submitted_through_(covered_) {}

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
        std::size_t requests = 0;
        while (next_ < frames_.size() && pending_.events.size() < step_events &&
               pending_bytes_ < step_bytes && requests < step_requests) {
            const std::size_t before = pending_.events.size();
            const bool owed = take(frames_[next_]);
            for (std::size_t i = before; i < pending_.events.size(); ++i)
                pending_bytes_ += pending_.events[i].members.size();
            requests += owed ? 0 : 1;
            pending_.journal_end = frames_[next_].end;
            pending_open_ = pending_open_ || owed || pending_.journal_end - covered_ >= uncovered_bytes_max;
            frames_[next_] = {};  // its bytes are in the events now
            ++next_;
        }
    }
    const auto more = [this] {
        return next_ < frames_.size() || parts_.journal.read_position() < parts_.journal.end();
    };
    if (!pending_open_) {
        // Requests alone: nothing of them is to be stored.
        submitted_through_ = std::max(submitted_through_, pending_.journal_end);
        return {more(), false, false};
    }
    const std::uint64_t through = pending_.journal_end;
    if (const auto submitted = parts_.store.submit(std::move(pending_)); !submitted)
        return {false, true, false};
    submitted_through_ = through;
    pending_ = {};
    pending_bytes_ = 0;
    pending_open_ = false;
    covered_ = through;
    return {more(), false, false};
}

void Intake::settle(const store::HorizonNote& note) {
    parts_.journal.cut(note.journal_end);
    for (Outgoing& receipt : parts_.receipts.settle(note.settled)) send_later(std::move(receipt));
    send_waiting();
    give_up_oldest();
}

void Intake::send_later(Outgoing receipt) {
    waiting_receipts_bytes_ += receipt.payload.size();
    waiting_receipts_.push_back(std::move(receipt));
}

void Intake::give_up_oldest() {
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
        ++receipts_sent_;
        waiting_receipts_bytes_ -= receipt.payload.size();
        waiting_receipts_.pop_front();
    }
}

IntakeStats Intake::stats() const {
    IntakeStats out = parts_.reception.counts();
    out.receipts = receipts_sent_;
    out.devices = parts_.reception.registry().count();
    out.devices_online = parts_.reception.registry().online();
    return out;
}

bool Intake::take(const store::Journal::Frame& frame) {
    const store::Incoming& message = frame.message;
    Reception& reception = parts_.reception;
    const Now now = Now::of(parts_.clock);
    ++reception.counts().messages;
    if (message.dup) ++reception.counts().possible_repeats;
    if (!frame.may_be_decoded) {
        // Twice the process died under it: it is kept, and not looked into again.
        log::error("intake", "a message that ended the process twice was put into quarantine",
                   {{"bytes", message.payload.size()}});
        const Rejection poison{
            Problem::poison, "it ended the process twice and was not read again", {}, {}, message.payload};
        const auto address = address_in(message.topic);
        tell(address, poison, message);
        reception.quarantine(address, poison, message, now, pending_);
        return true;
    }
    parts_.journal.decoding(frame);
    bool owed = true;
    const auto topic = Topic::parse(message.topic);
    if (topic && topic->role == TopicRole::status) {
        reception.registry().status(topic->address, message.payload, received_at(message, now));
        reception.observed(message, "status");
    } else if (message.retain) {
        // The broker kept it from earlier: it was an event then, or never was one.
        ++reception.counts().retained_ignored;
        reception.observed(message, "retained");
    } else if (topic && topic->role == TopicRole::request && topic->name == profile_request && request_) {
        owed = false;
        take_request(topic->address, message, now);
    } else {
        take_event(message, now);
    }
    parts_.journal.decoded();
    return owed;
}

void Intake::take_request(const DeviceAddress& device, const store::Incoming& message, const Now& now) {
    Reception& reception = parts_.reception;
    reception.registry().seen(device, received_at(message, now));
    reception.observed(message, "request");
    // The time since boot: it does not jump when the clock is set.
    const auto waited =
        std::max(std::chrono::milliseconds(0), parts_.clock.since_boot() - message.since_boot);
    if (waited > request_age_max) {
        ++reception.counts().requests_expired;
        return;
    }
    ++reception.counts().requests;
    request_(device, message, waited);
}

void Intake::take_event(const store::Incoming& message, const Now& now) {
    Decoded decoded = parts_.reception.decode(message, now);
    Ticket ticket = 0;
    const std::uint32_t reports = Reception::reports(decoded);
    if (reports > 0 || decoded.items.empty()) {
        std::string topic =
            receipt_topic(*decoded.address, message, parts_.reception.options().receipt_kinds);
        if (topic.empty()) {
            // Nobody asked.
        } else if (reports > 0) {
            ticket = parts_.receipts.open(std::move(topic), correlation_of(message), reports);
        } else {
            // An empty array: nothing has to become durable, and its sender waits like any other.
            send_later({std::move(topic), empty_receipt, correlation_of(message)});
            send_waiting();
            give_up_oldest();
        }
    }
    std::size_t told = 0;
    const auto refused = [&](std::size_t, const Rejection& rejection) {
        if (++told <= rejections_told_max) tell(decoded.address, rejection, message);
    };
    parts_.reception.admit(std::move(decoded), message, now, ticket, pending_, refused);
}

void Intake::tell(const std::optional<DeviceAddress>& address, const Rejection& rejection,
                  const store::Incoming& message) {
    if (!address) return;
    publish_(Topic{TopicRole::rejected, *address, {}}.build(), rejected_payload(rejection), 0, false,
             may_answer_on(message.response_topic, *address) ? correlation_of(message) : std::string());
}

}  // namespace touchpoint::devices
