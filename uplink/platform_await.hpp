// co_await an exchange with the platform. Asio: include it only where Asio is included anyway.
#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <utility>

#include "uplink/platform_client.hpp"

namespace touchpoint::uplink {

// `exchange` is taken; it lives until this returns.
inline boost::asio::awaitable<Answer> exchange_with(PlatformClient& client, Exchange& exchange) {
    namespace asio = boost::asio;
    // Named, and without captures that own: g++ 12 destroys the captures of an await's temporary twice.
    const auto begin = [&client, &exchange](auto handler) {
        // shared: std::function must be copyable.
        auto shared = std::make_shared<decltype(handler)>(std::move(handler));
        client.exchange(std::move(exchange), [shared](Answer answer) {
            auto resumed = std::move(*shared);
            std::move(resumed)(std::move(answer));
        });
    };
    Answer answer = co_await asio::async_initiate<const asio::use_awaitable_t<>, void(Answer)>(
        begin, asio::use_awaitable);
    co_return answer;
}

}  // namespace touchpoint::uplink
