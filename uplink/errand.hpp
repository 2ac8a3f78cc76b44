// What goes to the platform again and again on its own: a coroutine on the loop with a connection and a pause
// between two goes. Pusher, ProfileFeed and WantedFetch are three of them.
//
//     start ──> run() ──pause(), client()──> ... ──stop──> on_end
//
// Promised
//   stop() ends it within a second, also inside a pause or an exchange; it lives until on_end was called.
//
// Threads: confined to the loop.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "gateway/core/assert.hpp"
#include "gateway/core/clock.hpp"
#include "uplink/platform_client.hpp"

namespace touchpoint::uplink {

class Errand : public std::enable_shared_from_this<Errand> {
  public:
    virtual ~Errand() = default;

    // REQUIRES: never started. `on_end` is called once, with what run() has thrown.
    void start(std::function<void(std::exception_ptr)> on_end) {
        TP_ASSERT(!running_);
        running_ = true;
        boost::asio::co_spawn(
            loop_, run(),
            [self = shared_from_this(), on_end = std::move(on_end)](std::exception_ptr failure) {
                self->running_ = false;
                on_end(std::move(failure));
            });
    }
    // Ends a pause before the next go.
    void retry_now() { timer_.cancel(); }
    void stop() {
        stopping_ = true;
        timer_.cancel();
        client_.cancel();
    }
    bool running() const { return running_; }

  protected:
    Errand(boost::asio::io_context& loop, const PushOptions& options)
        : loop_(loop), client_(loop, options), timer_(loop) {}

    // Until stopping().
    virtual boost::asio::awaitable<void> run() = 0;

    boost::asio::awaitable<void> wait(std::chrono::milliseconds time) {
        if (stopping_) co_return;
        timer_.expires_after(time);
        co_await timer_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    }
    // Empty: until retry_now().
    boost::asio::awaitable<void> wait_at_most(std::optional<std::chrono::nanoseconds> time) {
        if (stopping_) co_return;
        if (time)
            timer_.expires_after(*time);
        else
            timer_.expires_at(boost::asio::steady_timer::time_point::max());
        co_await timer_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    }
    bool stopping() const { return stopping_; }
    PlatformClient& client() { return client_; }

  private:
    boost::asio::io_context& loop_;
    PlatformClient client_;
    boost::asio::steady_timer timer_;
    bool stopping_ = false;
    bool running_ = false;
};

}  // namespace touchpoint::uplink
