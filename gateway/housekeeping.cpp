#include "gateway/housekeeping.hpp"

#include <systemd/sd-daemon.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <utility>

#include "gateway/core/event_text.hpp"
#include "gateway/core/json_text.hpp"
#include "gateway/core/log.hpp"

namespace touchpoint::gateway {

using std::chrono::milliseconds;

Housekeeping::Housekeeping(Parts parts, std::chrono::seconds heartbeat)
    : parts_(std::move(parts)), heartbeat_(heartbeat), durable_journal_end_(parts_.journal.read_position()) {
    started_utc_ = last_clock_utc_ = parts_.clock.utc();
    started_ = last_beat_ = last_status_ = last_clock_look_ = committer_moved_ = reader_answered_ =
        parts_.clock.steady();
}

void Housekeeping::tick(SteadyTime now) {
    submit_untaken();
    watch_clock(now);
    watch_cache(now);
    beat(now);
    write_registry(now);
    say_status(now);
    feed_watchdog(now);
}

void Housekeeping::committed(std::uint64_t journal_end) {
    if (journal_end > durable_journal_end_) durable_journal_end_ = journal_end;
    committer_moved_ = parts_.clock.steady();
}

void Housekeeping::broker_connected() {
    last_said_.clear();
    say_status(parts_.clock.steady());
}

milliseconds Housekeeping::uptime() const {
    return std::chrono::duration_cast<milliseconds>(parts_.clock.steady() - started_);
}

void Housekeeping::submit(Event event) {
    submit_untaken();
    taken(event);  // lost when full: the next heartbeat says the same
}

void Housekeeping::submit_once_there_is_room(Event event) {
    submit_untaken();
    if (untaken_.empty() && taken(event)) return;
    if (untaken_.size() < untaken_max) return untaken_.push_back(std::move(event));
    if (given_up_++ == given_up_said_)
        log::error(
            "gateway",
            "the store is full and too many merges of customers wait: some are told after the next start",
            {{"waiting", untaken_max}});
}

void Housekeeping::forget(const std::string& pseudonym) {
    std::erase_if(untaken_, [&](const Event& event) {
        const auto named = persons_in(event.stream, event.members);
        return std::find(named.begin(), named.end(), pseudonym) != named.end();
    });
}

bool Housekeeping::taken(const Event& event) {
    store::Submission submission;
    submission.events.push_back(event);
    const auto submitted = parts_.store.submit(std::move(submission));
    return submitted || submitted.error().code != Errc::full;  // a store that is stopping takes no later one
}

void Housekeeping::submit_untaken() {
    while (!untaken_.empty() && taken(untaken_.front())) untaken_.pop_front();
    if (!untaken_.empty() || given_up_ == given_up_said_) return;
    log::warning("gateway", "the store has room again, merges of customers were given up meanwhile",
                 {{"given_up", given_up_ - given_up_said_}});
    given_up_said_ = given_up_;
}

void Housekeeping::watch_clock(SteadyTime now) {
    const UtcTime utc = parts_.clock.utc();
    const auto expected = std::chrono::duration_cast<milliseconds>(now - last_clock_look_);
    const milliseconds step = (utc - last_clock_utc_) - expected;
    last_clock_look_ = now;
    last_clock_utc_ = utc;
    if (step < clock_step_min && -step < clock_step_min) return;
    log::info("gateway", "the clock was set", {{"step_ms", step.count()}});
    submit(parts_.events.clock_stepped(utc, step));
}

void Housekeeping::watch_cache(SteadyTime now) {
    if (restart_asked_ || !parts_.cache.failed() || now - started_ < cache_restart_after) return;
    restart_asked_ = true;
    log::error("gateway", "the disk refused a flush of the cache: stopping, only a new start opens it again",
               {{"identities_lost", parts_.store.stats().identities_waiting}});
    parts_.restart_for_cache();
}

void Housekeeping::beat(SteadyTime now) {
    if (heartbeat_.count() == 0 || now - last_beat_ < heartbeat_) return;
    last_beat_ = now;
    const store::StoreStats stats = parts_.store.stats();
    std::uint64_t held = 0;
    for (const Stream stream : all_streams) held += stats.events[stream];
    submit(parts_.events.heartbeat(parts_.clock.utc(), uptime(), held, parts_.clock.trusted()));
}

void Housekeeping::write_registry(SteadyTime now) {
    auto rows = parts_.registry.take_changed_rows(now);
    if (rows.empty()) return;
    auto held = std::make_shared<devices::Registry::Rows>(std::move(rows));
    const bool posted = parts_.reader.post([this, held] {
        const auto put = parts_.cache.put_devices(*held);
        boost::asio::post(parts_.loop, [this, held, why = put ? std::string() : put.error().context] {
            if (!why.empty() && registry_trouble_.empty())
                log::warning("gateway", "device registry not written", {{"why", why}});
            if (why.empty() && !registry_trouble_.empty())
                log::info("gateway", "device registry is written again");
            registry_trouble_ = why;
            if (!why.empty()) parts_.registry.not_written(*held);
        });
    });
    if (!posted) parts_.registry.not_written(*held);
}

std::string Housekeeping::status_text(std::string_view state) const {
    return "{" + parts_.status_members(state) + ",\"time\":" + json_string(to_rfc3339(parts_.clock.utc())) +
           "}";
}

void Housekeeping::say_status(SteadyTime now) {
    std::string members = parts_.status_members("online");
    if (members == last_said_ && now - last_status_ < status_every) return;
    if (!parts_.publish_status(status_text("online"))) return;
    last_said_ = std::move(members);
    last_status_ = now;
}

// This is loop; the reader must have answered a question, the committer have moved.
void Housekeeping::feed_watchdog(SteadyTime now) {
    if (!reader_asked_) {
        reader_asked_ = parts_.reader.post([this] {
            boost::asio::post(parts_.loop,
                              [this] { reader_asked_ = false, reader_answered_ = parts_.clock.steady(); });
        });
    }
    const bool waits_for_committer =
        parts_.journal.read_position() > durable_journal_end_ && !parts_.store.disk_full();
    if (!waits_for_committer) committer_moved_ = now;
    if (now - reader_answered_ > loops_stuck_after || now - committer_moved_ > loops_stuck_after) return;
    sd_notify(0, ("WATCHDOG=1\nSTATUS=" + parts_.status_line()).c_str());
}

}  // namespace touchpoint::gateway
