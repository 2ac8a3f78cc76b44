// bench_customers: the platform that loads profiles, and tills that read them, over kept-alive connections of
// HTTP/1.1. One thread, plain sockets, so that the generator is not what is measured.
//
//   bench_customers load --port P --profiles N [--bytes B] [--lines L]
//   bench_customers read --port P --profiles N [--rate R] [--connections C] [--seconds S]
//
// read: a customer by chance, by his card; with --rate 0 each connection asks again as soon as it is
// answered. With a rate the time counts from when the request was due, not from when a connection was free
// for it. SIGTERM ends it early; of a load SIGUSR1 makes a pause between two batches, which no figure counts,
// and ends it. Prints one JSON object. Exit 1 if a connection ends or an answer is not 2xx.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bench/customers.hpp"
#include "tests/bench/stops.hpp"

namespace {

using namespace touchpoint::bench;
using Steady = std::chrono::steady_clock;

struct Options {
    int port = 0;
    std::uint64_t profiles = 1000;
    std::size_t bytes = 2048;
    int lines = 500;
    double rate = 0;
    int connections = 16;
    double seconds = 5;
    std::uint64_t seed = 1;
};

volatile std::sig_atomic_t ended = 0;
volatile std::sig_atomic_t pauses = 0;  // how often SIGUSR1 came: each second one ends what the first began

[[noreturn]] void give_up(const std::string& why) {
    std::fprintf(stderr, "bench_customers: %s\n", why.c_str());
    std::exit(1);
}

double ms_since(Steady::time_point then) {
    return std::chrono::duration<double, std::milli>(Steady::now() - then).count();
}

double part(const std::vector<double>& sorted, double where) {
    return sorted.empty() ? 0
                          : sorted[static_cast<std::size_t>(where * static_cast<double>(sorted.size() - 1))];
}

int connected(int port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) give_up("no server");
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

// The first whole answer in `text`: how long it is, and its body. Of length 0: it is not whole yet.
struct Answer {
    std::size_t length = 0;
    std::string_view body;
    bool not_now = false;  // 503: it is an answer, and says to go on without the profile
};

Answer whole_answer(std::string_view text) {
    const std::size_t end = text.find("\r\n\r\n");
    if (end == std::string_view::npos) return {};
    const std::size_t at = text.find("Content-Length: ");
    if (at == std::string_view::npos || at > end) give_up("an answer without Content-Length");
    const std::size_t bytes = std::strtoull(text.data() + at + 16, nullptr, 10);
    if (text.size() < end + 4 + bytes) return {};
    const std::string_view body = text.substr(end + 4, bytes);
    const bool not_now =
        text.starts_with("HTTP/1.1 503 ") && body.find("\"not-now\"") != std::string_view::npos;
    if (!not_now && !text.starts_with("HTTP/1.1 2"))
        give_up("the answer is " + std::string(text.substr(0, 200)));
    return {end + 4 + bytes, body, not_now};
}

// --- load

void send_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t done = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (done <= 0) give_up("the connection ended");
        bytes.remove_prefix(static_cast<std::size_t>(done));
    }
}

std::string receive_answer(int fd) {
    std::string text;
    std::vector<char> bytes(1u << 18);
    for (;;) {
        const ssize_t got = ::recv(fd, bytes.data(), bytes.size(), 0);
        if (got <= 0) give_up("the connection ended");
        text.append(bytes.data(), static_cast<std::size_t>(got));
        if (const Answer answer = whole_answer(text); answer.length != 0) return std::string(answer.body);
    }
}

