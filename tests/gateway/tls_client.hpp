// A TLS client of bytes, with OpenSSL alone: it judges the server's side from outside.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "tests/gateway/http_client.hpp"

namespace touchpoint::tests {

class TlsClient {
  public:
    struct Wishes {
        std::string ca_pem{};  // empty: the server's certificate is not checked
        std::string cert_file{};
        std::string key_file{};
        int version_max = 0;  // TLS1_1_VERSION, ...; 0: whatever there is
    };
    TlsClient(int port, const Wishes& wishes);
    ~TlsClient();
    TlsClient(const TlsClient&) = delete;
    TlsClient& operator=(const TlsClient&) = delete;

    bool connected() const { return connected_; }
    std::string version() const;
    std::string server_name() const;  // CN of its certificate
    void send(std::string_view bytes);
    std::string read_all() { return read_until({}); }
    std::string read_until(std::string_view text);

  private:
    struct Parts;
    HttpClient socket_;
    std::unique_ptr<Parts> parts_;
    bool connected_ = false;
};

}  // namespace touchpoint::tests
