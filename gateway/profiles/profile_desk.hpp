// The parts of the program that have to do with customers' profiles, put together: the cache's rows, the
// thread that writes them, the routes.
//
// Threads: confined to loop, but profile_of(): any.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/settings.hpp"
#include "devices/pseudonym.hpp"
#include "gateway/core/clock.hpp"
#include "gateway/http.hpp"
#include "gateway/profiles/profile_read_routes.hpp"
#include "gateway/profiles/profile_reads.hpp"
#include "gateway/profiles/profile_routes.hpp"
#include "gateway/snapshot.hpp"
#include "store/cache.hpp"
#include "store/keys.hpp"
#include "store/profiles.hpp"
#include "store/sealed_box.hpp"
#include "store/worker.hpp"

namespace touchpoint::gateway {

class ProfileDesk {
  public:
    // Which profiles were read is written down this often: it costs flash, and only decides who leaves first.
    static constexpr std::chrono::seconds write_touches_every{60};

    // All of it outlives the desk; `keys` is only looked at.
    struct Parts {
        boost::asio::io_context& loop;
        const Clock& clock;
        store::Cache& cache;
        const store::SealedBox& box;
        const store::Keys& keys;
        // As ProfileParts::forgotten.
        std::function<void(const std::string& alias_key)> forgotten;
    };
    ProfileDesk(const Parts& parts, const config::ProfileSettings& settings);

    // The id of the profile that a pseudonym leads to; empty: none is known.
    std::string profile_of(const std::string& pseudonym);

    std::vector<Route> local_routes() { return profile_read_routes(reads_); }
    std::vector<Route> platform_routes();
    std::vector<Route> control_routes() { return {erasures_route(parts_)}; }

    // Call it several times a second.
    void tick(SteadyTime now);
    // What is queued is still written, by the time the desk is gone.
    void stop();
    ProfilePicture picture() const { return {profiles_.stats(), reads_.stats()}; }

  private:
    const Clock& clock_;
    const devices::Pseudonymiser pseudonymiser_;
    store::Profiles profiles_;
    ProfileReads reads_;
    store::Worker writer_{"profiles"};  // dies before what its jobs write to
    ProfileParts parts_;
    SteadyTime touches_written_{};
};

}  // namespace touchpoint::gateway
