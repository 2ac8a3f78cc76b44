#include "uplink/pusher.hpp"

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <optional>
#include <utility>

#include "gateway/core/assert.hpp"
#include "gateway/core/log.hpp"
#include "store/cache.hpp"
#include "store/event_reader.hpp"
#include "store/sealed_box.hpp"
#include "store/worker.hpp"
#include "uplink/answer.hpp"
#include "uplink/compress.hpp"
#include "uplink/errand.hpp"
#include "uplink/formats.hpp"
#include "uplink/narrowing.hpp"
#include "uplink/platform_await.hpp"
#include "uplink/push_record.hpp"
#include "uplink/schedule.hpp"
#include "uplink/worker_await.hpp"

namespace touchpoint::uplink {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

Join joiner(const PushOptions& options, const Pusher::Parts& parts) {
    if (options.identifiers != Identifiers::raw) return {};
    TP_ASSERT(parts.cache != nullptr && parts.box != nullptr);
    return [cache = parts.cache, box = parts.box](std::string_view pseudonym) -> std::optional<std::string> {
        const auto sealed = cache->sealed_identity(pseudonym);
        if (!sealed || !*sealed) return std::nullopt;
        auto raw = box->open(**sealed, "identity");
        if (!raw) return std::nullopt;
        return std::move(*raw);
    };
}

// What is being sent, until it is settled: the compressed bytes, and which items they are.
// Persons change all the time while the platform sends many: what was read a moment ago is sent then.
constexpr int reads_anew_max = 3;

struct Sending {
    Batch batch;  // without its body
    std::shared_ptr<const std::string> body;
    std::size_t raw_bytes = 0;
    std::string key;
    Sequence position = 0;      // of the consumer when it was read
    std::uint64_t persons = 0;  // EventStore::persons_generation() before it was read
};

}  // namespace

class Pusher::Impl : public Errand {
  public:
    Impl(PushOptions options, std::string gateway_id, std::string store_id, Parts parts)
        : Errand(parts.loop, options),
          options_(std::move(options)),
          parts_(std::move(parts)),
          origin_{std::move(gateway_id), std::move(store_id), parts_.store.epoch()},
          formatter_(origin_, options_.format, joiner(options_, parts_), parts_.name),
          reader_(parts_.store.make_reader()),
          record_(options_.name, parts_.clock) {}

    asio::awaitable<void> run() override {
        while (!stopping()) {
            const bool anew = sending_ && persons_changed() && reads_anew_ < reads_anew_max;
            if (anew || (sending_ && position_moved())) {
                sending_.reset();
                ++reads_anew_;
            }
            if (!sending_) {
                const Schedule::Choice choice = schedule_.choose(waiting(), options_, parts_.clock.steady());
                if (!choice.stream) {
                    record_.idle();
                    co_await wait_for_events(choice.look_again);
                    continue;
                }
                if (!co_await read(*choice.stream)) co_await wait(options_.retry_first);
                continue;
            }
            reads_anew_ = 0;
            const Answer answer = co_await post();
            if (stopping()) break;
            const milliseconds pause = settle(answer);
            if (pause.count() > 0) co_await wait(pause);
        }
    }

    void notify() {
        if (wakes_on_events_) retry_now();
    }
    const PushStats& stats() const { return record_.stats(); }

  private:
    PerStream<std::uint64_t> waiting() const {
        PerStream<std::uint64_t> counts;
        for (const Stream stream : all_streams) {
            if (!options_.streams[stream]) continue;
            const Sequence horizon = parts_.store.horizon(stream);
            const Sequence position = parts_.store.acknowledged(options_.name, stream);
            counts[stream] = horizon > position ? horizon - position : 0;
        }
        return counts;
    }
    std::uint64_t backlog() const {
        std::uint64_t events = 0;
        for (const std::uint64_t count : waiting().values) events += count;
        return events;
    }
    // Somebody else moved the consumer (an operator's seek) while a batch was waiting to be repeated.
    bool position_moved() const {
        return parts_.store.acknowledged(options_.name, sending_->batch.stream) != sending_->position;
    }

    // Somebody was erased, or took a consent back, while a batch was waiting to be repeated: its bytes may
    // say more of a person than may leave now.
    bool persons_changed() const { return parts_.store.persons_generation() != sending_->persons; }

    asio::awaitable<void> wait_for_events(std::optional<SteadyTime> until) {
        wakes_on_events_ = true;
        std::optional<std::chrono::nanoseconds> time;
        if (until) time = *until - parts_.clock.steady();
        co_await wait_at_most(time);
        wakes_on_events_ = false;
    }

