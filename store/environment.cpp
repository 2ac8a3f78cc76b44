#include "store/environment.hpp"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "gateway/core/assert.hpp"
#include "gateway/core/log.hpp"

namespace touchpoint::store {
namespace {

MDB_env* env(void* handle) { return static_cast<MDB_env*>(handle); }
MDB_txn* txn(void* handle) { return static_cast<MDB_txn*>(handle); }

MDB_val val(std::string_view bytes) { return {bytes.size(), const_cast<char*>(bytes.data())}; }
std::string_view view(const MDB_val& v) { return {static_cast<const char*>(v.mv_data), v.mv_size}; }

bool says_no_room(int why) { return why == ENOSPC || why == EDQUOT || why == EFBIG; }

// MDB_PANIC stands for an earlier write of a meta page that failed: the disk's fault, and no damage to the
// file.
Error error(int rc, const char* doing) {
    Errc code = says_no_room(rc) ? Errc::full : Errc::io;
    switch (rc) {
        case MDB_MAP_FULL:
        case MDB_TXN_FULL:
            code = Errc::full;
            break;
        case MDB_INVALID:
        case MDB_CORRUPTED:
        case MDB_PAGE_NOTFOUND:
            code = Errc::damaged;
            break;
        case MDB_VERSION_MISMATCH:
            code = Errc::wrong_machine;
            break;
        default:
            break;
    }
    return fail(code, std::string(doing) + ": " + mdb_strerror(rc));
}

// A cursor for one look; LMDB's are cheap (an allocation), and a short life cannot outlive its transaction.
struct Cursor {
    MDB_cursor* handle = nullptr;
    ~Cursor() {
        if (handle != nullptr) mdb_cursor_close(handle);
    }
};

// LMDB says MDB_INVALID for a meta page of another size of size_t or byte order as for plain garbage. The
// magic number stands behind the page header, whose length tells the word size: 16 bytes on 64-bit, 12 on
// 32-bit (LMDB 0.9, "struct MDB_page").
bool made_elsewhere(const std::filesystem::path& file) {
    const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    unsigned char head[24]{};
    const bool whole = ::pread(fd, head, sizeof head, 0) == sizeof head;
    ::close(fd);
    constexpr unsigned char little[] = {0xde, 0xc0, 0xef, 0xbe};
    constexpr unsigned char big[] = {0xbe, 0xef, 0xc0, 0xde};
    const int ours = sizeof(void*) == 8 ? 16 : 12;
    const int theirs = sizeof(void*) == 8 ? 12 : 16;
    return whole && (std::memcmp(head + theirs, little, 4) == 0 || std::memcmp(head + theirs, big, 4) == 0 ||
                     std::memcmp(head + ours, big, 4) == 0);
}

// A new name is durable when its folder is.
void flush_folder(const std::filesystem::path& folder) {
    const int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    if (::fsync(fd) != 0)
        log::warning("store", "a folder cannot be flushed",
                     {{"folder", folder.string()}, {"why", std::strerror(errno)}});
    ::close(fd);
}

bool is_damage(int rc) { return rc == MDB_INVALID || rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND; }

// The flush of a meta page may have failed, here or in an earlier process. The kernel says so once, and then
// takes the page in memory for written: a flush of ours would succeed and do nothing. Written as it is,
// it is to be flushed again. LMDB keeps its meta page in the first sector of the file's first two pages.
Result<void> write_meta_pages_again(int fd, std::uint64_t second_page_at) {
    char sector[512];
    for (const std::uint64_t at : {std::uint64_t{0}, second_page_at}) {
        const auto offset = static_cast<off_t>(at);
        if (::pread(fd, sector, sizeof sector, offset) != sizeof sector ||
            ::pwrite(fd, sector, sizeof sector, offset) != sizeof sector)
            return fail(Errc::io, std::string("meta pages: ") + std::strerror(errno));
    }
    return {};
}

// Every row of a database, and of the databases that rows of it stand for.
bool walk(MDB_txn* reading, MDB_dbi table, bool holds_tables) {
    MDB_cursor* cursor = nullptr;
    if (mdb_cursor_open(reading, table, &cursor) != 0) return false;
    std::uint64_t rows = 0;
    unsigned char touched = 0;
    MDB_val k{};
    MDB_val v{};
    int rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
    for (; rc == 0; rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT), ++rows) {
        if (v.mv_size > 0) {
            const volatile auto* value = static_cast<const unsigned char*>(v.mv_data);
            touched = static_cast<unsigned char>(touched ^ value[0] ^ value[v.mv_size - 1]);
        }
        if (!holds_tables) continue;
        MDB_dbi inner = 0;
        const std::string name(view(k));
        if (mdb_dbi_open(reading, name.c_str(), 0, &inner) != 0 || !walk(reading, inner, false)) return false;
    }
    MDB_stat stat{};
    return rc == MDB_NOTFOUND && mdb_stat(reading, table, &stat) == 0 && stat.ms_entries == rows;
}

// In a child of its own, which may die of what it reads.
bool walk_all_rows(const char* folder, unsigned tables) {
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    for (const int fatal : {SIGSEGV, SIGBUS, SIGABRT}) ::signal(fatal, SIG_DFL);
    ::signal(SIGALRM, SIG_DFL);
    ::alarm(Environment::walk_max_s);
    MDB_env* handle = nullptr;
    MDB_txn* reading = nullptr;
    MDB_dbi table = 0;
    if (mdb_env_create(&handle) != 0 || mdb_env_set_maxdbs(handle, tables) != 0 ||
        mdb_env_open(handle, folder, MDB_RDONLY | MDB_NOLOCK, 0600) != 0)
        return true;  // open() says what is wrong with it
    // Not enough memory, say, is no sign of damage.
    if (const int rc = mdb_txn_begin(handle, nullptr, MDB_RDONLY, &reading); rc != 0) return !is_damage(rc);
    if (const int rc = mdb_dbi_open(reading, nullptr, 0, &table); rc != 0) return !is_damage(rc);
    return walk(reading, table, tables > 0);
}

}  // namespace

