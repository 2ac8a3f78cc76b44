#include "gateway/daemon.hpp"

#include <systemd/sd-daemon.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <cstdlib>
#include <optional>

#include "devices/direct_intake.hpp"
#include "devices/intake.hpp"
#include "devices/link_log.hpp"
#include "devices/link_policy.hpp"
#include "devices/mqtt_link.hpp"
#include "devices/topics.hpp"
#include "gateway/backlog.hpp"
#include "gateway/control.hpp"
#include "gateway/core/log.hpp"
#include "gateway/disk_room.hpp"
#include "gateway/event_routes.hpp"
#include "gateway/gateway_events.hpp"
#include "gateway/gateway_status.hpp"
#include "gateway/health.hpp"
#include "gateway/housekeeping.hpp"
#include "gateway/listeners.hpp"
#include "gateway/platform_routes.hpp"
#include "gateway/profile_desk.hpp"
#include "gateway/snapshot.hpp"
#include "store/cache.hpp"
#include "store/event_reader.hpp"
#include "store/event_store.hpp"
#include "store/journal.hpp"
#include "store/keys.hpp"
#include "store/sealed_box.hpp"
#include "store/worker.hpp"
#include "uplink/platform_address.hpp"
#include "uplink/pull.hpp"
#include "uplink/pusher.hpp"

namespace touchpoint::gateway {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr milliseconds tick_every{250};
// Topic and properties of one message (devices/README.md, "Limits"); what has more goes to quarantine.
constexpr std::size_t properties_bytes_max = 64u << 10;
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

class Daemon::Impl {
  public:
    Impl(config::Settings settings, Surroundings surroundings)
        : settings_(std::move(settings)),
          surroundings_(std::move(surroundings)),
          clock_(surroundings_.clock) {}

    Result<void> open();
    int run();

  private:
    Result<void> open_store();
    Result<void> open_devices();
    void open_uplink();
    Result<void> open_http();

    void tick();
    void arm_tick();
    void drive_link(SteadyTime now);
    void link_lost(SteadyTime now, const std::string& reason);
    void say(const std::optional<devices::LinkLine>& line) const;

    void pump();
    void pump_soon();
    void settled(store::HorizonNote note);
    void failed(const std::string& what);
    void reload();
    void stop();
    bool uplink_ended() const;
    void end_uplink();
    void run_until(milliseconds deadline, const std::function<bool()>& done);

    std::string status_members(std::string_view state) const;
    Snapshot snapshot() const;

    config::Settings settings_;
    Surroundings surroundings_;
    const Clock& clock_;
    asio::io_context loop_{1};

    // In build order; they die in reverse.
    std::optional<store::Keys> keys_;
    std::optional<store::SealedBox> box_;
    std::unique_ptr<store::Cache> cache_;
    std::unique_ptr<store::EventStore> store_;
    std::unique_ptr<store::Journal> journal_;
    std::optional<Housekeeping> housekeeping_;  // made last, but jobs of the reader speak to it
    std::unique_ptr<store::Worker> reader_;
    std::optional<ProfileDesk> profiles_;
    std::optional<devices::Admission> admission_;
    devices::Registry registry_;
    devices::Receipts receipts_;
    std::optional<devices::Reception> reception_;
    std::optional<devices::Intake> intake_;
    std::optional<devices::DirectIntake> direct_;
    std::optional<GatewayEvents> events_;
    std::optional<devices::LinkPolicy> link_policy_;
    devices::LinkLog link_log_;
    std::unique_ptr<devices::MqttLink> link_;
    std::vector<std::unique_ptr<uplink::Pusher>> pushers_;
    std::optional<uplink::Pull> pull_;
    Tail tail_;
    BacklogHistory history_;
    std::optional<RouteParts> routes_;
    std::optional<Listeners> listeners_;

    asio::steady_timer timer_{loop_};
    asio::signal_set signals_{loop_, SIGTERM, SIGINT};
    asio::signal_set reload_signal_{loop_, SIGHUP};

