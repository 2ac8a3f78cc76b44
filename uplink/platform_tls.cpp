// Client TLS, and nothing else: these headers are the slowest to compile.
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>

#include "uplink/platform_stream.hpp"

namespace touchpoint::uplink {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

class TlsStream final : public PlatformStream {
  public:
    TlsStream(const asio::any_io_executor& executor, asio::ssl::context context, std::string host)
        : PlatformStream(executor),
          context_(std::move(context)),
          tls_(socket_, context_),
          host_(std::move(host)) {}

    error_code prepare() {
        error_code error;
        tls_.set_verify_mode(asio::ssl::verify_peer, error);
        if (!error) tls_.set_verify_callback(asio::ssl::host_name_verification(host_), error);
        boost::system::error_code not_an_address;
        asio::ip::make_address(host_, not_an_address);
        // RFC 6066: a server name is a name, never an address.
        if (!error && not_an_address) {
            // What SSL_set_tlsext_host_name() expands to, without its C cast.
            SSL_ctrl(tls_.native_handle(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                     host_.data());
        }
        return error;
    }

    asio::awaitable<error_code> handshake() override {
        auto [error] = co_await tls_.async_handshake(asio::ssl::stream_base::client, as_values);
        encrypted_ = true;
        co_return error;
    }
    asio::awaitable<Transfer> read_some(asio::mutable_buffer into) override {
        if (!encrypted_) {
            auto [plain_error, plain_size] = co_await socket_.async_read_some(into, as_values);
            co_return Transfer(plain_error, plain_size);
        }
        auto [error, size] = co_await tls_.async_read_some(into, as_values);
        co_return Transfer(error, size);
    }
    asio::awaitable<Transfer> write(Parts parts) override {
        if (!encrypted_) {
            auto [plain_error, plain_size] = co_await asio::async_write(socket_, parts, as_values);
            co_return Transfer(plain_error, plain_size);
        }
        auto [error, size] = co_await asio::async_write(tls_, parts, as_values);
        co_return Transfer(error, size);
    }
    std::string complaint() override {
        const long code = SSL_get_verify_result(tls_.native_handle());
        if (code == X509_V_OK) return {};
        return X509_verify_cert_error_string(code);
    }

  private:
    asio::ssl::context context_;
    asio::ssl::stream<asio::ip::tcp::socket&> tls_;
    std::string host_;
    bool encrypted_ = false;
};

}  // namespace

Result<std::unique_ptr<PlatformStream>> make_tls_stream(const asio::any_io_executor& executor,
                                                        const std::string& host, const TlsFiles& files) {
    asio::ssl::context context(asio::ssl::context::tls_client);
    error_code error;
    SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
    if (files.ca_file.empty())
        context.set_default_verify_paths(error);
    else
        context.load_verify_file(files.ca_file, error);
    if (error) return fail(Errc::invalid_argument, "cannot use ca_file: " + error.message());
    if (!files.cert_file.empty()) {
        // An encrypted key is an error here; OpenSSL would ask for its password on the terminal.
        context.set_password_callback(
            [](std::size_t, asio::ssl::context::password_purpose) { return std::string(); }, error);
        context.use_certificate_chain_file(files.cert_file, error);
        if (error) return fail(Errc::invalid_argument, "cannot use cert_file: " + error.message());
        const std::string& key = files.key_file.empty() ? files.cert_file : files.key_file;
        context.use_private_key_file(key, asio::ssl::context::pem, error);
        if (error) return fail(Errc::invalid_argument, "cannot use key_file: " + error.message());
    }
    auto stream = std::make_unique<TlsStream>(executor, std::move(context), host);
    error = stream->prepare();
    if (error) return fail(Errc::io, error.message());
    return std::unique_ptr<PlatformStream>(std::move(stream));
}

}  // namespace touchpoint::uplink
