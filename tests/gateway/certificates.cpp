#include "tests/gateway/certificates.hpp"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <cstdlib>

#include "tests/support/process.hpp"

namespace touchpoint::tests {
namespace {

void must(bool holds) {
    if (!holds) std::abort();  // the test's own tool is broken
}

std::string pem_of(X509* certificate) {
    BIO* memory = BIO_new(BIO_s_mem());
    must(PEM_write_bio_X509(memory, certificate) == 1);
    char* text = nullptr;
    const long size = BIO_ctrl(memory, BIO_CTRL_INFO, 0, &text);
    std::string out(text, static_cast<std::size_t>(size));
    BIO_free(memory);
    return out;
}

std::string pem_of(EVP_PKEY* key) {
    BIO* memory = BIO_new(BIO_s_mem());
    must(PEM_write_bio_PrivateKey(memory, key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
    char* text = nullptr;
    const long size = BIO_ctrl(memory, BIO_CTRL_INFO, 0, &text);
    std::string out(text, static_cast<std::size_t>(size));
    BIO_free(memory);
    return out;
}

EVP_PKEY* make_key() {
    EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
    must(key != nullptr);
    return key;
}

void extend(X509* certificate, X509* issuer, int kind, const char* value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value);
    must(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

X509* make_certificate(EVP_PKEY* key, const std::string& name, int valid_days) {
    static std::atomic<long> serial{1000};
    X509* certificate = X509_new();
    must(certificate != nullptr && X509_set_version(certificate, 2) == 1);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600L * 24 * 400);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600L * 24 * valid_days);
    X509_set_pubkey(certificate, key);
    X509_NAME* subject = X509_get_subject_name(certificate);
    const auto* bytes = static_cast<const unsigned char*>(static_cast<const void*>(name.data()));
    must(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, bytes, static_cast<int>(name.size()), -1,
                                    0) == 1);
    return certificate;
}

}  // namespace

struct Authority::Parts {
    EVP_PKEY* key = nullptr;
    X509* certificate = nullptr;
};

Authority::Authority(const std::string& name) : parts_(new Parts) {
    parts_->key = make_key();
    parts_->certificate = make_certificate(parts_->key, name, 30);
    X509_set_issuer_name(parts_->certificate, X509_get_subject_name(parts_->certificate));
    extend(parts_->certificate, parts_->certificate, NID_basic_constraints, "critical,CA:TRUE");
    must(X509_sign(parts_->certificate, parts_->key, EVP_sha256()) > 0);
    pem_ = pem_of(parts_->certificate);
}

Authority::~Authority() {
    X509_free(parts_->certificate);
    EVP_PKEY_free(parts_->key);
    delete parts_;
}

void Authority::issue(const std::filesystem::path& folder, const std::string& stem, const std::string& name,
                      int valid_days) const {
    EVP_PKEY* key = make_key();
    X509* certificate = make_certificate(key, name, valid_days);
    X509_set_issuer_name(certificate, X509_get_subject_name(parts_->certificate));
    extend(certificate, parts_->certificate, NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost");
    must(X509_sign(certificate, parts_->key, EVP_sha256()) > 0);
    write_file(folder / (stem + ".pem"), pem_of(certificate));
    write_file(folder / (stem + ".key"), pem_of(key));
    X509_free(certificate);
    EVP_PKEY_free(key);
}

}  // namespace touchpoint::tests
