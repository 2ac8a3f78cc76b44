// co_await a job on a store::Worker. Asio: include it only where Asio is included anyway.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <memory>
#include <utility>

#include "store/worker.hpp"

namespace touchpoint::uplink {

// Runs `job` on `worker` and comes back on the coroutine's executor. False: the worker's queue is full or it
// is ending, and the job did not run. What the job refers to must live until then.
inline boost::asio::awaitable<bool> run_on(store::Worker& worker, std::function<void()> job) {
    namespace asio = boost::asio;
    // Named, and without captures that own: g++ 12 destroys the captures of an await's temporary twice.
    const auto begin = [&worker, &job](auto handler) {
        const auto executor = asio::get_associated_executor(handler);
        // shared: std::function must be copyable. The handler moves on to the loop, so that it is never
        // touched or destroyed on the worker.
        auto shared = std::make_shared<decltype(handler)>(std::move(handler));
        const auto resume = [shared, executor](bool ran) {
            asio::post(executor, [resumed = std::move(*shared), ran]() mutable { std::move(resumed)(ran); });
        };
        const bool queued = worker.post([resume, work = std::move(job)] {
            work();
            resume(true);
        });
        if (!queued) resume(false);
    };
    const bool ran =
        co_await asio::async_initiate<const asio::use_awaitable_t<>, void(bool)>(begin, asio::use_awaitable);
    co_return ran;
}

}  // namespace touchpoint::uplink
