// The event store behind its door: what callers and the store thread share. event_store.cpp has what callers
// do, committer.cpp what the store thread does.
//
// Threads: as the members say.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "store/bounds.hpp"
#include "store/event_log.hpp"
#include "store/event_store.hpp"
#include "store/positions.hpp"
#include "store/reader_source.hpp"
#include "store/retention.hpp"

namespace touchpoint::store {

inline constexpr std::size_t gaps_waiting_max = 20'000;      // twice the largest batch
inline constexpr std::uint64_t fill_ahead_bytes = 2u << 20;  // beyond what the next commit can need

class EventStore::Impl {
  public:
    using Done = std::function<void(Result<void>)>;

    Impl(Options options, Cache& cache, const Clock& clock)
        : options_(std::move(options)),
          cache_(cache),
          clock_(clock),
          retention_({options_.age_max, options_.consumer_age_max, options_.consumer_bytes_max,
                      options_.removed_age_max}) {}
    ~Impl() { stop(); }

    Result<void> open();
    void start(JournalPosition journal, std::function<void(HorizonNote)> on_horizon,
               std::function<void(Error)> on_failure);
    void stop();
    Result<void> submit(Submission&& submission);
    bool has_room(std::size_t events) const;
    bool disk_full() const;
    Result<void> acknowledge(const std::string& consumer, Stream stream, Sequence last);
    Result<void> put_consumer(const ConsumerSpec& spec, From from);
    Result<void> erase_consumer(const std::string& name);
    Result<void> seek(const std::string& consumer, const PerStream<std::optional<Sequence>>& acknowledged);
    void followed_to(const PerStream<Sequence>& last);
    void touch(const std::string& consumer);
    void when_durable(Done done);
    void record_gap(Gap gap);
    bool has_gap_room(std::size_t gaps) const;
    Sequence acknowledged(const std::string& consumer, Stream stream) const;
    StoreStats stats() const;

    std::optional<JournalPosition> journal_position_;
    std::string epoch_;
    std::shared_ptr<EventReader::Source> source_ = std::make_shared<EventReader::Source>();

  private:
    using Steady = std::chrono::steady_clock;  // only for how long the committer waits; never stored

    // A submission among others: it is written whole, with its journal position.
    struct Part {
        std::size_t events = 0;  // ends before this one of Work::events
        std::uint64_t journal_end = 0;
        std::size_t bytes = 0;
    };
    struct Work {
        std::vector<Event> events;
        std::vector<Identity> identities;
        std::vector<std::string> erased;  // pseudonyms
        std::uint64_t journal_end = 0;
        std::size_t bytes = 0;
        std::vector<Gap> gaps;
        Positions::Changes consumers;  // rows to write
        std::vector<Done> waiters;     // want to know when all of this is durable
        std::vector<Part> parts;       // what was submitted together; their ends in the above
        Retention::Look look;
        std::vector<Retention::Release> releases;
        // All of them as they will stand with this transaction: only what is written may decide a delete.
        Positions::ByName positions;
        PerStream<Sequence> followed;
        bool let_go = false;  // what the follower alone has held
    };
    // Committed, and not yet known to be durable.
    struct Unflushed {
        bool any = false;
        std::uint64_t commit = 0;
        Steady::time_point began;
        PerStream<Sequence> last;
        std::uint64_t journal_end = 0;
        std::vector<Settled> settled;
        std::size_t gaps = 0;
        std::vector<Done> waiters;
    };

