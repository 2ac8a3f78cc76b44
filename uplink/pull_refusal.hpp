// Why a puller is refused: what the platform is told, and what it can do about it.
#pragma once

#include <boost/system/result.hpp>
#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>

namespace touchpoint::uplink {

// The words stand in uplink/README.md, "Refusals".
enum class PullFault {
    bad_request,       // a parameter breaks a rule; the detail says which
    bad_cursor,        // cut off, mistyped or made up
    cursor_epoch,      // of another life of the numbering
    cursor_beyond,     // ahead of what there is
    gone,              // behind what there still is
    no_consumer,       // no such name
    push_destination,  // the name belongs to one
    consumer_busy,     // somebody else reads as this consumer
    taken_over,        // somebody else reads as this consumer now
    too_many_consumers,
    busy,      // too many requests at once
    stopping,  // the gateway ends
    store_io,  // the disk
};

constexpr const char* name(PullFault fault) {
    switch (fault) {
        case PullFault::bad_request:
            return "bad-request";
        case PullFault::bad_cursor:
            return "bad-cursor";
        case PullFault::cursor_epoch:
            return "cursor-epoch";
        case PullFault::cursor_beyond:
            return "cursor-beyond";
        case PullFault::gone:
            return "gone";
        case PullFault::no_consumer:
            return "no-consumer";
        case PullFault::push_destination:
            return "push-destination";
        case PullFault::consumer_busy:
            return "consumer-busy";
        case PullFault::taken_over:
            return "taken-over";
        case PullFault::too_many_consumers:
            return "too-many-consumers";
        case PullFault::busy:
            return "busy";
        case PullFault::stopping:
            return "stopping";
        case PullFault::store_io:
            return "store-io";
    }
    return "?";
}

struct Refusal {
    PullFault fault = PullFault::bad_request;
    std::string detail;
    std::string members;                  // more of the problem document: JSON without braces, may be empty
    std::chrono::seconds retry_after{0};  // 0: trying again does not help
};

template <class T>
using Pulled = boost::system::result<T, Refusal>;
template <class T>
using Done = std::function<void(Pulled<T>)>;

// Pulled::value() is not used in this project; boost asks for this function all the same.
[[noreturn]] inline void throw_exception_from_error(const Refusal& refusal, const boost::source_location&) {
    throw std::logic_error(std::string(name(refusal.fault)) + ": " + refusal.detail);
}

}  // namespace touchpoint::uplink