void load(const Options& options) {
    const int fd = connected(options.port);
    std::vector<double> batches;
    std::uint64_t created = 0, sent = 0;
    double paused_ms = 0;
    const auto began = Steady::now();
    while (sent < options.profiles && ended == 0) {
        if (pauses % 2 != 0) {
            const auto then = Steady::now();
            while (pauses % 2 != 0 && ended == 0) ::usleep(1000);
            paused_ms += ms_since(then);
        }
        std::string body;
        for (int line = 0; line < options.lines && sent < options.profiles; ++line)
            body += line_of(sent++, options.bytes) + '\n';
        const auto then = Steady::now();
        send_all(
            fd,
            "POST /v1/profiles/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
            "Content-Length: " +
                std::to_string(body.size()) + "\r\n\r\n" + body);
        const std::string answer = receive_answer(fd);
        batches.push_back(ms_since(then));
        for (std::size_t at = answer.find("\"status\":201"); at != std::string::npos;
             at = answer.find("\"status\":201", at + 1))
            ++created;
    }
    const double seconds = (ms_since(began) - paused_ms) / 1000;
    ::close(fd);
    std::sort(batches.begin(), batches.end());
    std::printf(
        R"({"sent":%llu,"created":%llu,"seconds":%.3f,"per_s":%.0f,"batch_p50_ms":%.1f,"batch_p99_ms":%.1f})"
        "\n",
        static_cast<unsigned long long>(sent), static_cast<unsigned long long>(created), seconds,
        static_cast<double>(sent) / seconds, part(batches, 0.5), part(batches, 0.99));
}

// --- read

class Tills {
  public:
    explicit Tills(const Options& options) : options_(options), random_(options.seed) {}

    void run() {
        for (int i = 0; i < options_.connections; ++i) {
            connections_.push_back({connected(options_.port), {}, {}, false});
            ::fcntl(connections_.back().fd, F_SETFL, O_NONBLOCK);
        }
        if (options_.rate > 0) stops_.begin();
        began_ = Steady::now();
        for (const auto end = began_ + seconds(options_.seconds); Steady::now() < end && ended == 0;) {
            offer();
            serve();
        }
        stops_.end();
        report();
    }

  private:
    struct Connection {
        int fd = -1;
        std::string received;
        Steady::time_point due;
        bool busy = false;
    };

    static Steady::duration seconds(double value) {
        return std::chrono::duration_cast<Steady::duration>(std::chrono::duration<double>(value));
    }
    Steady::time_point due(std::uint64_t number) const {
        return began_ + seconds(static_cast<double>(number) / options_.rate);
    }

    void offer() {
        const auto now = Steady::now();
        for (Connection& c : connections_) {
            if (c.busy) continue;
            if (options_.rate > 0 && due(asked_) > now) return;
            c.due = options_.rate > 0 ? due(asked_) : now;
            c.busy = true;
            ++asked_;
            const std::string request = "GET /v1/profiles/" + card_of(random_() % options_.profiles) +
                                        " HTTP/1.1\r\nHost: localhost\r\n\r\n";
            if (::send(c.fd, request.data(), request.size(), MSG_NOSIGNAL) !=
                static_cast<ssize_t>(request.size()))
                give_up("a request was not sent");
        }
    }

    void serve() {
        polled_.clear();
        for (const Connection& c : connections_)
            polled_.push_back({c.fd, static_cast<short>(c.busy ? POLLIN : 0), 0});
        timespec wait{0, 20'000'000};
        const bool idle =
            std::any_of(connections_.begin(), connections_.end(), [](auto& c) { return !c.busy; });
        if (idle) {
            const auto left = std::max(Steady::duration(0), due(asked_) - Steady::now());
            wait.tv_nsec = std::min<long>(wait.tv_nsec,
                                          std::chrono::duration_cast<std::chrono::nanoseconds>(left).count());
        }
        if (::ppoll(polled_.data(), polled_.size(), &wait, nullptr) < 0 && errno != EINTR) give_up("poll");
        for (std::size_t i = 0; i < connections_.size(); ++i)
            if (polled_[i].revents != 0) receive(connections_[i]);
    }