    // The detail is for the gap rows of a new environment that follows on another; empty: there was none.
    Result<void> open_environment(const std::string& old_epoch_detail);
    Now now() const { return {clock_.utc(), clock_.trusted()}; }
    void write_soon();  // REQUIRES: mutex_ held; wake_ is the caller's
    void run();
    std::optional<Error> serve();
    static void answer(std::vector<Done>& waiters, const Result<void>& result);
    void end_waiters(const Error& why);
    bool wait_for_work(Work& work);
    bool due(Steady::time_point now) const;  // REQUIRES: mutex_ held
    // `tight`: it may find no room. REQUIRES: then nothing is unflushed.
    Result<void> commit(Work& work, Unflushed& done, bool tight);
    Result<void> make_room(Work& work);
    static Work split(Work& work, std::size_t parts);
    bool sheddable() const;
    Held held(Stream stream) const;
    void leave_out_absence();                          // REQUIRES: mutex_ held
    void forget_removed(const Retention::Look& look);  // REQUIRES: mutex_ held
    void plan_releases(Work& work);
    void plan_expiry(const Retention::Look& look);
    bool expiry_waits() const;
    using Unsettled = std::vector<EventReader::Source::Unsettled>;
    Result<void> release(Transaction& txn, const Retention::Release& one, UtcTime now, Unsettled& gone);
    Result<void> give_up(Transaction& txn, UtcTime now, Unsettled& gone);
    void put_back(Work&& work, std::chrono::milliseconds retry_in);
    void block(const std::string& why);
    void unblock();
    void watch_bound();
    void judge_bound();
    void keep_identities(std::vector<Identity>& fresh);
    void drop_identities(Work& work);
    static void take_persons_out(std::vector<Event>& events, const std::vector<std::string>& erased);
    Result<void> room_to_erase(const std::vector<std::string>& pseudonyms) const;  // REQUIRES: mutex_ held
    void persons_erased(const Work& work);
    bool more_waits(Steady::time_point now) const;
    bool gives_up() const;
    bool may_find_no_room() const;
    Result<void> flush();
    Result<void> settle(Unflushed& before);
    void publish(Unflushed& done);
    void measure(Steady::time_point now);
    void refresh_stats();
    void refresh_waiting(Steady::time_point now);
    std::map<std::string, PerStream<UtcTime>> waiting_since() const;
    PerStream<Sequence> before_oldest() const;

    Options options_;
    Cache& cache_;
    const Clock& clock_;
    JournalPosition journal_;
    std::function<void(HorizonNote)> on_horizon_;
    std::function<void(Error)> on_failure_;

    // Confined to the store thread once it runs.
    std::optional<EventLog> log_;
    std::size_t gaps_taken_ = 0;  // of source_->gaps: in a transaction that is not durable yet
    Steady::time_point live_measured_{};
    Steady::time_point waiting_looked_{};
    std::uint64_t live_bytes_ = 0;
    bool more_to_prune_ = false;
    Room room_;
    Marks marks_;
    bool stuck_ = false;     // the disk has no room to make the file longer
    bool shedding_ = false;  // down to the low water
    std::optional<Steady::time_point> shed_said_;
    // Used bytes when a commit found no place in a file that is stuck: more must go.
    std::optional<std::uint64_t> cramped_;
    bool failed_ = false;           // the last commit did
    bool shed_again_ = false;       // there is more to shed, at once
    std::uint64_t shed_bytes_ = 0;  // to be shed with this commit
    Retention retention_;
    std::optional<UtcTime> settled_now_;  // of the last look: a time that ages may be decided by
    bool absence_left_out_ = false;
    std::chrono::milliseconds opened_since_boot_{};
    PerStream<Sequence> expire_through_;
    PerStream<Sequence> expiry_looked_;

    // What the cache did not take: tried again with a commit, but not before identities_retry_.
    std::vector<Identity> kept_identities_;
    Steady::time_point identities_retry_{};
    Steady::duration identities_pause_{};

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    // Guarded by mutex_.
    Work waiting_;
    bool urgent_ = false;
    std::optional<Steady::time_point> deadline_;
    bool blocked_ = false;  // the disk has no room for what waits: deletes and acknowledgements go on
    bool closed_ = false;   // there is room only for what was taken over already
    bool stopping_ = false;
    bool ended_ = false;          // the thread has ended: nobody answers waiters any more
    bool waited_ = false;         // somebody waits for what is said so far to be durable
    PerStream<Sequence> oldest_;  // positions before the oldest event held, as of the last commit
    Positions positions_;
    PerStream<Sequence> followed_;  // EventStore::followed_to()
    bool follower_holds_ = false;   // something, alone
    bool follower_moved_ = false;   // since then
    StoreStats stats_;

    std::thread thread_;
};

}  // namespace touchpoint::store
