// Sends drafts and keeps each one until its fate is known, as a careful device would.
//
//     take ──> queued ──> in flight ──PUBACK──> (identified) waits for the receipt ──> ledger
//                 ^            │                     │
//                 └────────────┴── connection lost, or no receipt in time: the same event again
//
// Promised
//   Kept      An event leaves only with an outcome; with the connection gone it goes back into the queue.
//   Bounded   At most events_max events and bytes_max bytes wait; has_room() says when to stop taking.
// Not promised
//   A plain event may reach the broker twice: a PUBACK lost with the connection is indistinguishable from an
//   event lost with it. The ledger says how often it was sent.
//
// Threads: confined to one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "gateway/command/simulate_draft.hpp"
#include "gateway/command/simulate_ledger.hpp"
#include "gateway/command/simulate_link.hpp"

namespace touchpoint::simulate {

class Publisher {
  public:
    struct Options {
        Link::Options broker;  // client_id and mqtt5 are filled in here
        std::string run;       // unique for each run: prefix of ids, markers and client ids
        std::size_t links_identified = 4;
        std::size_t links_plain = 2;
        std::size_t events_max = 20'000;
        std::size_t bytes_max = 64u << 20;
        // After each wait without an answer the next one is twice as long.
        std::chrono::milliseconds receipt_first{5'000};
        std::chrono::milliseconds receipt_max{60'000};
    };

    struct Stats {
        std::uint64_t taken = 0;
        std::uint64_t sends = 0;
        std::uint64_t resends = 0;
        std::uint64_t refused = 0;  // PUBACK with a reason that is not success
        std::uint64_t reconnects = 0;
        std::uint64_t logins_refused = 0;  // connect attempts to which the broker said no
        std::size_t outstanding = 0;
        std::size_t links = 0;
        std::size_t links_up = 0;
    };

    // `ledger` must outlive the publisher.
    Publisher(Options options, Ledger& ledger);
    ~Publisher();

    // False when `source` has `outstanding_max` events without an outcome, or a bound of ours is reached.
    bool has_room(std::size_t source, std::size_t outstanding_max) const;
    // REQUIRES: has_room(source, ..)
    void take(Draft draft, std::size_t source);
    // Hears what came, at most `patience` long if nothing did; then sends, sends again and connects again.
    void step(SteadyTime now, std::chrono::milliseconds patience);
    // Every event has an outcome.
    bool settled() const { return events_.empty(); }
    // Says goodbye; what has no outcome is noted as unknown.
    void finish();

    Stats stats() const;

  private:
    struct Device {
        std::size_t link = 0;
        std::string prefix;  // "touchpoint/v1/kiosk/k7/"
    };
    struct Entry {
        const Device* device = nullptr;
        std::string kind;
        std::string device_name;
        std::string name;
        std::string id;      // of an identified event
        std::string marker;  // of a plain one
        std::string payload;
        std::size_t source = 0;
        std::uint32_t sends = 0;
        bool queued = true;
        std::chrono::milliseconds patience{0};  // of the next wait for a receipt
        SteadyTime alarm_at{};                  // the one alarm that counts
    };
    struct Line {  // one link and what waits for it
        std::unique_ptr<Link> link;
        std::deque<std::uint64_t> queue;    // keys; some may be settled already
        std::set<std::uint64_t> in_flight;  // keys without PUBACK, oldest first
        bool up = false;
        bool connecting = false;
        SteadyTime retry_at{};
        std::chrono::milliseconds retry_wait{0};
    };
    using Entries = std::unordered_map<std::uint64_t, Entry>;

    const Device& device_for(const Draft& draft);
    void hear(const Notice& notice, SteadyTime now);
    void hear_answer(const std::string& topic, const std::string& payload);
    void drop(Line& line, SteadyTime now);
    void send(Line& line, SteadyTime now);
    void settle(std::uint64_t key, Outcome outcome);
    void settle_id(const std::string& id, Outcome outcome);
    void requeue(std::uint64_t key);
    void arm(std::uint64_t key, SteadyTime at);
    void resend_overdue(SteadyTime now);
    void look_after(Line& line, SteadyTime now);

    Options options_;
    Ledger& ledger_;
    Inbox inbox_;
    std::vector<Line> lines_;  // identified ones first
    std::map<std::string, Device> devices_;
    Entries events_;
    std::unordered_map<std::string, std::uint64_t> by_id_;
    std::map<std::size_t, std::size_t> by_source_;  // events without outcome
    // When to stop waiting for a receipt. Rows of settled events and replaced alarms are passed over.
    using Alarm = std::pair<SteadyTime, std::uint64_t>;
    std::priority_queue<Alarm, std::vector<Alarm>, std::greater<>> alarms_;
    std::size_t bytes_ = 0;
    std::uint64_t next_key_ = 1;
    std::size_t identified_devices_ = 0;
    std::size_t plain_devices_ = 0;
    Stats stats_;
};

}  // namespace touchpoint::simulate
