// Follows the platform's change feed of profiles: asks for what is new behind a continuation token, gives the
// lines to whoever writes profiles, and keeps the token once they are durable.
//
//     GET url?after=&wait=&gateway= ──> lines ──> writer: write, keep the token ──> again
//
// Promised
//   No change is skipped: the token moves only over lines that a power cut cannot take back. Some come twice;
//   an older version never wins.
//   A full resync (at the first start, at 410, when the feed says so) takes nobody away before its end; then
//   those leave that it did not name, a few in each transaction.
//   stop() ends it within a second, also inside an exchange.
//
// On the wire: uplink/README.md, "The change feed".
//
// Threads: confined to the loop; lines are mapped and written on `writer`.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "gateway/core/clock.hpp"
#include "uplink/options.hpp"
#include "uplink/profile_mapping.hpp"
#include "uplink/stats.hpp"

namespace boost::asio {
class io_context;
}
namespace touchpoint::store {
class Cache;
class Profiles;
class Worker;
}  // namespace touchpoint::store

namespace touchpoint::uplink {

struct LinesWritten {
    bool stored = false;  // false: the cache cannot be written; they must come again
    std::uint64_t refused = 0;
    std::string why{};  // of the first one, naming nobody
};
// Called on the writer. Durable when it returns. `not_before`: when they count as heard, at least.
using WriteLines = std::function<LinesWritten(std::span<const std::string_view> lines, UtcTime not_before)>;

// Lines as they came, or what a mapping makes of them. Adds to `refused` what it cannot map, and logs once
// what was refused.
LinesWritten write_mapped(const ProfileMapping* mapping, std::span<const std::string_view> lines, UtcTime now,
                          UtcTime not_before, const WriteLines& write);

class ProfileFeed {
  public:
    // Between two questions that brought nothing, however fast the platform answers.
    static constexpr std::chrono::milliseconds pause{1000};
    static constexpr std::size_t drops_a_commit = 64;

    // All of it outlives the feed.
    struct Parts {
        boost::asio::io_context& loop;
        const Clock& clock;
        store::Worker& writer;
        store::Cache& cache;
        store::Profiles& profiles;
        const ProfileMapping* mapping = nullptr;
        WriteLines write;
        std::function<std::uint64_t()> random;  // 64 random bits a call: the jitter
    };

    ProfileFeed(FeedOptions options, std::string gateway_id, Parts parts);
    // REQUIRES: never started, or ended().
    ~ProfileFeed();
    ProfileFeed(const ProfileFeed&) = delete;
    ProfileFeed& operator=(const ProfileFeed&) = delete;

    // `on_end`: as of Pusher::start.
    void start(std::function<void(std::exception_ptr)> on_end);
    // Ends a wait before the next try.
    void retry_now();
    void stop();
    bool ended() const;
    FeedStats stats() const;

  private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace touchpoint::uplink
