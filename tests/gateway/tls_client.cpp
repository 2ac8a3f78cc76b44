#include "tests/gateway/tls_client.hpp"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <csignal>

namespace touchpoint::tests {

struct TlsClient::Parts {
    SSL_CTX* context = nullptr;
    SSL* ssl = nullptr;
};

TlsClient::TlsClient(int port, const Wishes& wishes)
    : socket_(HttpClient::tcp(port)), parts_(std::make_unique<Parts>()) {
    // OpenSSL writes with write(2): a server that closes meanwhile would end the test program.
    std::signal(SIGPIPE, SIG_IGN);
    parts_->context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(parts_->context, 0);  // old versions, too: the server refuses them
    SSL_CTX_set_min_proto_version(parts_->context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(parts_->context, wishes.version_max);
    if (!wishes.ca_pem.empty()) {
        BIO* memory = BIO_new_mem_buf(wishes.ca_pem.data(), static_cast<int>(wishes.ca_pem.size()));
        X509* authority = PEM_read_bio_X509(memory, nullptr, nullptr, nullptr);
        X509_STORE_add_cert(SSL_CTX_get_cert_store(parts_->context), authority);
        X509_free(authority);
        BIO_free(memory);
        SSL_CTX_set_verify(parts_->context, SSL_VERIFY_PEER, nullptr);
    }
    if (!wishes.cert_file.empty()) {
        SSL_CTX_use_certificate_chain_file(parts_->context, wishes.cert_file.c_str());
        SSL_CTX_use_PrivateKey_file(parts_->context, wishes.key_file.c_str(), SSL_FILETYPE_PEM);
    }
    parts_->ssl = SSL_new(parts_->context);
    SSL_set_fd(parts_->ssl, socket_.descriptor());
    connected_ = SSL_connect(parts_->ssl) == 1;
}

TlsClient::~TlsClient() {
    SSL_free(parts_->ssl);
    SSL_CTX_free(parts_->context);
}

std::string TlsClient::version() const { return SSL_get_version(parts_->ssl); }

std::string TlsClient::server_name() const {
    X509* certificate = SSL_get1_peer_certificate(parts_->ssl);
    if (certificate == nullptr) return {};
    std::array<char, 256> text{};
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text.data(),
                              static_cast<int>(text.size()));
    X509_free(certificate);
    return text.data();
}

void TlsClient::send(std::string_view bytes) {
    if (connected_) SSL_write(parts_->ssl, bytes.data(), static_cast<int>(bytes.size()));
}

std::string TlsClient::read_until(std::string_view text) {
    std::string out;
    std::array<char, 16384> bytes{};
    while (connected_ && (text.empty() || out.find(text) == std::string::npos)) {
        const int n = SSL_read(parts_->ssl, bytes.data(), static_cast<int>(bytes.size()));
        if (n <= 0) break;
        out.append(bytes.data(), static_cast<std::size_t>(n));
    }
    return out;
}

}  // namespace touchpoint::tests
