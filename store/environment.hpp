// One LMDB environment and its transactions. The only place that knows LMDB (environment.cpp).
//
// Threads: one write transaction at a time, begun and ended on one thread; read transactions on any thread,
// each used by one thread at a time (MDB_NOTLS), and none held while waiting for anything.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/core/result.hpp"
#include "store/durable.hpp"

namespace touchpoint::store {

using Table = unsigned;  // a database inside the environment

struct KeyValue {
    std::string_view key;    // both point into the map: valid until the transaction ends, and in a write
    std::string_view value;  // transaction only until its next write
};

class Environment;

class Transaction {
  public:
    Transaction(Transaction&& other) noexcept;
    Transaction& operator=(Transaction&&) = delete;
    Transaction(const Transaction&) = delete;
    ~Transaction();  // aborts unless committed

    Result<std::optional<std::string_view>> get(Table table, std::string_view key) const;
    // The first row whose key is >= `key`.
    Result<std::optional<KeyValue>> seek(Table table, std::string_view key) const;
    // The last row whose key is < `key`; empty key: the last row of all.
    Result<std::optional<KeyValue>> before(Table table, std::string_view key) const;
    Result<void> put(Table table, std::string_view key, std::string_view value);
    // Success also when it was not there: *erased tells.
    Result<bool> erase(Table table, std::string_view key);
    // Writes and flushes, see Durable; where the environment was opened with no_meta_sync all are `later`.
    // One that is `now` and has nothing to write says that what it saw is durable: it flushes if that is not
    // so. Fails with full before anything was written, with io when a write or the flush failed. Which of the
    // two nobody can tell, and after a failed flush the kernel has dropped what it covered: a commit before
    // that was `later` must not be counted on, unless it was settled already.
    Result<void> commit(Durable when = Durable::now);

    // Pages that are free for reuse. Costs about 0.1 ms for 1,000 free-list records.
    Result<std::uint64_t> free_pages() const;
    // Pages of one database: branches, leaves and overflow.
    Result<std::uint64_t> pages(Table table) const;
    // A database by name; "" is the unnamed main one. Write transactions create it.
    Result<Table> open_table(const std::string& name);

  private:
    friend class Environment;
    explicit Transaction(void* handle) : handle_(handle) {}
    void* handle_;
    // Of one that writes:
    Environment* environment_ = nullptr;
    std::unique_lock<std::mutex> turn_;
    bool wrote_ = false;
};

class Environment {
  public:
    struct Options {
        std::filesystem::path folder;
        std::uint64_t map_bytes = 1u << 30;  // the file never grows beyond it
        unsigned tables = 0;                 // named databases
        bool no_meta_sync = false;           // all commits are Durable::later, until sync()
        bool random_access = false;          // no read-ahead
    };

    // Makes folder and file when missing. Fails with
    //   locked          another process has it
    //   damaged         not an LMDB file, or one with broken meta pages
    //   wrong_machine   made on another word size, byte order or page size
    //   io              permission, no space, ...
    // With no_meta_sync, what is visible is durable after the first sync(), whatever flush failed before.
    static Result<std::unique_ptr<Environment>> open(const Options& options);
    // False when a process that walks through all rows dies of it or finds them broken: LMDB 0.9 has no
    // checksums and follows a damaged page wherever it points. A child does it, for at most `walk_max`; what
    // it has not seen by then counts as sound. Call it before this process has threads or has opened the
    // environment.
    static bool readable(const std::filesystem::path& folder, unsigned tables = 0);
    static constexpr unsigned walk_max_s = 3;
    ~Environment();
    Environment(const Environment&) = delete;
    Environment& operator=(const Environment&) = delete;

    Result<Transaction> begin_read() const;
    // These three: not while this thread has a transaction that writes.
    Result<Transaction> begin_write();
    // What is visible is durable when it returns; at no cost where it was. Fails with io; it may be called
    // again. Not with no_meta_sync.
    Result<void> settle();
    bool settled();  // nothing is left for it to do
    // Whether what was durable may not be: a flush failed, or this is a start, which knows nothing of those
    // before. Ends with the next commit that writes, or settle(). Any thread.
    bool in_doubt() const noexcept { return meta_in_doubt_; }
    // Only opening it again heals it: LMDB does nothing any more once a meta page could not be written. A
    // flush that failed is told twice, by each of the two descriptors that LMDB has, so the next commit that
    // is `now` ends like that. Any thread.
    bool failed() const noexcept { return failed_; }
    // For no_meta_sync. Flushes; afterwards every commit that returned survives a power cut. An error must
    // not be retried: the kernel may have dropped the pages. End the process.
    Result<void> sync();

    // Gives back what readers of killed processes still hold.
    void drop_dead_readers();
    // Writes zeros behind the last used page until `bytes` are ready, so that commits neither grow the file
    // (a second flush each) nor meet a full disk half-way. Only between write transactions.
    // Fails with full when the disk has no room (what is ready then is ready), with io for all else.
    Result<void> fill_ahead(std::uint64_t bytes);
    // How far the file goes that can be written without more room on the disk. After fill_ahead().
    std::uint64_t file_bytes() const { return std::max(filled_bytes_, used_bytes()); }
    // Whether the file system says that it has no room. After a write that failed: LMDB says "I/O error" when
    // only a part of a page found room.
    bool disk_is_full() const;

    std::uint64_t used_bytes() const;  // up to the last used page, free pages inside included
    std::uint64_t page_bytes() const noexcept { return page_bytes_; }
    std::uint64_t map_bytes() const noexcept { return map_bytes_; }

  private:
    friend class Transaction;
    Environment() = default;
    Result<void> commit(void* transaction, bool wrote, Durable when);
    Result<void> settle_now();
    void doubt_meta_pages();
    int file() const;

    void* handle_ = nullptr;
    std::mutex turn_;  // of the writer; guards what follows
    bool no_meta_sync_ = false;
    bool unsettled_ = false;  // the visible commit may not be durable
    // A flush that failed may have covered a meta page. Of what an earlier process left nobody knows.
    std::atomic<bool> meta_in_doubt_{false};
    mutable std::atomic<bool> failed_{false};
    int owner_fd_ = -1;
    std::uint64_t page_bytes_ = 4096;
    std::uint64_t map_bytes_ = 0;
    std::filesystem::path folder_;
    std::uint64_t filled_bytes_ = 0;  // zeros are written up to here
};

// Moves a damaged environment's folder aside: {folder}.damaged-1, -2, ... At most `keep` of them stay; the
// oldest goes first. Returns where it is now.
Result<std::filesystem::path> set_aside(const std::filesystem::path& folder, int keep = 3);

}  // namespace touchpoint::store
