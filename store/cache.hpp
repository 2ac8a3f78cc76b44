// The `cache` environment: data with random life, apart from the events. The identity vault and the device
// registry now; profiles later. A lost or damaged cache never stops intake: it is set aside and begun anew.
//
// Threads: all functions may be called from any thread; writes block for a flush.
// On disk: store/README.md, "cache".
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/core/event.hpp"
#include "gateway/core/result.hpp"

namespace touchpoint::store {

class Environment;
class Transaction;

class Cache {
  public:
    struct Options {
        std::filesystem::path folder;          // {store.path}/cache
        std::uint64_t bytes_max = 256u << 20;  // of used pages: here the vault takes no more
        // The file may become larger by this: the registry has room also beside a full vault.
        std::uint64_t registry_bytes = 16u << 20;
        bool look_first = false;  // as EventStore::Options::look_first
    };
    // A file that cannot be read is moved aside (cache.damaged-N) and `replaced()` is true.
    // Fails with io, locked.
    static Result<std::unique_ptr<Cache>> open(Options options);
    ~Cache();

    bool replaced() const noexcept { return replaced_; }

    // The vault. put is durable when it returns; putting the same again changes nothing, and writes nothing.
    // Fails with full (the vault's bound, or the disk), io.
    Result<void> put_identities(std::span<const Identity> identities);
    Result<std::optional<std::string>> sealed_identity(std::string_view pseudonym) const;
    Result<bool> erase_identity(std::string_view pseudonym);
    // Pages that hold something, of vault and registry, as of the last write; and where the vault ends.
    std::uint64_t used_bytes() const noexcept { return used_bytes_.load(std::memory_order_relaxed); }
    std::uint64_t limit_bytes() const noexcept { return bytes_max_; }

    // The device registry: key "{kind}/{device}", value a JSON object that devices/registry writes.
    Result<void> put_devices(std::span<const std::pair<std::string, std::string>> rows);
    Result<std::vector<std::pair<std::string, std::string>>> devices() const;

  private:
    Cache();
    Result<bool> all_known(std::span<const Identity> identities) const;

    Result<void> commit(Transaction& txn);
    void measure();

    std::uint64_t bytes_max_ = 0;
    std::atomic<std::uint64_t> used_bytes_{0};
    std::unique_ptr<Environment> environment_;
    unsigned vault_ = 0;
    unsigned registry_ = 0;
    bool replaced_ = false;
};

}  // namespace touchpoint::store
