// The live pictures of this store's customers: follows the event log, keeps what changed in memory, and
// writes it down now and then.
//
//     event log ──catch_up──> fold ──> pictures in memory ──checkpoint──> rows (store/pictures.hpp)
//
// Promised
//   A read sees every event up to the durable horizon: whoever has a receipt and asks then, or tells somebody
//   to ask, is answered with it in.
//   After a crash the pictures are what they were: the rows and their place in the log are one transaction,
//   what is behind it is read again, and the store keeps it until then (EventStore::followed_to). Only while
//   the rows cannot be written the store is not held up by them.
//   Events are taken in the order in which they were stored, across streams; within one commit those about
//   persons last, so that the end of a session takes nothing from it.
//   Bounded: dirty_hard_max pictures that are not written down yet, entries_max in memory beside them.
// Not promised
//   While it is further behind than a read may wait for (after a start with a long backlog), a read is given
//   what is there; `behind()` says so.
//
// Threads: any. The log is read and understood under a lock of its own (one thread follows it at a time); the
// lock that a read wants is held for what events_at_once of it change, and for a copy of what a checkpoint
// writes.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "gateway/core/clock.hpp"
#include "gateway/profiles/joined.hpp"
#include "gateway/profiles/picture.hpp"
#include "store/event_reader.hpp"
#include "store/event_store.hpp"
#include "store/pictures.hpp"

namespace touchpoint::gateway {

class LivePictures {
  public:
    static constexpr std::size_t dirty_max = 1024;  // then a checkpoint is due: a flush for each
    // Beyond it the log is not followed until they are written down. One event touches at most seven.
    static constexpr std::size_t dirty_hard_max = 4096;           // well below store::Pictures::rows_max
    static constexpr std::size_t entries_max = 4096;              // about 1 KB each; dirty ones come on top
    static constexpr std::uint64_t position_every = 50'000;       // events that changed nothing
    static constexpr std::uint64_t read_waits_events_max = 2000;  // 10 to 20 ms
    static constexpr std::uint32_t events_at_once = 20;           // 0.2 ms: of each a row may have to be read
    static constexpr std::uint32_t read_ahead_events = 200;       // of each stream
    static constexpr std::chrono::minutes session_idle{30};
    // Of names that are one person, so far may the last change of one be behind the last of another.
    static constexpr std::chrono::hours names_refreshed{24};
    // What nobody has been told yet: beyond it, everybody is told to look again. Of those who were joined
    // everyone is told: the log is not followed while so many wait. So many, too, are known to be told again
    // after a crash.
    static constexpr std::size_t told_max = 4096;

    // `store` and `rows` outlive it. `session_key`: HMAC key of the names that sessions get on the disk.
    LivePictures(store::EventStore& store, store::Pictures& rows, const Clock& clock,
                 std::string session_key);

    // Reads the log up to the horizon, at most about `events_max`. False: there is more. Fails with io.
    Result<bool> catch_up(std::uint64_t events_max);
    // All of it: not for loop. Fails with full, io.
    Result<void> follow();
    std::uint64_t behind() const;

    // Of none of these anything is held here, nor who they were joined with: each() and joined_with() would
    // say nothing. Most customers of a platform never were in this store.
    bool nothing_of(std::span<const std::string> names);
    // The picture of each of these names; and put together.
    std::vector<Picture> each(std::span<const std::string> names);
    Picture of(std::span<const std::string> names);
    // The names that this one was joined with, it among them, in their order.
    std::vector<std::string> joined_with(const std::string& name);

    // These, and all that they were joined with; each once.
    std::vector<std::string> all_names(std::vector<std::string> names);

    // The platform has told how far it has seen these. Names of whom nothing is here cost a look.
    void seen(std::span<const std::string> names, const Seen& seen);

    // The person is to be forgotten: nothing of him is held after the next checkpoint().
    void forget(std::span<const std::string> names);
    // These two follow the log to its end and write down what they did: not for loop. Fail with full, io.
    // The platform says that these are one person, the first one's.
    Result<void> join(const std::vector<std::string>& names);
    // The platform says that they are two: the first ones and the second ones part.
    Result<void> part(std::span<const std::string> ones, std::span<const std::string> others);

    // Writes down what changed. Call it now and then, and when `dirty()` is large. Fails with full, io.
    Result<void> checkpoint();
    std::size_t dirty() const;

    // Whose pictures changed since the last call, for those who follow them.
    std::vector<std::string> take_changed();
    // Names that were found to be one person: the platform is to be told now. Until the message is found in
    // the log they are given again by the next start.
    std::vector<Joined> take_joined();
    // All names of those who would be given.
    std::vector<std::string> names_to_tell() const;
    // Nobody is told of these any more.
    void forget_links(std::span<const std::string> names);
    // The events are about to be without these: until erased() says that they are, of links of theirs nobody
    // is told, and of those that came up to then nobody ever will be. Each erasing() has its erased().
    void erasing(std::span<const std::string> names);
    void erased(std::span<const std::string> names);

