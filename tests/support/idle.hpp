// Until a worker has let go of what its jobs held: the last of them may have told its result long before.
#pragma once

#include <gtest/gtest.h>

#include <future>

#include "store/worker.hpp"

namespace touchpoint::tests {

// Whoever opens a store again waits for it: a reader that dies in the worker still holds the file's lock.
inline void wait_until_idle(store::Worker& worker) {
    std::promise<void> reached;
    ASSERT_TRUE(worker.post([&] { reached.set_value(); }));
    reached.get_future().wait();
}

}  // namespace touchpoint::tests
