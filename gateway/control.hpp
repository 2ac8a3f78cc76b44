// The routes: for the control socket (the command `touchpoint`) and for the local listener. On the wire:
// gateway/README.md, "Control socket" and "Local listener".
//
// Threads: loop.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "gateway/http.hpp"
#include "gateway/quarantine_routes.hpp"
#include "gateway/snapshot.hpp"
#include "gateway/tail.hpp"

namespace touchpoint::gateway {

// All of it must outlive the servers that are given the routes.
struct RouteParts {
    std::function<Snapshot()> snapshot;
    std::function<std::string()> backlog;  // the body of GET /v1/backlog
    Tail& tail;
    QuarantineParts quarantine;
};

// GET /healthz, /readyz: for everybody; /metrics. Who is not known as a technician reads of /healthz that the
// gateway is alive, and no more.
std::vector<Route> local_routes(const RouteParts& parts);
// Those, GET /v1/status, /v1/backlog and /v1/tail, and what quarantine_routes.hpp says
std::vector<Route> control_routes(const RouteParts& parts);

// The body of GET /v1/status.
std::string status_json(const Snapshot& snapshot);

}  // namespace touchpoint::gateway
