// From the journal to the store: reads frames, decodes, admits, submits, and gives out the answers
// afterwards.
//
//     Journal::read ──> Reception ──> EventStore::submit ─ ─ ─> settle(HorizonNote) ──> receipts
//                  └──> requests of devices: answered at once
//
// Promised
//   Every frame is covered by a submission before the journal is cut behind it; what a full store does not
//   take is kept and offered again. Bounded: one slice of the journal and one submission are held, never
//   more.
//   A request waits for no commit, and makes none: what only asks wears no flash. After kill -9 it may be
//   answered a second time.
//
// Threads: confined to one thread (loop). No sockets, no timers: step() is called when there may be
// something.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "devices/receipts.hpp"
#include "devices/reception.hpp"
#include "devices/stats.hpp"
#include "store/event_store.hpp"
#include "store/journal.hpp"

namespace touchpoint::devices {

class Intake {
  public:
    struct Parts {  // all outlive the intake
        store::Journal& journal;
        store::EventStore& store;
        const Clock& clock;
        Reception& reception;
        Receipts& receipts;
    };
    // Sends to a device; false when the link does not take it. A lost answer is harmless, the device asks
    // again.
    using Publish = std::function<bool(const std::string& topic, const std::string& payload, int qos,
                                       bool retain, const std::string& correlation)>;

    // Answers what a device asks for on .../req/{name}, at once. `waited`: since the message came.
    using Request = std::function<void(const DeviceAddress& device, const store::Incoming& message,
                                       std::chrono::milliseconds waited)>;
    // A request that is older, after a restart or behind a full store, is nobody's any more.
    static constexpr std::chrono::seconds request_age_max{30};
    // So much of the journal may be only requests before a commit is made to cut it.
    static constexpr std::uint64_t uncovered_bytes_max = 256u << 10;

    static constexpr std::uint64_t slice_bytes = 256u << 10;  // of journal, read at once
    // A submission is closed after the frame that reaches one of these: a step keeps the loop for about 10
    // ms.
    static constexpr std::size_t step_events = 1'000;
    static constexpr std::size_t step_bytes = 256u << 10;
    static constexpr std::size_t step_requests = 100;
    static constexpr std::size_t receipts_waiting_max = 500;  // half of what Paho buffers
    static constexpr std::size_t receipts_waiting_bytes_max = 2u << 20;
    static constexpr std::size_t rejections_told_max = 20;  // of one message; the rest is in quarantine only

    Intake(Parts parts, Publish publish, Request request);

    struct Step {
        bool more = false;              // call again
        bool waiting_for_room = false;  // call again after the next horizon
        bool failed = false;            // the journal cannot be read: the program must end
    };
    Step step();

    // Before the end: what was answered is not read, and answered, again at the next start. A step() follows.
    void cover() { pending_open_ = pending_open_ || pending_.journal_end > covered_; }

    // After every flush: cuts the journal and sends the receipts.
    void settle(const store::HorizonNote& note);
    // Receipts that the link did not take: it is closed while the journal is full, and under the same load
    // devices wait for their receipts. Beyond the bounds the oldest are given up, and the device asks again.
    void send_waiting();

    // True when everything that was read has been submitted, but requests, and nothing waits unread.
    bool idle() const {
        return !pending_open_ && next_ == frames_.size() &&
               parts_.journal.read_position() == parts_.journal.end();
    }
    // Up to here of the journal every frame has been submitted.
    std::uint64_t submitted_through() const {
        const bool nothing_held = !pending_open_ && next_ == frames_.size();
        return nothing_held ? parts_.journal.read_position() : submitted_through_;
    }
    // Of both ways in: reception's counts, and the receipts.
    IntakeStats stats() const;

  private:
    // Whether the store must know of it before the journal is cut behind it.
    bool take(const store::Journal::Frame& frame);
    void take_request(const DeviceAddress& device, const store::Incoming& message, const Now& now);
    void take_event(const store::Incoming& message, const Now& now);
    void send_later(Outgoing receipt);
    void give_up_oldest();
    void tell(const std::optional<DeviceAddress>& address, const Rejection& rejection,
              const store::Incoming& message);

    Parts parts_;
    Publish publish_;
    Request request_;
    std::vector<store::Journal::Frame> frames_;
    std::size_t next_ = 0;  // in frames_
    store::Submission pending_;
    std::size_t pending_bytes_ = 0;
    bool pending_open_ = false;  // holds at least one frame that must be covered
    std::uint64_t covered_ = 0;  // the journal's end in the last submission
    std::deque<Outgoing> waiting_receipts_;
    std::size_t waiting_receipts_bytes_ = 0;
    std::uint64_t receipts_sent_ = 0;
    std::uint64_t submitted_through_;
};

}  // namespace touchpoint::devices
