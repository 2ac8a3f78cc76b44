// Reads: from the claim of the place to the answer, with the wait between.
#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>

#include "gateway/core/assert.hpp"
#include "store/worker.hpp"
#include "uplink/cursor.hpp"
#include "uplink/pull_impl.hpp"
#include "uplink/worker_await.hpp"

namespace touchpoint::uplink {

namespace asio = boost::asio;
using std::chrono::seconds;

std::uint64_t Pull::Impl::read(PullRead wanted, Done<PullBody> done) {
    const std::uint64_t id = ++last_id_;
    TP_ASSERT(wanted.events_max >= 1 && wanted.events_max <= Pull::events_max);
    TP_ASSERT(wanted.bytes_max <= body_bytes_max && wanted.wait <= wait_max);
    if (!admit(done)) return id;
    const auto poll = std::make_shared<Poll>(parts_.loop, id, std::move(wanted), done);
    poll->timer.expires_after(poll->wanted.wait);
    poll->deadline = parts_.clock.steady() + poll->wanted.wait;
    if (!poll->wanted.consumer.empty())
        if (auto refused = begin_named(*poll)) return done(std::move(*refused)), id;
    poll->reader = parts_.store.make_reader();
    polls_.emplace(id, poll);
    spawn<PullBody>(serve(poll), [self = shared_from_this(), poll](Pulled<PullBody> result) {
        self->polls_.erase(poll->id);
        if (!poll->wanted.consumer.empty())
            self->seats_.release(poll->wanted.consumer, poll->id, self->parts_.clock.steady());
        if (!poll->abandoned) poll->done(std::move(result));
    });
    return id;
}

// Takes the place, acknowledges, and sets where reading begins.
std::optional<Refusal> Pull::Impl::begin_named(Poll& poll) {
    const PullRead& wanted = poll.wanted;
    const auto state = pull_consumer(wanted.consumer);
    if (!state) return state.error();
    poll.streams = wanted.streams.value_or(state->streams);
    for (const Stream stream : all_streams)
        if (poll.streams[stream] && !state->streams[stream])
            return refusal(PullFault::bad_request, "this consumer does not read " +
                                                       std::string(name(stream)) +
                                                       "; PUT it with all streams that it is to read");
    const SteadyTime now = parts_.clock.steady();
    const auto claim =
        seats_.claim(wanted.consumer, wanted.reader, wanted.take_over, poll.id, now, now + wanted.wait);
    if (!claim.granted)
        return refusal(PullFault::consumer_busy,
                       "somebody else reads as this consumer; stop that one, or say take_over=true",
                       claim.retry_after);
    displace(claim.displaced);
    if (!wanted.ack.empty()) {
        if (auto refused = apply(wanted.consumer, state->streams, wanted.ack)) {
            seats_.release(wanted.consumer, poll.id, now);
            return refused;
        }
    }
    parts_.store.touch(wanted.consumer);
    for (const Stream stream : all_streams)
        poll.position[stream] = parts_.store.acknowledged(wanted.consumer, stream);
    poll.turn = seats_.turn(wanted.consumer);
    return std::nullopt;
}

// One read from its first look to its answer.
asio::awaitable<Pulled<PullBody>> Pull::Impl::serve(Started poll) {
    if (poll->wanted.consumer.empty())
        if (auto refused = co_await find_place(poll)) co_return std::move(*refused);
    for (bool expired = poll->wanted.wait.count() == 0;;) {
        if (poll->ended) co_return *poll->ended;
        const PerStream<Sequence> before = poll->position;
        const std::uint64_t notified = notified_;
        Pulled<PullBody> found = co_await look(poll);
        if (poll->ended) co_return *poll->ended;
        if (!found || found->items > 0 || expired) co_return found;
        // It read much that is not wanted, and there is more: others have had their turn. Where it came no
        // further, what stands there waits for a flush, and that is told by notify().
        const auto counts = waiting(poll->streams, poll->position);
        const bool moved = poll->position.values != before.values || notified_ != notified;
        if (moved && std::any_of(counts.values.begin(), counts.values.end(), [](auto n) { return n > 0; })) {
            expired = parts_.clock.steady() >= poll->deadline;
            continue;
        }
        poll->waits = true;
        const auto [woken] = co_await poll->timer.async_wait(asio::as_tuple(asio::use_awaitable));
        poll->waits = false;
        expired = !woken;
    }
}

// What stands behind the positions, in an answer that is not given yet.
std::shared_ptr<Filling> Pull::Impl::empty_filling(const Poll& poll) const {
    const PullRead& wanted = poll.wanted;
    const auto filling = std::make_shared<Filling>();
    filling->consumer = wanted.consumer;
    filling->order = filling_order(waiting(poll.streams, poll.position), poll.turn);
    filling->position = poll.position;
    filling->limits = {wanted.bytes_max, wanted.events_max};
    filling->types = wanted.types;
    filling->format = wanted.format;
    filling->compression = wanted.compression;
    filling->scan_bytes_max = scan_bytes_max;
    return filling;
}

asio::awaitable<Pulled<PullBody>> Pull::Impl::look(Started poll) {
    const PullRead& wanted = poll->wanted;
    auto filling = empty_filling(*poll);  // of this and of the job on the reader
    for (unsigned looks = 1; !filling->order.empty(); ++looks) {
        const std::uint64_t persons = parts_.store.persons_generation();
        const Formatter& formatter = wanted.format == Format::ndjson ? ndjson_ : batch_;
        // Named: g++ 12 destroys the captures of an await's temporary twice.
        const std::function<void()> job = [self = shared_from_this(), poll, filling, &formatter] {
            fill(*filling, *poll->reader, formatter);
        };
        const bool ran = co_await run_on(parts_.reader, job);
        if (!ran) co_return reader_busy();
        if (filling->failed) co_return refusal(PullFault::store_io, "the store cannot be read", seconds(5));
        // A person was erased meanwhile: what was read may name him.
        if (persons == parts_.store.persons_generation() || looks == looks_max) break;
        filling = empty_filling(*poll);
    }
    // Pruned between two answers of a reader that holds nothing: it must not take that for a gap.
    if (wanted.consumer.empty() && filling->begins_with_missing) {
        Positions asked;
        for (const Stream stream : all_streams)
            if (poll->streams[stream]) asked[stream] = poll->position[stream];
        const auto gone = std::make_shared<std::optional<Refusal>>();
        const std::function<void()> job = [poll, asked, now = extent(), gone] {
            *gone = gone_before(asked, now, "", *poll->reader);
        };
        const bool ran = co_await run_on(parts_.reader, job);
        if (!ran) co_return reader_busy();
        if (*gone) co_return std::move(**gone);
    }
    poll->position = filling->position;
    co_return answer(*poll, std::move(*filling));
}

PullBody Pull::Impl::answer(Poll& poll, Filling filling) {
    PullBody body;
    body.items = filling.items;
    body.body = std::move(filling.body);
    body.oldest = filling.oldest;
    Cursor next;
    next.epoch = origin_.epoch;
    for (const Stream stream : all_streams)
        if (poll.streams[stream]) next.positions[stream] = poll.position[stream];
    if (body.items > 0) {
        poll.turn = (poll.turn + 1) % turns;
        if (!poll.wanted.consumer.empty()) seats_.set_turn(poll.wanted.consumer, poll.turn);
    }
    if (poll.wanted.consumer.empty()) next.turn = static_cast<std::uint8_t>(poll.turn);
    body.next_cursor = encode(next);
    for (const std::uint64_t count : waiting(poll.streams, poll.position).values) body.lag += count;
    return body;
}

// Where an ad hoc read begins.
asio::awaitable<std::optional<Refusal>> Pull::Impl::find_place(Started poll) {
    const PullRead& wanted = poll->wanted;
    poll->streams = wanted.streams.value_or(default_streams);
    if (wanted.place.kind == PullPlace::Kind::cursor) {
        const auto cursor = checked_cursor(wanted.place.cursor, {origin_.epoch, {}, horizon()});
        if (!cursor) co_return cursor.error();
        poll->turn = cursor->turn;
        for (const Stream stream : all_streams) {
            if (!wanted.streams) poll->streams[stream] = cursor->positions[stream].has_value();
            if (poll->streams[stream] && !cursor->positions[stream])
                co_return refusal(PullFault::bad_request,
                                  "the cursor does not speak of " + std::string(name(stream)));
        }
    }
    const auto found = std::make_shared<Pulled<Positions>>(Positions{});  // as above
    const std::function<void()> job = [poll, now = extent(), found] {
        *found = positions_of(poll->wanted.place, poll->streams, now, *poll->reader);
    };
    const bool ran = co_await run_on(parts_.reader, job);
    if (!ran) co_return reader_busy();
    if (!*found) co_return found->error();
    for (const Stream stream : all_streams) poll->position[stream] = (**found)[stream].value_or(0);
    co_return std::nullopt;
}

void Pull::Impl::end(const Started& poll, Refusal why) {
    if (!poll->ended) poll->ended = std::move(why);
    if (poll->waits) poll->timer.cancel();
}

void Pull::Impl::displace(const std::optional<std::uint64_t>& request) {
    const auto found = request ? polls_.find(*request) : polls_.end();
    if (found == polls_.end()) return;
    end(found->second, refusal(PullFault::taken_over, "somebody else reads as this consumer now"));
}

void Pull::Impl::abandon(std::uint64_t request) {
    const auto found = polls_.find(request);
    if (found == polls_.end()) return;
    const Started poll = found->second;
    poll->abandoned = true;
    seats_.release(poll->wanted.consumer, request, parts_.clock.steady());
    end(poll, refusal(PullFault::taken_over, "the client has gone"));
}

void Pull::Impl::notify() {
    ++notified_;
    for (const auto& [id, poll] : polls_) {
        if (!poll->waits) continue;
        const auto counts = waiting(poll->streams, poll->position);
        if (std::any_of(counts.values.begin(), counts.values.end(), [](auto n) { return n > 0; }))
            poll->timer.cancel();
    }
}

void Pull::Impl::stop() {
    stopping_ = true;
    for (const auto& [id, poll] : polls_)
        end(poll, refusal(PullFault::stopping, "the gateway is stopping; try again", seconds(5)));
}

}  // namespace touchpoint::uplink
