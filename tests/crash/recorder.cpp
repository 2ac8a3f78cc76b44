#include "tests/crash/recorder.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <mutex>
#include <thread>
#include <utility>

namespace touchpoint::tests {
namespace {

static_assert(sizeof(long) == 8, "offsets are given to the kernel in one register");

constexpr std::size_t zeros_bytes_min = 64u << 10;
std::atomic<bool> watching{false};
std::mutex mutex;
// Guarded by mutex.
std::string watched_path;
std::vector<DiskOp> ops;
std::chrono::microseconds flush_cost_of_watched{};
std::function<int(const DiskOp&)> refusal;
bool still_to_be_told = false;  // a flush that failed, by the O_DSYNC descriptor

bool is_watched(int fd) {
    if (!watching.load(std::memory_order_acquire)) return false;
    const std::lock_guard lock(mutex);
    struct stat ours {};
    struct stat its {};
    return ::stat(watched_path.c_str(), &ours) == 0 && ::fstat(fd, &its) == 0 && ours.st_ino == its.st_ino &&
           ours.st_dev == its.st_dev;
}

// True: errno is set, and nothing is to be done.
bool refused(const DiskOp& op) {
    const std::lock_guard lock(mutex);
    const int why = refusal ? refusal(op) : 0;
    if (why == 0) return false;
    if (op.kind == DiskOp::Kind::flush) {
        ops.push_back({DiskOp::Kind::lost, 0, 0, {}});
        still_to_be_told = true;
    }
    errno = why;
    return true;
}

bool refused_write(const iovec* parts, int count, long offset) {
    DiskOp op;
    op.offset = op.end = static_cast<std::uint64_t>(offset);
    bool zeros = true;
    for (int i = 0; i < count; ++i) {
        op.end += parts[i].iov_len;
        const std::string_view text(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
        zeros = zeros && text.find_first_not_of('\0') == std::string_view::npos;
    }
    if (zeros && op.end - op.offset >= zeros_bytes_min) op.kind = DiskOp::Kind::zeros;
    return refused(op);
}

// Returns `result`, after a note of what it says was done.
ssize_t note_write(int fd, const iovec* parts, int count, long offset, ssize_t result) {
    if (result <= 0) return result;
    DiskOp op;
    op.kind = (::fcntl(fd, F_GETFL) & O_DSYNC) != 0 ? DiskOp::Kind::written_through : DiskOp::Kind::write;
    op.offset = static_cast<std::uint64_t>(offset);
    for (int i = 0; i < count; ++i)
        op.data.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
    op.data.resize(static_cast<std::size_t>(result));
    op.end = op.offset + op.data.size();
    if (op.data.size() >= zeros_bytes_min && op.data.find_first_not_of('\0') == std::string::npos) {
        op.kind = DiskOp::Kind::zeros;
        op.data.clear();
    }
    const std::lock_guard lock(mutex);
    const bool through = op.kind == DiskOp::Kind::written_through;
    ops.push_back(std::move(op));
    if (!through || !std::exchange(still_to_be_told, false)) return result;
    errno = EIO;
    return -1;
}

int flush(long call, int fd) {
    if (is_watched(fd) && refused({DiskOp::Kind::flush, 0, 0, {}})) return -1;
    const auto result = static_cast<int>(::syscall(call, fd));
    if (!is_watched(fd)) return result;
    std::chrono::microseconds cost{};
    {
        const std::lock_guard lock(mutex);
        cost = flush_cost_of_watched;
    }
    std::this_thread::sleep_for(cost);
    const std::lock_guard lock(mutex);
    ops.push_back({DiskOp::Kind::flush, 0, 0, {}});
    return result;
}

int set_length(int fd, long length) {
    const auto result = static_cast<int>(::syscall(SYS_ftruncate, fd, length));
    if (result == 0 && is_watched(fd)) {
        const std::lock_guard lock(mutex);
        ops.push_back({DiskOp::Kind::length, 0, static_cast<std::uint64_t>(length), {}});
    }
    return result;
}

}  // namespace

void Recorder::watch(const std::filesystem::path& file, std::chrono::microseconds flush_cost) {
    const std::lock_guard lock(mutex);
    watched_path = file;
    flush_cost_of_watched = flush_cost;
    ops.clear();
    refusal = nullptr;
    still_to_be_told = false;
    watching = true;
}

void Recorder::opened_again() {
    const std::lock_guard lock(mutex);
    still_to_be_told = false;
}

void Recorder::refuse(std::function<int(const DiskOp&)> why) {
    const std::lock_guard lock(mutex);
    refusal = std::move(why);
}

std::vector<DiskOp> Recorder::noted() {
    const std::lock_guard lock(mutex);
    return ops;
}

std::size_t Recorder::position() {
    const std::lock_guard lock(mutex);
    return ops.size();
}

std::vector<DiskOp> Recorder::stop() {
    watching = false;
    const std::lock_guard lock(mutex);
    refusal = nullptr;
    return std::move(ops);
}

}  // namespace touchpoint::tests

// The C library's names, given with asm labels: its headers may rename these functions (pwrite -> pwrite64).
extern "C" {

ssize_t tp_write(int fd, const void* data, size_t size) __asm__("write");
ssize_t tp_writev(int fd, const iovec* parts, int count) __asm__("writev");
ssize_t tp_pwrite(int fd, const void* data, size_t size, long offset) __asm__("pwrite");
ssize_t tp_pwrite64(int fd, const void* data, size_t size, long offset) __asm__("pwrite64");
ssize_t tp_pwritev(int fd, const iovec* parts, int count, long offset) __asm__("pwritev");
ssize_t tp_pwritev64(int fd, const iovec* parts, int count, long offset) __asm__("pwritev64");
int tp_fdatasync(int fd) __asm__("fdatasync");
int tp_fsync(int fd) __asm__("fsync");
int tp_ftruncate(int fd, long length) __asm__("ftruncate");
int tp_ftruncate64(int fd, long length) __asm__("ftruncate64");

ssize_t tp_pwritev(int fd, const iovec* parts, int count, long offset) {
    using namespace touchpoint::tests;
    const bool watched = is_watched(fd);
    if (watched && refused_write(parts, count, offset)) return -1;
    const ssize_t result = ::syscall(SYS_pwritev, fd, parts, static_cast<long>(count), offset, 0L);
    return watched ? note_write(fd, parts, count, offset, result) : result;
}
ssize_t tp_pwritev64(int fd, const iovec* parts, int count, long offset) {
    return tp_pwritev(fd, parts, count, offset);
}

ssize_t tp_pwrite(int fd, const void* data, size_t size, long offset) {
    using namespace touchpoint::tests;
    const bool watched = is_watched(fd);
    const iovec part{const_cast<void*>(data), size};
    if (watched && refused_write(&part, 1, offset)) return -1;
    const ssize_t result = ::syscall(SYS_pwrite64, fd, data, size, offset);
    return watched ? note_write(fd, &part, 1, offset, result) : result;
}
ssize_t tp_pwrite64(int fd, const void* data, size_t size, long offset) {
    return tp_pwrite(fd, data, size, offset);
}

ssize_t tp_writev(int fd, const iovec* parts, int count) {
    using namespace touchpoint::tests;
    const bool watched = is_watched(fd);
    const long at = watched ? ::syscall(SYS_lseek, fd, 0L, static_cast<long>(SEEK_CUR)) : 0;
    if (watched && refused_write(parts, count, at)) return -1;
    const ssize_t result = ::syscall(SYS_writev, fd, parts, static_cast<long>(count));
    return watched ? note_write(fd, parts, count, at, result) : result;
}

ssize_t tp_write(int fd, const void* data, size_t size) {
    using namespace touchpoint::tests;
    if (!is_watched(fd)) return ::syscall(SYS_write, fd, data, size);
    const iovec part{const_cast<void*>(data), size};
    return tp_writev(fd, &part, 1);
}

int tp_fdatasync(int fd) { return touchpoint::tests::flush(SYS_fdatasync, fd); }
int tp_fsync(int fd) { return touchpoint::tests::flush(SYS_fsync, fd); }
int tp_ftruncate(int fd, long length) { return touchpoint::tests::set_length(fd, length); }
int tp_ftruncate64(int fd, long length) { return touchpoint::tests::set_length(fd, length); }
}
