// One message to events: decoded, admitted, counted, shown to whoever watches, and its device noted. The one
// way for every message, whether the broker brought it (intake) or HTTP did (direct_intake).
//
//     store::Incoming ──decode──> Decoded ──admit──> store::Submission
//
// Threads: confined to one thread (loop).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "devices/admission.hpp"
#include "devices/registry.hpp"
#include "devices/stats.hpp"
#include "store/event_store.hpp"

namespace touchpoint::devices {

// What became of one message, for `touchpoint tail` and the log. Holds nothing of the payload. Views end with
// the call.
struct Observation {
    std::string_view topic;
    // valid (every item keeps the rules; whether one is a repeat is known only after the commit: receipts say
    // it), partly (some of an array), rejected, retained, status, request
    std::string_view verdict;
    std::size_t bytes = 0;
    std::size_t events = 0;    // of its items, those that keep the rules
    std::size_t rejected = 0;  // and those that do not
    std::string_view problem;  // slug of the first rejection
};

class Reception {
  public:
    // Both outlive it.
    Reception(Admission& admission, Registry& registry) : admission_(admission), registry_(registry) {}

    // Notes the device as seen.
    Decoded decode(const store::Incoming& message, const Now& now);
    static std::uint32_t reports(const Decoded& decoded);

    using Refused = std::function<void(std::size_t index, const Rejection&)>;
    // Adds the events of all items to `into`, in their order: a rejected one becomes an event of quarantine.
    // Reports get `ticket`, quarantined items none. `refused` is told each rejection.
    void admit(Decoded&& decoded, const store::Incoming& message, const Now& now, Ticket ticket,
               store::Submission& into, const Refused& refused);
    // The same for a message that is not decoded.
    void quarantine(const std::optional<DeviceAddress>& address, const Rejection& rejection,
                    const store::Incoming& message, const Now& now, store::Submission& into);
    // What was admitted into `submission` will not be stored: its persons count as unknown again.
    void take_back(const store::Submission& submission);

    // Empty: nobody watches, and nothing is spent on it.
    void observe(std::function<void(const Observation&)> observer) { observer_ = std::move(observer); }
    void observed(const store::Incoming& message, std::string_view verdict);

    const AdmissionOptions& options() const { return admission_.options(); }
    Registry& registry() { return registry_; }
    // Everything that both ways count; intake adds what only the broker's has.
    IntakeStats& counts() { return counts_; }

  private:
    void put_aside(const std::optional<DeviceAddress>& address, const Rejection& rejection,
                   const store::Incoming& message, const Now& now, store::Submission& into, bool first);
    void observed(const store::Incoming& message, std::size_t events, std::size_t rejected,
                  std::string_view problem);

    Admission& admission_;
    Registry& registry_;
    std::function<void(const Observation&)> observer_;
    IntakeStats counts_;
};

}  // namespace touchpoint::devices
