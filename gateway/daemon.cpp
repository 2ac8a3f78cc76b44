#include "gateway/daemon.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "gateway/daemon_impl.hpp"

namespace touchpoint::gateway {
namespace {

namespace asio = boost::asio;
// Topic and properties of one message (devices/README.md, "Limits"); what has more goes to quarantine.
constexpr std::size_t properties_bytes_max = 64u << 10;
// A drain compresses for seconds; who stands at a till waits for loop. A third of a core beside one that
// wants all.
constexpr int reader_nice = 5;

}  // namespace

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

    auto keys = store::open_keys(path / "keys", surroundings_.credentials);
    if (!keys) return keys.error();
    keys_ = std::move(*keys);
    box_.emplace(keys_->box);
    auto cache = store::Cache::open(cache_options(settings_, look_first));
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
    options.followed = true;  // by ProfileDesk
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

    reader_ = std::make_unique<store::Worker>("reader", reader_nice);
    profiles_.emplace(
        ProfileDesk::Parts{
            loop_, clock_, *cache_, *store_, *box_, *keys_,
            [this](const std::string& key) { admission_->forget(key); },
            [this](const Joined& joined) {
                housekeeping_->submit_once_there_is_room(events_->joined(
                    clock_.utc(), joined.epoch, joined.names, joined.mark.stream, joined.mark.sequence));
            },
            [this](std::vector<std::string> names, EventErasure::Done done) {
                erasure_->erase(std::move(names), std::move(done));
            },
            [this](const std::string& topic, const std::string& payload, const std::string& correlation) {
                return link_ && link_->publish(topic, payload, 0, false, correlation);
            }},
        settings_.gateway.id, settings_.profiles);
    return {};
}

Result<void> Daemon::Impl::open_devices() {
    devices::AdmissionOptions admission = settings_.admission;
    admission_.emplace(std::move(admission), devices::Pseudonymiser(keys_->pseudonym, keys_->pseudonym_id),
                       *box_, surroundings_.random);
    if (const auto rows = cache_->devices(); rows)
        registry_.load(*rows);
    else
        log::warning("gateway", "device registry not read", {{"why", rows.error().context}});
    reception_.emplace(*admission_, registry_);
    intake_.emplace(
        devices::Intake::Parts{*journal_, *store_, clock_, *reception_, receipts_},
        [this](const std::string& topic, const std::string& payload, int qos, bool retain,
               const std::string& correlation) {
            return link_ && link_->publish(topic, payload, qos, retain, correlation);
        },
        [this](const devices::DeviceAddress& device, const store::Incoming& message,
               std::chrono::milliseconds waited) { profiles_->answer(device, message, waited); });
    erasure_.emplace(EventErasure::Parts{
        loop_, *store_, clock_, [this] { return journal_->end(); },
        [this] { return intake_->submitted_through(); },
        [this](const std::vector<std::string>& pseudonyms) {
            for (const std::string& pseudonym : pseudonyms) {
                admission_->forget(pseudonym);
                housekeeping_->forget(pseudonym);
            }
            profiles_->erasing(pseudonyms);
        },
        [this](const std::vector<std::string>& pseudonyms) { profiles_->erased(pseudonyms); }});
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
            [this] { return status_line(snapshot()); }, [this] { asio::post(loop_, [this] { stop(); }); }},
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
                                  surroundings_.random, profiles_->names()}));
    pull_.emplace(settings_.gateway.id, settings_.gateway.store,
                  uplink::Pull::Parts{loop_, *store_, *reader_, clock_, profiles_->names()});
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

Daemon::Daemon(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Daemon::~Daemon() = default;

Result<std::unique_ptr<Daemon>> Daemon::open(config::Settings settings, Surroundings surroundings) {
    auto impl = std::make_unique<Impl>(std::move(settings), std::move(surroundings));
    if (const auto opened = impl->open(); !opened) return opened.error();
    return std::unique_ptr<Daemon>(new Daemon(std::move(impl)));
}

int Daemon::run() { return impl_->run(); }

}  // namespace touchpoint::gateway
