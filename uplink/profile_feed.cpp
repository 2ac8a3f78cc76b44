#include "uplink/profile_feed.hpp"

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <utility>
#include <vector>

#include "gateway/core/assert.hpp"
#include "gateway/core/log.hpp"
#include "store/feed_place.hpp"
#include "store/profiles.hpp"
#include "store/worker.hpp"
#include "uplink/errand.hpp"
#include "uplink/feed_page.hpp"
#include "uplink/feed_record.hpp"
#include "uplink/platform_address.hpp"
#include "uplink/platform_await.hpp"
#include "uplink/platform_client.hpp"
#include "uplink/worker_await.hpp"

namespace touchpoint::uplink {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

// The platform holds the question so long; its answer still has all of the usual time.
PushOptions connection(const FeedOptions& options) {
    PushOptions out = options.connection;
    out.timeout += options.wait;
    return out;
}

}  // namespace

LinesWritten write_mapped(const ProfileMapping* mapping, std::span<const std::string_view> lines, UtcTime now,
                          UtcTime not_before, const WriteLines& write) {
    LinesWritten written{true, 0, {}};
    if (mapping == nullptr) {
        written = write(lines, not_before);
    } else {
        std::vector<MappedItem> items;
        std::uint64_t unmapped = 0;
        for (const std::string_view line : lines)
            for (MappedItem& item : map_profiles(*mapping, line, now)) {
                if (!item.problem.empty()) ++unmapped;
                if (!item.line.empty()) items.push_back(std::move(item));
            }
        std::vector<std::string_view> texts;
        for (const MappedItem& item : items) texts.push_back(item.line);
        if (!texts.empty()) written = write(texts, not_before);
        written.refused += unmapped;
        if (unmapped != 0 && written.why.empty())
            written.why = "the mapping cannot make a line of a document";
    }
    // What is not stored comes again.
    if (written.stored && written.refused != 0)
        log::warning("uplink", "lines about profiles are refused, whole or a part of an erasure",
                     {{"refused", written.refused}, {"why", written.why}});
    return written;
}

class ProfileFeed::Impl : public Errand {
  public:
    Impl(FeedOptions options, std::string gateway_id, Parts parts)
        : Errand(parts.loop, connection(options)),
          options_(std::move(options)),
          gateway_id_(std::move(gateway_id)),
          parts_(std::move(parts)),
          record_(options_.connection.name, parts_.clock) {}

    asio::awaitable<void> run() override {
        while (!stopping()) {
            milliseconds time{0};
            if (!loaded_) {
                if (!co_await load()) time = not_written();
            } else {
                const SteadyTime asked = parts_.clock.steady();
                const Answer answer = co_await ask();
                if (stopping()) break;
                time = co_await settle(answer, asked);
            }
            if (time.count() > 0) co_await wait(time);
        }
    }

    const FeedStats& stats() const { return record_.stats(); }

  private:
    // A job on the writer that may fail. By reference, as all that owns something here: g++ 12 destroys the
    // temporaries of an await twice.
    asio::awaitable<bool> written(const std::function<bool()>& job) {
        const auto done = std::make_shared<bool>(false);
        const std::function<void()> task = [&job, done] { *done = job(); };
        const bool ran = co_await run_on(parts_.writer, task);
        co_return ran&&* done;
    }

    asio::awaitable<bool> load() {
        const auto found = std::make_shared<store::FeedPlace>();
        const std::function<bool()> job = [found, &cache = parts_.cache] {
            const auto place = store::read_feed_place(cache);
            if (place) *found = *place;
            return place.has_value();
        };
        if (!co_await written(job)) co_return false;
        place_ = std::move(*found);
        if (place_.url == options_.connection.url) {
            loaded_ = true;
            co_return true;
        }
        loaded_ = co_await begin_resync("this feed was never followed");
        co_return loaded_;
    }

    asio::awaitable<bool> begin_resync(const char* why) {
        store::FeedPlace fresh{options_.connection.url, {}, parts_.clock.utc()};
        const std::function<bool()> job = [fresh, &cache = parts_.cache] {
            return store::write_feed_place(cache, fresh).has_value();
        };
        if (!co_await written(job)) co_return false;
        place_ = std::move(fresh);
        record_.resync(why);
        co_return true;
    }

    asio::awaitable<Answer> ask() {
        Exchange exchange;
        exchange.method = "GET";
        exchange.accept = "application/x-ndjson";
        exchange.answer_bytes_max = feed_answer_bytes_max;
        if (const auto address = parse_address(options_.connection.url))
            exchange.target = feed_target(address->target, place_.token, options_.wait, gateway_id_);
        Answer answer = co_await exchange_with(client(), exchange);
        co_return answer;
    }

