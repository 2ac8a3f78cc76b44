// The server's side of TLS: certificate and key of a listener, and the authority whose clients may connect.
//
// Promised
//   TLS 1.2 or newer, with forward secrecy. With a client_ca_file a client without a certificate of that
//   authority does not get past the handshake. reload() changes what the next connection is given; those that
//   are open keep what they began with.
//
// Threads: confined to loop.
#pragma once

#include <memory>
#include <string>

#include "gateway/core/clock.hpp"
#include "gateway/core/result.hpp"

namespace touchpoint::gateway {

struct ServerTlsFiles {
    std::string cert_file;       // PEM: the certificate, then those between it and the authority
    std::string key_file;        // PEM, not encrypted
    std::string client_ca_file;  // PEM; empty: clients need no certificate
};

class ServerTls {
  public:
    struct Context;

    // Fails with invalid_argument; the context names the file.
    static Result<std::unique_ptr<ServerTls>> open(ServerTlsFiles files);

    // Reads the files again. On failure everything stays as it was.
    Result<void> reload();
    // When the certificate ends.
    UtcTime not_after() const;
    std::shared_ptr<Context> context() const { return context_; }

  private:
    ServerTls(ServerTlsFiles files, std::shared_ptr<Context> context)
        : files_(std::move(files)), context_(std::move(context)) {}
    static Result<std::shared_ptr<Context>> read(const ServerTlsFiles& files);

    ServerTlsFiles files_;
    std::shared_ptr<Context> context_;  // and of the connections that began with it
};

}  // namespace touchpoint::gateway
