#include "uplink/wanted_fetch.hpp"

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <utility>

#include "gateway/core/assert.hpp"
#include "gateway/core/json_text.hpp"
#include "store/worker.hpp"
#include "uplink/errand.hpp"
#include "uplink/feed_page.hpp"
#include "uplink/feed_record.hpp"
#include "uplink/platform_await.hpp"
#include "uplink/platform_client.hpp"
#include "uplink/worker_await.hpp"

namespace touchpoint::uplink {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

PushOptions to_wanted(const FeedOptions& options) {
    PushOptions out = options.connection;
    out.url = options.wanted_url;
    return out;
}

}  // namespace

class WantedFetch::Impl : public Errand {
  public:
    Impl(FeedOptions options, std::string gateway_id, Parts parts)
        : Errand(parts.loop, to_wanted(options)),
          options_(to_wanted(options)),
          gateway_id_(std::move(gateway_id)),
          parts_(std::move(parts)),
          record_(options_.name + ".wanted", parts_.clock, false) {}

    asio::awaitable<void> run() override {
        while (!stopping()) {
            milliseconds time = every;
            const std::vector<std::string> names = parts_.wanted(wanted_max);
            if (!names.empty()) {
                const Answer answer = co_await ask(names);
                if (stopping()) break;
                time = co_await settle(answer);
            }
            co_await wait(time);
        }
    }

    const FeedStats& stats() const { return record_.stats(); }

  private:
    asio::awaitable<Answer> ask(const std::vector<std::string>& names) {
        std::string body = "{\"gateway\":" + json_string(gateway_id_) + ",\"wanted\":[";
        for (const std::string& name : names) {
            if (body.back() != '[') body += ',';
            append_json_string(body, name);
        }
        Exchange exchange;
        exchange.accept = "application/x-ndjson";
        exchange.answer_bytes_max = feed_answer_bytes_max;
        exchange.headers = {{"Content-Type", "application/json"}};
        exchange.body = std::make_shared<const std::string>(body + "]}");
        Answer answer = co_await exchange_with(client(), exchange);
        co_return answer;
    }

    asio::awaitable<milliseconds> settle(const Answer& answer) {
        if (answer.status == 204) {
            failures_ = 0;
            record_.caught_up();
            co_return every;
        }
        if (answer.status != 200) co_return failed(answer);
        Answer with_place = answer;  // there is none here, and none is needed
        with_place.next_cursor = "-";
        const FeedPage page = feed_page(with_place);
        Answer wrong;
        wrong.error = page.problem;
        if (!page.problem.empty()) co_return failed(wrong);
        LinesWritten written;
        const std::function<void()> job = [this, &page, &written] {
            written = write_mapped(parts_.mapping, page.lines, parts_.clock.utc(), {}, parts_.write);
        };
        const bool ran = co_await run_on(parts_.writer, job);
        wrong.error = "the cache cannot be written";
        if (!ran || !written.stored) co_return failed(wrong);
        failures_ = 0;
        record_.taken(page.lines.size(), written.refused, false);
        record_.caught_up();
        co_return every;
    }

    milliseconds failed(const Answer& answer) {
        ++failures_;
        parts_.unanswered();
        const FeedTrouble trouble =
            feed_trouble(answer, failures_, options_, parts_.clock.utc(), parts_.random());
        if (trouble.state == PushState::paused) client().disconnect();
        record_.failed(answer, trouble);
        return std::max(trouble.wait, every);
    }

    const PushOptions options_;
    const std::string gateway_id_;
    const Parts parts_;
    FeedRecord record_;
    unsigned failures_ = 0;
};

WantedFetch::WantedFetch(FeedOptions options, std::string gateway_id, Parts parts)
    : impl_(std::make_shared<Impl>(std::move(options), std::move(gateway_id), std::move(parts))) {}
WantedFetch::~WantedFetch() { TP_ASSERT(!impl_->running()); }

void WantedFetch::start(std::function<void(std::exception_ptr)> on_end) { impl_->start(std::move(on_end)); }
void WantedFetch::retry_now() { impl_->retry_now(); }
void WantedFetch::stop() { impl_->stop(); }
bool WantedFetch::ended() const { return !impl_->running(); }
FeedStats WantedFetch::stats() const { return impl_->stats(); }

}  // namespace touchpoint::uplink
