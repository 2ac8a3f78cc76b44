// Waiting for a condition with a deadline: never a sleep for luck.
#pragma once

#include <chrono>
#include <functional>
#include <thread>

namespace touchpoint::tests {

// True as soon as `condition` holds; false when it did not within `deadline`.
inline bool wait_for(const std::function<bool()>& condition,
                     std::chrono::milliseconds deadline = std::chrono::seconds(20)) {
    const auto end = std::chrono::steady_clock::now() + deadline;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return condition();
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
}

}  // namespace touchpoint::tests
