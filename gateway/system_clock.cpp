#include "gateway/system_clock.hpp"

#include <sys/random.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <fstream>

#include "gateway/core/assert.hpp"

namespace touchpoint::gateway {
namespace {

std::int64_t read_ms(clockid_t clock) {
    timespec now{};
    TP_ASSERT(clock_gettime(clock, &now) == 0);
    return static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

bool ask_kernel() {
    timex state{};
    const int result = adjtimex(&state);
    return clock_is_trusted(result, state.status, access("/run/systemd/timesync/synchronized", F_OK) == 0);
}

}  // namespace

UtcTime SystemClock::utc() const { return {read_ms(CLOCK_REALTIME)}; }
SteadyTime SystemClock::steady() const { return std::chrono::steady_clock::now(); }
std::chrono::milliseconds SystemClock::since_boot() const {
    return std::chrono::milliseconds(read_ms(CLOCK_BOOTTIME));
}

bool SystemClock::trusted() const {
    const std::int64_t now = read_ms(CLOCK_BOOTTIME);
    const std::int64_t asked = asked_ms_.load(std::memory_order_acquire);
    if (asked < 0 || now - asked >= look_again.count()) {
        trusted_.store(ask_kernel(), std::memory_order_relaxed);
        asked_ms_.store(now, std::memory_order_release);
    }
    return trusted_.load(std::memory_order_relaxed);
}

bool clock_is_trusted(int adjtimex_result, int status, bool timesyncd_says_so) {
    if (adjtimex_result < 0) return timesyncd_says_so;
    return adjtimex_result != TIME_ERROR && (status & STA_UNSYNC) == 0;
}

Result<std::string> read_boot_id() {
    constexpr const char* file = "/proc/sys/kernel/random/boot_id";
    std::string text;
    std::ifstream(file) >> text;
    text.erase(std::remove(text.begin(), text.end(), '-'), text.end());
    const bool right = text.size() == 32 && std::all_of(text.begin(), text.end(), [](char c) {
                           return std::isxdigit(static_cast<unsigned char>(c)) != 0;
                       });
    if (!right)
        return fail(Errc::io, std::string(file) + " cannot be read; is /proc/sys hidden from the service?");
    return text;
}

std::uint64_t random_bits() {
    std::uint64_t bits = 0;
    // 8 bytes are never cut short (getrandom(2)); only a signal during early boot can interrupt.
    while (getrandom(&bits, sizeof bits, 0) != static_cast<ssize_t>(sizeof bits)) TP_ASSERT(errno == EINTR);
    return bits;
}

}  // namespace touchpoint::gateway
