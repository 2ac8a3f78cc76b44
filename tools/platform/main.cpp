// The command line of the small platform: it is pushed to, or it pulls.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>

#include "tools/platform/puller.hpp"
#include "tools/platform/server.hpp"

namespace {

namespace platform = touchpoint::platform;

// The port behind the last colon.
std::optional<int> port_of(const std::string& address) {
    const auto colon = address.rfind(':');
    char* end = nullptr;
    const long port = colon == std::string::npos ? -1 : std::strtol(address.c_str() + colon + 1, &end, 10);
    if (end == nullptr || *end != '\0' || port < 0 || port > 65535) return std::nullopt;
    return static_cast<int>(port);
}

int verdict(const platform::Summary& summary) {
    std::printf("%s\n", summary.to_json().c_str());
    return summary.error_count() == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app(
        "A small platform: takes what gateways push, or pulls it, keeps it, checks sequences, repeats and "
        "gaps.");
    std::string listen = "127.0.0.1:9000", out, pull, token_file;
    platform::Server::Options options;
    platform::Puller::Options pulling;
    app.add_option("--listen", listen, "ADDRESS:PORT, port 0 takes a free one")->capture_default_str();
    app.add_option("--out", out,
                   "every event as a line of this file; what stands in it counts as here already");
    app.add_option("--cert", options.cert_file, "server certificate, PEM: speak TLS");
    app.add_option("--key", options.key_file, "its key, PEM");
    app.add_option("--client-ca", options.client_ca_file, "demand a client certificate of this CA");
    app.add_flag("--verbose", options.verbose, "one line for each batch");
    auto* pulls = app.add_option(
        "--pull", pull, "ADDRESS:PORT of a gateway's [http.platform]: pull from it, and listen nowhere");
    app.add_option("--consumer", pulling.consumer, "the name to pull under")
        ->capture_default_str()
        ->needs(pulls);
    app.add_option("--token-file", token_file, "first line: the token for pulling")->needs(pulls);
    CLI11_PARSE(app, argc, argv);

    // Before any thread: all of them leave these signals to sigwait below.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);

    const std::string& address = pull.empty() ? listen : pull;
    const auto port = port_of(address);
    if (!port) {
        std::fprintf(stderr, "platform: ADDRESS:PORT is wanted, such as 127.0.0.1:9000\n");
        return 2;
    }
    int signal = 0;
    if (!pull.empty()) {
        pulling.address = address.substr(0, address.rfind(':'));
        pulling.port = *port;
        pulling.out = out;
        std::ifstream file(token_file);
        if (!token_file.empty() && !std::getline(file, pulling.token)) {
            std::fprintf(stderr, "platform: cannot read a token from %s\n", token_file.c_str());
            return 2;
        }
        platform::Puller puller(pulling);
        sigwait(&signals, &signal);
        puller.stop();
        return verdict(puller.summary());
    }
    options.address = address.substr(0, address.rfind(':'));
    options.port = *port;
    options.out = out;
    auto server = platform::Server::start(options);
    if (!server) {
        std::fprintf(stderr, "platform: %s\n", server.error().context.c_str());
        return 1;
    }
    std::printf("listening on %s\n", (*server)->url().c_str());
    std::fflush(stdout);
    sigwait(&signals, &signal);
    (*server)->stop();
    return verdict((*server)->summary());
}
