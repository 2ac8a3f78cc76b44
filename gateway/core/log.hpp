// One event, one line on stderr: "<6>uplink: delivering again down_s=2790". Fixed words first, then key=value
// with the unit as the last word of the key. The number in front is the journal's priority.
// A state change is logged; a repetition is counted. Never payloads, profiles, tokens or anything of a
// person.
//
//   error   a person must act        warning  degraded and trying
//   info    a state changed          debug    the path of one message
//
// Threads: any.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace touchpoint::log {

enum class Level { error = 3, warning = 4, info = 6, debug = 7 };

struct Field {
    std::string_view key;
    std::string value;

    Field(std::string_view k, std::string_view v) : key(k), value(v) {}
    Field(std::string_view k, const std::string& v) : key(k), value(v) {}
    Field(std::string_view k, const char* v) : key(k), value(v) {}
    Field(std::string_view k, bool v) : key(k), value(v ? "true" : "false") {}
    template <std::integral T>
    Field(std::string_view k, T v) : key(k), value(std::to_string(v)) {}
};
using Fields = std::initializer_list<Field>;

// Lines less urgent than this are not written. Default info.
void set_level(Level level) noexcept;
// Whether a line of this level would be written: ask it where making the fields costs something.
bool enabled(Level level) noexcept;
void write(Level level, std::string_view subject, std::string_view words, Fields fields = {});

inline void error(std::string_view subject, std::string_view words, Fields fields = {}) {
    write(Level::error, subject, words, fields);
}
inline void warning(std::string_view subject, std::string_view words, Fields fields = {}) {
    write(Level::warning, subject, words, fields);
}
inline void info(std::string_view subject, std::string_view words, Fields fields = {}) {
    write(Level::info, subject, words, fields);
}
inline void debug(std::string_view subject, std::string_view words, Fields fields = {}) {
    write(Level::debug, subject, words, fields);
}

}  // namespace touchpoint::log