Transaction::Transaction(Transaction&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)),
      environment_(other.environment_),
      turn_(std::move(other.turn_)),
      wrote_(other.wrote_) {}

Transaction::~Transaction() {
    if (handle_ != nullptr) mdb_txn_abort(txn(handle_));
}

Result<std::optional<std::string_view>> Transaction::get(Table table, std::string_view key) const {
    MDB_val k = val(key);
    MDB_val v{};
    const int rc = mdb_get(txn(handle_), table, &k, &v);
    if (rc == MDB_NOTFOUND) return std::optional<std::string_view>{};
    if (rc != 0) return error(rc, "get");
    return std::optional<std::string_view>{view(v)};
}

Result<std::optional<KeyValue>> Transaction::seek(Table table, std::string_view key) const {
    Cursor cursor;
    if (const int rc = mdb_cursor_open(txn(handle_), table, &cursor.handle); rc != 0)
        return error(rc, "cursor");
    MDB_val k = val(key);
    MDB_val v{};
    const int rc = mdb_cursor_get(cursor.handle, &k, &v, key.empty() ? MDB_FIRST : MDB_SET_RANGE);
    if (rc == MDB_NOTFOUND) return std::optional<KeyValue>{};
    if (rc != 0) return error(rc, "seek");
    return std::optional<KeyValue>{{view(k), view(v)}};
}

Result<std::optional<KeyValue>> Transaction::before(Table table, std::string_view key) const {
    Cursor cursor;
    if (const int rc = mdb_cursor_open(txn(handle_), table, &cursor.handle); rc != 0)
        return error(rc, "cursor");
    MDB_val k = val(key);
    MDB_val v{};
    int rc = MDB_NOTFOUND;
    if (!key.empty()) rc = mdb_cursor_get(cursor.handle, &k, &v, MDB_SET_RANGE);
    if (rc == 0)
        rc = mdb_cursor_get(cursor.handle, &k, &v, MDB_PREV);
    else if (rc == MDB_NOTFOUND)
        rc = mdb_cursor_get(cursor.handle, &k, &v, MDB_LAST);
    if (rc == MDB_NOTFOUND) return std::optional<KeyValue>{};
    if (rc != 0) return error(rc, "before");
    return std::optional<KeyValue>{{view(k), view(v)}};
}