    // Makes sending_ from what stands behind the position. False: there was nothing, or it could not be read.
    asio::awaitable<bool> read(Stream stream) {
        struct Job {
            Sequence position = 0;
            std::uint64_t persons = 0;
            BatchLimits limits;
            std::optional<store::Gap> lead;
            Sending result;
            std::optional<Error> error;
        };
        const auto job = std::make_shared<Job>();
        job->position = parts_.store.acknowledged(options_.name, stream);
        job->persons = parts_.store.persons_generation();
        job->limits = narrowing_[stream].limits({options_.batch_bytes_max, options_.batch_events_max});
        if (unsent_gap_[stream] && unsent_gap_[stream]->last > job->position) job->lead = unsent_gap_[stream];

        // Named, not a temporary of the await: g++ 12 destroys the captures of such a one twice.
        const std::function<void()> task = [self = std::static_pointer_cast<Impl>(shared_from_this()), job,
                                            stream] {
            const Sequence after = job->lead ? job->lead->last : job->position;
            const auto slice = self->reader_->read(
                stream, after, self->options_.name,
                {job->limits.bytes_max, static_cast<std::uint32_t>(job->limits.events_max)});
            if (!slice) {
                job->error = slice.error();
                return;
            }
            Batch batch = self->formatter_.build(*slice, job->limits, job->lead ? &*job->lead : nullptr);
            if (batch.items.empty()) return;
            Sending& sending = job->result;
            sending.position = job->position;
            sending.persons = job->persons;
            sending.raw_bytes = batch.body.size();
            sending.body = std::make_shared<std::string>(
                compress(std::exchange(batch.body, std::string()), self->options_.compression));
            sending.key = idempotency_key(self->origin_, batch, *sending.body);
            sending.batch = std::move(batch);
        };
        const bool ran = co_await run_on(parts_.reader, task);
        if (job->error && !read_failed_) {
            log::error("uplink", "cannot read events from the store",
                       {{"destination", options_.name},
                        {"code", name(job->error->code)},
                        {"reason", job->error->context}});
        }
        read_failed_ = job->error.has_value();
        if (!ran || job->result.batch.items.empty()) co_return false;
        sending_ = std::move(job->result);
        co_return true;
    }

    asio::awaitable<Answer> post() {
        Exchange exchange;
        exchange.body = sending_->body;
        exchange.headers = {{"Content-Type", std::string(Formatter::content_type(options_.format))},
                            {"Idempotency-Key", '"' + sending_->key + '"'},
                            {"Touchpoint-Sent-At", to_rfc3339(parts_.clock.utc())}};
        if (options_.compression != Compression::none)
            exchange.headers.emplace_back("Content-Encoding",
                                          std::string(content_encoding(options_.compression)));
        record_.attempt(sending_->body->size());
        Answer answer = co_await exchange_with(client(), exchange);
        co_return answer;
    }

    // Does what the answer means, and returns how long to wait before the next try.
    milliseconds settle(const Answer& answer) {
        const Verdict verdict = judge(answer, sending_->batch.items, parts_.clock.utc());
        const std::size_t items = sending_->batch.items.size();
        switch (verdict.action) {
            case Action::delivered:
            case Action::partial:
                return accept(answer, verdict);
            case Action::narrow:
            case Action::too_large:
                if (items == 1) return park(answer);
                if (verdict.action == Action::narrow)
                    narrowing_[sending_->batch.stream].refused(items);
                else
                    narrowing_[sending_->batch.stream].too_large(items, sending_->raw_bytes);
                record_.narrowed(answer, items);
                sending_.reset();
                return verdict.wait.value_or(milliseconds(0));
            case Action::retry:
                return again(answer, verdict.wait);
            case Action::pause:
                return pause(answer, verdict.wait.value_or(options_.probe));
        }
        return milliseconds(0);
    }

    milliseconds again(const Answer& answer, std::optional<milliseconds> wait) {
        ++failures_;
        const milliseconds time =
            wait.value_or(back_off(failures_, options_.retry_first, options_.retry_max, parts_.random()));
        record_.failed(answer, PushState::retrying, time, backlog());
        return time;
    }

    milliseconds pause(const Answer& answer, milliseconds time) {
        client().disconnect();  // so that a new token or certificate is read
        record_.failed(answer, PushState::paused, time, backlog());
        return time;
    }

