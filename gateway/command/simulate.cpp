#include "gateway/command/simulate.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "gateway/command/simulate_beacons.hpp"
#include "gateway/command/simulate_ledger.hpp"
#include "gateway/command/simulate_publisher.hpp"
#include "gateway/command/simulate_replay.hpp"
#include "gateway/command/simulate_shop.hpp"

namespace touchpoint::command {
namespace {

using std::chrono::milliseconds;

struct Options {
    simulate::Link::Options broker;
    std::string password_file;
    simulate::Shop::Options shop;
    bool with_shop = true;
    double seconds = 0;  // 0: until the files are through, or until interrupted
    double drain_seconds = 120;
    std::string ledger;
    simulate::Replay::Options replay;
    simulate::BeaconFile::Options beacons;
    bool quiet = false;
};

std::atomic<int> interrupts{0};
static_assert(std::atomic<int>::is_always_lock_free);

void on_interrupt(int) { ++interrupts; }

void catch_interrupts() {
    struct sigaction action = {};
    action.sa_handler = on_interrupt;
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
}

UtcTime utc_now() {
    const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
    return {std::chrono::duration_cast<milliseconds>(since_1970).count()};
}

// Ten letters and digits, the first six from the time of day: no two runs share ids, markers or client ids.
std::string run_name() {
    constexpr char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
    std::random_device random;
    std::uint64_t bits = static_cast<std::uint64_t>(utc_now().ms) << 20 | (random() & 0xFFFFFu);
    std::string name;
    for (int i = 0; i < 10; ++i, bits >>= 5) name += letters[bits & 31];
    return {name.rbegin(), name.rend()};
}

struct Sources {
    std::vector<std::unique_ptr<simulate::Source>> all;
    simulate::Replay* replay = nullptr;
    simulate::BeaconFile* beacons = nullptr;