  private:
    struct Entry {
        std::string key;
        Picture picture;
        bool dirty = false;
        bool gone = false;
        bool unread = false;  // its row could not be read: it must not be written over
    };
    using Place = std::list<Entry>::iterator;

    // Quarantine holds messages that broke a rule: they say nothing about anybody. Of one commit they are
    // taken in this order.
    static constexpr std::array<Stream, 4> followed_streams = {Stream::telemetry, Stream::interactions,
                                                               Stream::sales, Stream::customer};
    // Entries of which references are held at a time: a session, a person, and one more.
    static constexpr std::ptrdiff_t held_max = 8;
    static constexpr std::chrono::minutes say_again_after{1};
    // So often whoever follows the log steps back for those who wait, before it goes on all the same.
    static constexpr int turns_given_max = 1000;
    static constexpr int follow_stood_max = 5000;  // looks without progress, a millisecond each
    static constexpr int reads_anew_max = 8;

    // What was read ahead of a stream and is not folded yet.
    struct Ahead {
        Sequence sequence = 0;
        UtcTime recorded;
        bool gap = false;
        std::optional<Told> told;
    };
    struct Cursor {
        std::unique_ptr<store::EventReader> reader;
        std::vector<Ahead> ahead;
        std::size_t next = 0;  // of them
        bool at_end = false;   // nothing more up to where the others are read, too
    };

    enum class Part { all, some, no_more };  // no_more: for this time, though there is more

    // mutex_, before whoever follows the log goes on with it.
    std::unique_lock<std::mutex> enter() const;
    static void step_back(const std::atomic<int>& waiting);
    void link(const std::vector<std::string>& names);
    void unlink(std::span<const std::string> ones, std::span<const std::string> others);
    Result<Part> catch_up_some(const PerStream<Sequence>& ends, std::uint64_t& events_max);
    Result<bool> read_ahead(const PerStream<Sequence>& ends);
    std::optional<std::uint64_t> fold_some(const PerStream<Sequence>& ends, std::uint64_t events_max);
    Cursor* next_cursor(const PerStream<Sequence>& ends);
    std::uint64_t folded() const;
    void forget_ahead();
    void note_position();
    void followed();
    void let_go(PerStream<Sequence> last);
    void take(const Told& told);
    void was_told(const std::string& id);
    void drop_links(std::span<const std::string> names);
    // All of them are one from here on, with whom each of them was before; empty: they were already.
    std::vector<std::string> joined(const std::vector<std::string>& names, UtcTime when);
    bool is_forgotten(const Picture& session);
    bool refuses(const Picture& picture) const;
    Result<void> write(std::vector<store::PictureRow>& rows, const store::PicturesPosition& position,
                       UtcTime now);
    void keep_together(const Picture& picture);
    std::vector<std::string> with_joined(std::span<const std::string> names);
    std::string session_name(const Told& told) const;
    Entry& entry(const std::string& key);
    void changed(Entry& entry);
    void changed_again(Entry& entry, bool gone);
    void make_room();
    void tell(const std::string& name);

    store::EventStore& store_;
    store::Pictures& rows_;
    const Clock& clock_;
    const std::string session_key_;

    // As position_ has it, for who only wants to know how far that is.
    std::array<std::atomic<Sequence>, stream_count> folded_{};
    std::mutex following_;  // the cursors; taken before mutex_
    std::atomic<int> waiting_to_follow_{0};
    PerStream<Cursor> cursors_;
    std::uint64_t forgets_seen_ = 0;  // forgets_ when they were read

    std::mutex checkpoint_;                // one at a time; taken before mutex_
    mutable std::mutex mutex_;             // everything below
    mutable std::atomic<int> waiting_{0};  // in enter()
    std::atomic<std::uint64_t> forgets_{0};
    store::PicturesPosition position_;  // changes under following_ as well
    std::list<Entry> entries_;          // used last in front
    std::unordered_map<std::string, Place> at_;
    std::size_t dirty_ = 0;
    std::uint64_t events_since_ = 0;  // the last checkpoint
    bool writing_ = false;
    UtcTime too_many_names_said_;
    std::vector<std::string> changed_names_;
    std::vector<Joined> joined_;                    // not taken yet
    std::unordered_multiset<std::string> leaving_;  // between erasing() and erased()
    std::vector<Joined> telling_;                   // taken, and the message is not in the log yet
    bool told_ = false;                             // less is untold than is written down
};

}  // namespace touchpoint::gateway
