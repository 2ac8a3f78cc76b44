#include "tests/bench/disk_calls.hpp"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace touchpoint::bench {
namespace {

constexpr std::size_t zeros_bytes_min = 64u << 10;

AllDiskCalls* make() {
    static AllDiskCalls own;
    AllDiskCalls* calls = &own;
    if (const char* path = ::getenv("BENCH_CALLS_FILE"); path != nullptr) {
        const int fd = ::open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        if (fd < 0 || ::ftruncate(fd, sizeof(AllDiskCalls)) != 0) ::abort();
        void* mapped = ::mmap(nullptr, sizeof(AllDiskCalls), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ::close(fd);
        if (mapped == MAP_FAILED) ::abort();
        calls = static_cast<AllDiskCalls*>(mapped);
    }
    if (const char* us = ::getenv("BENCH_FLUSH_US"); us != nullptr)
        calls->flush_us = ::strtoull(us, nullptr, 10);
    return calls;
}

// Where a descriptor leads.
struct Leads {
    DiskCalls* calls = nullptr;
    bool dsync = false;
};

Leads look(int fd) {
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    char path[512];
    const ssize_t length = ::readlink(link.c_str(), path, sizeof path);
    if (length <= 0) return {};
    const std::string_view name(path, static_cast<std::size_t>(length));
    const bool dsync = (::fcntl(fd, F_GETFL) & O_DSYNC) != 0;
    if (name.ends_with("/events/data.mdb")) return {&disk_calls().events, dsync};
    if (name.ends_with("/cache/data.mdb")) return {&disk_calls().cache, dsync};
    if (name.ends_with("/segment.log")) return {&disk_calls().log, dsync};
    return {};
}

// Asked of the kernel once (5 us, as much as the write itself), until the descriptor is closed. Beyond
// known_max each time.
constexpr int known_max = 1024;
enum : std::uint8_t { unknown, nowhere, events, cache, log, with_dsync = 0x10 };
std::array<std::atomic<std::uint8_t>, known_max> known;

std::uint8_t place_of(const DiskCalls* calls) {
    if (calls == &disk_calls().events) return events;
    if (calls == &disk_calls().cache) return cache;
    return calls == &disk_calls().log ? log : nowhere;
}

Leads leads(int fd) {
    if (fd < 0 || fd >= known_max) return look(fd);
    std::atomic<std::uint8_t>& one = known[static_cast<std::size_t>(fd)];
    const std::uint8_t held = one.load(std::memory_order_acquire);
    const bool dsync = (held & with_dsync) != 0;
    switch (held & ~with_dsync) {
        case nowhere:
            return {};
        case events:
            return {&disk_calls().events, dsync};
        case cache:
            return {&disk_calls().cache, dsync};
        case log:
            return {&disk_calls().log, dsync};
        default:
            break;
    }
    const Leads found = look(fd);
    const std::uint8_t flag = found.dsync ? with_dsync : 0;
    one.store(place_of(found.calls) | flag, std::memory_order_release);
    return found;
}

void closes(int fd) {
    if (fd >= 0 && fd < known_max)
        known[static_cast<std::size_t>(fd)].store(unknown, std::memory_order_release);
}

void wait_for_flush() {
    const std::uint64_t us = disk_calls().flush_us;
    if (us == 0) return;
    timespec left{static_cast<time_t>(us / 1'000'000), static_cast<long>(us % 1'000'000 * 1'000)};
    while (::nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

// All zeros: the file filled ahead.
bool is_zeros(const void* bytes, std::size_t length) {
    const char* text = static_cast<const char*>(bytes);
    return length >= zeros_bytes_min && text[0] == 0 && std::memcmp(text, text + 1, length - 1) == 0;
}

// `at` -1: at the descriptor's position, which is behind it by now.
void wrote(int fd, const void* bytes, long at, ssize_t length) {
    if (length <= 0) return;
    const int saved = errno;
    if (const auto [calls, dsync] = leads(fd); calls != nullptr) {
        constexpr long page = 4096;
        if (at < 0) at = ::lseek(fd, 0, SEEK_CUR) - length;
        ++calls->writes;
        calls->bytes += static_cast<std::uint64_t>(length);
        calls->pages += static_cast<std::uint64_t>((at + length - 1) / page - at / page + 1);
        if (bytes != nullptr && is_zeros(bytes, static_cast<std::size_t>(length)))
            calls->zeros += static_cast<std::uint64_t>(length);
        if (dsync) {
            ++calls->dsync_writes;
            wait_for_flush();
        }
    }
    errno = saved;
}

void flushed(int fd) {
    const int saved = errno;
    if (DiskCalls* calls = leads(fd).calls; calls != nullptr) {
        ++calls->flushes;
        wait_for_flush();
    }
    errno = saved;
}

}  // namespace

AllDiskCalls& disk_calls() {
    static AllDiskCalls* calls = make();
    return *calls;
}

}  // namespace touchpoint::bench

using touchpoint::bench::closes;
using touchpoint::bench::flushed;
using touchpoint::bench::wrote;

// Under the symbols of libc but with names of our own: its headers rename some of them for large files.
extern "C" {

ssize_t bench_write(int fd, const void* bytes, size_t length) __asm__("write");
ssize_t bench_writev(int fd, const iovec* parts, int count) __asm__("writev");
ssize_t bench_pwrite(int fd, const void* bytes, size_t length, long at) __asm__("pwrite");
ssize_t bench_pwrite64(int fd, const void* bytes, size_t length, long at) __asm__("pwrite64");
int bench_fdatasync(int fd) __asm__("fdatasync");
int bench_fsync(int fd) __asm__("fsync");
int bench_close(int fd) __asm__("close");
int bench_msync(void* start, size_t length, int flags) __asm__("msync");

ssize_t bench_write(int fd, const void* bytes, size_t length) {
    const ssize_t done = ::syscall(SYS_write, fd, bytes, length);
    wrote(fd, bytes, -1, done);
    return done;
}
ssize_t bench_writev(int fd, const iovec* parts, int count) {
    const ssize_t done = ::syscall(SYS_writev, fd, parts, count);
    wrote(fd, nullptr, -1, done);
    return done;
}
ssize_t bench_pwrite(int fd, const void* bytes, size_t length, long at) {
    const ssize_t done = ::syscall(SYS_pwrite64, fd, bytes, length, at);
    wrote(fd, bytes, at, done);
    return done;
}
ssize_t bench_pwrite64(int fd, const void* bytes, size_t length, long at) {
    return bench_pwrite(fd, bytes, length, at);
}

int bench_fdatasync(int fd) {
    flushed(fd);
    return static_cast<int>(::syscall(SYS_fdatasync, fd));
}
int bench_fsync(int fd) {
    flushed(fd);
    return static_cast<int>(::syscall(SYS_fsync, fd));
}
int bench_close(int fd) {
    closes(fd);  // before: afterwards it may be somebody else's
    return static_cast<int>(::syscall(SYS_close, fd));
}
// Only with MDB_WRITEMAP, which the store does not use: counted nowhere, so it must not happen.
int bench_msync(void*, size_t, int) { ::abort(); }

}  // extern "C"
