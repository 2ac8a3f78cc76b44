#include "uplink/name_lookup.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace touchpoint::uplink {

struct NameLookup::Shared {
    std::mutex mutex;
    Done done;
    bool running = true;
};

namespace {

Result<std::vector<std::string>> addresses_of(const std::string& host) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    addrinfo* list = nullptr;
    const int code = getaddrinfo(host.c_str(), nullptr, &hints, &list);
    if (code != 0) return fail(Errc::not_found, gai_strerror(code));
    std::vector<std::string> addresses;
    for (const addrinfo* each = list; each != nullptr; each = each->ai_next) {
        std::array<char, NI_MAXHOST> text{};
        if (getnameinfo(each->ai_addr, each->ai_addrlen, text.data(), text.size(), nullptr, 0,
                        NI_NUMERICHOST) != 0)
            continue;
        if (std::find(addresses.begin(), addresses.end(), text.data()) == addresses.end())
            addresses.emplace_back(text.data());
    }
    freeaddrinfo(list);
    if (addresses.empty()) return fail(Errc::not_found, "no address");
    return addresses;
}

}  // namespace

bool NameLookup::start(const std::string& host, Done done) {
    if (shared_) {
        const std::lock_guard lock(shared_->mutex);
        if (shared_->running) return false;
    }
    shared_ = std::make_shared<Shared>();
    shared_->done = std::move(done);
    try {
        std::thread([shared = shared_, host] {
            auto addresses = addresses_of(host);
            const std::lock_guard lock(shared->mutex);
            shared->running = false;
            if (shared->done) std::exchange(shared->done, nullptr)(std::move(addresses));
        }).detach();
    } catch (const std::system_error&) {  // no thread to be had
        shared_.reset();
        return false;
    }
    return true;
}

void NameLookup::abandon() {
    if (!shared_) return;
    const std::lock_guard lock(shared_->mutex);
    shared_->done = nullptr;
}

}  // namespace touchpoint::uplink