Result<void> Transaction::put(Table table, std::string_view key, std::string_view value) {
    MDB_val k = val(key);
    MDB_val v = val(value);
    wrote_ = true;
    if (const int rc = mdb_put(txn(handle_), table, &k, &v, 0); rc != 0) return error(rc, "put");
    return {};
}

Result<bool> Transaction::erase(Table table, std::string_view key) {
    MDB_val k = val(key);
    const int rc = mdb_del(txn(handle_), table, &k, nullptr);
    if (rc == MDB_NOTFOUND) return false;
    wrote_ = true;
    if (rc != 0) return error(rc, "erase");
    return true;
}

Result<void> Transaction::commit(Durable when) {
    TP_ASSERT(handle_ != nullptr && environment_ != nullptr);
    auto committed = environment_->commit(std::exchange(handle_, nullptr), wrote_, when);
    turn_.unlock();
    return committed;
}

Result<std::uint64_t> Transaction::free_pages() const {
    constexpr MDB_dbi free_list = 0;
    Cursor cursor;
    if (const int rc = mdb_cursor_open(txn(handle_), free_list, &cursor.handle); rc != 0)
        return error(rc, "free list");
    std::uint64_t pages = 0;
    MDB_val k{};
    MDB_val v{};
    int rc = mdb_cursor_get(cursor.handle, &k, &v, MDB_FIRST);
    for (; rc == 0; rc = mdb_cursor_get(cursor.handle, &k, &v, MDB_NEXT)) {
        std::size_t count = 0;  // each record begins with how many page numbers follow
        if (v.mv_size < sizeof count) break;
        std::memcpy(&count, v.mv_data, sizeof count);
        pages += count;
    }
    if (rc != 0 && rc != MDB_NOTFOUND) return error(rc, "free list");
    return pages;
}

Result<std::uint64_t> Transaction::pages(Table table) const {
    MDB_stat stat{};
    if (const int rc = mdb_stat(txn(handle_), table, &stat); rc != 0) return error(rc, "stat");
    return stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
}

Result<Table> Transaction::open_table(const std::string& name) {
    MDB_dbi table = 0;
    const char* const known_as = name.empty() ? nullptr : name.c_str();
    int rc = mdb_dbi_open(txn(handle_), known_as, 0, &table);
    if (rc == MDB_NOTFOUND) {
        wrote_ = true;
        rc = mdb_dbi_open(txn(handle_), known_as, MDB_CREATE, &table);
    }
    if (rc != 0) return error(rc, "open table");
    return table;
}

