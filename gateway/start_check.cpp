#include "gateway/start_check.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include "gateway/health.hpp"
#include "gateway/server_tls.hpp"
#include "gateway/tokens.hpp"

namespace touchpoint::gateway {
namespace {

void check_certificate(const std::string& name, const config::HttpSettings& http, UtcTime now,
                       std::vector<StartFinding>& out) {
    if (http.tls_cert.empty()) return;
    const auto tls = ServerTls::open({http.tls_cert, http.tls_key, http.client_ca_file});
    if (!tls) return out.push_back({"http." + name + ": " + tls.error().context, true});
    if (const std::string ends = certificate_ends(name, (*tls)->not_after(), now); !ends.empty())
        out.push_back({ends, false});
}

bool everywhere(const std::string& address) { return address == "0.0.0.0" || address == "::"; }

// Port 0 is any free one. Whether another program has the address cannot be asked while the gateway runs.
bool collide(const config::ListenAddress& a, const config::ListenAddress& b) {
    if (a.port == 0 || a.port != b.port) return false;
    if (a.address == b.address) return true;
    const bool same_family =
        (a.address.find(':') == std::string::npos) == (b.address.find(':') == std::string::npos);
    return same_family && (everywhere(a.address) || everywhere(b.address));
}

// Root sees every file, and must not wonder about one that belongs to the gateway's user, whom it does not
// know.
bool of_another_user(const std::filesystem::path& file) {
    struct stat info {};
    return ::geteuid() == 0 && ::stat(file.c_str(), &info) == 0 && info.st_uid != 0;
}

}  // namespace

std::vector<StartFinding> check_start(const config::Settings& settings, UtcTime now) {
    std::vector<StartFinding> out;
    check_certificate("local", settings.http_local, now, out);
    if (settings.http_platform) {
        check_certificate("platform", *settings.http_platform, now, out);
        const config::ListenAddress& listen = settings.http_platform->listen;
        if (collide(settings.http_local.listen, listen))
            out.push_back({"http.platform: " + listen.address + " port " + std::to_string(listen.port) +
                               ": Address already in use (http.local listens there)",
                           true});
    }
    const std::filesystem::path& file = settings.auth.tokens_file;
    if (file.empty() || of_another_user(file)) return out;
    if (const auto tokens = read_tokens(file); !tokens)
        out.push_back({"the file of access tokens cannot be used: " + tokens.error().context, false});
    return out;
}

}  // namespace touchpoint::gateway
