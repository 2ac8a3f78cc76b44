// The daemon behind its door: the parts in build order, and what the two halves share. daemon.cpp builds
// them, daemon_run.cpp runs and stops them.
//
// Threads: loop.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "devices/direct_intake.hpp"
#include "devices/intake.hpp"
#include "devices/link_log.hpp"
#include "devices/link_policy.hpp"
#include "devices/mqtt_link.hpp"
#include "devices/topics.hpp"
#include "gateway/backlog.hpp"
#include "gateway/control.hpp"
#include "gateway/core/log.hpp"
#include "gateway/daemon.hpp"
#include "gateway/disk_room.hpp"
#include "gateway/event_routes.hpp"
#include "gateway/gateway_events.hpp"
#include "gateway/gateway_status.hpp"
#include "gateway/health.hpp"
#include "gateway/housekeeping.hpp"
#include "gateway/listeners.hpp"
#include "gateway/platform_routes.hpp"
#include "gateway/profiles/event_erasure.hpp"
#include "gateway/profiles/profile_desk.hpp"
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
    void run_until(std::chrono::milliseconds deadline, const std::function<bool()>& done);

    std::string status_members(std::string_view state) const;
    Snapshot snapshot() const;

    config::Settings settings_;
    Surroundings surroundings_;
    const Clock& clock_;
    boost::asio::io_context loop_{1};

    // In build order; they die in reverse.
    std::optional<store::Keys> keys_;
    std::optional<store::SealedBox> box_;
    std::unique_ptr<store::Cache> cache_;
    std::unique_ptr<store::EventStore> store_;
    std::unique_ptr<store::Journal> journal_;
    std::optional<Housekeeping> housekeeping_;  // made last, but jobs of the reader speak to it
    // Made later, but jobs that the desk's writer has left at the end ask it. Of itself it needs store and
    // loop then; what it asks journal, intake and admission it asks on loop, which does not run any more.
    std::optional<EventErasure> erasure_;
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

    boost::asio::steady_timer timer_{loop_};
    boost::asio::signal_set signals_{loop_, SIGTERM, SIGINT};
    boost::asio::signal_set reload_signal_{loop_, SIGHUP};

    bool pump_posted_ = false;
    bool stopping_ = false;
    bool failed_ = false;
    std::optional<RunMark> run_mark_;
    LastEnd last_end_ = LastEnd::first_start;
    bool new_epoch_ = false;
};

}  // namespace touchpoint::gateway
