#include "gateway/core/log.hpp"

#include <unistd.h>

#include <atomic>
#include <cstdlib>

#include "gateway/core/assert.hpp"
#include "gateway/core/result.hpp"

namespace touchpoint {

const char* name(Errc code) noexcept {
    switch (code) {
        case Errc::invalid_argument:
            return "invalid_argument";
        case Errc::not_found:
            return "not_found";
        case Errc::already_exists:
            return "already_exists";
        case Errc::refused:
            return "refused";
        case Errc::full:
            return "full";
        case Errc::io:
            return "io";
        case Errc::damaged:
            return "damaged";
        case Errc::format_too_new:
            return "format_too_new";
        case Errc::wrong_machine:
            return "wrong_machine";
        case Errc::locked:
            return "locked";
        case Errc::timed_out:
            return "timed_out";
        case Errc::stopped:
            return "stopped";
    }
    return "unknown";
}

void assertion_failed(const char* expression, const char* file, int line) noexcept {
    log::write(log::Level::error, "gateway", "assertion failed, stopping",
               {{"expression", expression}, {"file", file}, {"line", line}});
    std::abort();
}

namespace log {
namespace {
std::atomic<Level> least_urgent{Level::info};

// A value with spaces or control characters is quoted, so that a line stays one line and can be split again.
void append_value(std::string& line, std::string_view value) {
    const bool plain = !value.empty() && value.find_first_of(" \"\\=\t\r\n") == std::string_view::npos;
    if (plain) {
        line += value;
        return;
    }
    line += '"';
    for (const char c : value) {
        if (c == '"' || c == '\\') line += '\\';
        line += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    line += '"';
}
}  // namespace

void set_level(Level level) noexcept { least_urgent = level; }
bool enabled(Level level) noexcept { return level <= least_urgent.load(std::memory_order_relaxed); }

void write(Level level, std::string_view subject, std::string_view words, Fields fields) {
    if (!enabled(level)) return;
    std::string line = "<" + std::to_string(static_cast<int>(level)) + ">";
    line += subject;
    line += ": ";
    line += words;
    for (const Field& field : fields) {
        line += ' ';
        line += field.key;
        line += '=';
        append_value(line, field.value);
    }
    line += '\n';
    // One write(2) for a line, so that lines of different threads do not mix. A log that cannot be written
    // has nobody who could be told.
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace log
}  // namespace touchpoint
