// An admitted event on its way to the disk: made by devices/admission, by the gateway about itself, and
// nowhere else. The store gives it a sequence; what the store keeps is `members` (store/README.md, "Line").
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gateway/core/streams.hpp"

namespace touchpoint {

// Names the sender who waits for an answer; the table behind it belongs to devices/receipts (or to HTTP).
// 0: nobody waits.
using Ticket = std::uint64_t;

struct Event {
    Stream stream = Stream::interactions;
    std::string id;      // the device's, else a ULID; at most 128 bytes
    std::string source;  // "/stores/{store}/{kind}/{device}"
    // Only an id that came from the device is looked up in the dedup window.
    bool device_gave_id = false;
    // Over everything the device said (type, data, customer): same id with another hash is stored, marked.
    std::uint64_t content_hash = 0;
    // JSON members without the braces, never empty:
    //     "id":"..","source":"..","type":"..","time":"..",...,"data":{..}
    // specversion, gatewayid, epoch, stream, sequence, recordedtime and idreused are not in it: they follow
    // from where it is stored.
    std::string members;
    bool urgent = false;  // starts a commit at once; else it may wait commit_interval for company
    Ticket ticket = 0;
};

// A raw identifier for the identity vault: `sealed` is already encrypted (store/sealed_box.hpp).
struct Identity {
    std::string pseudonym;
    std::string sealed;
};

// What became of one event whose sender waits. Given out only when the durable horizon has passed it.
// stored_id_reused: stored, but its id was already used for other content within the window (`idreused`).
enum class Verdict : std::uint8_t { stored, duplicate, stored_id_reused };
struct Settled {
    Ticket ticket = 0;
    std::string id;
    Verdict verdict = Verdict::stored;
};

}  // namespace touchpoint