Result<std::unique_ptr<Environment>> Environment::open(const Options& options) {
    std::error_code made;
    std::filesystem::create_directories(options.folder, made);
    if (made) return fail(Errc::io, "cannot make " + options.folder.string() + ": " + made.message());
    ::chmod(options.folder.c_str(), 0700);

    std::unique_ptr<Environment> self(new Environment);
    // LMDB lets several processes share a file; two gateways on one must not.
    const auto owner = options.folder / "owner.lock";
    self->owner_fd_ = ::open(owner.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (self->owner_fd_ < 0)
        return fail(Errc::io, "cannot open " + owner.string() + ": " + std::strerror(errno));
    if (::flock(self->owner_fd_, LOCK_EX | LOCK_NB) != 0)
        return fail(Errc::locked, options.folder.string() + " is in use by another gateway process");

    MDB_env* handle = nullptr;
    if (const int rc = mdb_env_create(&handle); rc != 0) return error(rc, "environment");
    self->handle_ = handle;
    self->folder_ = options.folder;
    // Where size_t has 32 bits a larger number would be cut off, down to nothing.
    self->map_bytes_ =
        std::min<std::uint64_t>(options.map_bytes, std::numeric_limits<std::size_t>::max() / 4 + 1);
    mdb_env_set_mapsize(handle, static_cast<std::size_t>(self->map_bytes_));
    std::error_code looked;
    const bool made_now = !std::filesystem::exists(options.folder / "data.mdb", looked);
    mdb_env_set_maxdbs(handle, options.tables);
    const unsigned flags = MDB_NOTLS | (options.no_meta_sync ? MDB_NOMETASYNC : 0U) |
                           (options.random_access ? MDB_NORDAHEAD : 0U);
    if (const int rc = mdb_env_open(handle, options.folder.c_str(), flags, 0600); rc != 0) {
        Error why = error(rc, ("open " + options.folder.string()).c_str());
        if (made_elsewhere(options.folder / "data.mdb")) why.code = Errc::wrong_machine;
        return why;
    }
    if (made_now) {
        flush_folder(options.folder);
        flush_folder(options.folder.parent_path());
    }
    MDB_stat stat{};
    mdb_env_stat(handle, &stat);
    self->page_bytes_ = stat.ms_psize;
    self->no_meta_sync_ = options.no_meta_sync;
    self->meta_in_doubt_ = !options.no_meta_sync;
    if (options.no_meta_sync)
        if (const auto written = write_meta_pages_again(self->file(), self->page_bytes_); !written)
            return written.error();
    self->drop_dead_readers();
    std::error_code ignored;
    const auto size = std::filesystem::file_size(options.folder / "data.mdb", ignored);
    self->filled_bytes_ = ignored ? 0 : size;
    return self;
}

bool Environment::readable(const std::filesystem::path& folder, unsigned tables) {
    std::error_code looked;
    if (!std::filesystem::exists(folder / "data.mdb", looked)) return true;  // open() says why it cannot look
    const pid_t child = ::fork();
    if (child == 0) _exit(walk_all_rows(folder.c_str(), tables) ? 0 : 1);
    if (child < 0) return true;  // nobody could look
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status)) return WEXITSTATUS(status) == 0;
    // Whatever else ended it (its time, memory that somebody needed more) says nothing about the file, and a
    // file that is set aside holds events which nobody has yet.
    const int by = WTERMSIG(status);
    return by != SIGSEGV && by != SIGBUS && by != SIGABRT;
}

Environment::~Environment() {
    if (handle_ != nullptr) mdb_env_close(env(handle_));
    if (owner_fd_ >= 0) ::close(owner_fd_);
}

Result<Transaction> Environment::begin_read() const {
    MDB_txn* handle = nullptr;
    if (const int rc = mdb_txn_begin(env(handle_), nullptr, MDB_RDONLY, &handle); rc != 0) {
        if (rc == MDB_PANIC) failed_ = true;
        return error(rc, "read");
    }
    return Transaction(handle);
}

Result<Transaction> Environment::begin_write() {
    std::unique_lock turn(turn_);
    MDB_txn* handle = nullptr;
    if (const int rc = mdb_txn_begin(env(handle_), nullptr, 0, &handle); rc != 0) {
        if (rc == MDB_PANIC) failed_ = true;
        return error(rc, "write");
    }
    Transaction transaction(handle);
    transaction.environment_ = this;
    transaction.turn_ = std::move(turn);
    return transaction;
}

// REQUIRES: the turn
Result<void> Environment::commit(void* transaction, bool wrote, Durable when) {
    const bool later = no_meta_sync_ || when == Durable::later;
    // Before anything is written, which LMDB does only when it commits: it writes over pages that a meta page
    // which was lost still leads to.
    if (wrote && meta_in_doubt_)
        if (const auto settled = settle_now(); !settled) {
            mdb_txn_abort(txn(transaction));
            return settled.error();
        }
    if (later && wrote) unsettled_ = true;
    // LMDB looks at it while it commits, which only one does at a time.
    if (!no_meta_sync_) mdb_env_set_flags(env(handle_), MDB_NOMETASYNC, later ? 1 : 0);
    if (const int rc = mdb_txn_commit(txn(transaction)); rc != 0) {
        Error why = error(rc, "commit");
        if (rc > 0) {  // of the system, not of LMDB: it may come from the flush
            why.code = Errc::io;
            if (!no_meta_sync_) doubt_meta_pages();
        }
        return why;
    }
    if (later) return {};
    if (!wrote) return settle_now();
    unsettled_ = false;
    return {};
}

Result<void> Environment::settle() {
    const std::lock_guard turn(turn_);
    return settle_now();
}

bool Environment::settled() {
    const std::lock_guard turn(turn_);
    return !unsettled_ && !meta_in_doubt_;
}