    bool pump_posted_ = false;
    bool stopping_ = false;
    bool failed_ = false;
    std::optional<RunMark> run_mark_;
    LastEnd last_end_ = LastEnd::first_start;
    bool new_epoch_ = false;
};

Result<void> Daemon::Impl::open() {
    log::set_level(settings_.log_level);
    if (const auto opened = open_store(); !opened) return opened;
    auto opened = open_devices();
    if (opened) {
        open_uplink();
        opened = open_http();
    }
    if (!opened) run_mark_->put_back();
    return opened;
}

Result<void> Daemon::Impl::open_store() {
    const auto& path = settings_.store.path;
    std::error_code made;
    std::filesystem::create_directories(path, made);
    if (made) return fail(Errc::io, "cannot make " + path.string() + ": " + made.message());
    std::error_code looked;
    const bool first_start = !std::filesystem::exists(path / "events" / "data.mdb", looked);
    if (looked)
        return fail(Errc::io, "cannot look into " + (path / "events").string() + ": " + looked.message());

    run_mark_.emplace((path / "running").string());
    last_end_ = run_mark_->last_end(surroundings_.boot_id, first_start);

    const bool look_first = last_end_ == LastEnd::killed || last_end_ == LastEnd::power_cut;

    auto keys = store::open_keys(path / "keys");
    if (!keys) return keys.error();
    keys_ = std::move(*keys);
    box_.emplace(keys_->box);
    auto cache = store::Cache::open(
        {.folder = path / "cache", .profiles_bytes = settings_.profiles.bytes, .look_first = look_first});
    if (!cache) return cache.error();
    cache_ = std::move(*cache);

    store::EventStore::Options options;
    options.folder = path / "events";
    options.bytes_max = settings_.store.bytes != 0 ? settings_.store.bytes : bytes_from_disk(path);
    options.journal_bytes = settings_.store.journal_hard_bytes;
    options.age_max = settings_.store.age_max;
    options.consumer_age_max = settings_.store.consumer_age_max;
    options.consumer_bytes_max = settings_.store.consumer_bytes_max;
    options.removed_age_max = settings_.store.removed_age_max;
    options.reserve_bytes = std::max<std::uint64_t>(16u << 20, options.bytes_max / 50);
    options.commit_interval = settings_.store.commit_interval;
    options.dedup_age = settings_.store.dedup_age;
    options.dedup_ids = settings_.store.dedup_ids;
    options.boot_id = surroundings_.boot_id;
    options.random = surroundings_.random;
    options.look_first = look_first;
    for (const uplink::PushOptions& push : settings_.push)
        options.consumers.push_back(uplink::Pusher::consumer(push));
    auto store = store::EventStore::open(std::move(options), *cache_, clock_);
    if (!store) return store.error();
    store_ = std::move(*store);
    const auto committed = store_->journal_position();
    new_epoch_ = !first_start && !committed;

    store::Journal::Options journal_options;
    journal_options.folder = settings_.store.journal_path;
    journal_options.boot_id = surroundings_.boot_id;
    journal_options.soft_bytes = settings_.store.journal_soft_bytes;
    journal_options.hard_bytes = settings_.store.journal_hard_bytes;
    journal_options.message_bytes_max = settings_.admission.message_bytes_max + properties_bytes_max;
    auto journal = store::Journal::open(std::move(journal_options), committed, surroundings_.random());
    if (!journal) return journal.error();
    journal_ = std::move(*journal);
    run_mark_->begin(surroundings_.boot_id);

    reader_ = std::make_unique<store::Worker>("reader");
    profiles_.emplace(ProfileDesk::Parts{loop_, clock_, *cache_, *box_, *keys_,
                                         [this](const std::string& key) { admission_->forget(key); }},
                      settings_.profiles);
    return {};
}

Result<void> Daemon::Impl::open_devices() {
    devices::AdmissionOptions admission = settings_.admission;
    admission_.emplace(std::move(admission), devices::Pseudonymiser(keys_->pseudonym, keys_->pseudonym_id),
                       *box_, surroundings_.random,
                       [this](const std::string& pseudonym) { return profiles_->profile_of(pseudonym); });
    if (const auto rows = cache_->devices(); rows)
        registry_.load(*rows);
    else
        log::warning("gateway", "device registry not read", {{"why", rows.error().context}});
    reception_.emplace(*admission_, registry_);
    intake_.emplace(devices::Intake::Parts{*journal_, *store_, clock_, *reception_, receipts_},
                    [this](const std::string& topic, const std::string& payload, int qos, bool retain,
                           const std::string& correlation) {
                        return link_ && link_->publish(topic, payload, qos, retain, correlation);
                    });
    direct_.emplace(devices::DirectIntake::Parts{*store_, clock_, *reception_});
    events_.emplace(settings_.gateway.id, settings_.gateway.store, UlidMaker(surroundings_.random));

    link_policy_.emplace(settings_.link);
    housekeeping_.emplace(
        Housekeeping::Parts{
            loop_, clock_, *store_, *journal_, *cache_, *reader_, registry_, *events_,
            [this](std::string_view state) { return status_members(state); },
            [this](const std::string& status) {
                const std::string topic = devices::Topic{devices::TopicRole::gateway_status, {}, {}}.build();
                return link_policy_->open() && link_->publish(topic, status, 1, true);
            },
            [this] { return status_line(snapshot()); }},
        settings_.gateway.heartbeat);
    devices::MqttLink::Handlers handlers;
    handlers.connected = [this](bool) {
        asio::post(loop_, [this] {
            link_policy_->connected();
            housekeeping_->broker_connected();
            intake_->send_waiting();
        });
    };
    handlers.lost = [this](const std::string& reason) {
        asio::post(loop_, [this, reason] { link_lost(clock_.steady(), reason); });
    };
    handlers.subscribed = [this](bool granted) {
        asio::post(loop_, [this, granted] {
            if (!granted) return link_policy_->refused();
            link_policy_->subscribed();
            say(link_log_.subscribed(clock_.steady()));
        });
    };
    handlers.message = [this] { asio::post(loop_, [this] { pump(); }); };
    auto link = devices::MqttLink::open(settings_.link, *journal_, clock_, std::move(handlers));
    if (!link) return link.error();
    link_ = std::move(*link);
    return {};
}

void Daemon::Impl::open_uplink() {
    for (const uplink::PushOptions& push : settings_.push)
        pushers_.push_back(std::make_unique<uplink::Pusher>(
            push, settings_.gateway.id, settings_.gateway.store,
            uplink::Pusher::Parts{loop_, *store_, *reader_, clock_, cache_.get(), &*box_,
                                  surroundings_.random}));
    pull_.emplace(settings_.gateway.id, settings_.gateway.store,
                  uplink::Pull::Parts{loop_, *store_, *reader_, clock_});
}

Result<void> Daemon::Impl::open_http() {
    routes_.emplace(
        RouteParts{[this] { return snapshot(); },
                   [this] { return backlog_json(store_->stats(), history_, clock_.steady(), clock_.utc()); },
                   tail_,
                   {loop_, *store_, *reader_, *box_, *direct_, clock_}});
    reception_->observe([this](const devices::Observation& seen) { tail_.observed(seen, clock_.utc()); });
    const auto add = [](std::vector<Route>& set, std::vector<Route> routes) {
        for (Route& route : routes) set.push_back(std::move(route));
    };
    Listeners::RouteSets sets;
    for (std::vector<Route>* set : {&sets.local, &sets.platform}) add(*set, local_routes(*routes_));
    add(sets.local, event_routes(*direct_));
    add(sets.local, profiles_->local_routes());
    add(sets.platform, platform_routes({*pull_}));
    add(sets.platform, profiles_->platform_routes());
    add(sets.control, control_routes(*routes_));
    add(sets.control, {gaps_route({*pull_})});
    add(sets.control, profiles_->control_routes());
    listeners_.emplace(Listeners::Parts{loop_, *reader_, clock_});
    return listeners_->open(settings_, std::move(sets));
}

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
    for (const auto& pusher : pushers_)
        pusher->start([this](std::exception_ptr error) {
            if (!error) return;
            try {
                std::rethrow_exception(error);
            } catch (const std::exception& e) {
                failed(std::string("a push destination ended: ") + e.what());
            }
        });
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
    return pull_->ended() &&
           std::all_of(pushers_.begin(), pushers_.end(), [](const auto& pusher) { return pusher->ended(); });
}

// They may die only when they have ended.
void Daemon::Impl::end_uplink() {
    pull_->stop();
    for (const auto& pusher : pushers_) pusher->stop();
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
    pump_soon();
    run_until(stop_drain_max, [this] { return intake_->idle(); });
    end_uplink();
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
    picture.cache_replaced = cache_->replaced();
    picture.cache_used_bytes = cache_->used_bytes();
    picture.vault_limit_bytes = cache_->limit_bytes();
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

Daemon::Daemon(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Daemon::~Daemon() = default;

Result<std::unique_ptr<Daemon>> Daemon::open(config::Settings settings, Surroundings surroundings) {
    auto impl = std::make_unique<Impl>(std::move(settings), std::move(surroundings));
    if (const auto opened = impl->open(); !opened) return opened.error();
    return std::unique_ptr<Daemon>(new Daemon(std::move(impl)));
}

int Daemon::run() { return impl_->run(); }

}  // namespace touchpoint::gateway
