#include "store/sealed_box.hpp"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <memory>

#include "gateway/core/assert.hpp"

namespace touchpoint::store {
namespace {

constexpr char version = 0x01;
constexpr std::size_t nonce_bytes = 12;
constexpr std::size_t tag_bytes = 16;
constexpr std::size_t front_bytes = 1 + nonce_bytes;

using Cipher = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;
Cipher make_cipher() { return {EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free}; }

// For the whole run: EVP_aes_256_gcm() would be looked up by name at each call.
const EVP_CIPHER* aes_256_gcm() {
    static const EVP_CIPHER* const found = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
    TP_ASSERT(found != nullptr);
    return found;
}

unsigned char* bytes(char* p) { return reinterpret_cast<unsigned char*>(p); }
const unsigned char* bytes(const char* p) { return reinterpret_cast<const unsigned char*>(p); }

}  // namespace

SealedBox::SealedBox(std::string key) : key_(std::move(key)) { TP_ASSERT(key_.size() == 32); }

std::string SealedBox::seal(std::string_view plain, std::string_view context) const {
    std::string sealed(front_bytes + plain.size() + tag_bytes, '\0');
    sealed[0] = version;
    TP_ASSERT(RAND_bytes(bytes(sealed.data() + 1), nonce_bytes) == 1);
    const Cipher cipher = make_cipher();
    int length = 0;
    const bool ok =
        EVP_EncryptInit_ex(cipher.get(), aes_256_gcm(), nullptr, bytes(key_.data()),
                           bytes(sealed.data() + 1)) == 1 &&
        EVP_EncryptUpdate(cipher.get(), nullptr, &length, bytes(context.data()),
                          static_cast<int>(context.size())) == 1 &&
        EVP_EncryptUpdate(cipher.get(), bytes(sealed.data() + front_bytes), &length, bytes(plain.data()),
                          static_cast<int>(plain.size())) == 1 &&
        EVP_EncryptFinal_ex(cipher.get(), bytes(sealed.data() + front_bytes + length), &length) == 1 &&
        EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_GET_TAG, tag_bytes,
                            sealed.data() + front_bytes + plain.size()) == 1;
    TP_ASSERT(ok);
    return sealed;
}

Result<std::string> SealedBox::open(std::string_view sealed, std::string_view context) const {
    if (sealed.size() < front_bytes + tag_bytes) return fail(Errc::damaged, "sealed text is too short");
    if (sealed[0] != version) return fail(Errc::format_too_new, "sealed text of a later release");
    std::string plain(sealed.size() - front_bytes - tag_bytes, '\0');
    std::string tag(sealed.substr(sealed.size() - tag_bytes));
    const Cipher cipher = make_cipher();
    int length = 0;
    const bool ok =
        EVP_DecryptInit_ex(cipher.get(), aes_256_gcm(), nullptr, bytes(key_.data()),
                           bytes(sealed.data() + 1)) == 1 &&
        EVP_DecryptUpdate(cipher.get(), nullptr, &length, bytes(context.data()),
                          static_cast<int>(context.size())) == 1 &&
        EVP_DecryptUpdate(cipher.get(), bytes(plain.data()), &length, bytes(sealed.data() + front_bytes),
                          static_cast<int>(plain.size())) == 1 &&
        EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_SET_TAG, tag_bytes, tag.data()) == 1 &&
        EVP_DecryptFinal_ex(cipher.get(), bytes(plain.data() + length), &length) == 1;
    if (!ok) return fail(Errc::damaged, "sealed text does not open with this box's key");
    return plain;
}

}  // namespace touchpoint::store
