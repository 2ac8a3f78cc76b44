// Members of an event as they are kept (Event::members) and sent: found and taken out as text, because
// nothing of an event is ever rendered again. REQUIRES of every `members`: JSON members without the braces
// around them, and no space between the outermost ones, as devices/admission and the gateway write them.
//
// Threads: free functions, any.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/core/streams.hpp"

namespace touchpoint {

inline constexpr std::string_view pseudonym_prefix = "pseudonym/";
// Persons that one quarantined message may be known to speak of: of a mebibyte in events of 256 bytes each
// another one. What speaks of more is cut before.
inline constexpr std::size_t persons_max = 4096;

// The text of one outermost member that is a string, as it is written there (escapes and all); empty when
// there is none. A device may write the same key into its own data: that one is not meant.
std::string_view outer_text(std::string_view members, std::string_view key);
// The value of one outermost member, whatever it is, as it is written there; empty when there is none.
std::string_view outer_value(std::string_view members, std::string_view key);
// Without that outermost member; the same when there is none.
std::string without_member(std::string_view members, std::string_view key);

// The pseudonyms that an event of `stream` names: its subject, other names of the same person in `sameas`
// ("pseudonym/..,pseudonym/.."), and in quarantine its member `persons`. Point into `members`.
std::vector<std::string_view> persons_in(Stream stream, std::string_view members);
// The event without its person: neither subject nor `sameas`; in quarantine neither `persons` nor what is
// sealed in `data`, and there "erased":true.
std::string without_person(Stream stream, std::string_view members);

// without_person() where the event names one of them. False: it names none, and is as it was.
using IsErased = std::function<bool(std::string_view pseudonym)>;
bool take_person_out(Stream stream, std::string& members, const IsErased& erased);

}  // namespace touchpoint
