#include "gateway/profiles/profile_desk.hpp"

#include <utility>

#include "gateway/core/log.hpp"

namespace touchpoint::gateway {

ProfileDesk::ProfileDesk(const Parts& parts, const config::ProfileSettings& settings)
    : clock_(parts.clock),
      pseudonymiser_(parts.keys.pseudonym, parts.keys.pseudonym_id),
      profiles_(parts.cache, parts.box, parts.keys.profiles, {.bytes_max = settings.bytes}),
      reads_(
          {profiles_, pseudonymiser_, parts.box, parts.clock},
          {settings.stale, settings.unknown_consent_granted, settings.wanted_max, settings.misses_per_min}),
      parts_{
          parts.loop,
          writer_,
          profiles_,
          pseudonymiser_,
          parts.clock,
          [this](const std::string& id, const std::vector<std::string>& keys) { reads_.arrived(id, keys); },
          parts.forgotten} {}

std::string ProfileDesk::profile_of(const std::string& pseudonym) {
    auto look = profiles_.by_alias(pseudonym, clock_.utc());
    return look ? std::move(look->profile.id) : std::string();
}

std::vector<Route> ProfileDesk::platform_routes() {
    std::vector<Route> routes = {wanted_route(reads_)};
    for (Route& route : profile_read_routes(reads_)) routes.push_back(std::move(route));
    for (Route& route : profile_routes(parts_)) routes.push_back(std::move(route));
    return routes;
}

void ProfileDesk::tick(SteadyTime now) {
    if (now - touches_written_ < write_touches_every || profiles_.touches() == 0) return;
    touches_written_ = now;
    writer_.post([this] {
        if (const auto written = profiles_.write_touches(); !written)
            log::warning("store", "not written down which profiles were read",
                         {{"why", written.error().context}});
    });
}

void ProfileDesk::stop() {
    // What is lost here is soon read again.
    writer_.post([this] { (void)profiles_.write_touches(); });
}

}  // namespace touchpoint::gateway
