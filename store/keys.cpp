#include "store/keys.hpp"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "gateway/core/assert.hpp"
#include "gateway/core/log.hpp"
#include "store/hex.hpp"
#include "store/sealed_box.hpp"

namespace touchpoint::store {
namespace {

constexpr std::size_t key_bytes = 32;
constexpr std::size_t file_bytes_max = 128;   // more than any key file or credential that is right
constexpr std::size_t hash_block_bytes = 64;  // of SHA-256
constexpr std::size_t box_id_bytes = 8;
constexpr std::size_t sealed_bytes = 1 + 12 + key_bytes + 16;  // sealed_box.hpp
constexpr const char* pseudonym_name = "pseudonym-p1.key";     // also what its sealed text is tied to
constexpr std::string_view profiles_label = "touchpoint: names of profiles, 1";
constexpr std::string_view box_id_label = "touchpoint: id of the box key, 1";

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

// Written under another name, flushed, then renamed: a power cut leaves the whole file or none.
Result<void> write_whole(const std::filesystem::path& path, std::string_view bytes) {
    const std::filesystem::path fresh = path.string() + ".new";
    ::unlink(fresh.c_str());
    const File file{::open(fresh.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0400)};
    if (file.fd < 0) return io_error(fresh, "make");
    if (::write(file.fd, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()) ||
        ::fsync(file.fd) != 0)
        return io_error(fresh, "write");
    if (::rename(fresh.c_str(), path.c_str()) != 0) return io_error(path, "make");
    return flush_folder(path.parent_path());
}

std::string fresh_key() {
    std::string key(key_bytes, '\0');
    TP_ASSERT(RAND_bytes(reinterpret_cast<unsigned char*>(key.data()), key_bytes) == 1);
    return key;
}

// The beginning of a file; nothing where there is none.
Result<std::optional<std::string>> read_file(const std::filesystem::path& path) {
    const File file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (file.fd < 0 && errno == ENOENT) return std::optional<std::string>();
    if (file.fd < 0) return io_error(path, "read");
    std::string bytes(file_bytes_max, '\0');
    const ssize_t size = ::read(file.fd, bytes.data(), bytes.size());
    if (size < 0) return io_error(path, "read");
    bytes.resize(static_cast<std::size_t>(size));
    return std::optional<std::string>(std::move(bytes));
}

Error not_a_key(const std::filesystem::path& path, std::size_t bytes) {
    return fail(Errc::damaged, path.string() + " is not a key of " + std::to_string(bytes) +
                                   " bytes: restore it from a backup of this box; without one remove it, and "
                                   "the next start says what is lost");
}

Result<std::optional<std::string>> read_key(const std::filesystem::path& path) {
    auto key = read_file(path);
    if (!key || !*key || (*key)->size() == key_bytes) return key;
    return not_a_key(path, key_bytes);
}

// Keys are durable before the first event is: where there are events one was lost, and whoever put it away
// must know.
void note_made_anew(const std::filesystem::path& path) {
    if (std::filesystem::exists(path.parent_path().parent_path() / "events" / "data.mdb"))
        log::error(
            "store",
            "a key of this box is missing and is made anew: what the old one closed (quarantine, raw "
            "identifiers) stays closed, and customers get other pseudonyms; a backup of the key heals it",
            {{"key", path.string()}});
}

Result<std::string> make_box_key(const std::filesystem::path& path) {
    note_made_anew(path);
    if (const auto made = write_whole(path, fresh_key()); !made) return made.error();
    auto there = read_key(path);
    if (!there) return there.error();
    if (!*there) return fail(Errc::io, path.string() + " was made and is not there");
    return std::move(**there);
}

Result<std::optional<std::string>> read_credential(const std::optional<std::filesystem::path>& credentials) {
    if (!credentials) return std::optional<std::string>();
    const std::filesystem::path path = *credentials / box_key_credential;
    auto bytes = read_file(path);
    if (!bytes || !*bytes || (*bytes)->size() == key_bytes) return bytes;
    std::string_view text = **bytes;
    if (!text.empty() && text.back() == '\n') text.remove_suffix(1);
    auto key = unhex(text);
    if (key && key->size() == key_bytes) return key;
    return fail(Errc::damaged, "the credential " + path.string() +
                                   " is not a box key: it must be 32 bytes, or 64 hex digits; make it from "
                                   "a backup of the key (docs/operating.md, \"The box key\")");
}

std::string box_id(std::string_view box) {
    return hex(keyed_hash(box, box_id_label).substr(0, box_id_bytes));
}

// Under which key this box's data was sealed. Nothing: a new box, or one of before there was such a file.
Result<std::optional<std::string>> read_box_id(const std::filesystem::path& path) {
    auto id = read_file(path);
    if (!id || !*id) return id;
    if (const auto bytes = unhex(**id); bytes && bytes->size() == box_id_bytes) return id;
    return fail(Errc::damaged, path.string() +
                                   " is not the name of a key: restore it from a backup of this "
                                   "box; if the box key is certainly the right one, remove it");
}

// What a person can do whose key is not here, or is another one.
std::string way_out(const std::filesystem::path& folder, bool pseudonym_sealed) {
    return "; bring back the right key from a backup, as the credential " + std::string(box_key_credential) +
           " or as " + (folder / "box.key").string() + ". If it is lost for good, remove " +
           (folder / "box.id").string() +
           (pseudonym_sealed ? " and " + (folder / pseudonym_name).string() +
                                   ": then customers get other pseudonyms, vault"
                             : std::string(": then vault")) +
           ", profiles and quarantine stay closed for ever and a key is taken or made anew "
           "(docs/operating.md, \"The box key\")";
}

// `id`: of box.id. `pseudonym_sealed`: there is a file that only the right key opens, so none is made anew.
Result<void> open_box_key(const std::filesystem::path& folder,
                          const std::optional<std::filesystem::path>& credentials,
                          const std::optional<std::string>& id, bool pseudonym_sealed, Keys& keys) {
    const std::filesystem::path path = folder / "box.key";
    auto given = read_credential(credentials);
    if (!given) return given.error();
    auto kept = read_key(path);
    if (!kept) return kept.error();
    if (*given && *kept && **given != **kept)
        return fail(Errc::damaged,
                    "the credential " + std::string(box_key_credential) + " and " + path.string() +
                        " are different keys" +
                        (!id                      ? std::string()
                         : box_id(**given) == *id ? ", and this box's data was sealed under the credential"
                         : box_id(**kept) == *id  ? ", and this box's data was sealed under the file"
                                                  : ", and this box's data was sealed under neither") +
                        ": make the credential from that file, or take the wrong one of the two away "
                        "(docs/operating.md, \"The box key\")");
    if (!*given && !*kept && (id || pseudonym_sealed))
        return fail(Errc::damaged, "the box key is missing: there is neither the credential " +
                                       std::string(box_key_credential) + " nor " + path.string() +
                                       ", and no new one is made because this box has data that is sealed "
                                       "under the old one" +
                                       way_out(folder, pseudonym_sealed));
    keys.box_from_credential = given->has_value();
    keys.box_also_in_file = *given && *kept;
    if (*given || *kept) {
        keys.box = std::move(*given ? **given : **kept);
    } else {
        auto made = make_box_key(path);
        if (!made) return made.error();
        keys.box = std::move(*made);
    }
    if (id && box_id(keys.box) != *id)
        return fail(
            Errc::damaged,
            (keys.box_from_credential ? "the credential " + std::string(box_key_credential) : path.string()) +
                " is not the key under which this box's data was sealed" + way_out(folder, pseudonym_sealed));
    return {};
}

// The file as it lies there: sealed, in the clear (of before it was sealed), or nothing.
Result<std::optional<std::string>> read_pseudonym(const std::filesystem::path& path) {
    auto bytes = read_file(path);
    if (!bytes || !*bytes || (*bytes)->size() == sealed_bytes || (*bytes)->size() == key_bytes) return bytes;
    return not_a_key(path, sealed_bytes);
}

Result<std::string> open_pseudonym(const std::filesystem::path& path, std::optional<std::string> there,
                                   const SealedBox& box) {
    if (!there) {
        note_made_anew(path);
        std::string key = fresh_key();
        if (const auto made = write_whole(path, box.seal(key, pseudonym_name)); !made) return made.error();
        return key;
    }
    if (there->size() == key_bytes) {
        // A full disk is no reason to stay away from the events that come: the next start tries again.
        if (const auto sealed = write_whole(path, box.seal(*there, pseudonym_name)); !sealed)
            log::error("store", "the key of the pseudonyms stays in the clear, it could not be sealed",
                       {{"why", sealed.error().context}});
        else
            log::info("store", "the key of the pseudonyms is sealed under the box key now",
                      {{"key", path.string()}});
        return std::move(*there);
    }
    auto key = box.open(*there, pseudonym_name);
    if (key) return key;
    return fail(
        Errc::damaged,
        path.string() +
            " does not open with the box key that is here: it was sealed under another one, or is "
            "damaged. Bring back that box key, or this file from a backup. If neither is left, remove "
            "the file: then customers get other pseudonyms (docs/operating.md, \"The box key\")");
}

// `keys` is nobody's but our user's; a backup that was copied back may have lost its mode. What is sealed
// tells nobody anything.
void note_wide_modes(const std::filesystem::path& folder, Keys& keys) {
    for (const char* name : {"box.key", pseudonym_name}) {
        struct stat file {};
        if (::stat((folder / name).c_str(), &file) == 0 && file.st_size == off_t{key_bytes} &&
            (file.st_mode & 077) != 0)
            keys.readable_by_others.push_back(folder / name);
    }
}

std::string sha256_of(std::string_view beginning, std::string_view rest) {
    static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);  // for the whole run
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> work(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    std::string digest(32, '\0');
    TP_ASSERT(sha256 != nullptr && EVP_DigestInit_ex2(work.get(), sha256, nullptr) == 1 &&
              EVP_DigestUpdate(work.get(), beginning.data(), beginning.size()) == 1 &&
              EVP_DigestUpdate(work.get(), rest.data(), rest.size()) == 1 &&
              EVP_DigestFinal_ex(work.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr) == 1);
    return digest;
}

}  // namespace

// HMAC (RFC 2104). Not OpenSSL's HMAC(): since 3.0 that looks its algorithms up by name at each call, which
// is most of its time for a text as short as ours. A read by alias hashes one, an event with a customer
// another.
std::string keyed_hash(std::string_view key, std::string_view text) {
    const std::string whole_key = key.size() <= hash_block_bytes ? std::string(key) : sha256_of(key, {});
    std::string inner(hash_block_bytes, '\x36');
    std::string outer(hash_block_bytes, '\x5c');
    for (std::size_t i = 0; i < whole_key.size(); ++i) {
        inner[i] = static_cast<char>(inner[i] ^ whole_key[i]);
        outer[i] = static_cast<char>(outer[i] ^ whole_key[i]);
    }
    return sha256_of(outer, sha256_of(inner, text));
}

Result<Keys> open_keys(const std::filesystem::path& folder,
                       const std::optional<std::filesystem::path>& credentials) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) return fail(Errc::io, "cannot make " + folder.string() + ": " + error.message());
    ::chmod(folder.c_str(), 0700);
    Keys keys;
    keys.pseudonym_id = "p1";
    const auto id = read_box_id(folder / "box.id");
    if (!id) return id.error();
    auto pseudonym = read_pseudonym(folder / pseudonym_name);
    if (!pseudonym) return pseudonym.error();
    const bool sealed = *pseudonym && (*pseudonym)->size() == sealed_bytes;
    // The box key first: where it is missing nothing new is made.
    if (const auto opened = open_box_key(folder, credentials, *id, sealed, keys); !opened)
        return opened.error();
    auto key = open_pseudonym(folder / pseudonym_name, std::move(*pseudonym), SealedBox(keys.box));
    if (!key) return key.error();
    keys.pseudonym = std::move(*key);
    // Behind it: a box key that does not open what is here is not named as this box's own.
    if (!*id)
        if (const auto named = write_whole(folder / "box.id", box_id(keys.box)); !named) return named.error();
    keys.profiles = keyed_hash(keys.box, profiles_label);
    note_wide_modes(folder, keys);
    if (const auto flushed = flush_folder(folder.parent_path()); !flushed) return flushed.error();
    return keys;
}

}  // namespace touchpoint::store
