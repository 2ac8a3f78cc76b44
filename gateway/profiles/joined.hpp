// Names that an event found to be one person: the platform is told. Until its message stands in the log, too,
// it is kept with the pictures.
//
// Threads: free functions, any.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gateway/profiles/touch.hpp"

namespace touchpoint::gateway {

struct Joined {
    std::string epoch;  // of the log with that event
    std::vector<std::string> names;
    Mark mark;  // of the event that said so
    bool operator==(const Joined&) const = default;
};

// The id of the message: said again it is the same one.
std::string merge_id(const std::string& epoch, const Mark& mark);

std::string write_joined(const std::vector<Joined>& all);
// Empty where the bytes are not what write_joined() has written.
std::vector<Joined> read_joined(std::string_view bytes);

}  // namespace touchpoint::gateway