    // Does what the answer means, and returns how long to wait before the next question.
    asio::awaitable<milliseconds> settle(const Answer& answer, SteadyTime asked) {
        if (answer.status == 410) {
            if (place_.token.empty()) co_return failed(answer);
            if (!co_await begin_resync("the platform has forgotten the place")) co_return not_written();
            co_return pause;
        }
        const bool nothing_new = answer.status == 204;
        if (!nothing_new && answer.status != 200) co_return failed(answer);
        const auto page = std::make_shared<FeedPage>(nothing_new ? FeedPage{} : feed_page(answer));
        if (!page->problem.empty()) {
            Answer wrong;
            wrong.status = answer.status;
            wrong.error = page->problem;
            co_return failed(wrong);
        }
        const bool stands = page->lines.empty() && !page->resync && page->next == place_.token;
        if (nothing_new || stands) {
            bool ended = true;
            if (place_.resync_since.ms != 0) ended = co_await end_resync();
            if (!ended) co_return not_written();
            failures_ = 0;
            record_.caught_up();
            co_return rest(asked);
        }
        if (!co_await take(page)) co_return not_written();
        if (page->resync) {
            if (!co_await begin_resync("the platform asks for it")) co_return not_written();
            co_return pause;
        }
        co_return page->lines.empty() ? rest(asked) : milliseconds(0);
    }

    // The lines, and then the place behind them. `page` points into an answer that lives until this returns.
    asio::awaitable<bool> take(const std::shared_ptr<FeedPage>& page) {
        store::FeedPlace next = place_;
        if (!page->next.empty()) next.token = page->next;
        const auto refused = std::make_shared<std::uint64_t>(0);
        const std::function<bool()> job = [this, page, next, refused] {
            const LinesWritten lines = write_mapped(parts_.mapping, page->lines, parts_.clock.utc(),
                                                    next.resync_since, parts_.write);
            *refused = lines.refused;
            return lines.stored && store::write_feed_place(parts_.cache, next).has_value();
        };
        if (!co_await written(job)) co_return false;
        place_ = std::move(next);
        failures_ = 0;
        record_.taken(page->lines.size(), *refused, place_.resync_since.ms != 0);
        co_return true;
    }

    // Who was not named in it is none of the platform's customers (any more).
    asio::awaitable<bool> end_resync() {
        std::uint64_t dropped = 0;
        // A clock that was set back since then says nothing about who was heard of when.
        const bool trusted = parts_.clock.utc() >= place_.resync_since;
        const auto step = std::make_shared<store::UnheardStep>();
        // Nor does a feed in which nothing stands: its platform is newer than the profiles that were pushed.
        step->done = !trusted || place_.token.empty();
        while (!step->done && !stopping()) {
            const std::function<bool()> job = [this, step, since = place_.resync_since] {
                const auto next = parts_.profiles.drop_unheard_since(since, step->place, drops_a_commit);
                if (next) *step = *next;
                return next.has_value();
            };
            if (!co_await written(job)) co_return false;
            dropped += step->dropped;
        }
        if (stopping()) co_return false;
        store::FeedPlace next = place_;
        next.resync_since = {};
        const std::function<bool()> job = [next, &cache = parts_.cache] {
            return store::write_feed_place(cache, next).has_value();
        };
        if (!co_await written(job)) co_return false;
        place_ = std::move(next);
        record_.resynced(dropped);
        co_return true;
    }

    milliseconds rest(SteadyTime asked) const {
        const auto took = std::chrono::duration_cast<milliseconds>(parts_.clock.steady() - asked);
        return std::max(milliseconds(0), pause - took);
    }

    milliseconds failed(const Answer& answer) {
        ++failures_;
        const FeedTrouble trouble =
            feed_trouble(answer, failures_, options_.connection, parts_.clock.utc(), parts_.random());
        if (trouble.state == PushState::paused) client().disconnect();  // a new token or certificate is read
        record_.failed(answer, trouble);
        return trouble.wait;
    }
    milliseconds not_written() {
        Answer answer;
        answer.error = "the cache cannot be written";
        return failed(answer);
    }

    const FeedOptions options_;
    const std::string gateway_id_;
    const Parts parts_;
    FeedRecord record_;
    store::FeedPlace place_;
    bool loaded_ = false;
    unsigned failures_ = 0;  // since something was taken
};

ProfileFeed::ProfileFeed(FeedOptions options, std::string gateway_id, Parts parts)
    : impl_(std::make_shared<Impl>(std::move(options), std::move(gateway_id), std::move(parts))) {}
ProfileFeed::~ProfileFeed() { TP_ASSERT(!impl_->running()); }

void ProfileFeed::start(std::function<void(std::exception_ptr)> on_end) { impl_->start(std::move(on_end)); }
void ProfileFeed::retry_now() { impl_->retry_now(); }
void ProfileFeed::stop() { impl_->stop(); }
bool ProfileFeed::ended() const { return !impl_->running(); }
FeedStats ProfileFeed::stats() const { return impl_->stats(); }

}  // namespace touchpoint::uplink
