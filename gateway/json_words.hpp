// Our values as Boost.JSON takes them, for answers.
//
// Threads: pure, any.
#pragma once

#include <boost/json/string_view.hpp>
#include <boost/json/value.hpp>
#include <string_view>

#include "gateway/core/clock.hpp"

namespace touchpoint::gateway {

inline boost::json::string_view view(std::string_view text) { return {text.data(), text.size()}; }
// null: it never was.
inline boost::json::value when(UtcTime time) {
    return time.ms == 0 ? boost::json::value(nullptr) : boost::json::value(to_rfc3339(time));
}

}  // namespace touchpoint::gateway
