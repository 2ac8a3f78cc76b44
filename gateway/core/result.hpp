// Result<T>: an expected outcome, handled at once. An Error says which kind of failure it was (code) and
// with what (context: names, numbers, never a payload, a token or a person).
#pragma once

#include <boost/system/result.hpp>
#include <stdexcept>
#include <string>
#include <utility>

namespace touchpoint {

enum class Errc {
    invalid_argument,  // what was given breaks a rule; context says which
    not_found,
    already_exists,
    refused,         // not allowed, or not now
    full,            // a named bound is reached; accept later
    io,              // the operating system said no; context has errno's text
    damaged,         // bytes that fail their checksum or grammar
    format_too_new,  // written by a later release
    wrong_machine,   // LMDB file of another architecture or page size
    locked,          // another process has it
    timed_out,
    stopped,  // the part is shutting down
};

// The code's name as it stands above, for logs and JSON.
const char* name(Errc code) noexcept;

struct Error {
    Errc code = Errc::invalid_argument;
    std::string context;
};

template <class T>
using Result = boost::system::result<T, Error>;

// Result::value() is not used in this project; boost asks for this function all the same.
[[noreturn]] inline void throw_exception_from_error(const Error& error, const boost::source_location&) {
    throw std::logic_error(std::string(name(error.code)) + ": " + error.context);
}

inline Error fail(Errc code, std::string context) { return Error{code, std::move(context)}; }

}  // namespace touchpoint
