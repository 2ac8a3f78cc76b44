#include "store/worker.hpp"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

namespace touchpoint::store {

Worker::Worker(std::string name, int nice)
    : name_(std::move(name)), nice_(nice), thread_([this] { run(); }) {}

Worker::~Worker() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

bool Worker::post(std::function<void()> job) {
    {
        const std::lock_guard lock(mutex_);
        if (ending_ || jobs_.size() >= queue_max) return false;
        jobs_.push_back(std::move(job));
    }
    wake_.notify_one();
    return true;
}

void Worker::run() {
    pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
    // Of this thread alone, as Linux does it. Where it is refused it is as before.
    if (nice_ != 0) (void)setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), nice_);
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
        if (jobs_.empty()) return;
        std::function<void()> job = std::move(jobs_.front());
        jobs_.pop_front();
        lock.unlock();
        job();
        job = nullptr;  // what it holds dies outside the lock
        lock.lock();
    }
}

}  // namespace touchpoint::store
