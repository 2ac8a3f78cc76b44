// A live picture as members of a profile's document, and what the document says of how far it has seen us.
//
// On the wire: devices/README.md, "Reading a profile"; `seen`: uplink/README.md, "Profiles down".
//
// Threads: pure, any.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gateway/profiles/picture.hpp"
#include "store/profiles.hpp"

namespace touchpoint::gateway {

// "seen":{"gw-1":{"epoch":"..","customer":17,"sales":"00..4",...}}; without it: the
// profile's `updated`, but nothing recorded after it came.
Seen seen_by(const store::Profile& profile, std::string_view gateway_id, std::string_view epoch);
// A number there is beyond the last one that was given. Anything but JSON: false.
bool seen_too_far(std::string_view document, std::string_view gateway_id, std::string_view epoch,
                  const PerStream<Sequence>& given);

// The document with `consents` as they are now, and with recent, counts, place and cart, where there are any:
// then they stand for members of that name which the platform sent. Of each consent the later decision
// counts; `consents_came`: when the document's did, for refusals that do not say when they were made.
std::string with_picture(const std::string& document, const Picture& picture, UtcTime consents_came);

// The denied and revoked consents of another profile of the same person, where nothing was said here.
void add_refusals(Picture& picture, std::string_view document);
// The same of what those refused that were merged into one of them.
void add_refusals(Picture& picture, const std::vector<store::Refusal>& refusals);

}  // namespace touchpoint::gateway
