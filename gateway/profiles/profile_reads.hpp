// Profiles as a touchpoint reads them: by id, by an alias, or the first of several. Straight from the memory
// map: a read waits for no disk write and for no network; what is not there is said at once.
//
// A question and its answer, whatever they came in by: profile_read_routes has them over HTTP. On the wire:
// devices/README.md, "Reading a profile".
//
// Threads: confined to loop.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "devices/pseudonym.hpp"
#include "gateway/core/clock.hpp"
#include "gateway/profiles/miss_limits.hpp"
#include "gateway/profiles/persons.hpp"
#include "gateway/profiles/profile_document.hpp"
#include "gateway/profiles/profile_stats.hpp"
#include "gateway/profiles/wanted.hpp"
#include "gateway/roles.hpp"
#include "store/profiles.hpp"

namespace touchpoint::gateway {

struct ProfileQuestion {
    std::vector<std::string> names;  // ids, or "scheme:value"; the first one that is known is answered
    std::string purpose = "operation";
    Roles roles;           // decide what is shown
    std::string asker;     // whose misses are counted: device "t1" of pos/t1
    bool follows = false;  // changes are to be told: the answer has its keys
};

struct ProfileAnswer {
    unsigned status = 200;        // as HTTP has them: 200, 400, 404, 410, 429, 503
    std::string body;             // the profile, one object and a line feed; else a problem document
    std::string etag;             // weak, with its quotes; only of a profile, as the next two
    std::chrono::seconds age{0};  // since the platform has said so
    std::string survivor;         // the id that stands for the one that was asked for; empty: it is that one
    std::chrono::seconds retry_after{0};  // zero: nothing is gained by waiting
    // What a change of this answer begins with: references (Profiles::reference) of the profile, of what is
    // merged into it and of the ids asked for, and the keys of its aliases and of those asked for. Each once.
    // Only for a question that follows.
    std::vector<std::string> keys;
};

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
        Persons& persons;
        const devices::Pseudonymiser& pseudonymiser;
        const store::SealedBox& box;
        const Clock& clock;
    };
    ProfileReads(Parts parts, Options options);

    // Counts, limits the asker's misses (MissLimits), and notes who is wanted.
    ProfileAnswer ask(const ProfileQuestion& question);
    // The same question once more, for somebody who has been answered and is told of changes: nothing is
    // counted, limited or noted.
    ProfileAnswer ask_again(const ProfileQuestion& question);

    // To who would be answered too late: 503 `not-now`. Counted.
    ProfileAnswer not_now();

    // As wanted_ has it.
    std::string wanted_json(std::size_t max) const { return wanted_.json(max); }

    Wanted& wanted() { return wanted_; }
    // The platform has sent what these lead to.
    void arrived(const std::string& id, const std::vector<std::string>& alias_keys);
    ProfileReadStats stats() const;

  private:
    struct Asked {
        std::string key;  // of an alias, or the id's reference
        std::string text;
        bool alias = false;
    };
    // Fails with what is wrong with a name.
    Read<std::vector<Asked>> asked(const std::vector<std::string>& names) const;
    // `first`: counted, and noted as wanted. `missed`: gets the names it looked at under which the platform
    // has sent nobody.
    ProfileAnswer find(const ProfileQuestion& question, const std::vector<Asked>& asked, Purpose purpose,
                       bool first, std::vector<std::string>& missed);
    ProfileAnswer shown(const ProfileQuestion& question, Purpose purpose, const Person& person);
    std::vector<std::string> keys_of(const std::vector<Asked>& asked, const store::ProfileLook* look) const;

    Parts parts_;
    Options options_;
    Wanted wanted_;
    MissLimits limits_;
    ProfileReadStats stats_;
};

}  // namespace touchpoint::gateway
