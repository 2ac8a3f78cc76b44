#include "tools/platform/connection.hpp"

#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace touchpoint::platform {

class TlsServer {
  public:
    SSL_CTX* context = nullptr;
};
void TlsServerDeleter::operator()(TlsServer* server) const {
    SSL_CTX_free(server->context);
    delete server;
}

namespace {

class Plain final : public Connection {
  public:
    explicit Plain(int socket) : socket_(socket) {}
    ~Plain() override { ::close(socket_); }
    bool handshake() override { return true; }
    std::size_t read_some(char* into, std::size_t size) override {
        const ssize_t got = ::recv(socket_, into, size, 0);
        return got > 0 ? static_cast<std::size_t>(got) : 0;
    }
    bool write(std::string_view text) override {
        while (!text.empty()) {
            const ssize_t sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
            if (sent <= 0) return false;
            text.remove_prefix(static_cast<std::size_t>(sent));
        }
        return true;
    }
    void interrupt() override { ::shutdown(socket_, SHUT_RDWR); }

  private:
    const int socket_;
};

class Tls final : public Connection {
  public:
    Tls(int socket, SSL* ssl) : socket_(socket), ssl_(ssl) {}
    bool handshake() override { return SSL_set_fd(ssl_, socket_) == 1 && SSL_accept(ssl_) == 1; }
    ~Tls() override {
        SSL_free(ssl_);
        ::close(socket_);
    }
    std::size_t read_some(char* into, std::size_t size) override {
        const int got = SSL_read(ssl_, into, static_cast<int>(size));
        return got > 0 ? static_cast<std::size_t>(got) : 0;
    }
    bool write(std::string_view text) override {
        return SSL_write(ssl_, text.data(), static_cast<int>(text.size())) == static_cast<int>(text.size());
    }
    void interrupt() override { ::shutdown(socket_, SHUT_RDWR); }

  private:
    const int socket_;
    SSL* const ssl_;
};

}  // namespace

Result<TlsServerPtr> make_tls_server(const std::string& cert_file, const std::string& key_file,
                                     const std::string& client_ca_file) {
    TlsServerPtr server(new TlsServer);
    server->context = SSL_CTX_new(TLS_server_method());
    SSL_CTX* const context = server->context;
    if (SSL_CTX_use_certificate_chain_file(context, cert_file.c_str()) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1)
        return fail(Errc::io, "cannot use the certificate or its key");
    if (!client_ca_file.empty()) {
        if (SSL_CTX_load_verify_locations(context, client_ca_file.c_str(), nullptr) != 1)
            return fail(Errc::io, "cannot use the client CA");
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    }
    return server;
}

std::unique_ptr<Connection> accept_connection(int socket, TlsServer* tls) {
    if (tls == nullptr) return std::make_unique<Plain>(socket);
    return std::make_unique<Tls>(socket, SSL_new(tls->context));
}

}  // namespace touchpoint::platform
