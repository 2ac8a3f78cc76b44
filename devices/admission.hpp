// Reports to events: what a device said becomes what is kept. Stream, type, time, pseudonym and mask are
// decided here and nowhere else.
//
//     Report ──admit──> Event (+ Identity, when a customer was not seen lately)      Rejection
//     ──quarantine──> Event
//
// Promised
//   The customer's raw identifier is in no event, nor is the id of his profile: only his pseudonym, and the
//   identifier, sealed, in an Identity. Who he is by now is decided when the event leaves.
//   The vault is not asked: this is loop, and a read of it would wait for a slow card.
//   A rejected message is kept, sealed under the box key, up to quarantined_bytes_max: quarantine is where
//   its persons may stand. No event is larger than store::event_line_bytes_max with what the store adds.
//
// Threads: confined to one thread (loop).
// The events: devices/README.md; store/README.md for what is added when they are stored.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "devices/decode.hpp"
#include "devices/mask.hpp"
#include "devices/options.hpp"
#include "devices/pseudonym.hpp"
#include "gateway/core/clock.hpp"
#include "gateway/core/event.hpp"
#include "gateway/core/ulid.hpp"
#include "store/incoming.hpp"
#include "store/sealed_box.hpp"

namespace touchpoint::devices {

// What the clock says at the time of admission.
struct Now {
    UtcTime utc;
    std::chrono::milliseconds since_boot{};
    bool trusted = false;
    static Now of(const Clock& clock) { return {clock.utc(), clock.since_boot(), clock.trusted()}; }
};

// Pseudonyms whose identity is in the vault or on its way there. Bounded: the least recently seen are
// forgotten and handed to the vault again, which knows them.
class KnownPseudonyms {
  public:
    static constexpr std::size_t pseudonyms_max = 4096;  // about 0.8 MB

    // True when it was known already; it is afterwards.
    bool note(const std::string& pseudonym);
    void forget(std::string_view pseudonym);

  private:
    std::list<std::string> order_;  // most recent first
    std::unordered_map<std::string_view, std::list<std::string>::iterator> at_;
};

// When the message came, with a clock that is right by now where it was not then.
UtcTime received_at(const store::Incoming& message, const Now& now);

class Admission {
  public:
    struct Admitted {
        Event event;
        std::vector<Identity> identities;  // unless they were given lately; the vault may have them already
        std::size_t masked = 0;            // card-like numbers
    };

    // `box` must outlive it. `random`: 64 bits a call.
    Admission(AdmissionOptions options, Pseudonymiser pseudonymiser, const store::SealedBox& box,
              std::function<std::uint64_t()> random);

    // `ticket` 0: nobody waits.
    Admitted admit(const DeviceAddress& address, std::string_view name, Report report,
                   const store::Incoming& message, const Now& now, Ticket ticket);
    // Of a message of which several items are quarantined, properties that are longer go with the first only.
    static constexpr std::size_t properties_repeated_bytes_max = 1024;
    // `address` is empty when the topic names no device. `first`: of this message.
    Event quarantine(const std::optional<DeviceAddress>& address, const Rejection& rejection,
                     const store::Incoming& message, const Now& now, bool first = true);

    // After the vault row of a person was erased: the next event of that person puts it there again.
    void forget(std::string_view pseudonym) { known_.forget(pseudonym); }
    const AdmissionOptions& options() const { return options_; }

  private:
    // The pseudonym, and an Identity into `out` unless it was given lately.
    std::string pseudonym_of(std::string_view customer, Admitted& out);

    AdmissionOptions options_;
    Pseudonymiser pseudonymiser_;
    const store::SealedBox& box_;
    UlidMaker ulids_;
    CardMask mask_;
    KnownPseudonyms known_;
};

}  // namespace touchpoint::devices
