// A named thread that runs jobs in order: `reader` is one. The queue is bounded; a job never waits for
// another.
//
// Threads: post() from any thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace touchpoint::store {

class Worker {
  public:
    static constexpr std::size_t queue_max = 256;  // one job per push destination, pull client or request

    // `nice`: how far it gives way to other threads (setpriority(2), 0 to 19) where they want the same core.
    explicit Worker(std::string name, int nice = 0);
    ~Worker();  // runs what is queued, then ends
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    // False: the queue is full, or the worker is ending.
    bool post(std::function<void()> job);

  private:
    void run();

    std::string name_;
    const int nice_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> jobs_;
    bool ending_ = false;
    std::thread thread_;
};

}  // namespace touchpoint::store
