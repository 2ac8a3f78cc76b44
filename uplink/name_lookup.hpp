// getaddrinfo() that can be abandoned. It hangs for tens of seconds when a shop's DNS is away, cannot be
// interrupted, and Asio's resolver would join its thread when the program ends: so each lookup has a thread
// of its own that nobody waits for. One client has at most one (the next fails until it is back).
//
// Threads: start() and abandon() on the loop; `done` runs on the lookup's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gateway/core/result.hpp"

namespace touchpoint::uplink {

class NameLookup {
  public:
    // Numeric addresses ("192.0.2.1", "2001:db8::1"), in the system's order of preference.
    using Done = std::function<void(Result<std::vector<std::string>>)>;

    ~NameLookup() { abandon(); }
    // False: an abandoned lookup has not come back yet. `done` is called once unless abandon() came before.
    bool start(const std::string& host, Done done);
    // When it returns, `done` is not running and will not be called.
    void abandon();

  private:
    struct Shared;
    std::shared_ptr<Shared> shared_;  // owners: this, and the lookup's thread
};

}  // namespace touchpoint::uplink
