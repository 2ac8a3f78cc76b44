// An io_context on a thread of its own, as the daemon's loop is; steps are run on it and waited for.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <future>
#include <thread>

namespace touchpoint::tests {

class LoopThread {
  public:
    LoopThread() : guard_(boost::asio::make_work_guard(loop_)), thread_([this] { loop_.run(); }) {}
    // REQUIRES: what was made on the loop is gone or stopped.
    ~LoopThread() {
        guard_.reset();
        loop_.stop();
        thread_.join();
    }
    boost::asio::io_context& loop() { return loop_; }
    void on_loop(const std::function<void()>& step) {
        std::promise<void> done;
        boost::asio::post(loop_, [&] {
            step();
            done.set_value();
        });
        done.get_future().wait();
    }

  private:
    boost::asio::io_context loop_;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
    std::thread thread_;
};

}  // namespace touchpoint::tests
