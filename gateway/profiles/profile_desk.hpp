// The parts of the program that have to do with customers' profiles, put together: the cache's rows, the
// threads that write them and follow the event log, the routes.
//
// Threads: confined to loop, but what names() gives: any.
#pragma once

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/settings.hpp"
#include "devices/pseudonym.hpp"
#include "gateway/core/clock.hpp"
#include "gateway/http.hpp"
#include "gateway/profiles/live_pictures.hpp"
#include "gateway/profiles/loop_lag.hpp"
#include "gateway/profiles/persons.hpp"
#include "gateway/profiles/profile_followers.hpp"
#include "gateway/profiles/profile_read_routes.hpp"
#include "gateway/profiles/profile_reads.hpp"
#include "gateway/profiles/profile_requests.hpp"
#include "gateway/profiles/profile_routes.hpp"
#include "gateway/snapshot.hpp"
#include "store/cache.hpp"
#include "store/event_store.hpp"
#include "store/keys.hpp"
#include "store/pictures.hpp"
#include "store/profiles.hpp"
#include "store/sealed_box.hpp"
#include "store/worker.hpp"
#include "uplink/formats.hpp"
#include "uplink/profile_feed.hpp"
#include "uplink/wanted_fetch.hpp"

namespace touchpoint::gateway {

class ProfileDesk {
  public:
    // Which profiles were read is written down this often: it costs flash, and only decides who leaves first.
    static constexpr std::chrono::seconds write_touches_every{60};
    // Live pictures are written down this often, or when LivePictures::dirty_max changed.
    static constexpr std::chrono::seconds checkpoint_every{30};
    // Events of one job. Between two of them loop is asked, so that it gets its turn.
    static constexpr std::uint64_t followed_at_once = 200;
    // With more changes than this at once, every follower is asked for: that is cheaper.
    static constexpr std::size_t changes_looked_at_max = 512;

    // All of it outlives the desk; `keys` is only looked at.
    struct Parts {
        boost::asio::io_context& loop;
        const Clock& clock;
        store::Cache& cache;
        store::EventStore& store;
        const store::SealedBox& box;
        const store::Keys& keys;
        // As ProfileParts::forgotten.
        std::function<void(const std::string& alias_key)> forgotten;
        // Names of one person were found to be the same: the platform is to hear of it. On loop.
        std::function<void(const Joined&)> joined;
        // As ProfileParts::erase_events.
        std::function<void(std::vector<std::string>, std::function<void(Result<void>)>)> erase_events;
        ProfileRequests::Publish publish;
    };
    ProfileDesk(const Parts& parts, const std::string& gateway_id, const config::ProfileSettings& settings);

    // Under which name an event leaves: for push and pull, on any thread.
    uplink::NamePerson names();

    // Follows the change feed where one is configured. `on_end`: as of Pusher::start.
    void start_feed(const std::string& gateway_id, const std::function<std::uint64_t()>& random,
                    const std::function<void(std::exception_ptr)>& on_end);
    void retry_feed();
    // Before stop(): its last lines need the writer.
    void stop_feed();
    bool feed_ended() const;

    std::vector<Route> local_routes();
    std::vector<Route> platform_routes();
    std::vector<Route> control_routes() { return {erasures_route(parts_)}; }

    // Events have become durable: the live pictures follow. Call it after each horizon.
    void committed();

    // What a device asks for over MQTT.
    void answer(const devices::DeviceAddress& device, const store::Incoming& message,
                std::chrono::milliseconds waited) {
        requests_.answer(device, message, waited);
    }
    // What these (ProfileAnswer::keys) lead to may read otherwise now: who follows it is told.
    void changed(const std::vector<std::string>& keys) { followers_.changed(keys, clock_.steady()); }

    // Call it several times a second.
    void tick(SteadyTime now);
    // As EventErasure::Parts::begins and ended.
    void erasing(const std::vector<std::string>& pseudonyms) { pictures_.erasing(pseudonyms); }
    void erased(const std::vector<std::string>& pseudonyms) { pictures_.erased(pseudonyms); }
    // What is queued is still written, by the time the desk is gone.
    void stop();
    ProfilePicture picture() const;

  private:
    void follow_job();
    static void kept(const Result<void>& written);
    // As ProfileParts::forget.
    std::vector<std::vector<std::string>> forget(const std::vector<std::string>& keys);
    void heard(const std::vector<std::string>& touched);

    void beat();
    bool late() const { return lag_ && lag_->late(clock_.steady()); }

    boost::asio::io_context& loop_;
    const Clock& clock_;
    store::EventStore& store_;
    const devices::Pseudonymiser pseudonymiser_;
    store::Cache& cache_;
    store::Profiles profiles_;
    store::Pictures picture_rows_;
    LivePictures pictures_;
    Persons persons_;
    ProfileReads reads_;
    ProfileFollowers followers_{reads_};
    ProfileRequests requests_;
    const std::chrono::milliseconds answer_within_;
    std::optional<LoopLag> lag_;  // since the loop runs
    boost::asio::steady_timer beat_;
    const std::function<void(const Joined&)> joined_;
    bool following_ = false;                    // a job is posted
    std::atomic<bool> picture_trouble_{false};  // said once
    std::atomic<bool> forgotten_{false};        // somebody was, since the last checkpoint
    SteadyTime checkpointed_{};                 // of the live worker's jobs
    // Reads come before it on a core that both want: with a backlog of 600,000 behind and 5,000 reads/s their
    // p99 was 5.4 ms so, and 7.9 ms without (tests/bench h, 8 runs each).
    static constexpr int live_nice = 5;
    LoadPace pace_;
    store::Worker live_{"live", live_nice};  // these two die before what their jobs write to
    store::Worker writer_{"profiles"};
    ProfileParts parts_;
    SteadyTime touches_written_{};
    const std::optional<uplink::FeedOptions> feed_options_;
    std::optional<uplink::ProfileFeed> feed_;
    std::optional<uplink::WantedFetch> wanted_;
};

}  // namespace touchpoint::gateway
