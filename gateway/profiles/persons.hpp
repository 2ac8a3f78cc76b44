// A customer as this store knows him now: what the platform said, with what happened here since.
//
//     profile cache (store/profiles) ──┐
//                                      ├──> Person ──> a read (profile_reads), the name in events that leave
//     live pictures (live_pictures) ───┘
//
// Promised
//   Somebody of whom only events of this store are known is a provisional profile: found by what he was named
//   by, and the platform's as soon as it sends one.
//   A name that events joined with another leads to one profile; the platform's rows stay as they are.
//   What a purpose may see, and under which name an event leaves, is decided by the same consents.
//
// Threads: any.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/core/clock.hpp"
#include "gateway/profiles/live_pictures.hpp"
#include "gateway/profiles/profile_document.hpp"
#include "store/profiles.hpp"

namespace touchpoint::gateway {

struct Person {
    store::ProfileLook look;   // its json: with consents, and what is live, as they are now
    bool provisional = false;  // the platform has not said anything of him
    // Events that are not looked at yet may say that he does not consent any more.
    bool behind = false;
    // Names that only events of this store tie to him, none of them his by what the platform said.
    std::vector<std::string> tied{};
};

// What a stream's events need so that they leave under the person's own name.
using EventPurposes = PerStream<Purpose>;
inline EventPurposes default_event_purposes() {
    EventPurposes purposes;  // operation: identify, consent, sale
    purposes[Stream::interactions] = Purpose::analytics;
    purposes[Stream::telemetry] = Purpose::analytics;
    return purposes;
}

class Persons {
  public:
    struct Options {
        std::string gateway_id;  // whose numbers the platform says in `seen`
        bool unknown_granted = false;
        EventPurposes purposes = default_event_purposes();
    };
    // All of it outlives it.
    struct Parts {
        store::Profiles& profiles;
        LivePictures& pictures;
        std::string epoch;
    };
    Persons(Parts parts, Options options) : parts_(parts), options_(std::move(options)) {}

    // Fail with io.
    Result<Person> by_id(std::string_view id, UtcTime now);
    // `text` is what he was asked for by: of a provisional profile, its only alias that is known.
    Result<Person> by_alias(const std::string& key, std::string_view text, UtcTime now);

    // A version of this profile has come: what it has seen is not held any longer.
    void came(std::string_view id, UtcTime now);

    // Behind more than that an event leaves under the pseudonym. About a second.
    static constexpr std::uint64_t leaving_waits_events_max = 100'000;

    // Under which name an event of `stream` leaves, and whether what stands behind the pseudonym may leave
    // with it where a destination asks for that.
    struct Name {
        std::string subject;  // "profile/c-1", "pseudonym/p1_.."
        bool raw = false;
        std::string other;  // as one of several names of this person; empty: the subject
    };
    Name leaving(const std::string& pseudonym, Stream stream, UtcTime now);

  private:
    struct Whole {
        std::vector<std::string> names;
        std::vector<std::string> joined;                 // of them, those that events joined with another
        std::map<std::string, store::Profile> profiles;  // by id
        std::map<std::string, std::string> leads;        // name -> the profile's id
        std::string survivor;                            // empty: no joined name has a profile
    };
    Result<Whole> whole(std::vector<std::string> names, UtcTime now);
    // What happened by all these names, without what the profile that each leads to has seen.
    Picture picture(const Whole& all, const store::Profile& survivor);
    // True: every durable event is in the pictures.
    Result<bool> follow();
    Result<Person> by_alias_at(Result<bool> followed, const std::string& key, std::string_view text,
                               UtcTime now);
    Result<Person> look_up(const std::string& key, std::string_view text, UtcTime now);
    Result<Person> complete(store::ProfileLook look, bool by_merged, UtcTime now,
                            const std::vector<std::string>& by = {});
    Result<Person> from_names(const std::vector<std::string>& names, const std::string& key,
                              std::string_view text, UtcTime now);

    Parts parts_;
    Options options_;
};

// The id of a provisional profile: "local." and its first name.
inline constexpr std::string_view provisional_prefix = "local.";

}  // namespace touchpoint::gateway
