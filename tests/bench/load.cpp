// bench_load: devices that publish at QoS 1 over plain sockets, so that the generator is not what is measured
// (about 1 us of CPU a message). One thread, one poll loop. With --rate 0 as fast as the broker acknowledges.
//
//   bench_load --port P [--connections N] [--kinds pos,kiosk,beacon] [--messages M] [--array K] [--rate R]
//              [--window W] [--plain] [--receipts] [--seed S]
//
// Prints one JSON object: messages, events, when it began (CLOCK_MONOTONIC), seconds until the last PUBACK
// (and until the last receipt: settled) and, with --receipts, the time from the first byte of a till's
// publish to its receipt; kiosks and beacons ask for none. Exit 1 if the broker went away.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/bench/generator.hpp"

namespace {

using touchpoint::bench::Device;
using touchpoint::bench::Generator;
using touchpoint::bench::Kind;
using Steady = std::chrono::steady_clock;
// Without any receipt for so long, none is waited for any more.
constexpr std::chrono::seconds receipts_pause_max{10};

struct Options {
    int port = 1883;
    int connections = 10;
    std::vector<std::string> kinds = {"pos"};
    std::uint64_t messages = 10'000;
    int array = 1;
    double rate = 0;  // messages a second, all connections together
    int window = 50;  // unacknowledged, of one connection
    bool plain = false;
    bool receipts = false;
    std::uint64_t seed = 1;
};

[[noreturn]] void give_up(const char* why) {
    std::fprintf(stderr, "bench_load: %s\n", why);
    std::exit(1);
}

void append_text(std::string& out, std::string_view text) {
    out += static_cast<char>(text.size() >> 8);
    out += static_cast<char>(text.size() & 255);
    out += text;
}
void append_packet(std::string& out, char type, std::string_view body) {
    out += type;
    std::size_t rest = body.size();
    do {
        out += static_cast<char>((rest & 127) | (rest > 127 ? 128 : 0));
        rest >>= 7;
    } while (rest != 0);
    out += body;
}

struct Connection {
    int fd = -1;
    Device device;
    std::string topic;
    std::string to_send;
    std::size_t sent = 0;
    std::string received;
    int in_flight = 0;
    std::uint16_t last_packet = 0;
    int greetings = 0;  // CONNACK and SUBACK
};

class Load {
  public:
    explicit Load(Options options)
        : options_(std::move(options)), generator_(options_.seed, !options_.plain) {}

    void run() {
        for (int i = 0; i < options_.connections; ++i) open(i);
        const int expected = options_.receipts ? 2 : 1;
        until("the broker did not greet us", [&] {
            return std::all_of(connections_.begin(), connections_.end(),
                               [&](const Connection& c) { return c.greetings == expected; });
        });
        began_ = Steady::now();
        while (acknowledged_ < options_.messages) {
            const int wait_ms = offer();
            serve(wait_ms);
        }
        const double seconds = std::chrono::duration<double>(Steady::now() - began_).count();
        // At full speed some are lost: the gateway closes its link while its journal is full. The caller
        // judges.
        if (options_.receipts) wait_for_receipts();
        report(seconds, std::chrono::duration<double>(Steady::now() - began_).count());
    }

