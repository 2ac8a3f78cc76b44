#include "gateway/tokens.hpp"

#include <fcntl.h>
#include <grp.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include "config/document.hpp"
#include "devices/json_slice.hpp"
#include "devices/topics.hpp"
#include "gateway/core/json_text.hpp"

namespace touchpoint::gateway {
namespace {

using config::Node;

constexpr std::string_view token_prefix = "tp_";
constexpr std::string_view hash_prefix = "sha256:";
constexpr std::size_t id_characters = 10;  // 50 bits: two tokens of one file never meet
constexpr std::size_t secret_bytes = 32;
constexpr mode_t forbidden_mode = 0037;  // the group may read, others nothing
constexpr mode_t first_mode = 0640;
constexpr std::chrono::seconds lock_wait{5};

std::string errno_text() { return std::generic_category().message(errno); }

class Descriptor {
  public:
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() { close(); }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return fd_; }
    bool ok() const { return fd_ >= 0; }
    void close() {
        if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    }

  private:
    int fd_;
};

Token::Hash hash_of(std::string_view text) {
    Token::Hash out{};
    SHA256(static_cast<const unsigned char*>(static_cast<const void*>(text.data())), text.size(), out.data());
    return out;
}

std::string hex(const Token::Hash& hash) {
    constexpr char digits[] = "0123456789abcdef";
    std::string out;
    for (const unsigned char byte : hash) {
        out += digits[byte >> 4];
        out += digits[byte & 15];
    }
    return out;
}

std::optional<Token::Hash> parse_hash(std::string_view text) {
    if (!text.starts_with(hash_prefix)) return std::nullopt;
    text.remove_prefix(hash_prefix.size());
    Token::Hash out{};
    if (text.size() != out.size() * 2) return std::nullopt;
    const auto digit = [](char c) {
        return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    };
    for (std::size_t i = 0; i < out.size(); ++i) {
        const int high = digit(text[2 * i]);
        const int low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        out[i] = static_cast<unsigned char>(high * 16 + low);
    }
    return out;
}

bool is_id(std::string_view text) {
    return !text.empty() && text.size() <= 32 && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    });
}

// "pos/t1", as it stands in topics.
bool is_device(std::string_view text) {
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) return false;
    return devices::DeviceAddress::parse(text.substr(0, slash), text.substr(slash + 1)).has_value();
}

