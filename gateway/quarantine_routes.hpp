// Quarantine as a technician works with it: look, try again after a rule was changed, throw away. For the
// control socket. On the wire: gateway/README.md, "Control socket".
//
// Threads: handlers on loop; the stream is read on the reader.
#pragma once

#include <vector>

#include "devices/direct_intake.hpp"
#include "gateway/core/clock.hpp"
#include "gateway/http.hpp"
#include "store/event_store.hpp"
#include "store/sealed_box.hpp"
#include "store/worker.hpp"

namespace boost::asio {
class io_context;
}

namespace touchpoint::gateway {

// All of it outlives the routes.
struct QuarantineParts {
    boost::asio::io_context& loop;
    store::EventStore& store;
    store::Worker& reader;
    const store::SealedBox& box;
    devices::DirectIntake& intake;
    const Clock& clock;
};

// GET /v1/quarantine, GET /v1/quarantine/{sequence}, POST /v1/quarantine/retry, POST /v1/quarantine/discard
std::vector<Route> quarantine_routes(const QuarantineParts& parts);

}  // namespace touchpoint::gateway
