#include <systemd/sd-daemon.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <csignal>
#include <cstdlib>

#include "gateway/core/log.hpp"
#include "gateway/daemon_impl.hpp"

namespace touchpoint::gateway {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr milliseconds tick_every{250};
// An orderly stop, together under two seconds.
constexpr milliseconds stop_answers_max{300};  // receipts for what is already here
constexpr milliseconds stop_link_max{500};
constexpr milliseconds stop_drain_max{500};
constexpr milliseconds stop_uplink_max{500};

// Of a URL that config/ has checked.
std::string host_of(const std::string& url) {
    const auto address = uplink::parse_address(url);
    return address ? address->authority() : url;
}

}  // namespace

int Daemon::Impl::run() {
    store_->start(
        journal_->position(0),
        [this](store::HorizonNote note) {
            auto held =
                std::make_shared<store::HorizonNote>(std::move(note));  // asio wants a copyable handler
            asio::post(loop_, [this, held] { settled(std::move(*held)); });
        },
        [this](const Error& error) {
            asio::post(loop_, [this, error] { failed("the disk refused a write: " + error.context); });
        });
    signals_.async_wait([this](boost::system::error_code error, int) {
        if (!error) stop();
    });
    reload_signal_.async_wait([this](boost::system::error_code error, int) {
        if (!error) reload();
    });
    const auto on_end = [this](const std::exception_ptr& error) {
        if (!error) return;
        try {
            std::rethrow_exception(error);
        } catch (const std::exception& e) {
            failed(std::string("a push destination or the profile feed ended: ") + e.what());
        }
    };
    for (const auto& pusher : pushers_) pusher->start(on_end);
    profiles_->start_feed(settings_.gateway.id, surroundings_.random, on_end);
    housekeeping_->submit(
        events_->started(clock_.utc(), surroundings_.version, last_end_, new_epoch_, clock_.trusted()));
    log::info(
        "gateway", "started",
        {{"version", surroundings_.version}, {"epoch", store_->epoch()}, {"last_end", name(last_end_)}});
    pump_soon();  // what the journal still holds comes first; the link opens with the first tick
    tick();
    sd_notify(0, ("READY=1\nSTATUS=" + status_line(snapshot())).c_str());
    loop_.run();
    const int status = failed_ ? 1 : 0;
    // A reader that hangs in a disk's I/O keeps its pushers and pulls: everything that was promised is
    // durable by now, and systemd need not wait for that disk.
    if (!uplink_ended()) std::_Exit(status);
    return status;
}

void Daemon::Impl::arm_tick() {
    timer_.expires_after(tick_every);
    timer_.async_wait([this](boost::system::error_code error) {
        if (!error) tick();
    });
}

void Daemon::Impl::tick() {
    const SteadyTime now = clock_.steady();
    drive_link(now);
    say(link_log_.tick(now));
    // What Paho's queue had no room for: nothing else may happen that would send it.
    if (link_policy_->open()) intake_->send_waiting();
    housekeeping_->tick(now);
    if (history_.due(now)) history_.sample(now, store_->stats());
    listeners_->tick(now);
    profiles_->tick(now);
    erasure_->go_on();
    arm_tick();
}

void Daemon::Impl::link_lost(SteadyTime now, const std::string& reason) {
    link_policy_->lost(now);
    say(link_log_.lost(now, reason));
}

void Daemon::Impl::say(const std::optional<devices::LinkLine>& line) const {
    if (!line) return;
    if (!line->reason.empty())
        log::write(line->level, "mqtt", line->words,
                   {{"broker", settings_.link.url}, {"reason", line->reason}});
    else if (line->down)
        log::write(line->level, "mqtt", line->words,
                   {{"broker", settings_.link.url}, {"down_s", line->down->count()}});
    else
        log::write(line->level, "mqtt", line->words, {{"broker", settings_.link.url}});
}

void Daemon::Impl::drive_link(SteadyTime now) {
    devices::LinkRoom room;
    room.journal_above_soft_bound = journal_->above_soft_bound();
    room.journal_below_resume_bound = journal_->below_resume_bound();
    room.journal_has_reserve = journal_->reserve();
    room.store_full = store_->disk_full();
    switch (link_policy_->tick(now, room)) {
        case devices::LinkAction::nothing:
            break;
        case devices::LinkAction::connect:
            if (!link_->connect()) link_lost(now, link_->stats().last_error);
            break;
        case devices::LinkAction::disconnect:
            if (link_policy_->closed_for_room())
                log::warning("gateway", "link to the broker closed until there is room",
                             {{"journal_bytes", journal_->uncut_bytes()}, {"disk_full", room.store_full}});
            if (!link_->disconnect(
                    housekeeping_->status_text(link_policy_->closed_for_room() ? "full" : "offline")))
                link_policy_->lost(now);
            break;
    }
}

// The retained gateway status: devices/README.md.
std::string Daemon::Impl::status_members(std::string_view state) const {
    std::vector<uplink::PushState> destinations;
    for (const auto& pusher : pushers_) destinations.push_back(pusher->stats().state);
    return gateway_status_members(state, destinations);
}

void Daemon::Impl::pump_soon() {
    if (pump_posted_) return;
    pump_posted_ = true;
    asio::post(loop_, [this] {
        pump_posted_ = false;
        pump();
    });
}

void Daemon::Impl::pump() {
    link_->rearm();
    const devices::Intake::Step step = intake_->step();
    if (step.failed) return failed("the journal cannot be read");
    erasure_->go_on();
    // At once: between two ticks a burst can run through the journal's whole reserve, and a full one is our
    // end.
    const bool tight = journal_->above_soft_bound() || !journal_->reserve();
    if (tight && link_policy_->open() && !stopping_ && !failed_) drive_link(clock_.steady());
    if (step.more && !step.waiting_for_room) pump_soon();
}