bool is_note(std::string_view text) {
    return text.size() <= token_note_bytes_max && devices::valid_utf8(text) &&
           std::none_of(text.begin(), text.end(),
                        [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

std::string base64url(const unsigned char* bytes, std::size_t size) {
    constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string out;
    unsigned bits = 0;
    unsigned held = 0;
    for (std::size_t i = 0; i < size; ++i) {
        held = held << 8 | bytes[i];
        for (bits += 8; bits >= 6; bits -= 6) out += letters[held >> (bits - 6) & 63];
        held &= (1u << bits) - 1;
    }
    if (bits != 0) out += letters[held << (6 - bits) & 63];
    return out;
}

Error damaged(const Node& node, const std::filesystem::path& file, std::string_view words) {
    return fail(Errc::damaged, file.string() + ":" + std::to_string(node.where.line) + ":" +
                                   std::to_string(node.where.column) + ": " + std::string(words));
}

Result<Token> parse_token(const Node& row, const std::filesystem::path& file) {
    Token token;
    bool role = false;
    bool hash = false;
    for (const config::Member& member : row.members) {
        const std::string& text = member.value.text;
        if (member.value.kind != Node::Kind::text)
            return damaged(member.value, file, "every value of a token is a text in quotes");
        if (member.key == "id") {
            if (!is_id(text)) return damaged(member.value, file, "id must be 1 to 32 characters of a-z, 0-9");
            token.id = text;
        } else if (member.key == "role") {
            const auto named = role_named(text);
            if (!named)
                return damaged(member.value, file, "role must be device, app, platform or technician");
            token.role = *named;
            role = true;
        } else if (member.key == "device") {
            if (!is_device(text)) return damaged(member.value, file, "device must be such as \"pos/t1\"");
            token.device = text;
        } else if (member.key == "hash") {
            const auto parsed = parse_hash(text);
            if (!parsed) return damaged(member.value, file, "hash must be sha256: and 64 digits of 0-9, a-f");
            token.hash = *parsed;
            hash = true;
        } else if (member.key == "created") {
            const auto parsed = parse_rfc3339(text);
            if (!parsed) return damaged(member.value, file, "created must be a time of RFC 3339");
            token.created = *parsed;
        } else if (member.key == "note") {
            if (!is_note(text)) return damaged(member.value, file, "note is too long or not printable");
            token.note = text;
        } else {
            return damaged(member.value, file, "a token has id, role, device, hash, created and note");
        }
    }
    if (token.id.empty() || !role || !hash) return damaged(row, file, "a token needs id, role and hash");
    if ((token.role == Role::device) == token.device.empty())
        return damaged(row, file, "a token has a device if its role is device, and only then");
    return token;
}

Result<void> check_rights(int fd, const std::filesystem::path& file) {
    struct stat info {};
    if (::fstat(fd, &info) != 0) return fail(Errc::io, file.string() + ": " + errno_text());
    if (!S_ISREG(info.st_mode)) return fail(Errc::refused, file.string() + " is not a file");
    if ((info.st_mode & forbidden_mode) != 0)
        return fail(Errc::refused,
                    file.string() + " may be read or written by too many: chmod 0640 " + file.string());
    if (info.st_uid != 0 && info.st_uid != ::geteuid())
        return fail(Errc::refused, file.string() + " belongs to another user: chown root " + file.string());
    return {};
}

Result<TokenSet> parse(const std::filesystem::path& file) {
    std::vector<config::Problem> problems;
    const Node document = config::read_document(file, problems);
    if (!problems.empty()) return fail(Errc::damaged, config::to_text(problems.front()));
    std::vector<Token> tokens;
    for (const config::Member& member : document.members) {
        if (member.key != "token" || member.value.kind != Node::Kind::array)
            return damaged(member.value, file, "here stand [[token]] tables only");
        for (const Node& row : member.value.items) {
            if (row.kind != Node::Kind::table) return damaged(row, file, "a token is a table: [[token]]");
            auto token = parse_token(row, file);
            if (!token) return token.error();
            tokens.push_back(std::move(*token));
        }
    }
    if (tokens.size() > tokens_max)
        return fail(Errc::damaged, file.string() + ": more than " + std::to_string(tokens_max) + " tokens");
    TokenSet set(std::move(tokens));
    const auto& all = set.tokens();
    const auto twice = std::adjacent_find(all.begin(), all.end(),
                                          [](const Token& a, const Token& b) { return a.id == b.id; });
    if (twice != all.end())
        return fail(Errc::damaged, file.string() + ": the id " + twice->id + " stands twice");
    return set;
}

std::string text_of(const std::vector<Token>& tokens) {
    std::string out =
        "# Access tokens: touchpoint token create | list | revoke writes this file as a whole, without "
        "other\n"
        "# comments. Here stand hashes (SHA-256 of the whole token), not the tokens.\n";
    for (const Token& token : tokens) {
        out += "\n[[token]]\nid = " + json_string(token.id);
        out += "\nrole = " + json_string(name(token.role));
        if (!token.device.empty()) out += "\ndevice = " + json_string(token.device);
        out += "\nhash = " + json_string(std::string(hash_prefix) + hex(token.hash));
        out += "\ncreated = " + json_string(to_rfc3339(token.created));
        if (!token.note.empty()) out += "\nnote = " + json_string(token.note);
        out += "\n";
    }
    return out;
}

bool write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
}

// One writer at a time: a lock on the folder, so that no further file lies about.
Result<std::unique_ptr<Descriptor>> lock_folder(const std::filesystem::path& folder) {
    auto fd = std::make_unique<Descriptor>(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd->ok()) return fail(Errc::io, folder.string() + ": " + errno_text());
    constexpr std::chrono::milliseconds pause{20};
    for (auto waited = std::chrono::milliseconds(0); ::flock(fd->get(), LOCK_EX | LOCK_NB) != 0;
         waited += pause) {
        if (errno != EWOULDBLOCK) return fail(Errc::io, folder.string() + ": " + errno_text());
        if (waited >= lock_wait)
            return fail(Errc::locked, folder.string() + ": another process is writing the tokens");
        std::this_thread::sleep_for(pause);
    }
    return fd;
}

// The mode and owner that the file had, or those of a first one.
Result<void> take_over_rights(int fd, const std::filesystem::path& old, const std::string& group) {
    struct stat info {};
    if (::stat(old.c_str(), &info) == 0) {
        if (::fchmod(fd, info.st_mode & 07777) != 0)
            return fail(Errc::io, old.string() + ": " + errno_text());
        struct stat fresh {};
        ::fstat(fd, &fresh);
        const bool same = fresh.st_uid == info.st_uid && fresh.st_gid == info.st_gid;
        if (!same && ::fchown(fd, info.st_uid, info.st_gid) != 0)
            return fail(Errc::refused, old.string() + ": cannot keep its owner: " + errno_text());
        return {};
    }
    if (::fchmod(fd, first_mode) != 0) return fail(Errc::io, old.string() + ": " + errno_text());
    const struct group* found = group.empty() ? nullptr : ::getgrnam(group.c_str());
    if (found == nullptr) return {};
    // Not root, and no member: then the file stays with our own group, and the daemon says if it cannot read.
    [[maybe_unused]] const int given = ::fchown(fd, static_cast<uid_t>(-1), found->gr_gid);
    return {};
}

Result<void> write_tokens(const std::filesystem::path& file, const std::vector<Token>& tokens,
                          const std::string& group, int folder) {
    const std::filesystem::path fresh = file.parent_path() / ("." + file.filename().string() + ".new");
    ::unlink(fresh.c_str());  // left by a process that was killed: we hold the lock
    Descriptor out(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!out.ok()) return fail(Errc::io, fresh.string() + ": " + errno_text());
    Result<void> done = take_over_rights(out.get(), file, group);
    if (done && (!write_all(out.get(), text_of(tokens)) || ::fsync(out.get()) != 0 ||
                 ::rename(fresh.c_str(), file.c_str()) != 0 || ::fsync(folder) != 0))
        done = fail(Errc::io, file.string() + ": " + errno_text());
    if (!done) ::unlink(fresh.c_str());
    return done;
}

// A link is followed: what it names is replaced, not the link.
std::filesystem::path real_path(const std::filesystem::path& file) {
    std::error_code error;
    auto real = std::filesystem::weakly_canonical(file, error);
    return error ? file : real;
}

}  // namespace

TokenSet::TokenSet(std::vector<Token> tokens) : tokens_(std::move(tokens)) {
    std::sort(tokens_.begin(), tokens_.end(), [](const Token& a, const Token& b) { return a.id < b.id; });
}

const Token* TokenSet::find(std::string_view text) const {
    static const Token nobody;
    const bool fits = text.size() <= token_bytes_max;
    text = text.substr(0, token_bytes_max);
    const Token::Hash given = hash_of(text);
    std::string_view id;
    if (text.starts_with(token_prefix)) {
        id = text.substr(token_prefix.size());
        id = id.substr(0, id.find('_'));
    }
    const auto found =
        std::lower_bound(tokens_.begin(), tokens_.end(), id,
                         [](const Token& token, std::string_view wanted) { return token.id < wanted; });
    const bool known = found != tokens_.end() && found->id == id;
    const Token& token = known ? *found : nobody;
    const bool equal = CRYPTO_memcmp(token.hash.data(), given.data(), given.size()) == 0;
    return known && fits && equal ? &token : nullptr;
}

TokenFileMark look_at_tokens(const std::filesystem::path& file) {
    struct stat info {};
    TokenFileMark mark;
    if (::stat(file.c_str(), &info) != 0) return mark;
    mark.device = info.st_dev;
    mark.inode = info.st_ino;
    mark.size = info.st_size;
    // Also moves when only mode or owner change.
    mark.changed_ns = static_cast<std::int64_t>(info.st_ctim.tv_sec) * 1'000'000'000 + info.st_ctim.tv_nsec;
    mark.mode = info.st_mode;
    return mark;
}

Result<TokenSet> read_tokens(const std::filesystem::path& file) {
    const Descriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd.ok()) {
        const Errc code = errno == ENOENT ? Errc::not_found : errno == EACCES ? Errc::refused : Errc::io;
        return fail(code, file.string() + ": " + errno_text());
    }
    if (const auto right = check_rights(fd.get(), file); !right) return right.error();
    return parse(file);
}

