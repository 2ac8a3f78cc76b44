// Profiles as the platform writes them: put, patch, erase, merge and undo it, many at once; and the list of
// erasures. An answer means that a power cut cannot take it back. An erased person is taken out of the events
// that wait before the cache forgets him: cut off in between, the platform has no answer, and asks again.
//
// On the wire: uplink/README.md, "Profiles down".
//
// Threads: handlers on loop; bodies are read and rows are written on `writer`, which does nothing else.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "devices/pseudonym.hpp"
#include "gateway/core/clock.hpp"
#include "gateway/core/result.hpp"
#include "gateway/http.hpp"
#include "gateway/profiles/load_pace.hpp"
#include "store/profiles.hpp"
#include "store/worker.hpp"
#include "uplink/profile_feed.hpp"
#include "uplink/profile_mapping.hpp"

namespace boost::asio {
class io_context;
}

namespace touchpoint::gateway {

// All of it outlives the routes, and `writer` ends before the others do.
struct ProfileParts {
    boost::asio::io_context& loop;
    store::Worker& writer;
    store::Profiles& profiles;
    const devices::Pseudonymiser& pseudonymiser;
    const Clock& clock;
    LoadPace& pace;  // of `writer`
    // How many events are durable by now. Any thread.
    std::function<std::uint64_t()> events_durable;
    // On loop, before the answer: these led to nobody before, or may have.
    std::function<void(const std::string& id, const std::vector<std::string>& alias_keys)> arrived;
    // On `writer`: the platform has sent these, or they are not here any more. None: who is who has changed.
    std::function<void(const std::vector<std::string>& ids)> came;
    // On loop, before the answer: the vault has forgotten these.
    std::function<void(const std::string& alias_key)> forgotten;
    // On `writer`: nothing that events have told of these is shown any longer. Returns which of them events
    // had found to be one, with all names of each.
    std::function<std::vector<std::vector<std::string>>(const std::vector<std::string>& alias_keys)> forget;
    // On `writer`: and a power cut does not bring it back.
    std::function<Result<void>()> keep_forgotten;
    // Takes these persons out of the events that wait (EventErasure::erase). Any thread; `done` on any.
    std::function<void(std::vector<std::string> alias_keys, std::function<void(Result<void>)> done)>
        erase_events;
    // All names of whom these are: events may have found more (LivePictures), up to the last one that is
    // durable. On `writer`; fails with full, io.
    std::function<Result<std::vector<std::string>>(std::vector<std::string> alias_keys)> joined;
    // The platform says that these are one person, the first one's. Any thread.
    std::function<void(const std::vector<std::string>& alias_keys)> join;
    // The platform says that these are two persons: what events had found to be one parts. Any thread.
    std::function<void(const std::vector<std::string>& ones, const std::vector<std::string>& others)> part;
    // On loop, before the answer: what these (ProfileAnswer::keys) lead to may read otherwise now.
    std::function<void(const std::vector<std::string>& keys)> changed;
    // For documents of other platforms; absent: there are none.
    const std::vector<uplink::ProfileMapping>* mappings = nullptr;
    // A document says that the platform has seen a number of ours that no event has yet (seen_too_far()): it
    // would hide what is still to come, refusals of a customer too. Any thread; absent: nobody looks.
    std::function<bool(std::string_view document)> too_far{};
};
inline constexpr std::string_view too_far_words =
    "the profile's seen has a number that this gateway has not given to an event yet";

// PUT, PATCH, DELETE /v1/profiles/{id}, POST /v1/profiles/{id}/merge and .../unmerge,
// POST /v1/profiles/batch, and GET /v1/erasures.
std::vector<Route> profile_routes(const ProfileParts& parts);
// Lines of the change feed, on `writer`; durable when it returns.
uplink::LinesWritten write_feed_lines(const ProfileParts& parts, std::span<const std::string_view> lines,
                                      UtcTime not_before);
// GET /v1/erasures alone, for a listener that serves technicians.
Route erasures_route(const ProfileParts& parts);

inline constexpr std::size_t profile_lines_max =
    10'000;  // of one batch; its bytes: the listener's body limit

}  // namespace touchpoint::gateway