    bool finished() const {
        for (const auto& source : all)
            if (!source->finished()) return false;
        return true;
    }
};

Result<Sources> open_sources(const Options& options) {
    Sources sources;
    if (options.with_shop) sources.all.push_back(std::make_unique<simulate::Shop>(options.shop));
    if (!options.replay.file.empty()) {
        auto replay = simulate::Replay::open(options.replay, utc_now());
        if (!replay) return replay.error();
        auto owned = std::make_unique<simulate::Replay>(std::move(*replay));
        sources.replay = owned.get();
        sources.all.push_back(std::move(owned));
    }
    if (!options.beacons.file.empty()) {
        auto beacons = simulate::BeaconFile::open(options.beacons);
        if (!beacons) return beacons.error();
        auto owned = std::make_unique<simulate::BeaconFile>(std::move(*beacons));
        sources.beacons = owned.get();
        sources.all.push_back(std::move(owned));
    }
    return sources;
}

void print_progress(const simulate::Publisher& publisher, const simulate::Ledger& ledger) {
    using simulate::Outcome;
    const auto stats = publisher.stats();
    fmt::print("events={} receipted={} pubacked={} waiting={} resent={} rejected={} connected={}/{}\n",
               stats.taken, ledger.count(Outcome::receipted) + ledger.count(Outcome::duplicate),
               ledger.count(Outcome::pubacked), stats.outstanding, stats.resends,
               ledger.count(Outcome::rejected), stats.links_up, stats.links);
    std::fflush(stdout);
}

void run_loop(const Options& options, Sources& sources, simulate::Publisher& publisher,
              const simulate::Ledger& ledger) {
    const SteadyTime began = std::chrono::steady_clock::now();
    const auto seconds = [](double s) {
        return std::chrono::duration_cast<SteadyTime::duration>(std::chrono::duration<double>(s));
    };
    SteadyTime print_at = began + std::chrono::seconds(1);
    std::optional<SteadyTime> drain_until;
    for (;;) {
        const SteadyTime now = std::chrono::steady_clock::now();
        const UtcTime utc = utc_now();
        if (!drain_until) {
            for (std::size_t i = 0; i < sources.all.size(); ++i) {
                simulate::Source& source = *sources.all[i];
                while (publisher.has_room(i, source.outstanding_max())) {
                    auto draft = source.next(now, utc);
                    if (!draft) break;
                    publisher.take(std::move(*draft), i);
                }
            }
            const bool time_is_up = options.seconds > 0 && now - began >= seconds(options.seconds);
            if (time_is_up || sources.finished() || interrupts > 0)
                drain_until = now + seconds(options.drain_seconds);
        }
        if (drain_until && (publisher.settled() || now >= *drain_until || interrupts > 1)) return;
        publisher.step(now, milliseconds(5));
        if (!options.quiet && now >= print_at) {
            print_progress(publisher, ledger);
            print_at = now + std::chrono::seconds(1);
        }
    }
}

int simulate_shop(Options options) {
    if (!options.password_file.empty()) {
        std::ifstream file(options.password_file);
        if (!std::getline(file, options.broker.password)) {
            fmt::print(stderr, "simulate: {} cannot be read; it holds the password in its first line\n",
                       options.password_file);
            return 1;
        }
    }
    const std::string run = run_name();
    auto ledger = simulate::Ledger::open(options.ledger, run, utc_now());
    if (!ledger) {
        fmt::print(stderr, "simulate: the ledger cannot be written: {}\n", ledger.error().context);
        return 1;
    }
    auto sources = open_sources(options);
    if (!sources) {
        fmt::print(stderr, "simulate: {}\n", sources.error().context);
        return 1;
    }
    catch_interrupts();
    simulate::Publisher::Options publishing;
    publishing.broker = options.broker;
    publishing.run = run;
    simulate::Publisher publisher(publishing, *ledger);
    run_loop(options, *sources, publisher, *ledger);
    publisher.finish();
    if (!options.quiet) print_progress(publisher, *ledger);

    bool good = true;
    const auto complain = [&good](const std::string& text) {
        fmt::print(stderr, "simulate: {}\n", text);
        good = false;
    };
    if (sources->replay != nullptr) {
        fmt::print("replayed {} lines as {} runs of invoice lines\n", sources->replay->lines(),
                   sources->replay->runs());
        if (sources->replay->error())
            complain("the replay ended early: " + sources->replay->error()->context);
    }
    if (sources->beacons != nullptr && sources->beacons->error())
        complain("the beacon file ended early: " + sources->beacons->error()->context);
    using simulate::Outcome;
    if (const auto unknown = ledger->count(Outcome::unknown); unknown > 0)
        complain(
            fmt::format("{} events got no answer; {}", unknown,
                        publisher.stats().logins_refused > 0
                            ? "the broker refused to let us in: are --username and --password-file right?"
                            : "is the gateway running and subscribed?"));
    if (const auto rejected = ledger->count(Outcome::rejected); rejected > 0)
        complain(fmt::format("{} events were rejected; see: touchpoint quarantine list", rejected));
    if (const auto closed = ledger->close(); !closed) complain(closed.error().context);
    return good ? 0 : 1;
}

}  // namespace

void add_simulate(CLI::App& app, int& exit_code) {
    CLI::App* command = app.add_subcommand(
        "simulate",
        "A shop of kiosks, beacons and tills that publish over MQTT. Two thirds of the devices keep every "
        "event\n"
        "until its receipt and send it again; a third is plain: MQTT 3.1.1, no id, no receipt.");
    auto options = std::make_shared<Options>();  // owners: the callback below, and so the CLI::App
    command->add_option("--url", options->broker.url, "the broker: mqtt://host:port or mqtts://host:port")
        ->capture_default_str();
    command->add_option("--username", options->broker.username, "for the broker");
    command->add_option("--password-file", options->password_file, "first line: the password for the broker");
    command->add_option("--ca-file", options->broker.ca_file, "PEM, for mqtts://; without it the system's");
    auto* rate =
        command->add_option("--rate", options->shop.rate, "invented events a second, all devices together")
            ->check(CLI::Range(0.01, 100000.0))
            ->capture_default_str();
    auto* devices = command->add_option("--devices", options->shop.devices, "invented devices of all kinds")
                        ->check(CLI::Range(1u, 10000u))
                        ->capture_default_str();
    auto* tills =
        command
            ->add_option("--tills", options->replay.tills,
                         "tills of the replay (10), or among the invented devices (a fifth of them)")
            ->check(CLI::Range(1u, 1000u));
    command->add_option("--seed", options->shop.seed, "the same seed says the same things in the same order")
        ->capture_default_str();
    command
        ->add_option("--seconds", options->seconds,
                     "stop after this time; 0: when the files are through, or at Ctrl-C")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    command
        ->add_option("--drain-seconds", options->drain_seconds,
                     "at the end, wait this long for what is unanswered")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    command->add_option("--ledger", options->ledger,
                        "write what the devices were promised into this file (NDJSON)");
    command->add_option("--replay", options->replay.file,
                        "replay the UCI Online Retail CSV (plain or gzip) as pos.sale and pos.return");
    command
        ->add_option("--speed", options->replay.speed,
                     "of the replay, times real time; 0: as fast as receipts come")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    command->add_flag("--keep-dates", options->replay.keep_dates,
                      "do not shift the dates of the replay to now");
    command->add_option(
        "--beacons-csv", options->beacons.file,
        "play beacon readings (CSV with unix_time, sensor_mac, beacon_mac, rssi_dbm) as telemetry");
    command->add_option("--beacon-rate", options->beacons.rate, "readings a second")
        ->check(CLI::Range(0.01, 100000.0))
        ->capture_default_str();
    command
        ->add_option("--beacon-events", options->beacons.events,
                     "stop after so many readings; 0: the whole file")
        ->capture_default_str();
    command->add_flag("--quiet", options->quiet, "no line a second");
    command->footer(
        "With --replay or --beacons-csv the invented devices stay away, unless --rate or --devices is "
        "given.");
    command->callback([options, rate, devices, tills, &exit_code] {
        const bool files = !options->replay.file.empty() || !options->beacons.file.empty();
        options->with_shop = !files || rate->count() > 0 || devices->count() > 0;
        if (tills->count() > 0) options->shop.tills = options->replay.tills;
        exit_code = simulate_shop(*options);
    });
}

}  // namespace touchpoint::command
