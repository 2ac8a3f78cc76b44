// Messages that broke a rule, as a technician reads them. What stands in the store: devices/README.md,
// "Quarantine".
//
// Threads: pure, any; they run on the reader.
#pragma once

#include <string>
#include <string_view>

#include "gateway/core/result.hpp"
#include "gateway/core/streams.hpp"
#include "store/event_reader.hpp"
#include "store/incoming.hpp"
#include "store/sealed_box.hpp"

namespace touchpoint::gateway {

inline constexpr std::uint32_t quarantine_page_max = 1000;

// One entry of the list for each of a slice's, with commas between: {"sequence","time","source","topic",
// "error":{..}} or {"sequence","gap":{..}}; without payloads. Appended to `items`.
void add_quarantine_items(std::string& items, const store::Slice& slice);
// The whole event of a slice's first entry, with the payload opened: "payload" (text) or "payload_base64",
// and "properties" where there were some. Fails with not_found (shed, or a gap), or damaged (another key).
Result<std::string> quarantine_show(const store::Slice& slice, Sequence sequence,
                                    const store::SealedBox& box);

// The message as it came, to be admitted again: topic, payload, properties, and when it came. `members` is a
// stored event of quarantine. Fails with refused (a person in it was erased), full (only its beginning is
// kept: it names too many persons), damaged.
Result<store::Incoming> quarantined_message(std::string_view members, const store::SealedBox& box);

}  // namespace touchpoint::gateway
