#include "devices/direct_intake.hpp"

#include <utility>
#include <variant>

#include "devices/decode.hpp"

namespace touchpoint::devices {

void DirectIntake::take(store::Incoming message, std::function<void(Answer)> done) {
    Answer answer;
    // Before anything is admitted: what was admitted is counted and shown.
    // The room behind the bound is for what the journal holds: the sender of this still has it.
    if (waiting_.size() >= waiting_max || parts_.store.disk_full() || !parts_.store.has_room(1)) {
        answer.busy = true;
        return done(std::move(answer));
    }
    const Now now = Now::of(parts_.clock);
    if (message.received.ms == 0) {
        message.received = now.utc;
        message.since_boot = now.since_boot;
        message.clock_trusted = now.trusted;
    }
    Reception& reception = parts_.reception;
    ++reception.counts().messages;

    last_ += 2;
    if (last_ < http_ticket_bit) last_ = http_ticket_bit + 2;
    store::Submission submission;
    Decoded decoded = reception.decode(message, now);
    const std::size_t items = decoded.items.size();
    reception.admit(std::move(decoded), message, now, last_, submission,
                    [&](std::size_t index, const Rejection& rejection) {
                        answer.too_large = items == 1 && rejection.type == Problem::too_large;
                        answer.rejected.emplace_back(index, rejection);
                        answer.rejected.back().second.raw.clear();
                    });
    const std::size_t outstanding = submission.events.size();
    if (outstanding == 0) return done(std::move(answer));  // an empty array
    for (Event& event : submission.events) {
        event.urgent = true;
        if (event.ticket == 0) event.ticket = last_ | quarantined;
    }
    // A submission that is refused stays as it is.
    if (!parts_.store.submit(std::move(submission))) {
        reception.take_back(submission);
        Answer busy;
        busy.busy = true;
        return done(std::move(busy));
    }
    waiting_.emplace(last_, Waiting{std::move(answer), outstanding, std::move(done)});
}

DirectIntake::Outlook DirectIntake::check(const store::Incoming& message) const {
    const AdmissionOptions& options = parts_.reception.options();
    Decoded decoded = decode(message, {options.store_id, options.message_bytes_max, options.array_items_max});
    Outlook outlook;
    for (Item& item : decoded.items) {
        if (auto* rejection = std::get_if<Rejection>(&item))
            outlook.refused.push_back(std::move(*rejection));
        else
            ++outlook.reports;
    }
    return outlook;
}

void DirectIntake::settle(std::span<const Settled> settled) {
    for (const Settled& one : settled) {
        const auto found = waiting_.find(one.ticket & ~quarantined);
        if (found == waiting_.end()) continue;
        Waiting& waiting = found->second;
        if ((one.ticket & quarantined) == 0) {
            Answer& answer = waiting.answer;
            (one.verdict == Verdict::duplicate ? answer.duplicate : answer.stored).push_back(one.id);
            if (one.verdict == Verdict::stored_id_reused) answer.id_reused.push_back(one.id);
        }
        if (--waiting.outstanding > 0) continue;
        Waiting done = std::move(waiting);
        waiting_.erase(found);
        done.done(std::move(done.answer));
    }
}

}  // namespace touchpoint::devices
