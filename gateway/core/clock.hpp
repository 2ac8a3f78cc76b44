// Time as an argument. Only the program (gateway/) makes the real clock; every other part is given one.
#pragma once

#include <atomic>
#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace touchpoint {

// Milliseconds since 1970-01-01T00:00:00Z. 64 bits on every machine (time_t has 32 on armhf).
struct UtcTime {
    std::int64_t ms = 0;
    auto operator<=>(const UtcTime&) const = default;
};
inline UtcTime operator+(UtcTime t, std::chrono::milliseconds d) { return {t.ms + d.count()}; }
inline UtcTime operator-(UtcTime t, std::chrono::milliseconds d) { return {t.ms - d.count()}; }
inline std::chrono::milliseconds operator-(UtcTime a, UtcTime b) {
    return std::chrono::milliseconds(a.ms - b.ms);
}

// "2026-09-21T08:01:02.113Z". Always this length for years 0000 to 9999; times outside are clamped to them.
std::string to_rfc3339(UtcTime time);
// RFC 3339 with 'T' or a space, a fraction of any length (cut to ms) and Z or an offset. Empty: not such a
// text.
std::optional<UtcTime> parse_rfc3339(std::string_view text);

using SteadyTime = std::chrono::steady_clock::time_point;

// Threads: all functions may be called from any thread.
class Clock {
  public:
    virtual ~Clock() = default;
    virtual UtcTime utc() const = 0;
    virtual SteadyTime steady() const = 0;
    // Time since boot, also through suspend: CLOCK_BOOTTIME.
    virtual std::chrono::milliseconds since_boot() const = 0;
    // True once the operating system says that its clock follows a time source.
    virtual bool trusted() const = 0;
};

// For tests: stands still until it is moved.
class ManualClock final : public Clock {
  public:
    explicit ManualClock(UtcTime start = {1'790'000'000'000}) : utc_ms_(start.ms) {}
    UtcTime utc() const override { return {utc_ms_.load()}; }
    SteadyTime steady() const override { return SteadyTime(std::chrono::milliseconds(steady_ms_.load())); }
    std::chrono::milliseconds since_boot() const override {
        return std::chrono::milliseconds(steady_ms_.load());
    }
    bool trusted() const override { return trusted_.load(); }
    void advance(std::chrono::milliseconds d) { utc_ms_ += d.count(), steady_ms_ += d.count(); }
    void step_utc(std::chrono::milliseconds d) { utc_ms_ += d.count(); }
    void set_trusted(bool trusted) { trusted_ = trusted; }

  private:
    std::atomic<std::int64_t> utc_ms_;
    std::atomic<std::int64_t> steady_ms_{1'000'000};
    std::atomic<bool> trusted_{true};
};

}  // namespace touchpoint
