#include "store/keys.hpp"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "gateway/core/assert.hpp"
#include "gateway/core/log.hpp"

namespace touchpoint::store {
namespace {

constexpr std::size_t key_bytes = 32;
constexpr std::string_view profiles_label = "touchpoint: names of profiles, 1";

Error io_error(const std::filesystem::path& path, const char* doing) {
    return fail(Errc::io, std::string("cannot ") + doing + " " + path.string() + ": " + std::strerror(errno));
}

struct File {
    int fd;
    ~File() {
        if (fd >= 0) ::close(fd);
    }
};

Result<void> flush_folder(const std::filesystem::path& folder) {
    const File file{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (file.fd < 0 || ::fsync(file.fd) != 0) return io_error(folder, "flush");
    return {};
}

// Written under another name, flushed, then renamed: a power cut leaves the whole key or none.
Result<void> make_key(const std::filesystem::path& path) {
    std::string key(key_bytes, '\0');
    TP_ASSERT(RAND_bytes(reinterpret_cast<unsigned char*>(key.data()), key_bytes) == 1);
    const std::filesystem::path fresh = path.string() + ".new";
    ::unlink(fresh.c_str());
    const File file{::open(fresh.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0400)};
    if (file.fd < 0) return io_error(fresh, "make");
    if (::write(file.fd, key.data(), key.size()) != static_cast<ssize_t>(key.size()) || ::fsync(file.fd) != 0)
        return io_error(fresh, "write");
    if (::rename(fresh.c_str(), path.c_str()) != 0) return io_error(path, "make");
    return flush_folder(path.parent_path());
}

Result<std::string> read_or_make(const std::filesystem::path& path) {
    if (::access(path.c_str(), F_OK) != 0) {
        if (errno != ENOENT) return io_error(path, "read");
        // Keys are durable before the first event is: here one was lost, and whoever put it away must know.
        if (std::filesystem::exists(path.parent_path().parent_path() / "events" / "data.mdb"))
            log::error(
                "store",
                "a key of this box is missing and is made anew: what the old one closed (quarantine, raw "
                "identifiers) stays closed, and customers get other pseudonyms; a backup of the key heals it",
                {{"key", path.string()}});
        if (const auto made = make_key(path); !made) return made.error();
    }
    const File file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (file.fd < 0) return io_error(path, "read");
    std::string key(key_bytes + 1, '\0');
    const ssize_t size = ::read(file.fd, key.data(), key.size());
    if (size < 0) return io_error(path, "read");
    if (size != static_cast<ssize_t>(key_bytes))
        return fail(Errc::damaged,
                    path.string() + " is not a key of " + std::to_string(key_bytes) +
                        " bytes: restore it from a backup of this box; without one remove it, then "
                        "a new one is made");
    key.resize(key_bytes);
    return key;
}

}  // namespace

std::string keyed_hash(std::string_view key, std::string_view text) {
    std::string digest(EVP_MAX_MD_SIZE, '\0');
    unsigned length = 0;
    TP_ASSERT(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                   reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                   reinterpret_cast<unsigned char*>(digest.data()), &length) != nullptr);
    digest.resize(length);
    return digest;
}

Result<Keys> open_keys(const std::filesystem::path& folder) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) return fail(Errc::io, "cannot make " + folder.string() + ": " + error.message());
    ::chmod(folder.c_str(), 0700);
    Keys keys;
    keys.pseudonym_id = "p1";
    Result<std::string> pseudonym = read_or_make(folder / "pseudonym-p1.key");
    if (!pseudonym) return pseudonym.error();
    keys.pseudonym = std::move(*pseudonym);
    Result<std::string> box = read_or_make(folder / "box.key");
    if (!box) return box.error();
    keys.box = std::move(*box);
    keys.profiles = keyed_hash(keys.box, profiles_label);
    if (const auto flushed = flush_folder(folder.parent_path()); !flushed) return flushed.error();
    return keys;
}

}  // namespace touchpoint::store
