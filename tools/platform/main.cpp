// The command line of the small platform.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tools/platform/server.hpp"

int main(int argc, char** argv) {
    CLI::App app("A small platform: takes what gateways push, keeps it, checks sequences, repeats and gaps.");
    std::string listen = "127.0.0.1:9000", out;
    touchpoint::platform::Server::Options options;
    app.add_option("--listen", listen, "ADDRESS:PORT, port 0 takes a free one")->capture_default_str();
    app.add_option("--out", out,
                   "every event as a line of this file; what stands in it counts as here already");
    app.add_option("--cert", options.cert_file, "server certificate, PEM: speak TLS");
    app.add_option("--key", options.key_file, "its key, PEM");
    app.add_option("--client-ca", options.client_ca_file, "demand a client certificate of this CA");
    app.add_flag("--verbose", options.verbose, "one line for each batch");
    CLI11_PARSE(app, argc, argv);

    // Before any thread: all of them leave these signals to sigwait below.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);

    const auto colon = listen.rfind(':');
    char* end = nullptr;
    const long port = colon == std::string::npos ? -1 : std::strtol(listen.c_str() + colon + 1, &end, 10);
    if (end == nullptr || *end != '\0' || port < 0 || port > 65535) {
        std::fprintf(stderr, "platform: --listen wants ADDRESS:PORT, such as 127.0.0.1:9000\n");
        return 2;
    }
    options.address = listen.substr(0, colon);
    options.port = static_cast<int>(port);
    options.out = out;
    auto server = touchpoint::platform::Server::start(options);
    if (!server) {
        std::fprintf(stderr, "platform: %s\n", server.error().context.c_str());
        return 1;
    }
    std::printf("listening on %s\n", (*server)->url().c_str());
    std::fflush(stdout);
    int signal = 0;
    sigwait(&signals, &signal);
    (*server)->stop();
    std::printf("%s\n", (*server)->summary().to_json().c_str());
    return (*server)->summary().error_count() == 0 ? 0 : 1;
}