// Of everything visible the data was flushed by its commit; what is missing is a meta page. Both are written
// only where that is needed: a sector that a power cut breaks while it is written is one of two then.
// REQUIRES: the turn
Result<void> Environment::settle_now() {
    if (!unsettled_ && !meta_in_doubt_) return {};
    if (meta_in_doubt_)
        if (const auto written = write_meta_pages_again(file(), page_bytes_); !written)
            return fail(Errc::io, folder_.string() + ": " + written.error().context);
    if (const auto flushed = sync(); !flushed) {
        doubt_meta_pages();
        failed_ = true;
        return flushed.error();
    }
    unsettled_ = false;
    meta_in_doubt_ = false;
    return {};
}

// At once, too: until then the kernel may give up the page and read it again from the disk, as it was.
// REQUIRES: the turn
void Environment::doubt_meta_pages() {
    meta_in_doubt_ = true;
    if (const auto written = write_meta_pages_again(file(), page_bytes_); !written)
        log::warning("store", "a meta page cannot be written",
                     {{"folder", folder_.string()}, {"why", written.error().context}});
}

int Environment::file() const {
    int fd = -1;
    mdb_env_get_fd(env(handle_), &fd);
    return fd;
}

Result<void> Environment::sync() {
    if (const int rc = mdb_env_sync(env(handle_), 1); rc != 0)
        return fail(Errc::io, "flush of " + folder_.string() + ": " + mdb_strerror(rc));
    return {};
}

void Environment::drop_dead_readers() {
    int dropped = 0;
    mdb_reader_check(env(handle_), &dropped);
    if (dropped > 0) log::info("store", "dropped readers of dead processes", {{"readers", dropped}});
}

std::uint64_t Environment::used_bytes() const {
    MDB_envinfo info{};
    mdb_env_info(env(handle_), &info);
    return (info.me_last_pgno + 1) * page_bytes_;
}

Result<void> Environment::fill_ahead(std::uint64_t bytes) {
    constexpr std::uint64_t step = 8u << 20;
    const std::uint64_t used = used_bytes();
    const std::uint64_t wanted = std::min(used + bytes, map_bytes_);
    if (filled_bytes_ >= wanted) return {};
    const std::uint64_t target = std::min(std::max(wanted, filled_bytes_ + step), map_bytes_);
    const int fd = file();
    static const std::vector<char> zeros(1u << 20);
    std::uint64_t at = std::max(used, filled_bytes_);
    while (at < target) {
        const auto length = std::min<std::uint64_t>(zeros.size(), target - at);
        const ssize_t written = ::pwrite(fd, zeros.data(), length, static_cast<off_t>(at));
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) {
            const int why = written < 0 ? errno : ENOSPC;
            if (!says_no_room(why))
                return fail(Errc::io, std::string("cannot grow data.mdb: ") + std::strerror(why));
            if (filled_bytes_ >= wanted) return {};  // not the whole step, but enough
            return fail(Errc::full, std::string("no room to grow data.mdb: ") + std::strerror(why));
        }
        at += static_cast<std::uint64_t>(written);
        filled_bytes_ = at;
    }
    return {};
}

bool Environment::disk_is_full() const {
    constexpr std::uint64_t next_to_nothing = 1u << 20;
    struct statvfs disk {};
    return ::statvfs(folder_.c_str(), &disk) == 0 &&
           static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize < next_to_nothing;
}

Result<std::filesystem::path> set_aside(const std::filesystem::path& folder, int keep) {
    const auto numbered = [&folder](int n) {
        return std::filesystem::path(folder.string() + ".damaged-" + std::to_string(n));
    };
    std::error_code error;
    std::filesystem::remove_all(numbered(keep), error);
    for (int n = keep - 1; n >= 1; --n)
        if (std::filesystem::exists(numbered(n)))
            std::filesystem::rename(numbered(n), numbered(n + 1), error);
    std::filesystem::rename(folder, numbered(1), error);
    if (error) return fail(Errc::io, "cannot move " + folder.string() + " aside: " + error.message());
    flush_folder(folder.parent_path());
    return numbered(1);
}

}  // namespace touchpoint::store
