// When a commit survives a power cut.
#pragma once

namespace touchpoint::store {

// In either case it is visible at once, and what a power cut leaves is whole: a commit that is lost is lost
// with all that came behind it.
enum class Durable {
    now,    // when it returns: two flushes, one of the data and one of the page that makes it visible
    later,  // with the next one of either kind, or with Environment::settle(): one flush
};

}  // namespace touchpoint::store
