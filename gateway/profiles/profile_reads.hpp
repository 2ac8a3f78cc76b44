// Profiles as a touchpoint reads them: by id, by an alias, or the first of several. Straight from the memory
// map: a read waits for no disk write and for no network; what is not there is said at once.
//
// On the wire: devices/README.md, "Reading a profile".
//
// Threads: confined to loop.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "devices/pseudonym.hpp"
#include "gateway/core/clock.hpp"
#include "gateway/http.hpp"
#include "gateway/profiles/miss_limits.hpp"
#include "gateway/profiles/profile_document.hpp"
#include "gateway/profiles/profile_stats.hpp"
#include "gateway/profiles/wanted.hpp"
#include "store/profiles.hpp"

namespace touchpoint::gateway {

class ProfileReads {
  public:
    struct Options {
        std::chrono::seconds stale_after{24 * 3600};
        bool unknown_granted = false;
        std::size_t wanted_max = 1000;
        std::uint32_t misses_per_min = 60;
    };
    // All of it outlives the reads.
    struct Parts {
        store::Profiles& profiles;
        const devices::Pseudonymiser& pseudonymiser;
        const store::SealedBox& box;
        const Clock& clock;
    };
    static constexpr std::size_t lookup_bytes_max = 8192;

    ProfileReads(Parts parts, Options options);

    // GET /v1/profiles/{id}, where an id is one or "scheme:value", and POST /v1/profiles/lookup. For the
    // local listener and the platform's.
    std::vector<Route> routes();
    // GET /v1/profiles/wanted, in front of those.
    Route wanted_route();

    // The platform has sent what these lead to.
    void arrived(const std::string& id, const std::vector<std::string>& alias_keys);
    ProfileReadStats stats() const;

  private:
    HttpResponse read(const HttpRequest& request);
    HttpResponse lookup(const HttpRequest& request);
    HttpResponse answer(const HttpRequest& request, const std::vector<std::string>& names);
    HttpResponse shown(const HttpRequest& request, Purpose purpose, const store::ProfileLook& look);

    Parts parts_;
    Options options_;
    Wanted wanted_;
    MissLimits limits_;
    ProfileReadStats stats_;
};

}  // namespace touchpoint::gateway
