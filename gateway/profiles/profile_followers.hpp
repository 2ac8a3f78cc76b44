// Who has asked for a profile and wants to be told when the answer changes: over Server-Sent Events and over
// MQTT.
//
//     changed(keys) ──> who depends on one of them ──> the same question once more ──> another state: tell
//
// Promised
//   Told is the state, not each step to it: whoever is slow, or was told a moment ago, is told the newest one
//   when its turn comes. What changes by time alone (a consent that ends, an answer that becomes stale) is
//   seen within `look_every`.
//   Bounded: so many followers, so many of one asker, so many questions at once.
// Not promised
//   A follow outlives the process: a device that saw the gateway go asks again.
//
// Threads: none; confined to loop. Time is an argument.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gateway/core/clock.hpp"
#include "gateway/profiles/profile_reads.hpp"

namespace touchpoint::gateway {

class ProfileFollowers {
  public:
    static constexpr std::size_t followers_max = 256;
    static constexpr std::size_t of_one_max = 32;  // of one device, token or machine
    // One is asked for not more often than this, however often its profile changes.
    static constexpr std::chrono::milliseconds ask_every{100};
    static constexpr std::chrono::seconds look_every{60};
    static constexpr std::size_t questions_max = 64;  // in one call: a few milliseconds

    enum class Told {
        taken,
        not_yet,  // what was told before has not left yet: once more at the next tick
        gone,     // nobody is there any more
    };
    struct Follower {
        std::string name;  // a second one of it replaces the first; empty: it is the only one
        ProfileQuestion question;
        // What the follower knows already: state_of() the answer to its question, and its keys.
        std::string state;
        std::vector<std::string> keys;
        SteadyTime until = SteadyTime::max();
        std::function<Told(const ProfileAnswer&)> tell;
        std::function<bool()> gone;  // looked at often
    };

    // `reads` outlives the followers.
    explicit ProfileFollowers(ProfileReads& reads) : reads_(reads) {}

    // False: there is no place. `oldest_leaves`: of an asker with of_one_max, else there is none, too.
    // REQUIRES: follower.question.follows
    bool follow(Follower follower, SteadyTime now, bool oldest_leaves);
    // False: nobody of that name.
    bool end(std::string_view name);

    // What these keys (ProfileAnswer::keys) lead to may read otherwise now.
    void changed(const std::vector<std::string>& keys, SteadyTime now);
    // Nobody knows what has changed.
    void all_changed(SteadyTime now);
    // Call it several times a second.
    void tick(SteadyTime now);

    std::size_t size() const { return followers_.size(); }
    std::uint64_t told() const { return told_; }

    // Another state, another answer.
    static std::string state_of(const ProfileAnswer& answer);

  private:
    struct Entry {
        Follower follower;
        std::uint64_t order = 0;  // the lower, the older
        SteadyTime asked;
        bool due = false;  // stands in due_
    };
    using Entries = std::unordered_map<std::string, Entry>;

    void index(const Entry& entry);
    void unindex(const Entry& entry);
    void forget(Entries::iterator place);
    void drop_the_gone(SteadyTime now);
    void make_due(Entry& entry);
    void ask_the_due(SteadyTime now);
    // False: it has left.
    bool ask(Entry& entry, SteadyTime now);

    ProfileReads& reads_;
    Entries followers_;
    std::unordered_multimap<std::string, std::string> names_of_;  // key to names
    std::deque<std::string> due_;                                 // names, each once
    std::uint64_t last_ = 0;
    std::uint64_t told_ = 0;
};

// To who gets no place: 503 `too-many-followers`.
ProfileAnswer too_many_followers();

}  // namespace touchpoint::gateway
