// The `cache` environment: data with random life, apart from the events. The identity vault and the device
// registry; the tables of store/profiles.hpp and store/pictures.hpp lie in it, too. A lost or damaged cache
// never stops intake: it is set aside and begun anew.
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
        std::filesystem::path folder;               // {store.path}/cache
        std::uint64_t bytes_max = 256u << 20;       // of the vault's pages: here it takes no more
        std::uint64_t registry_bytes = 16u << 20;   // room for the registry
        std::uint64_t profiles_bytes = 256u << 20;  // Profiles::Options::bytes_max
        std::uint64_t pictures_bytes = 32u << 20;   // Pictures::Options::bytes_max
        std::uint64_t erasures_bytes = 272u << 20;  // Profiles::Options::erasures_max with all their aliases
        bool look_first = false;                    // as EventStore::Options::look_first
    };
    // The numbers by which Environment knows the tables.
    struct Tables {
        unsigned vault = 0;
        unsigned registry = 0;
        unsigned profiles = 0;
        unsigned aliases = 0;
        unsigned touched = 0;
        unsigned erasures = 0;
        unsigned profile_counts = 0;
        unsigned pictures = 0;
    };
    // A file that cannot be read is moved aside (cache.damaged-N) and `replaced()` is true.
    // Fails with io, locked.
    static Result<std::unique_ptr<Cache>> open(Options options);
    ~Cache();

    bool replaced() const noexcept { return replaced_; }
    // The disk refused a flush: nothing can be read or written until it is opened again. Any thread.
    bool failed() const noexcept;

    // The vault. put is durable when it returns; putting the same again changes nothing, and writes nothing:
    // rows come here by commits that are durable at once.
    // Fails with full (the vault's bound, or the disk), io.
    Result<void> put_identities(std::span<const Identity> identities);
    Result<std::optional<std::string>> sealed_identity(std::string_view pseudonym) const;
    Result<bool> erase_identity(std::string_view pseudonym);
    // The vault's pages, as of its last write; and where it ends.
    std::uint64_t used_bytes() const noexcept { return used_bytes_.load(std::memory_order_relaxed); }
    std::uint64_t limit_bytes() const noexcept { return bytes_max_; }

    // The device registry: key "{kind}/{device}", value a JSON object that devices/registry writes.
    Result<void> put_devices(std::span<const std::pair<std::string, std::string>> rows);
    Result<std::vector<std::pair<std::string, std::string>>> devices() const;

    // For store/profiles: the same file, the same writer's lock.
    Environment& environment() { return *environment_; }
    const Tables& tables() const { return tables_; }
    // Of vault and registry: profiles leave it alone.
    std::uint64_t vault_room() const { return vault_room_; }

  private:
    Cache();
    Result<bool> all_known(std::span<const Identity> identities) const;
    Result<void> open_tables();
    Result<void> commit(Transaction& txn);
    void measure();

    std::uint64_t bytes_max_ = 0;
    std::atomic<std::uint64_t> used_bytes_{0};
    std::unique_ptr<Environment> environment_;
    Tables tables_;
    std::uint64_t vault_room_ = 0;
    bool replaced_ = false;
};

}  // namespace touchpoint::store
