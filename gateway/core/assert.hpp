// TP_ASSERT: for our own bugs, never for the world. Kept in release builds: the process aborts, systemd
// restarts it, and nothing is lost, because everything that was promised is on disk or in the journal.
#pragma once

namespace touchpoint {
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;
}  // namespace touchpoint

#define TP_ASSERT(expression) \
    ((expression) ? static_cast<void>(0) : ::touchpoint::assertion_failed(#expression, __FILE__, __LINE__))
