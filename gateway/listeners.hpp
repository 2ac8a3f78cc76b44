// The addresses on which the gateway answers HTTP: `local` for the shop, `platform` for the central platform
// (only where it is configured), and the control socket. Each TCP listener has its door, its limits and its
// certificate; they share the access tokens.
//
// Promised
//   A change of the tokens file is taken over within about a second, without a restart. A file that cannot be
//   used changes nothing: the tokens that were right before stay right, and health says so. One that cannot
//   be used at the start lets nobody in; the gateway takes events all the same.
//   Certificates are read again by reload(); open connections go on.
//
// Threads: confined to loop. The tokens file is read on the reader, but for the first time in open().
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/settings.hpp"
#include "gateway/core/clock.hpp"
#include "gateway/core/result.hpp"
#include "gateway/http.hpp"
#include "gateway/http_picture.hpp"
#include "store/worker.hpp"

namespace boost::asio {
class io_context;
}

namespace touchpoint::gateway {

class Listeners {
  public:
    // All outlive it.
    struct Parts {
        boost::asio::io_context& loop;
        store::Worker& reader;
        const Clock& clock;
    };
    struct RouteSets {
        std::vector<Route> local;
        std::vector<Route> platform;
        std::vector<Route> control;
    };
    static constexpr std::chrono::milliseconds look_at_tokens_every{1000};

    explicit Listeners(Parts parts);
    ~Listeners();
    Listeners(const Listeners&) = delete;
    Listeners& operator=(const Listeners&) = delete;

    // Fails with io (an address is in use), locked (the socket), invalid_argument (a
    // certificate or key; the context names its file).
    Result<void> open(const config::Settings& settings, RouteSets routes);
    // Call it several times a second.
    void tick(SteadyTime now);
    // SIGHUP: tokens and certificates are read again. False: a certificate was not taken over, which is
    // logged.
    bool reload();
    // Idempotent; nothing answers any more.
    void stop();
    HttpPicture picture() const;
    // Of a TCP listener that was opened on port 0; 0: there is no such listener.
    std::uint16_t port(const std::string& listener) const;

  private:
    struct Tcp;
    class Control;
    struct TokenWatch;

    Result<void> open_tcp(const std::string& name, const config::HttpSettings& settings,
                          std::vector<Route> routes);
    void look_at_the_tokens();

    Parts parts_;
    std::shared_ptr<TokenWatch>
        tokens_;  // and of the job on the reader, which only looks whether it is there
    std::vector<std::unique_ptr<Tcp>> tcp_;
    std::unique_ptr<Control> control_;
    SteadyTime looked_;
};

}  // namespace touchpoint::gateway
