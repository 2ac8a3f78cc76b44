// Asks the platform for customers whom a touchpoint asked for and who are not here. No touchpoint waits for
// it.
//
//     wanted ──> POST wanted_url {"wanted":[..]} ──> lines of the feed ──> writer
//
// Promised
//   At most one question is on its way, one a second, of at most wanted_max. Who was asked for is not asked
//   for again until whoever gives them says so.
//
// On the wire: uplink/README.md, "Wanted".
//
// Threads: confined to the loop; lines are mapped and written on `writer`.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gateway/core/clock.hpp"
#include "uplink/options.hpp"
#include "uplink/profile_feed.hpp"

namespace touchpoint::uplink {

class WantedFetch {
  public:
    static constexpr std::chrono::milliseconds every{1000};
    static constexpr std::size_t wanted_max = 100;

    // All of it outlives the fetch.
    struct Parts {
        boost::asio::io_context& loop;
        const Clock& clock;
        store::Worker& writer;
        const ProfileMapping* mapping = nullptr;
        WriteLines write;
        std::function<std::uint64_t()> random;
        // Whom to ask for now, as the platform shall see them.
        std::function<std::vector<std::string>(std::size_t max)> wanted;
        // The last of these were not answered.
        std::function<void()> unanswered;
    };

    // REQUIRES: options.wanted_url is not empty
    WantedFetch(FeedOptions options, std::string gateway_id, Parts parts);
    // REQUIRES: never started, or ended().
    ~WantedFetch();
    WantedFetch(const WantedFetch&) = delete;
    WantedFetch& operator=(const WantedFetch&) = delete;

    void start(std::function<void(std::exception_ptr)> on_end);
    void retry_now();
    void stop();
    bool ended() const;
    FeedStats stats() const;

  private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace touchpoint::uplink