void Daemon::Impl::settled(store::HorizonNote note) {
    housekeeping_->committed(note.journal_end);
    intake_->settle(note);
    direct_->settle(note.settled);
    for (const auto& pusher : pushers_) pusher->notify();
    pull_->notify();
    profiles_->committed();
    pump_soon();
}

// What only a new start heals. The journal holds what was not durable; systemd starts us again.
void Daemon::Impl::failed(const std::string& what) {
    if (failed_) return;
    failed_ = true;
    log::error("gateway", "stopping, only a new start helps", {{"why", what}});
    sd_notify(0, ("STATUS=failed: " + what).c_str());
    timer_.cancel();
    link_policy_->stop();
    link_->close(housekeeping_->status_text("offline"), stop_link_max);
    end_uplink();
    loop_.stop();
}

void Daemon::Impl::reload() {
    reload_signal_.async_wait([this](boost::system::error_code error, int) {
        if (!error) reload();
    });
    if (!surroundings_.reload) return;
    const auto fresh = surroundings_.reload();
    if (!fresh) {
        log::error("gateway", "configuration not taken over, the old one stays",
                   {{"why", fresh.error().context}});
        return;
    }
    log::set_level(fresh->log_level);
    housekeeping_->set_heartbeat(fresh->gateway.heartbeat);
    const bool certificates = listeners_->reload();
    // Password and token files are read at every connect: a destination that was paused tries again now.
    for (const auto& pusher : pushers_) pusher->retry_now();
    profiles_->retry_feed();
    log::info("gateway", certificates
                             ? "reloaded: log level, heartbeat, secrets and certificates; every other "
                               "key needs a restart"
                             : "reloaded: log level, heartbeat and secrets, not the certificates; every "
                               "other key needs a restart");
}

void Daemon::Impl::run_until(milliseconds deadline, const std::function<bool()>& done) {
    const SteadyTime end = clock_.steady() + deadline;
    // This runs inside a handler. What that handler has posted before stands in a queue of its own (one loop
    // thread), which of all functions only poll and poll_one look into: without it a stop waits out every
    // deadline.
    while (!done() && !loop_.stopped() && clock_.steady() < end)
        if (loop_.poll_one() == 0) loop_.run_one_for(milliseconds(5));
}

bool Daemon::Impl::uplink_ended() const {
    return pull_->ended() && profiles_->feed_ended() &&
           std::all_of(pushers_.begin(), pushers_.end(), [](const auto& pusher) { return pusher->ended(); });
}

// They may die only when they have ended.
void Daemon::Impl::end_uplink() {
    pull_->stop();
    for (const auto& pusher : pushers_) pusher->stop();
    profiles_->stop_feed();
    run_until(stop_uplink_max, [this] { return uplink_ended(); });
}

void Daemon::Impl::stop() {
    if (stopping_ || failed_) return;
    stopping_ = true;
    sd_notify(0, "STOPPING=1\nSTATUS=stopping");
    log::info("gateway", "stopping");
    const SteadyTime began = clock_.steady();
    timer_.cancel();
    // What is here already gets its answer before link and listeners close; long polls are told why they end.
    pull_->stop();
    run_until(stop_answers_max, [this] {
        return intake_->idle() && receipts_.open_tickets() == 0 && direct_->idle() && pull_->ended();
    });
    listeners_->stop();
    link_policy_->stop();
    link_->close(housekeeping_->status_text("offline"), stop_link_max);
    housekeeping_->submit(events_->stopping(clock_.utc(), housekeeping_->uptime()));
    intake_->cover();
    pump_soon();
    run_until(stop_drain_max, [this] { return intake_->idle(); });
    end_uplink();
    erasure_->stop();
    profiles_->stop();
    store_->stop();
    run_until(milliseconds(50), [this] { return loop_.poll() == 0; });  // the last notes: the journal is cut
    if (!failed_) run_mark_->end();
    log::info("gateway", "stopped",
              {{"took_ms", std::chrono::duration_cast<milliseconds>(clock_.steady() - began).count()}});
    loop_.stop();
}

Snapshot Daemon::Impl::snapshot() const {
    Snapshot picture;
    picture.version = surroundings_.version;
    picture.gateway_id = settings_.gateway.id;
    picture.store_id = settings_.gateway.store;
    picture.broker = settings_.link.url;
    picture.config_file = surroundings_.config_file;
    picture.now = clock_.utc();
    picture.started = housekeeping_->started();
    picture.uptime = housekeeping_->uptime();
    picture.clock_trusted = clock_.trusted();
    picture.store_failed = failed_;
    picture.cache_failed = cache_->failed();
    picture.cache_replaced = cache_->replaced();
    picture.cache_used_bytes = cache_->used_bytes();
    picture.vault_limit_bytes = cache_->limit_bytes();
    picture.keys.box_from_credential = keys_->box_from_credential;
    picture.keys.box_also_in_file = keys_->box_also_in_file;
    for (const auto& file : keys_->readable_by_others)
        picture.keys.readable_by_others.push_back(file.string());
    picture.store = store_->stats();
    picture.link = link_->stats();
    picture.link.closed_for_room = link_policy_->closed_for_room();
    picture.intake = intake_->stats();
    picture.profiles = profiles_->picture();
    picture.journal = {journal_->end(), journal_->uncut_bytes(), settings_.store.journal_soft_bytes};
    for (std::size_t i = 0; i < pushers_.size(); ++i)
        picture.push.push_back({pushers_[i]->stats(), host_of(settings_.push[i].url)});
    if (listeners_) picture.http = listeners_->picture();
    picture.config_warnings = surroundings_.config_warnings;
    return picture;
}

}  // namespace touchpoint::gateway