Result<std::string> create_token(const std::filesystem::path& file, const NewToken& wanted, UtcTime now,
                                 const std::string& group) {
    if (wanted.role == Role::device && !is_device(wanted.device))
        return fail(Errc::invalid_argument, "a device's token needs its device as in topics, such as pos/t1");
    if (wanted.role != Role::device && !wanted.device.empty())
        return fail(Errc::invalid_argument, "only a token of the role device stands for a device");
    if (!is_note(wanted.note))
        return fail(Errc::invalid_argument, "the note must be at most " +
                                                std::to_string(token_note_bytes_max) +
                                                " bytes of UTF-8 without control characters");
    const auto real = real_path(file);
    const auto lock = lock_folder(real.parent_path());
    if (!lock) return lock.error();
    auto set = read_tokens(real);
    if (!set && set.error().code != Errc::not_found) return set.error();
    std::vector<Token> tokens = set ? set->tokens() : std::vector<Token>();
    if (tokens.size() >= tokens_max)
        return fail(Errc::full,
                    real.string() + " holds " + std::to_string(tokens_max) + " tokens; revoke some");

    std::array<unsigned char, id_characters + secret_bytes> random{};
    if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1)
        return fail(Errc::io, "the machine gives no random numbers");
    Token token;
    for (std::size_t i = 0; i < id_characters; ++i)
        token.id += "abcdefghjkmnpqrstuvwxyz023456789"[random[i] & 31];
    token.role = wanted.role;
    token.device = wanted.device;
    token.created = now;
    token.note = wanted.note;
    std::string text =
        std::string(token_prefix) + token.id + "_" + base64url(random.data() + id_characters, secret_bytes);
    token.hash = hash_of(text);
    OPENSSL_cleanse(random.data(), random.size());
    tokens.push_back(std::move(token));
    if (const auto written = write_tokens(real, tokens, group, (*lock)->get()); !written)
        return written.error();
    return text;
}

Result<void> revoke_token(const std::filesystem::path& file, const std::string& id) {
    const auto real = real_path(file);
    const auto lock = lock_folder(real.parent_path());
    if (!lock) return lock.error();
    const auto set = read_tokens(real);
    if (!set) return set.error();
    std::vector<Token> tokens = set->tokens();
    if (std::erase_if(tokens, [&](const Token& token) { return token.id == id; }) == 0)
        return fail(Errc::not_found,
                    "there is no token with the id " + (is_id(id) ? id : std::string("given")));
    return write_tokens(real, tokens, {}, (*lock)->get());
}

}  // namespace touchpoint::gateway
