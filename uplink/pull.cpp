#include "uplink/pull.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>

#include "gateway/core/assert.hpp"
#include "gateway/core/log.hpp"
#include "store/worker.hpp"
#include "uplink/cursor.hpp"
#include "uplink/pull_impl.hpp"
#include "uplink/worker_await.hpp"

namespace touchpoint::uplink {

namespace asio = boost::asio;
using std::chrono::seconds;

namespace {

// Rows of all streams, one stream behind the other. Rows that end at one number stay together: the next page
// begins behind it.
GapsPage read_gaps(const GapsWanted& wanted, const store::EventReader& reader, bool& failed) {
    GapsPage page;
    for (const Stream stream : all_streams) {
        if (wanted.stream ? stream != *wanted.stream : stream < wanted.after_stream) continue;
        const Sequence after = stream == wanted.after_stream ? wanted.after : 0;
        // One more than there is room for: whether there is more.
        const std::size_t room = wanted.max - std::min(wanted.max, page.gaps.size());
        auto rows = reader.gaps(stream, after, std::nullopt, room + 1);
        if (!rows) {
            failed = true;
            return page;
        }
        for (store::Gap& row : *rows) {
            const bool behind = page.gaps.empty() || page.gaps.back().stream != row.stream ||
                                page.gaps.back().last != row.last;
            if (page.gaps.size() >= wanted.max && behind) {
                page.more = true;
                return page;
            }
            page.gaps.push_back(std::move(row));
        }
    }
    return page;
}

}  // namespace

PerStream<Sequence> Pull::Impl::horizon() const {
    PerStream<Sequence> all;
    for (const Stream stream : all_streams) all[stream] = parts_.store.horizon(stream);
    return all;
}

Extent Pull::Impl::extent() const { return {origin_.epoch, parts_.store.stats().first, horizon()}; }

PerStream<std::uint64_t> Pull::Impl::waiting(const PerStream<bool>& streams,
                                             const PerStream<Sequence>& position) const {
    PerStream<std::uint64_t> counts;
    for (const Stream stream : all_streams) {
        const Sequence end = parts_.store.horizon(stream);
        if (streams[stream] && end > position[stream]) counts[stream] = end - position[stream];
    }
    return counts;
}

Pulled<store::ConsumerState> Pull::Impl::pull_consumer(const std::string& name) const {
    for (store::ConsumerState& state : parts_.store.stats().consumers) {
        if (state.name != name) continue;
        if (state.kind == store::ConsumerKind::push)
            return refusal(PullFault::push_destination,
                           "'" + name + "' is a push destination: it reads by itself; take another name");
        return std::move(state);
    }
    return refusal(PullFault::no_consumer,
                   "there is no consumer '" + name + "'; make it with PUT /v1/consumers/" + name);
}

// Acknowledges what `cursor` says of `streams`.
std::optional<Refusal> Pull::Impl::apply(const std::string& consumer, const PerStream<bool>& streams,
                                         const std::string& cursor) {
    const auto checked = checked_cursor(cursor, {origin_.epoch, {}, horizon()});
    if (!checked) return checked.error();
    for (const Stream stream : all_streams)
        if (streams[stream] && checked->positions[stream])
            if (!parts_.store.acknowledge(consumer, stream, *checked->positions[stream]))
                return refusal(PullFault::no_consumer, "the consumer was deleted meanwhile");
    return std::nullopt;
}

asio::awaitable<std::optional<Refusal>> Pull::Impl::durable() {
    // Named, and without captures that own: g++ 12 destroys the captures of an await's temporary twice.
    const auto begin = [this](auto handler) {
        // shared: std::function must be copyable. The handler moves on to the loop before it is used.
        auto shared = std::make_shared<decltype(handler)>(std::move(handler));
        parts_.store.when_durable([shared, &loop = parts_.loop](const Result<void>& flushed) {
            const bool ok = flushed.has_value();
            asio::post(loop, [resumed = std::move(*shared), ok]() mutable { std::move(resumed)(ok); });
        });
    };
    const bool flushed =
        co_await asio::async_initiate<const asio::use_awaitable_t<>, void(bool)>(begin, asio::use_awaitable);
    if (flushed) co_return std::nullopt;
    co_return refusal(PullFault::store_io, "it could not be written to the disk; try again", seconds(5));
}

asio::awaitable<Pulled<std::vector<PullPicture>>> Pull::Impl::pictures(
    std::vector<store::ConsumerState> states) {
    const auto all = std::make_shared<std::vector<PullPicture>>();  // of this and of the job on the reader
    for (store::ConsumerState& state : states) {
        PullPicture one;
        one.horizon = horizon();
        one.lag = waiting(state.streams, state.acknowledged);
        Cursor cursor;
        cursor.epoch = origin_.epoch;
        for (const Stream stream : all_streams)
            if (state.streams[stream]) cursor.positions[stream] = state.acknowledged[stream];
        one.cursor = encode(cursor);
        one.state = std::move(state);
        all->push_back(std::move(one));
    }
    // Named: see durable().
    const std::function<void()> job = [all, &store = parts_.store] {
        for (PullPicture& one : *all)
            for (const Stream stream : all_streams) {
                if (one.lag[stream] == 0) continue;
                const auto slice =
                    store.make_reader()->read(stream, one.state.acknowledged[stream], one.state.name, {1, 1});
                if (slice && !slice->events.empty()) one.oldest[stream] = slice->events.front().recorded;
            }
    };
    const bool ran = co_await run_on(parts_.reader, job);
    if (!ran) co_return reader_busy();
    co_return std::move(*all);
}

void Pull::Impl::describe(std::optional<std::string> consumer, const Done<std::vector<PullPicture>>& done) {
    if (!admit(done)) return;
    std::vector<store::ConsumerState> states = parts_.store.stats().consumers;
    if (consumer) std::erase_if(states, [&](const auto& state) { return state.name != *consumer; });
    if (consumer && states.empty()) return done(pull_consumer(*consumer).error());
    spawn<std::vector<PullPicture>>(
        described(std::move(states)),
        [self = shared_from_this(), done](auto result) { done(std::move(result)); });
}

// What came with a read may not be written yet: a position is shown when a crash cannot take it back.
asio::awaitable<Pulled<std::vector<PullPicture>>> Pull::Impl::described(
    std::vector<store::ConsumerState> states) {
    if (auto refused = co_await durable()) co_return std::move(*refused);
    auto all = co_await pictures(std::move(states));
    co_return all;
}

asio::awaitable<Pulled<PullPicture>> Pull::Impl::picture(std::string consumer) {
    auto state = pull_consumer(consumer);
    if (!state) co_return state.error();
    std::vector<store::ConsumerState> states{std::move(*state)};
    auto all = co_await pictures(std::move(states));
    if (!all) co_return all.error();
    co_return std::move(all->front());
}

// What was said is in the store's hands: waits for the flush, then shows where the consumer stands.
asio::awaitable<Pulled<PullPicture>> Pull::Impl::acknowledged(std::string consumer) {
    if (auto refused = co_await durable()) co_return std::move(*refused);
    auto shown = co_await picture(std::move(consumer));
    co_return shown;
}

void Pull::Impl::acknowledge(const std::string& consumer, const std::string& cursor,
                             const std::string& reader, const Done<PullPicture>& done) {
    if (!admit(done)) return;
    const auto state = pull_consumer(consumer);
    if (!state) return done(state.error());
    if (auto refused = apply(consumer, state->streams, cursor)) return done(std::move(*refused));
    seats_.seen(consumer, reader, parts_.clock.steady());
    spawn<PullPicture>(acknowledged(consumer),
                       [self = shared_from_this(), done](auto result) { done(std::move(result)); });
}

void Pull::Impl::put(const std::string& consumer, std::optional<PerStream<bool>> streams, store::From from,
                     const Done<PullPicture>& done) {
    if (!admit(done)) return;
    const auto present = pull_consumer(consumer);
    if (!present && present.error().fault == PullFault::push_destination) return done(present.error());
    const store::ConsumerSpec spec{consumer, streams.value_or(present ? present->streams : default_streams)};
    if (const auto put = parts_.store.put_consumer(spec, from); !put) {
        const bool full = put.error().code == Errc::full;
        return done(
            refusal(full ? PullFault::too_many_consumers : PullFault::bad_request, put.error().context));
    }
    if (!present) log::info("uplink", "consumer made", {{"consumer", consumer}});
    const bool created = !present;
    spawn<PullPicture>(acknowledged(consumer),
                       [self = shared_from_this(), done, created](Pulled<PullPicture> result) {
                           if (result) result->created = created;
                           done(std::move(result));
                       });
}

asio::awaitable<Pulled<std::monostate>> Pull::Impl::erased() {
    if (auto refused = co_await durable()) co_return std::move(*refused);
    co_return std::monostate{};
}

void Pull::Impl::erase(const std::string& consumer, const Done<std::monostate>& done) {
    if (!admit(done)) return;
    if (const auto erased = parts_.store.erase_consumer(consumer); !erased) {
        const auto why = pull_consumer(consumer);
        return done(why ? refusal(PullFault::no_consumer, erased.error().context) : why.error());
    }
    const auto seat = seats_.look(consumer, "", true, parts_.clock.steady());
    if (const auto found = seat.displaced ? polls_.find(*seat.displaced) : polls_.end();
        found != polls_.end())
        end(found->second, refusal(PullFault::no_consumer, "the consumer was deleted"));
    seats_.forget(consumer);
    log::info("uplink", "consumer deleted", {{"consumer", consumer}});
    spawn<std::monostate>(erased(),
                          [self = shared_from_this(), done](auto result) { done(std::move(result)); });
}

void Pull::Impl::seek(const std::string& consumer, PullPlace place, const std::string& reader, bool take_over,
                      const Done<PullPicture>& done) {
    if (!admit(done)) return;
    const auto state = pull_consumer(consumer);
    if (!state) return done(state.error());
    for (const Stream stream : all_streams)
        if (place.sequences[stream] && !state->streams[stream])
            return done(
                refusal(PullFault::bad_request, "this consumer does not read " + std::string(name(stream))));
    const std::uint64_t id = ++last_id_;
    const SteadyTime now = parts_.clock.steady();
    // A reader at work would acknowledge what it got before, and undo the seek.
    const auto claim = seats_.claim(consumer, reader, take_over, id, now, now + seek_max);
    if (!claim.granted)
        return done(refusal(PullFault::consumer_busy,
                            "somebody reads as this consumer; stop it first, or say take_over=true",
                            claim.retry_after));
    displace(claim.displaced);
    spawn<PullPicture>(sought(consumer, std::move(place)),
                       [self = shared_from_this(), done, consumer, id](auto result) {
                           self->seats_.release(consumer, id, self->parts_.clock.steady());
                           done(std::move(result));
                       });
}

asio::awaitable<Pulled<PullPicture>> Pull::Impl::sought(std::string consumer, PullPlace place) {
    const auto state = pull_consumer(consumer);
    if (!state) co_return state.error();
    struct Job {  // of this and of the job on the reader
        PullPlace place;
        std::string consumer;
        PerStream<bool> streams;
        Extent now;
        Pulled<Positions> found = Positions{};
        std::optional<Refusal> gone;
    };
    const auto job = std::make_shared<Job>();
    job->place = std::move(place);
    job->consumer = consumer;
    job->streams = state->streams;
    job->now = extent();
    const std::function<void()> task = [job, &store = parts_.store] {
        const auto reader = store.make_reader();
        job->found = positions_of(job->place, job->streams, job->now, *reader);
        const bool exact =
            job->place.kind == PullPlace::Kind::cursor || job->place.kind == PullPlace::Kind::sequences;
        if (job->found && exact) job->gone = gone_before(*job->found, job->now, job->consumer, *reader);
    };
    const bool ran = co_await run_on(parts_.reader, task);
    if (!ran) co_return reader_busy();
    if (!job->found) co_return job->found.error();
    if (job->gone) co_return std::move(*job->gone);
    if (!parts_.store.seek(consumer, *job->found))
        co_return refusal(PullFault::no_consumer, "the consumer was changed or deleted meanwhile");
    log::info("uplink", "consumer moved", {{"consumer", consumer}});
    auto moved = co_await acknowledged(consumer);
    co_return moved;
}

asio::awaitable<Pulled<GapsPage>> Pull::Impl::gap_page(GapsWanted wanted) {
    struct Job {  // of this and of the job on the reader
        GapsPage page;
        bool failed = false;
    };
    const auto job = std::make_shared<Job>();
    const std::function<void()> task = [job, wanted, &store = parts_.store] {
        job->page = read_gaps(wanted, *store.make_reader(), job->failed);
    };
    const bool ran = co_await run_on(parts_.reader, task);
    if (!ran) co_return reader_busy();
    if (job->failed) co_return refusal(PullFault::store_io, "the store cannot be read", seconds(5));
    co_return std::move(job->page);
}

void Pull::Impl::gaps(const GapsWanted& wanted, const Done<GapsPage>& done) {
    TP_ASSERT(wanted.max >= 1 && wanted.max <= gaps_max);
    if (!admit(done)) return;
    spawn<GapsPage>(gap_page(wanted),
                    [self = shared_from_this(), done](auto result) { done(std::move(result)); });
}

Pull::Pull(std::string gateway_id, std::string store_id, Parts parts)
    : impl_(std::make_shared<Impl>(std::move(gateway_id), std::move(store_id), parts)) {}
Pull::~Pull() { TP_ASSERT(ended()); }

std::uint64_t Pull::read(PullRead wanted, Done<PullBody> done) {
    return impl_->read(std::move(wanted), std::move(done));
}
void Pull::abandon(std::uint64_t request) { impl_->abandon(request); }
void Pull::acknowledge(const std::string& consumer, const std::string& cursor, const std::string& reader,
                       Done<PullPicture> done) {
    impl_->acknowledge(consumer, cursor, reader, done);
}
void Pull::put(const std::string& consumer, std::optional<PerStream<bool>> streams, store::From from,
               Done<PullPicture> done) {
    impl_->put(consumer, streams, from, done);
}
void Pull::erase(const std::string& consumer, Done<std::monostate> done) { impl_->erase(consumer, done); }
void Pull::seek(const std::string& consumer, PullPlace place, const std::string& reader, bool take_over,
                Done<PullPicture> done) {
    impl_->seek(consumer, std::move(place), reader, take_over, done);
}
void Pull::describe(const std::string& consumer, Done<PullPicture> done) {
    impl_->describe(consumer, [done = std::move(done)](Pulled<std::vector<PullPicture>> all) {
        if (all)
            done(std::move(all->front()));
        else
            done(all.error());
    });
}
void Pull::describe_all(Done<std::vector<PullPicture>> done) { impl_->describe(std::nullopt, done); }
void Pull::gaps(const GapsWanted& wanted, Done<GapsPage> done) { impl_->gaps(wanted, done); }
const std::string& Pull::epoch() const { return impl_->epoch(); }
void Pull::notify() { impl_->notify(); }
void Pull::stop() { impl_->stop(); }
std::size_t Pull::requests() const { return impl_->requests(); }

}  // namespace touchpoint::uplink
