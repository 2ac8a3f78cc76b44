// Blocking bytes of one accepted connection, plain or TLS.
//
// Threads: one reads and writes; interrupt() from any.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "gateway/core/result.hpp"

namespace touchpoint::platform {

class Connection {
  public:
    virtual ~Connection() = default;
    virtual bool handshake() = 0;                                     // before anything else
    virtual std::size_t read_some(char* into, std::size_t size) = 0;  // 0: closed or broken
    virtual bool write(std::string_view text) = 0;
    // Whatever waits in the calls above returns.
    virtual void interrupt() = 0;
};

class TlsServer;  // certificate and rules, for all connections
struct TlsServerDeleter {
    void operator()(TlsServer* server) const;
};
using TlsServerPtr = std::unique_ptr<TlsServer, TlsServerDeleter>;
Result<TlsServerPtr> make_tls_server(const std::string& cert_file, const std::string& key_file,
                                     const std::string& client_ca_file);

// Takes `socket` over. Without `tls`: plain. REQUIRES: SIGPIPE blocked in the thread that writes (OpenSSL's
// write() cannot be told MSG_NOSIGNAL).
std::unique_ptr<Connection> accept_connection(int socket, TlsServer* tls);

}  // namespace touchpoint::platform
