#include "tests/gateway/held_flush.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>

namespace {

std::mutex mutex;
std::condition_variable go;
int passing_left = -1;  // negative: nothing is held
bool held = false;

}  // namespace

extern "C" int tp_fdatasync(int fd) __asm__("fdatasync");
extern "C" int tp_fdatasync(int fd) {
    {
        std::unique_lock lock(mutex);
        if (passing_left >= 0 && passing_left-- == 0) {
            held = true;
            go.wait(lock, [] { return !held; });
        }
    }
    return static_cast<int>(::syscall(SYS_fdatasync, fd));
}

namespace touchpoint::tests {

HeldFlush::HeldFlush(int passing) {
    const std::lock_guard lock(mutex);
    passing_left = passing;
}

bool HeldFlush::holds() const {
    const std::lock_guard lock(mutex);
    return held;
}

void HeldFlush::let_go() {
    const std::lock_guard lock(mutex);
    passing_left = -1;
    held = false;
    go.notify_all();
}

}  // namespace touchpoint::tests
