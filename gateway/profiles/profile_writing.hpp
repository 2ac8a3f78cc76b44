// What all ways of writing profiles share: answers to an outcome, what loop is told of it, and that an erased
// person leaves the waiting events before the cache forgets him.
//
// Threads: as each says.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/http.hpp"
#include "gateway/profiles/profile_document.hpp"
#include "gateway/profiles/profile_routes.hpp"
#include "store/profiles.hpp"

namespace touchpoint::gateway {

inline constexpr std::size_t profile_body_bytes_max =
    store::Profiles::json_bytes_max + (64u << 10);  // and its aliases

HttpResponse bad(std::string_view words);
HttpResponse busy();
HttpResponse not_written();
HttpResponse not_forgotten();  // as write_changes() has it
HttpResponse not_erased(const Error& why);
HttpResponse response_to(const store::ProfileOutcome& outcome);
// A change that came as `text`, unless the profile would say afterwards that the platform has seen a number
// of ours that no event has yet: it would hide what is still to come. An erasure is never refused for that.
Read<store::ProfileChange> unless_too_far(const ProfileParts& parts, Read<store::ProfileChange> change,
                                          std::string_view text);
// The problem's.
std::string_view type_of(const store::ProfileOutcome& refused);
// One result of many; `place`: its beginning.
std::string line_of(const std::string& place, const store::ProfileOutcome& outcome);

// What became of it on the writer, for loop.
struct Effects {
    std::vector<std::pair<std::string, std::vector<std::string>>> arrived;
    std::vector<std::string> forgotten;
    std::vector<std::string> changed;

    // On the writer.
    void note(const ProfileParts& parts, const store::ProfileChange& change,
              const store::ProfileOutcome& outcome);

  private:
    void note_changed(const ProfileParts& parts, const store::ProfileChange& change,
                      const store::ProfileOutcome& outcome);
};
// One transaction, with what follows from it for what events have told of these persons; what loop is to hear
// is added to `effects`. Fails as Profiles::apply does, and then nothing is written; or, when `effects` tells
// of changes, because a picture of somebody erased cannot be taken off the disk: the same again does that.
// With Durable::later whoever tells anybody of it calls Profiles::settle() before; an erasure is durable at
// once. REQUIRES: on the writer
Result<std::vector<store::ProfileOutcome>> write_changes(const ProfileParts& parts,
                                                         std::span<const store::ProfileChange> changes,
                                                         UtcTime now, store::Durable when, Effects& effects);
// On any thread. Loop hears a few at a time, and has its turn in between; `then`: on loop, behind the last.
void hear_on_loop(const ProfileParts& parts, Effects effects, const std::function<void()>& then = {});
void reply_on_loop(const ProfileParts& parts, Effects effects, HttpResponse response, const Reply& reply);

using Changes = std::shared_ptr<std::vector<store::ProfileChange>>;
using GoOn = std::function<void(const Result<void>&)>;

// Takes the persons whom `changes` erase out of the events that wait, then runs `go_on` on the writer. Others
// wrote meanwhile, and a name may have come to one of them: it looks again until there is nothing new. A
// failure is told on any thread. REQUIRES: on the writer
void erase_events_first(const ProfileParts& parts, const Changes& changes, std::vector<std::string> done,
                        const GoOn& go_on);
// The same, waited for, at most `patience`: for whoever may hold up the writer. REQUIRES: on the writer
Result<void> erase_events_now(const ProfileParts& parts, std::vector<store::ProfileChange>& changes,
                              std::chrono::milliseconds patience);

}  // namespace touchpoint::gateway