    milliseconds accept(const Answer& answer, const Verdict& verdict) {
        const Batch& batch = sending_->batch;
        // No number is passed over without its row: until there is room for them the batch is sent again.
        if (!parts_.store.has_gap_room(verdict.refused.size()))
            return again({0, {}, {}, "no room to record what was refused"}, options_.retry_first);
        std::uint64_t events = 0;
        for (std::size_t i = 0; i < verdict.settled; ++i)
            if (!batch.items[i].gap) ++events;
        for (const std::size_t index : verdict.refused) {
            const Item& item = batch.items[index];
            if (item.gap) continue;
            --events;
            record_gap(item, "rejected", answer.status, true);
        }
        narrowing_[batch.stream].accepted(verdict.settled);
        parked_in_row_ = 0;
        failures_ = 0;
        record_.delivered(batch.stream, events, answer.status);
        return acknowledge(batch.items[verdict.settled - 1].last, verdict.wait.value_or(milliseconds(0)));
    }

    // The only item of the batch is not acceptable.
    milliseconds park(const Answer& answer) {
        const Stream stream = sending_->batch.stream;
        const Item item = sending_->batch.items.front();
        if (!parts_.store.has_gap_room(1)) return again(answer, options_.retry_first);
        narrowing_[stream].alone();
        ++parked_in_row_;
        const bool hopeless = parked_in_row_ >= parked_in_row_max;
        if (hopeless) pause(answer, options_.probe);
        const milliseconds time = hopeless ? options_.probe : milliseconds(0);
        // The platform does not even take the explanation: the row on our side has to do.
        if (item.gap) return acknowledge(item.last, time);
        // It is told the platform in the place of the event, and acknowledged with that.
        unsent_gap_[stream] =
            record_gap(item, answer.status == 413 ? "parked" : "rejected", answer.status, false);
        sending_.reset();
        return time;
    }

    store::Gap record_gap(const Item& item, const char* reason, int status, bool named) {
        const Stream stream = sending_->batch.stream;
        store::Gap gap{stream,
                       options_.name,
                       item.first,
                       item.last,
                       reason,
                       "\"status\":" + std::to_string(status),
                       parts_.clock.utc()};
        parts_.store.record_gap(gap);
        record_.parked(stream, item.first, item.last, status, named);
        return gap;
    }

    milliseconds acknowledge(Sequence last, milliseconds wait) {
        const Stream stream = sending_->batch.stream;
        const auto done = parts_.store.acknowledge(options_.name, stream, last);
        if (unsent_gap_[stream] && unsent_gap_[stream]->last <= last) unsent_gap_[stream].reset();
        sending_.reset();
        if (done) return wait;
        log::error("uplink", "the store refuses an acknowledgement",
                   {{"destination", options_.name}, {"stream", name(stream)}, {"last_sequence", last}});
        return std::max(wait, options_.retry_first);
    }

    const PushOptions options_;
    const Parts parts_;
    const Origin origin_;
    const Formatter formatter_;
    const std::unique_ptr<store::EventReader> reader_;  // used on the reader worker only
    PushRecord record_;
    Schedule schedule_;
    PerStream<Narrowing> narrowing_;
    // Recorded, and not yet told the platform. Once the row is committed the reader gives it, too.
    PerStream<std::optional<store::Gap>> unsent_gap_;
    std::optional<Sending> sending_;
    unsigned failures_ = 0;  // since something was taken
    unsigned parked_in_row_ = 0;
    int reads_anew_ = 0;  // since something was sent
    bool wakes_on_events_ = false;
    bool read_failed_ = false;
};

Pusher::Pusher(PushOptions options, std::string gateway_id, std::string store_id, Parts parts)
    : impl_(std::make_shared<Impl>(std::move(options), std::move(gateway_id), std::move(store_id),
                                   std::move(parts))) {}
Pusher::~Pusher() { TP_ASSERT(!impl_->running()); }

store::ConsumerSpec Pusher::consumer(const PushOptions& options) { return {options.name, options.streams}; }
void Pusher::start(std::function<void(std::exception_ptr)> on_end) { impl_->start(std::move(on_end)); }
void Pusher::notify() { impl_->notify(); }
void Pusher::retry_now() { impl_->retry_now(); }
void Pusher::stop() { impl_->stop(); }
bool Pusher::ended() const { return !impl_->running(); }
PushStats Pusher::stats() const { return impl_->stats(); }

}  // namespace touchpoint::uplink
