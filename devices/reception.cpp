#include "devices/reception.hpp"

#include <iterator>
#include <string>
#include <utility>
#include <variant>

namespace touchpoint::devices {

Decoded Reception::decode(const store::Incoming& message, const Now& now) {
    const AdmissionOptions& options = admission_.options();
    Decoded decoded =
        devices::decode(message, {options.store_id, options.message_bytes_max, options.array_items_max});
    if (decoded.address) registry_.seen(*decoded.address, received_at(message, now));
    return decoded;
}

std::uint32_t Reception::reports(const Decoded& decoded) {
    std::uint32_t count = 0;
    for (const Item& item : decoded.items)
        if (std::holds_alternative<Report>(item)) ++count;
    return count;
}

void Reception::admit(Decoded&& decoded, const store::Incoming& message, const Now& now, Ticket ticket,
                      store::Submission& into, const Refused& refused) {
    std::size_t events = 0;
    std::size_t rejected = 0;
    std::string_view problem;
    for (std::size_t index = 0; index < decoded.items.size(); ++index) {
        Item& item = decoded.items[index];
        if (const auto* rejection = std::get_if<Rejection>(&item)) {
            if (refused) refused(index, *rejection);
            if (rejected == 0) problem = slug(rejection->type);
            put_aside(decoded.address, *rejection, message, now, into, rejected++ == 0);
            continue;
        }
        Admission::Admitted admitted = admission_.admit(
            *decoded.address, decoded.name, std::move(std::get<Report>(item)), message, now, ticket);
        counts_.masked += admitted.masked;
        std::move(admitted.identities.begin(), admitted.identities.end(),
                  std::back_inserter(into.identities));
        ++counts_.admitted[admitted.event.stream];
        ++events;
        into.events.push_back(std::move(admitted.event));
    }
    observed(message, events, rejected, problem);
}

void Reception::quarantine(const std::optional<DeviceAddress>& address, const Rejection& rejection,
                           const store::Incoming& message, const Now& now, store::Submission& into) {
    put_aside(address, rejection, message, now, into, true);
    observed(message, 0, 1, slug(rejection.type));
}

void Reception::put_aside(const std::optional<DeviceAddress>& address, const Rejection& rejection,
                          const store::Incoming& message, const Now& now, store::Submission& into,
                          bool first) {
    ++counts_.rejected;
    ++counts_.rejected_by_type[std::string(slug(rejection.type))];
    into.events.push_back(admission_.quarantine(address, rejection, message, now, first));
}

void Reception::take_back(const store::Submission& submission) {
    for (const Identity& identity : submission.identities) admission_.forget(identity.pseudonym);
}

void Reception::observed(const store::Incoming& message, std::string_view verdict) {
    if (observer_) observer_({message.topic, verdict, message.payload.size(), 0, 0, {}});
}

void Reception::observed(const store::Incoming& message, std::size_t events, std::size_t rejected,
                         std::string_view problem) {
    if (!observer_) return;
    const std::string_view verdict = rejected == 0 ? "valid" : events == 0 ? "rejected" : "partly";
    observer_({message.topic, verdict, message.payload.size(), events, rejected, problem});
}

}  // namespace touchpoint::devices