  private:
    void open(int number) {
        Connection c;
        const std::string& kind = options_.kinds[static_cast<std::size_t>(number) % options_.kinds.size()];
        c.device = {kind == "pos" ? Kind::sale : kind == "kiosk" ? Kind::screen : Kind::beacon, number};
        c.topic = c.device.event_topic();
        c.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<std::uint16_t>(options_.port));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (::connect(c.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
            give_up("no broker");
        const int on = 1;
        ::setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        ::fcntl(c.fd, F_SETFL, O_NONBLOCK);
        std::string hello;
        append_text(hello, "MQTT");
        hello += std::string("\x04\x02\x00\x00", 4);  // 3.1.1, clean session, no keepalive
        append_text(hello, "load-" + std::to_string(options_.seed) + "-" + std::to_string(number));
        append_packet(c.to_send, '\x10', hello);
        if (options_.receipts) {
            std::string subscribe("\x00\x01", 2);
            append_text(subscribe, c.device.prefix() + "/receipt");
            subscribe += '\0';
            append_packet(c.to_send, '\x82', subscribe);
        }
        connections_.push_back(std::move(c));
    }

    // Queues what is due. Returns how long nothing will be.
    int offer() {
        std::uint64_t due = options_.messages;
        if (options_.rate > 0) {
            const double elapsed = std::chrono::duration<double>(Steady::now() - began_).count();
            due = std::min(due, static_cast<std::uint64_t>(elapsed * options_.rate) + 1);
        }
        for (std::size_t tried = 0; published_ < due && tried < connections_.size();) {
            Connection& c = connections_[next_++ % connections_.size()];
            if (c.in_flight >= options_.window) {
                ++tried;
                continue;
            }
            tried = 0;
            publish(c);
        }
        return options_.rate > 0 && published_ < options_.messages ? 1 : 100;
    }

    void publish(Connection& c) {
        body_.clear();
        append_text(body_, c.topic);
        if (++c.last_packet == 0) ++c.last_packet;
        body_ += static_cast<char>(c.last_packet >> 8);
        body_ += static_cast<char>(c.last_packet & 255);
        if (options_.array > 1) body_ += '[';
        for (int i = 0; i < options_.array; ++i) {
            if (i > 0) body_ += ',';
            std::string id = generator_.id();
            generator_.event(body_, c.device.kind, id);
            if (options_.receipts && c.device.kind == Kind::sale)
                waiting_.emplace(std::move(id), Steady::now());
        }
        if (options_.array > 1) body_ += ']';
        append_packet(c.to_send, '\x32', body_);
        ++published_;
        ++c.in_flight;
        bytes_ += body_.size();
    }

    void serve(int wait_ms) {
        polled_.clear();
        for (const Connection& c : connections_)
            polled_.push_back(
                {c.fd, static_cast<short>(POLLIN | (c.sent < c.to_send.size() ? POLLOUT : 0)), 0});
        if (::poll(polled_.data(), polled_.size(), wait_ms) < 0) give_up("poll");
        for (std::size_t i = 0; i < connections_.size(); ++i) {
            Connection& c = connections_[i];
            if ((polled_[i].revents & POLLOUT) != 0) send(c);
            if ((polled_[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0) receive(c);
        }
    }

    static void send(Connection& c) {
        const ssize_t done = ::send(c.fd, c.to_send.data() + c.sent, c.to_send.size() - c.sent, MSG_NOSIGNAL);
        if (done > 0) c.sent += static_cast<std::size_t>(done);
        if (c.sent == c.to_send.size()) c.to_send.clear(), c.sent = 0;
    }

    void receive(Connection& c) {
        char bytes[65536];
        const ssize_t got = ::recv(c.fd, bytes, sizeof bytes, 0);
        if (got == 0) give_up("the broker closed a connection");
        if (got < 0) return;
        c.received.append(bytes, static_cast<std::size_t>(got));
        std::size_t at = 0;
        for (;;) {
            std::size_t body = at + 1;
            std::size_t length = 0;
            int shift = 0;
            bool whole = false;
            while (body < c.received.size()) {
                const unsigned char byte = static_cast<unsigned char>(c.received[body++]);
                length |= static_cast<std::size_t>(byte & 127) << shift;
                shift += 7;
                if ((byte & 128) == 0) {
                    whole = true;
                    break;
                }
            }
            if (!whole || body + length > c.received.size()) break;
            packet(c, c.received[at], std::string_view(c.received).substr(body, length));
            at = body + length;
        }
        c.received.erase(0, at);
    }

    void packet(Connection& c, char first, std::string_view body) {
        switch (static_cast<unsigned char>(first) >> 4) {
            case 2:  // CONNACK
            case 9:  // SUBACK
                if (body.back() != 0) give_up("the broker refuses us");
                ++c.greetings;
                break;
            case 4:  // PUBACK
                --c.in_flight;
                ++acknowledged_;
                break;
            case 3:
                receipt(body);
                break;
            default:
                break;
        }
    }

    // {"stored":["id",...],"duplicate":[]}
    void receipt(std::string_view body) {
        const auto now = Steady::now();
        std::size_t at = body.find('[');
        const std::size_t end = body.find(']');
        while (at < end) {
            const std::size_t open = body.find('"', at);
            if (open == std::string_view::npos || open > end) break;
            const std::size_t close = body.find('"', open + 1);
            const auto found = waiting_.find(std::string(body.substr(open + 1, close - open - 1)));
            if (found != waiting_.end()) {
                latency_ms_.push_back(std::chrono::duration<double, std::milli>(now - found->second).count());
                waiting_.erase(found);
            }
            at = close + 1;
        }
    }

    void wait_for_receipts() {
        auto deadline = Steady::now() + receipts_pause_max;
        for (std::size_t left = waiting_.size(); left > 0 && Steady::now() < deadline;) {
            serve(20);
            if (waiting_.size() < left) deadline = Steady::now() + receipts_pause_max;
            left = waiting_.size();
        }
    }

    template <class Condition>
    void until(const char* otherwise, Condition condition) {
        const auto deadline = Steady::now() + std::chrono::seconds(30);
        while (!condition()) {
            if (Steady::now() > deadline) give_up(otherwise);
            serve(20);
        }
    }

    void report(double seconds, double settled) {
        std::sort(latency_ms_.begin(), latency_ms_.end());
        const auto at = [&](double part) {
            return latency_ms_.empty() ? 0.0
                                       : latency_ms_[static_cast<std::size_t>(
                                             part * static_cast<double>(latency_ms_.size() - 1))];
        };
        std::printf(
            R"({"messages":%llu,"events":%llu,"bytes":%llu,"began":%.4f,"seconds":%.4f,"settled":%.4f,"receipts":%zu,"p50_ms":%.2f,"p99_ms":%.2f,"max_ms":%.2f})"
            "\n",
            static_cast<unsigned long long>(published_),
            static_cast<unsigned long long>(published_ * static_cast<std::uint64_t>(options_.array)),
            static_cast<unsigned long long>(bytes_),
            std::chrono::duration<double>(began_.time_since_epoch()).count(), seconds, settled,
            latency_ms_.size(), at(0.5), at(0.99), at(1.0));
    }

    const Options options_;
    Generator generator_;
    std::vector<Connection> connections_;
    std::vector<pollfd> polled_;
    std::string body_;
    std::size_t next_ = 0;
    std::uint64_t published_ = 0;
    std::uint64_t acknowledged_ = 0;
    std::uint64_t bytes_ = 0;
    Steady::time_point began_;
    std::unordered_map<std::string, Steady::time_point>
        waiting_;  // at most window x connections x array, and
                   // what the gateway has not answered yet
    std::vector<double> latency_ms_;
};

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("Devices that publish over plain sockets.");
    app.add_option("--port", options.port, "of the broker on 127.0.0.1");
    app.add_option("--connections", options.connections)->check(CLI::Range(1, 1000));
    app.add_option("--kinds", options.kinds, "pos, kiosk, beacon; given to the connections in turn")
        ->delimiter(',');
    app.add_option("--messages", options.messages);
    app.add_option("--array", options.array, "events in a message")->check(CLI::Range(1, 500));
    app.add_option("--rate", options.rate, "messages a second; 0: as fast as they are acknowledged");
    app.add_option("--window", options.window, "unacknowledged messages of a connection");
    app.add_flag("--plain", options.plain, "no event_id");
    app.add_flag("--receipts", options.receipts, "read receipts and measure them");
    app.add_option("--seed", options.seed);
    CLI11_PARSE(app, argc, argv);
    if (options.plain && options.receipts) give_up("--receipts needs ids");
    Load(std::move(options)).run();
}
