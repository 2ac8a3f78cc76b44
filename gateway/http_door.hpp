// The door of one listener: who may come in, and who may ask for what. It sees no sockets.
//
//   enter ──> admit ──> (the route answers) ──> dress ──> leave
//
// Promised
//   The cheap refusals come first: an address that asks too often or was shut out for wrong tokens is told so
//   before anything is hashed. Unknown tokens and wrong secrets cost the same. A browser's page from an
//   origin that is not listed gets nothing, and a name that was made to point at this box (DNS rebinding)
//   neither.
//
// Threads: confined to loop.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gateway/core/clock.hpp"
#include "gateway/http.hpp"
#include "gateway/http_clients.hpp"
#include "gateway/tokens.hpp"

namespace touchpoint::gateway {

struct DoorOptions {
    ClientLimits clients;
    // False: no tokens are configured, the listener is on loopback, and everybody there has every role.
    bool tokens = false;
    std::vector<std::string> allowed_origins;  // "https://kiosk.example", as browsers write them
};

struct DoorStats {
    std::uint64_t throttled = 0;
    std::uint64_t wrong_tokens = 0;
    std::uint64_t forbidden = 0;
    std::uint64_t tokens_checked = 0;  // hashed
};

class HttpDoor {
  public:
    // `clock` outlives the door.
    HttpDoor(DoorOptions options, const Clock& clock);

    // A connection. False: it is not served; leave() follows for each that was.
    bool enter(const ClientAddress& address);
    void leave(const ClientAddress& address) { clients_.leave(address); }

    // Decides before the body is read. `route` may be null: then `answer` holds what find_route() refused
    // with, and may be replaced. True: go on with the route, `request.caller` is filled in. False: `answer`.
    bool admit(const ClientAddress& address, HttpRequest& request, const Route* route,
               const std::vector<Route>& routes, HttpResponse& answer);
    // Headers for the browser's page that asked.
    void dress(const HttpRequest& request, HttpResponse& answer) const;

    // From now on these are right. Null: nobody is let in who needs a token.
    void set_tokens(std::shared_ptr<const TokenSet> tokens) { tokens_ = std::move(tokens); }
    // Of somebody who was let in: his token was not revoked since. Streams ask, which outlive their request.
    bool still_welcome(const Caller& caller) const;
    const DoorStats& stats() const { return stats_; }

  private:
    bool listed(std::string_view origin) const;
    bool is_preflight(const HttpRequest& request) const;
    HttpResponse preflight(const HttpRequest& request, const std::vector<Route>& routes) const;
    bool throttled(const ClientAddress& address, HttpResponse& answer);
    bool from_a_stranger(const HttpRequest& request, HttpResponse& answer);
    bool authenticate(const ClientAddress& address, HttpRequest& request, const Route& route,
                      HttpResponse& answer);

    DoorOptions options_;
    const Clock& clock_;
    ClientTable clients_;
    std::shared_ptr<const TokenSet> tokens_;  // and of the other listeners
    DoorStats stats_;
};

}  // namespace touchpoint::gateway
