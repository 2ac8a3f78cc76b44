#include "gateway/profiles/event_erasure.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <utility>

namespace touchpoint::gateway {

void EventErasure::erase(std::vector<std::string> pseudonyms, Done done) {
    // shared: what is posted must be copyable.
    auto one = std::make_shared<Waiting>(Waiting{std::move(pseudonyms), 0, {}, std::move(done)});
    boost::asio::post(parts_.loop, [this, one] {
        if (stopped_) return one->done(fail(Errc::stopped, "the gateway is stopping"));
        if (waiting_.size() >= waiting_max)
            return one->done(fail(Errc::full, "too many erasures wait; try again"));
        one->behind = parts_.journal_end();
        one->deadline = parts_.clock.steady() + wait_max;
        waiting_.push_back(std::move(*one));
        go_on();
    });
}

void EventErasure::go_on() {
    while (!waiting_.empty()) {
        Waiting& first = waiting_.front();
        const bool ready = parts_.submitted_through() >= first.behind;
        if (!ready && parts_.clock.steady() < first.deadline) return;
        Waiting one = std::move(first);
        waiting_.pop_front();
        if (ready)
            begin(std::move(one));
        else
            one.done(fail(Errc::timed_out,
                          "events that came before are still on their way to the disk, try again"));
    }
}

void EventErasure::begin(Waiting one) {
    parts_.begins(one.pseudonyms);
    store::Submission submission;
    submission.erased = one.pseudonyms;
    if (auto taken = parts_.store.submit(std::move(submission)); !taken) {
        parts_.ended(one.pseudonyms);
        return one.done(std::move(taken));
    }
    // On loop: at the end of a daemon that failed the store still answers, and nobody else is there any more.
    parts_.store.when_durable([this, &loop = parts_.loop, one = std::move(one)](const Result<void>& durable) {
        boost::asio::post(loop, [this, one, durable] {
            parts_.ended(one.pseudonyms);
            one.done(durable);
        });
    });
}

void EventErasure::stop() {
    stopped_ = true;
    for (Waiting& one : std::exchange(waiting_, {})) one.done(fail(Errc::stopped, "the gateway is stopping"));
}

}  // namespace touchpoint::gateway
