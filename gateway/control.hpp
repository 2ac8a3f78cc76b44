// The routes: for the control socket (the command `touchpoint`) and for the local listener. On the wire:
// gateway/README.md, "Control socket" and "Local listener".
//
// Threads: loop; quarantine is read on the reader.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "gateway/http.hpp"
#include "gateway/snapshot.hpp"
#include "gateway/tail.hpp"
#include "store/event_store.hpp"
#include "store/sealed_box.hpp"
#include "store/worker.hpp"

namespace touchpoint::gateway {

// All of it must outlive the servers that are given the routes.
struct RouteParts {
    std::function<Snapshot()> snapshot;
    std::function<HttpStats()> http;  // of the local listener
    Tail& tail;
    const store::EventStore& store;
    store::Worker& reader;
    const store::SealedBox& box;
};

// GET /healthz, /readyz: for everybody; /metrics. Who is not known as a technician reads of /healthz that the
// gateway is alive, and no more.
std::vector<Route> local_routes(const RouteParts& parts);
// Those, and GET /v1/status, /v1/tail, /v1/quarantine, /v1/quarantine/{sequence}
std::vector<Route> control_routes(const RouteParts& parts);

// The body of GET /v1/status.
std::string status_json(const Snapshot& snapshot);

}  // namespace touchpoint::gateway
