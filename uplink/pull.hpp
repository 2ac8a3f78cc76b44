// The platform pulls: named consumers, long polls, acknowledgements, seeks, gaps; as plain values, for
// whatever carries them (gateway/platform_routes.hpp: HTTP).
//
//     read ──> claim the place ──> read, filter, format, compress (reader) ──> answer, with the next cursor
//     acknowledge, put, seek, erase ──> event store ──> flush ──> answer
//
// Promised
//   In order   Within a stream; what is answered follows the consumer's position without a hole, or begins
//              with the gap that explains it. Nothing beyond the durable horizon.
//   Said, done A change is answered when a power cut cannot take it back. Only an `ack` that came with a read
//              is answered before: it rides the next commit and may be said again.
//   One reader A name serves one reader at a time (pull_seats.hpp).
//   Bounded    requests_max at once, each with at most one body of body_bytes_max (or one event) in memory;
//              a request that filters reads at most scan_bytes_max before others have their turn.
// Not promised
//   Once: an answer can be lost, and is then given again. An order between streams.
//
// Threads: confined to the loop; `done` is called on the loop, perhaps before the call returns. Reading and
// compression run on the `reader` worker.
// On the wire: uplink/README.md, "Pull".
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "gateway/core/clock.hpp"
#include "gateway/core/streams.hpp"
#include "store/event_store.hpp"
#include "uplink/formats.hpp"
#include "uplink/options.hpp"
#include "uplink/pull_page.hpp"
#include "uplink/pull_refusal.hpp"

namespace boost::asio {
class io_context;
}
namespace touchpoint::store {
class Worker;
}

namespace touchpoint::uplink {

inline constexpr PerStream<bool> default_streams{{true, true, true, true, false}};

// A place to read from. Of `sequences`: the next event of the stream; streams without a number stay.
struct PullPlace {
    enum class Kind { oldest, latest, time, cursor, sequences };
    Kind kind = Kind::oldest;
    UtcTime time;
    std::string cursor;
    PerStream<std::optional<Sequence>> sequences;
};

struct PullRead {
    std::string consumer;                    // empty: ad hoc, from `place`
    PullPlace place;                         // not `sequences`
    std::optional<PerStream<bool>> streams;  // some of the consumer's; nothing: all of them
    TypeFilter types;
    std::size_t events_max = 1000;      // items: events and gaps
    std::size_t bytes_max = 1u << 20;   // of the body before compression; one item is always given
    std::chrono::milliseconds wait{0};  // for something to give
    std::string ack;                    // a cursor; empty: nothing
    std::string reader;                 // its id; empty: nobody in particular
    bool take_over = false;
    Format format = Format::ndjson;
    Compression compression = Compression::none;
};

struct PullBody {
    std::size_t items = 0;  // 0: nothing to give, but the cursor may have moved over what was not wanted
    std::string body;       // compressed
    std::string next_cursor;
    std::uint64_t lag = 0;  // numbers behind this answer, up to the horizon
    UtcTime oldest;         // recorded time of its oldest event; 0: none in it
};

// A consumer, as the platform and a technician see it.
struct PullPicture {
    store::ConsumerState state;
    PerStream<Sequence> horizon;
    PerStream<std::uint64_t> lag;
    PerStream<UtcTime> oldest;  // recorded time of the oldest event that waits; 0: nothing does
    std::string cursor;         // where it stands
    bool created = false;       // by this put
};

struct GapsWanted {
    std::optional<Stream> stream;  // nothing: of all, one after the other
    Stream after_stream = Stream::customer;
    Sequence after = 0;  // of after_stream
    std::size_t max = 100;
};
struct GapsPage {
    std::vector<store::Gap> gaps;
    bool more = false;
};

class Pull {
  public:
    static constexpr std::size_t requests_max = 64;    // at once; each waiting poll is one
    static constexpr std::size_t events_max = 10'000;  // of one answer
    static constexpr std::size_t body_bytes_max = 1u << 20;
    static constexpr std::size_t scan_bytes_max = 4u << 20;
    static constexpr std::size_t gaps_max = 1'000;  // rows of one page
    static constexpr std::chrono::milliseconds wait_max{60'000};

    // All of them must outlive the pull.
    struct Parts {
        boost::asio::io_context& loop;
        store::EventStore& store;
        store::Worker& reader;
        const Clock& clock;
        NamePerson name = {};  // under which names persons leave
    };

    Pull(std::string gateway_id, std::string store_id, Parts parts);
    // REQUIRES: ended()
    ~Pull();
    Pull(const Pull&) = delete;
    Pull& operator=(const Pull&) = delete;

    // REQUIRES: limits as above. The number is for abandon(); it is not used again.
    std::uint64_t read(PullRead wanted, Done<PullBody> done);
    // Its client has gone: the place is free, nothing is answered. Does nothing when it is answered already.
    void abandon(std::uint64_t request);

    void acknowledge(const std::string& consumer, const std::string& cursor, const std::string& reader,
                     Done<PullPicture> done);
    // A new consumer begins at `from`; an existing one keeps its position (a stream that it did not read
    // before begins at `from`). No streams: the present ones, or default_streams.
    void put(const std::string& consumer, std::optional<PerStream<bool>> streams, store::From from,
             Done<PullPicture> done);
    void erase(const std::string& consumer, Done<std::monostate> done);
    void seek(const std::string& consumer, PullPlace place, const std::string& reader, bool take_over,
              Done<PullPicture> done);
    void describe(const std::string& consumer, Done<PullPicture> done);
    void describe_all(Done<std::vector<PullPicture>> done);
    void gaps(const GapsWanted& wanted, Done<GapsPage> done);

    const std::string& epoch() const;

    // The horizon moved. Cheap: call it after every flush.
    void notify();
    // Refuses what waits and what comes ("stopping").
    void stop();
    bool ended() const { return requests() == 0; }
    std::size_t requests() const;  // that are not answered yet

  private:
    class Impl;
    std::shared_ptr<Impl> impl_;  // shared with the requests that are being answered
};

}  // namespace touchpoint::uplink
