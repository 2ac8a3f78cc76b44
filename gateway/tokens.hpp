// Access tokens: who may ask the gateway over HTTP. The file holds a hash of each, never the token itself.
//
// A token is "tp_{id}_{secret}". The id finds its row, the secret is 256 random bits in base64url. The file
// keeps SHA-256 over the whole text. A slow or salted hash would protect secrets that can be guessed; nobody
// guesses 256 random bits, and a fast one costs a flood of wrong tokens nothing to refuse.
//
// On disk: docs/operating.md, "Tokens". TOML, one [[token]] each, mode 0640 or stricter, owned by root or by
// us. Written as a whole under a lock (of the folder) into a new file that takes the old one's place.
//
// Threads: values and free functions. Those that read or write the file block.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/core/clock.hpp"
#include "gateway/core/result.hpp"
#include "gateway/roles.hpp"

namespace touchpoint::gateway {

inline constexpr std::size_t tokens_max = 4096;  // in a file, which is 1 MiB at most (config/document)
inline constexpr std::size_t token_bytes_max = 128;
inline constexpr std::size_t token_note_bytes_max = 200;

struct Token {
    using Hash = std::array<unsigned char, 32>;

    std::string id;  // [a-z0-9]{1,32}
    Role role = Role::app;
    std::string device;  // "pos/t1" of a device's token; else empty
    Hash hash{};
    UtcTime created;
    std::string note;
};

// All tokens of one file.
class TokenSet {
  public:
    TokenSet() = default;
    explicit TokenSet(std::vector<Token> tokens);

    const std::vector<Token>& tokens() const { return tokens_; }
    // The row of `text`, or null. One hash and one comparison in any case: an unknown id, a wrong secret and
    // the right token cost the same.
    const Token* find(std::string_view text) const;

  private:
    std::vector<Token> tokens_;  // sorted by id
};

// Which state of the file was read: if this has not changed, neither has the file.
struct TokenFileMark {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t size = -1;
    std::int64_t changed_ns = 0;
    std::uint32_t mode = 0;
    bool operator==(const TokenFileMark&) const = default;
};
// Of a file that is not there: the default mark.
TokenFileMark look_at_tokens(const std::filesystem::path& file);

// Fails with not_found, refused (its mode or owner lets others write or read it), damaged (the context names
// line and column) or io. No message repeats what stands in the file.
Result<TokenSet> read_tokens(const std::filesystem::path& file);

struct NewToken {
    Role role = Role::app;
    std::string device;
    std::string note;
};
// Adds a token and returns its text, which nobody can show again. A file that is not there is made, mode
// 0640, for `group` where that exists and we may. Fails with invalid_argument (device without a device's role
// or not "kind/id", note), full, and as read_tokens().
Result<std::string> create_token(const std::filesystem::path& file, const NewToken& wanted, UtcTime now,
                                 const std::string& group);
// Fails with not_found (also: no such token), and as read_tokens().
Result<void> revoke_token(const std::filesystem::path& file, const std::string& id);

}  // namespace touchpoint::gateway