    void receive(Connection& c) {
        char bytes[65536];
        const ssize_t got = ::recv(c.fd, bytes, sizeof bytes, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN)) give_up("the server closed a connection");
        if (got < 0) return;
        c.received.append(bytes, static_cast<std::size_t>(got));
        const Answer answer = whole_answer(c.received);
        if (answer.length == 0) return;
        body_bytes_ += answer.body.size();
        not_now_ += answer.not_now ? 1 : 0;
        reads_.push_back({c.due, Steady::now()});
        c.received.erase(0, answer.length);
        c.busy = false;
    }

    void report() {
        const double took = ms_since(began_) / 1000;
        std::vector<double> all, apart;
        for (const Read& read : reads_)
            all.push_back(std::chrono::duration<double, std::milli>(read.answered - read.due).count());
        for (const Read& read : apart_from_stops())
            apart.push_back(std::chrono::duration<double, std::milli>(read.answered - read.due).count());
        std::sort(all.begin(), all.end());
        std::sort(apart.begin(), apart.end());
        const double count = static_cast<double>(all.size());
        std::printf(
            R"({"reads":%zu,"seconds":%.3f,"per_s":%.1f,"body_bytes":%.0f,"p50_ms":%.3f,"p99_ms":%.3f,"p999_ms":%.3f,"max_ms":%.3f,"not_now":%zu)",
            all.size(), took, count / took, static_cast<double>(body_bytes_) / std::max(1.0, count),
            part(all, 0.5), part(all, 0.99), part(all, 0.999), part(all, 1), not_now_);
        if (stops_.watched())
            std::printf(
                R"(,"stops":%zu,"longest_stop_ms":%.1f,"apart":%zu,"apart_p99_ms":%.3f,"apart_p999_ms":%.3f)",
                stops_.count(), stops_.longest().count(), apart.size(), part(apart, 0.99),
                part(apart, 0.999));
        std::printf("}\n");
    }

    struct Read {
        Steady::time_point due, answered;
    };

    // Those that have nothing to do with a stop of the machine: while it lasts reads become due, and until
    // all of those are answered the ones behind them wait, too.
    std::vector<Read> apart_from_stops() {
        std::sort(reads_.begin(), reads_.end(), [](const Read& a, const Read& b) { return a.due < b.due; });
        std::vector<Read> out;
        for (auto first = reads_.begin(); first != reads_.end();) {
            auto last_answer = first->answered;
            auto next = first + 1;
            for (; next != reads_.end() && next->due <= last_answer; ++next)
                last_answer = std::max(last_answer, next->answered);
            if (!stops_.any(first->due, last_answer)) out.insert(out.end(), first, next);
            first = next;
        }
        return out;
    }

    const Options options_;
    std::mt19937_64 random_;
    std::vector<Connection> connections_;
    std::vector<pollfd> polled_;
    Steady::time_point began_;
    std::uint64_t asked_ = 0;
    std::uint64_t body_bytes_ = 0;
    std::vector<Read> reads_;
    MachineStops stops_;
    std::size_t not_now_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("Profiles over HTTP: loads them, reads them.");
    app.require_subcommand(1);
    CLI::App* loading = app.add_subcommand("load");
    CLI::App* reading = app.add_subcommand("read");
    for (CLI::App* command : {loading, reading}) {
        command->add_option("--port", options.port, "of the listener on 127.0.0.1")->required();
        command->add_option("--profiles", options.profiles)->check(CLI::PositiveNumber);
    }
    loading->add_option("--bytes", options.bytes, "of a profile, as JSON");
    loading->add_option("--lines", options.lines, "of a batch")->check(CLI::Range(1, 3000));
    reading->add_option("--rate", options.rate, "reads a second; 0: as fast as they are answered");
    reading->add_option("--connections", options.connections)->check(CLI::Range(1, 60));
    reading->add_option("--seconds", options.seconds);
    reading->add_option("--seed", options.seed);
    CLI11_PARSE(app, argc, argv);
    std::signal(SIGTERM, [](int) { ended = 1; });
    std::signal(SIGUSR1, [](int) { pauses = pauses + 1; });
    if (app.got_subcommand(loading))
        load(options);
    else
        Tills(options).run();
}
