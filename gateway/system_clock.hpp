// The machine's clock, boot and chance: made here only, given to everybody else.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include "gateway/core/clock.hpp"
#include "gateway/core/result.hpp"

namespace touchpoint::gateway {

// Threads: any.
class SystemClock final : public Clock {
  public:
    UtcTime utc() const override;
    SteadyTime steady() const override;
    std::chrono::milliseconds since_boot() const override;
    // Asked of the kernel at most once a second: it is read for every message.
    bool trusted() const override;

  private:
    static constexpr std::chrono::milliseconds look_again{1000};
    mutable std::atomic<std::int64_t> asked_ms_{-1};  // since_boot() of the last question
    mutable std::atomic<bool> trusted_{false};
};

// Whether the kernel's answer means that the clock follows a source. adjtimex comes first: it works with
// timesyncd, chrony and ntpd. Where a sandbox forbids it (`adjtimex_result` < 0), timesyncd's file decides;
// without that file the clock is not trusted.
bool clock_is_trusted(int adjtimex_result, int status, bool timesyncd_says_so);

// Of the running kernel, 32 hex digits. Fails with io where /proc/sys is hidden.
Result<std::string> read_boot_id();

// 64 bits from the kernel. Any thread.
std::uint64_t random_bits();

}  // namespace touchpoint::gateway
