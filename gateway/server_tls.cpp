// Server TLS, and nothing else: these headers are the slowest to compile.
#include "gateway/server_tls.hpp"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <ctime>
#include <string_view>
#include <utility>

#include "gateway/http_stream.hpp"

namespace touchpoint::gateway {

struct ServerTls::Context {
    boost::asio::ssl::context ssl{boost::asio::ssl::context::tls_server};
    UtcTime not_after;
};

namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr std::size_t subject_bytes_max = 256;
// For TLS 1.2; TLS 1.3 has no other kind.
constexpr const char* ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20";

// RFC 2253: "CN=platform,O=Example".
std::string subject_of(const X509* certificate) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> memory(BIO_new(BIO_s_mem()), &BIO_free);
    if (certificate == nullptr || !memory) return {};
    X509_NAME_print_ex(memory.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
    std::array<char, subject_bytes_max> text{};
    const int size = BIO_read(memory.get(), text.data(), static_cast<int>(text.size()));
    return size > 0 ? std::string(text.data(), static_cast<std::size_t>(size)) : std::string();
}

UtcTime end_of(const X509* certificate) {
    std::tm time{};
    if (certificate == nullptr || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &time) != 1) return {};
    return {static_cast<std::int64_t>(::timegm(&time)) * 1000};
}

class TlsStream final : public HttpStream {
  public:
    TlsStream(HttpSocket socket, std::shared_ptr<ServerTls::Context> context)
        : HttpStream(std::move(socket)),
          context_(std::move(context)),
          tls_(HttpStream::socket(), context_->ssl) {}

    HttpTask<error_code> handshake() override {
        auto [error] = co_await tls_.async_handshake(asio::ssl::stream_base::server, as_http_task);
        if (!error) subject_ = subject_of(SSL_get0_peer_certificate(tls_.native_handle()));
        co_return error;
    }
    HttpTask<Transfer> read_some(asio::mutable_buffer into) override {
        auto [error, size] = co_await tls_.async_read_some(into, as_http_task);
        co_return Transfer(error, size);
    }
    HttpTask<Transfer> write(asio::const_buffer bytes) override {
        auto [error, size] = co_await asio::async_write(tls_, bytes, as_http_task);
        co_return Transfer(error, size);
    }
    HttpTask<> farewell() override {
        // An error says that the client left without its own farewell, or sent more: both are its matter.
        [[maybe_unused]] auto [ignored] = co_await tls_.async_shutdown(as_http_task);
    }
    std::string certificate() const override { return subject_; }

  private:
    std::shared_ptr<ServerTls::Context> context_;  // also of the listener, until it reads its files again
    asio::ssl::stream<HttpSocket&> tls_;
    std::string subject_;
};

Error unusable(const char* key, const std::string& file, const error_code& error) {
    return fail(Errc::invalid_argument,
                std::string("cannot use ") + key + " " + file + ": " + error.message());
}

}  // namespace

Result<std::shared_ptr<ServerTls::Context>> ServerTls::read(const ServerTlsFiles& files) {
    auto context = std::make_shared<Context>();
    asio::ssl::context& ssl = context->ssl;
    SSL_CTX* native = ssl.native_handle();
    SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
    SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    if (SSL_CTX_set_cipher_list(native, ciphers) != 1)
        return fail(Errc::invalid_argument, "this OpenSSL knows none of the ciphers");

    error_code error;
    // An encrypted key is an error here; OpenSSL would ask for its password on the terminal.
    ssl.set_password_callback([](std::size_t, asio::ssl::context::password_purpose) { return std::string(); },
                              error);
    ssl.use_certificate_chain_file(files.cert_file, error);
    if (error) return unusable("tls_cert", files.cert_file, error);
    ssl.use_private_key_file(files.key_file, asio::ssl::context::pem, error);
    if (error) return unusable("tls_key", files.key_file, error);
    if (SSL_CTX_check_private_key(native) != 1)
        return fail(Errc::invalid_argument,
                    "tls_key " + files.key_file + " does not belong to tls_cert " + files.cert_file);
    context->not_after = end_of(SSL_CTX_get0_certificate(native));

    if (!files.client_ca_file.empty()) {
        ssl.load_verify_file(files.client_ca_file, error);
        if (error) return unusable("client_ca_file", files.client_ca_file, error);
        ssl.set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert, error);
        if (error) return unusable("client_ca_file", files.client_ca_file, error);
        SSL_CTX_set_client_CA_list(native, SSL_load_client_CA_file(files.client_ca_file.c_str()));
        // Without it a client that resumes its session is refused as soon as certificates are asked for.
        constexpr std::string_view session_id = "touchpoint";
        std::array<unsigned char, session_id.size()> bytes{};
        std::copy(session_id.begin(), session_id.end(), bytes.begin());
        SSL_CTX_set_session_id_context(native, bytes.data(), static_cast<unsigned>(bytes.size()));
    }
    return context;
}

Result<std::unique_ptr<ServerTls>> ServerTls::open(ServerTlsFiles files) {
    auto context = read(files);
    if (!context) return context.error();
    return std::unique_ptr<ServerTls>(new ServerTls(std::move(files), std::move(*context)));
}

Result<void> ServerTls::reload() {
    auto context = read(files_);
    if (!context) return context.error();
    context_ = std::move(*context);
    return {};
}

UtcTime ServerTls::not_after() const { return context_->not_after; }

std::unique_ptr<HttpStream> make_tls_stream(HttpSocket socket, const ServerTls& tls) {
    return std::make_unique<TlsStream>(std::move(socket), tls.context());
}

}  // namespace touchpoint::gateway
