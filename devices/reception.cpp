#include "devices/reception.hpp"

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
    bool first = true;
    for (std::size_t index = 0; index < decoded.items.size(); ++index) {
        Item& item = decoded.items[index];
        if (const auto* rejection = std::get_if<Rejection>(&item)) {
            if (refused) refused(index, *rejection);
            quarantine(decoded.address, *rejection, message, now, into, std::exchange(first, false));
            continue;
        }
        Admission::Admitted admitted = admission_.admit(
            *decoded.address, decoded.name, std::move(std::get<Report>(item)), message, now, ticket);
        counts_.masked += admitted.masked;
        if (admitted.identity) into.identities.push_back(std::move(*admitted.identity));
        ++counts_.admitted[admitted.event.stream];
        observed(message, "admitted", admitted.event.id);
        into.events.push_back(std::move(admitted.event));
    }
}

void Reception::quarantine(const std::optional<DeviceAddress>& address, const Rejection& rejection,
                           const store::Incoming& message, const Now& now, store::Submission& into,
                           bool first) {
    ++counts_.rejected;
    ++counts_.rejected_by_type[std::string(slug(rejection.type))];
    observed(message, "rejected", rejection.id, slug(rejection.type));
    into.events.push_back(admission_.quarantine(address, rejection, message, now, first));
}

void Reception::take_back(const store::Submission& submission) {
    for (const Identity& identity : submission.identities) admission_.forget(identity.pseudonym);
}

void Reception::observed(const store::Incoming& message, std::string_view verdict, std::string_view id,
                         std::string_view problem) {
    if (observer_) observer_({message.topic, verdict, id, message.payload.size(), problem});
}

}  // namespace touchpoint::devices
