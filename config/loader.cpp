#include "config/loader.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <system_error>
#include <tuple>
#include <utility>

#include "config/mappings.hpp"
#include "config/rules.hpp"
#include "config/section.hpp"

namespace touchpoint::config {
namespace {

constexpr std::int64_t mib = 1 << 20;
constexpr std::int64_t gib = 1 << 30;
constexpr std::size_t files_max = 64;  // in conf.d

// The shipped file's example names, so that a fleet of boxes with the same name is noticed.
constexpr const char* shipped_id = "gw-s1";

void read_gateway(Section section, GatewaySettings& out) {
    section.required_text("id", out.id, name_rule);
    section.required_text("store", out.store, name_rule);
    section.duration<std::chrono::seconds>("heartbeat_s", out.heartbeat, 0, 86'400);
    if (out.id == shipped_id)
        section.complain(
            "id", "gateway.id is still the shipped example; give each box of the fleet a name of its own",
            false);
    section.finish();
}

void read_mqtt(Section section, devices::LinkOptions& out) {
    section.text("url", out.url, broker_url_rule);
    section.text("client_id", out.client_id, client_id_rule);
    section.text("username", out.username, printable_rule);
    section.file("password_file", out.password_file);
    section.file("ca_file", out.ca_file);
    // Below 2^31 s: Paho C 1.3.12 reads the session expiry as a signed number.
    section.duration<std::chrono::hours>("session_expiry_h", out.session_expiry, 1, 87'600);
    section.duration<std::chrono::seconds>("keepalive_s", out.keepalive, 5, 3600);
    section.duration<std::chrono::milliseconds>("retry_first_ms", out.retry_first, 10, 60'000);
    section.duration<std::chrono::milliseconds>("retry_max_ms", out.retry_max, 100, 600'000);
    if (out.retry_max < out.retry_first)
        section.complain("retry_max_ms", "mqtt.retry_max_ms must not be less than mqtt.retry_first_ms");
    if (section.has("password_file") && !section.has("username"))
        section.complain("password_file", "mqtt.password_file needs mqtt.username beside it");
    if (section.has("ca_file") && out.url.compare(0, 8, "mqtts://") != 0)
        section.complain("ca_file", "mqtt.ca_file is for mqtts:// addresses only; mqtt.url is not encrypted");
    section.finish();
}

void read_devices(Section section, devices::AdmissionOptions& out) {
    section.texts("receipt_kinds", out.receipt_kinds, kind_rule);
    section.texts("code_fields", out.code_fields, printable_rule);
    section.duration<std::chrono::seconds>("future_max_s", out.future_max, 0, 86'400);
    // One event is at most store::event_line_bytes_max, and a rejected message is kept in it as base64, with
    // its properties.
    section.number("message_bytes_max", out.message_bytes_max, 1024, mib, "bytes");
    section.number("array_items_max", out.array_items_max, 1, 100'000, "");
    section.finish();
}

void read_store(Section section, StoreSettings& out) {
    section.path("path", out.path);
    section.path("journal_path", out.journal_path);
    section.number("journal_soft_bytes", out.journal_soft_bytes, mib, 4 * gib, "bytes");
    section.number("journal_hard_bytes", out.journal_hard_bytes, 2 * mib, 8 * gib, "bytes");
    if (const auto bytes = section.integer("bytes", 0, 1024 * gib, "bytes")) {
        if (*bytes != 0 && *bytes < 64 * mib)
            section.complain("bytes",
                             "store.bytes must be 0 (from the free disk) or at least 67108864 (64 MiB)");
        else
            out.bytes = static_cast<std::uint64_t>(*bytes);
    }
    // Less than the watchdog's patience (gateway/housekeeping.hpp) with a committer that does not move.
    section.duration<std::chrono::milliseconds>("commit_interval_ms", out.commit_interval, 0, 20'000);
    section.duration<std::chrono::hours>("dedup_age_h", out.dedup_age, 1, 24 * 31);
    section.number("dedup_ids", out.dedup_ids, 1000, 20'000'000, "");
    constexpr std::int64_t ten_years_h = 10 * 366 * 24;
    for (const Stream stream : all_streams)
        section.duration<std::chrono::hours>("age_" + std::string(name(stream)) + "_h", out.age_max[stream],
                                             0, ten_years_h);
    section.duration<std::chrono::hours>("consumer_age_h", out.consumer_age_max, 0, ten_years_h);
    section.number("consumer_bytes", out.consumer_bytes_max, 0, 1024 * gib, "bytes");
    section.duration<std::chrono::hours>("removed_age_h", out.removed_age_max, 1, ten_years_h);
    if (out.journal_hard_bytes < out.journal_soft_bytes + static_cast<std::uint64_t>(mib))
        section.complain(
            "journal_hard_bytes",
            "store.journal_hard_bytes must be at least 1048576 above store.journal_soft_bytes: what is in "
            "flight when the link closes goes there");
    section.finish();
}

// `name`: of the table.
void read_credentials(Section& section, const std::string& name, uplink::PushOptions& out) {
    section.file("ca_file", out.ca_file);
    section.file("cert_file", out.cert_file);
    section.file("key_file", out.key_file);
    section.file("bearer_token_file", out.bearer_token_file);
    section.text("username", out.username, printable_rule);
    section.file("password_file", out.password_file);
    if (section.has("cert_file") != section.has("key_file"))
        section.complain(section.has("cert_file") ? "cert_file" : "key_file",
                         name + ".cert_file and " + name + ".key_file belong together: set both or none");
    if (section.has("bearer_token_file") && section.has("username"))
        section.complain("bearer_token_file",
                         name + ": bearer_token_file and username (Basic) exclude each other; keep one");
    if (section.has("username") != section.has("password_file"))
        section.complain(section.has("username") ? "username" : "password_file",
                         name + ".username and " + name + ".password_file belong together: set both or none");
    const bool tls = out.url.empty() || out.url.compare(0, 8, "https://") == 0;
    for (const char* key : {"ca_file", "cert_file"})
        if (section.has(key) && !tls)
            section.complain(key, name + "." + key + " is for https:// addresses only");
}

void read_feed(Section section, ProfileSettings& out) {
    uplink::FeedOptions feed;
    uplink::PushOptions& link = feed.connection;
    link.name = "profiles.feed";
    section.required_text("url", link.url, push_url_rule);
    section.text("wanted_url", feed.wanted_url, push_url_rule);
    section.text("mapping", feed.mapping, name_rule);
    const auto named = [&](const uplink::ProfileMapping& mapping) { return mapping.name == feed.mapping; };
    if (!feed.mapping.empty() && std::none_of(out.mappings.begin(), out.mappings.end(), named))
        section.complain("mapping", "profiles.feed.mapping: there is no " + feed.mapping + ".toml in " +
                                        out.mappings_folder.string());
    section.duration<std::chrono::seconds>("wait_s", feed.wait, 1, 120);
    section.choice("identifiers", link.identifiers,
                   {{"pseudonym", uplink::Identifiers::pseudonym}, {"raw", uplink::Identifiers::raw}});
    section.duration<std::chrono::milliseconds>("timeout_ms", link.timeout, 100, 600'000);
    section.duration<std::chrono::milliseconds>("retry_first_ms", link.retry_first, 10, 600'000);
    section.duration<std::chrono::milliseconds>("retry_max_ms", link.retry_max, 100, 86'400'000);
    section.duration<std::chrono::milliseconds>("probe_ms", link.probe, 100, 86'400'000);
    if (link.retry_max < link.retry_first)
        section.complain("retry_max_ms",
                         "profiles.feed.retry_max_ms must not be less than profiles.feed.retry_first_ms");
    read_credentials(section, "profiles.feed", link);
    section.pairs("headers", link.headers, header_name_rule, header_value_rule);
    section.text("proxy", link.proxy, proxy_url_rule);
    section.finish();
    if (section.present()) out.feed = std::move(feed);
}

void read_profiles(Section section, ProfileSettings& out, Reading& reading) {
    section.number("bytes", out.bytes, mib, 64 * gib, "bytes");
    section.duration<std::chrono::hours>("stale_h", out.stale, 1, 24 * 366);
    section.choice("unknown_consent", out.unknown_consent_granted, {{"denied", false}, {"granted", true}});
    section.number("wanted_max", out.wanted_max, 0, 100'000, "");
    section.number("misses_per_min", out.misses_per_min, 1, 100'000, "");
    section.number("live_bytes", out.live_bytes, mib, gib, "bytes");
    for (const Stream stream : {Stream::customer, Stream::sales, Stream::interactions, Stream::telemetry}) {
        std::string& purpose = out.event_purposes[stream];
        section.choice("purpose_" + std::string(name(stream)), purpose,
                       {{"operation", std::string("operation")},
                        {"analytics", std::string("analytics")},
                        {"personalisation", std::string("personalisation")},
                        {"marketing", std::string("marketing")}});
    }
    section.duration<std::chrono::milliseconds>("answer_within_ms", out.answer_within, 5, 1000);
    const std::filesystem::path shipped = out.mappings_folder;
    section.path("mappings", out.mappings_folder);
    std::error_code error;
    // Where nothing was installed nobody has asked for one of them.
    if (out.mappings_folder != shipped || std::filesystem::exists(shipped, error))
        out.mappings = read_mappings(out.mappings_folder, reading.problems);
    read_feed(Section(reading, section.table("feed"), "profiles.feed"), out);
    section.finish();
}

void read_auth(Section section, AuthSettings& out) {
    section.path("tokens_file", out.tokens_file);
    std::error_code error;
    if (!out.tokens_file.empty() && !std::filesystem::exists(out.tokens_file, error) && !error)
        section.complain("tokens_file",
                         "auth.tokens_file: there is no file " + out.tokens_file.string() +
                             " yet, and nobody is let in; touchpoint token create makes it",
                         false);
    section.finish();
}

// Without tokens the whole shop could read and write whatever it likes.
void keep_on_loopback(Section& section, const std::string& name, const std::string& listen, bool tokens,
                      HttpSettings& out) {
    const auto address = parse_listen(listen);
    if (!address) return;
    out.listen = *address;
    if (is_loopback(*address)) return;
    if (!tokens) {
        out.listen.address = address->address.find(':') == std::string::npos ? "127.0.0.1" : "::1";
        section.complain("listen",
                         name +
                             ".listen: without access tokens ([auth] tokens_file) the gateway listens on "
                             "loopback only; " +
                             out.listen.address + " port " + std::to_string(address->port) +
                             " is used, and other machines cannot reach it",
                         false);
    } else if (out.tls_cert.empty()) {
        section.complain("listen",
                         name +
                             ".listen: tokens and answers cross the network in the clear; set tls_cert "
                             "and tls_key",
                         false);
    }
}

void read_client_limits(Section& section, HttpSettings& out) {
    section.number("client_connections_max", out.client_connections_max, 1, 1024, "");
    section.number("client_requests_per_s", out.client_requests_per_s, 1, 100'000, "");
    section.number("client_requests_burst", out.client_requests_burst, 1, 100'000, "");
    section.number("client_wrong_tokens_max", out.client_wrong_tokens_max, 1, 1000, "");
    section.flag("limit_loopback", out.limit_loopback);
}

// Of both listeners; `name` is "http.local" or "http.platform".
void read_http(Section& section, const std::string& name, bool tokens, HttpSettings& out) {
    std::string listen = out.listen.address + ":" + std::to_string(out.listen.port);
    section.text("listen", listen, listen_rule);
    section.number("connections_max", out.connections_max, 1, 1024, "");
    section.number("body_bytes_max", out.body_bytes_max, 1024, 16 * mib, "bytes");
    section.duration<std::chrono::seconds>("idle_s", out.idle, 1, 3600);
    section.duration<std::chrono::seconds>("read_s", out.read, 1, 600);
    section.duration<std::chrono::seconds>("write_s", out.write, 1, 600);
    section.file("tls_cert", out.tls_cert);
    section.file("tls_key", out.tls_key);
    if (section.has("tls_cert") != section.has("tls_key"))
        section.complain(section.has("tls_cert") ? "tls_cert" : "tls_key",
                         name + ".tls_cert and " + name + ".tls_key belong together: set both or none");
    read_client_limits(section, out);
    keep_on_loopback(section, name, listen, tokens, out);
}

void read_http_local(Section section, bool tokens, HttpSettings& out) {
    read_http(section, "http.local", tokens, out);
    section.texts("allowed_origins", out.allowed_origins, origin_rule);
    section.finish();
}

void read_http_platform(Section section, bool tokens, HttpSettings& out) {
    read_http(section, "http.platform", tokens, out);
    section.file("client_ca_file", out.client_ca_file);
    if (section.has("client_ca_file") && !section.has("tls_cert"))
        section.complain("client_ca_file",
                         "http.platform.client_ca_file needs tls_cert and tls_key: without TLS a client "
                         "cannot show a certificate");
    section.finish();
}

void read_control(Section section, ControlSettings& out) {
    section.path("socket", out.socket);
    section.text("group", out.group, group_rule);
    constexpr std::size_t socket_path_bytes_max = 107;  // sockaddr_un
    if (out.socket.string().size() > socket_path_bytes_max)
        section.complain("socket",
                         "control.socket must be at most 107 characters: the kernel takes no longer one");
    section.finish();
}

void read_log(Section section, log::Level& out) {
    section.choice("level", out,
                   {{"error", log::Level::error},
                    {"warning", log::Level::warning},
                    {"info", log::Level::info},
                    {"debug", log::Level::debug}});
    section.finish();
}

std::string stream_rule(const std::string& text) {
    return stream_named(text)
               ? ""
               : "one of \"customer\", \"sales\", \"interactions\", \"telemetry\", \"quarantine\"";
}

uplink::PushOptions read_push(Section section) {
    uplink::PushOptions out;
    section.required_text("name", out.name, name_rule);
    section.required_text("url", out.url, push_url_rule);
    section.choice(
        "format", out.format,
        {{"cloudevents-batch", uplink::Format::cloudevents_batch}, {"ndjson", uplink::Format::ndjson}});
    section.choice("compression", out.compression,
                   {{"none", uplink::Compression::none},
                    {"gzip", uplink::Compression::gzip},
                    {"zstd", uplink::Compression::zstd}});
    section.choice("identifiers", out.identifiers,
                   {{"pseudonym", uplink::Identifiers::pseudonym}, {"raw", uplink::Identifiers::raw}});
    std::vector<std::string> streams;
    section.texts("streams", streams, stream_rule);
    if (section.has("streams")) {
        out.streams = {};
        for (const std::string& stream : streams)
            if (const auto named = stream_named(stream)) out.streams[*named] = true;
        if (streams.empty()) section.complain("streams", "uplink.push.streams must name at least one stream");
    }
    section.number("batch_events_max", out.batch_events_max, 1, 10'000, "");
    section.number("batch_bytes_max", out.batch_bytes_max, 1024, 64 * mib, "bytes");
    section.duration<std::chrono::milliseconds>("timeout_ms", out.timeout, 100, 600'000);
    section.duration<std::chrono::milliseconds>("retry_first_ms", out.retry_first, 10, 600'000);
    section.duration<std::chrono::milliseconds>("retry_max_ms", out.retry_max, 100, 86'400'000);
    section.duration<std::chrono::milliseconds>("probe_ms", out.probe, 100, 86'400'000);
    section.duration<std::chrono::milliseconds>("linger_ms", out.linger, 0, 3'600'000);
    if (out.retry_max < out.retry_first)
        section.complain("retry_max_ms",
                         "uplink.push.retry_max_ms must not be less than uplink.push.retry_first_ms");
    read_credentials(section, "uplink.push", out);
    section.pairs("headers", out.headers, header_name_rule, header_value_rule);
    section.text("proxy", out.proxy, proxy_url_rule);
    section.finish();
    return out;
}

void read_uplink(Section section, std::vector<uplink::PushOptions>& out, Reading& reading) {
    const auto tables = section.tables("push");
    std::map<std::string, const Node*> names;
    for (const Node* table : tables) {
        out.push_back(read_push(Section(reading, table, "uplink.push")));
        const std::string& name = out.back().name;
        const auto [first, fresh] = names.emplace(name, table);
        if (!fresh && !name.empty())
            reading.problems.push_back({table->where,
                                        "uplink.push: the name \"" + name +
                                            "\" stands twice (first in line " +
                                            std::to_string(first->second->where.line) +
                                            "); it names a position on the disk and must be unique",
                                        true});
    }
    if (tables.empty()) read_push(Section(reading, nullptr, "uplink.push"));
    if (tables.size() > push_destinations_max)
        reading.problems.push_back(
            {tables[push_destinations_max]->where,
             "uplink.push: at most " + std::to_string(push_destinations_max) + " destinations", true});
    section.finish();
}

Settings read_settings(const Node& document, Reading& reading) {
    Settings out;
    Section root(reading, &document, "");
    Node absent;  // stands for [gateway] when it is missing: its required keys are complained about
    absent.where = document.where;
    const Node* gateway = root.table("gateway");
    read_gateway(Section(reading, gateway != nullptr ? gateway : &absent, "gateway"), out.gateway);
    read_mqtt(Section(reading, root.table("mqtt"), "mqtt"), out.link);
    read_devices(Section(reading, root.table("devices"), "devices"), out.admission);
    read_store(Section(reading, root.table("store"), "store"), out.store);
    read_profiles(Section(reading, root.table("profiles"), "profiles"), out.profiles, reading);
    read_auth(Section(reading, root.table("auth"), "auth"), out.auth);
    const bool tokens = !out.auth.tokens_file.empty();
    Section http(reading, root.table("http"), "http");
    read_http_local(Section(reading, http.table("local"), "http.local"), tokens, out.http_local);
    const Node* platform = http.table("platform");
    HttpSettings platform_settings = platform_defaults();
    read_http_platform(Section(reading, platform, "http.platform"), tokens, platform_settings);
    if (platform != nullptr) out.http_platform = std::move(platform_settings);
    http.finish();
    read_control(Section(reading, root.table("control"), "control"), out.control);
    read_uplink(Section(reading, root.table("uplink"), "uplink"), out.push, reading);
    read_log(Section(reading, root.table("log"), "log"), out.log_level);
    root.finish();

    if (out.link.client_id.empty()) out.link.client_id = "touchpoint-" + out.gateway.id;
    out.admission.gateway_id = out.gateway.id;
    out.admission.store_id = out.gateway.store;
    return out;
}

std::vector<std::filesystem::path> files_of(const std::filesystem::path& file,
                                            std::vector<Problem>& problems) {
    std::vector<std::filesystem::path> more;
    std::error_code error;
    const std::filesystem::path folder = file.parent_path() / "conf.d";
    for (const auto& entry : std::filesystem::directory_iterator(folder, error))
        if (entry.path().extension() == ".toml" && entry.path().filename().string().front() != '.')
            more.push_back(entry.path());
    std::sort(more.begin(), more.end());
    if (error && error != std::errc::no_such_file_or_directory && error != std::errc::not_a_directory)
        problems.push_back({{std::make_shared<const std::string>(folder.string()), 0, 0},
                            "this folder cannot be read: " + error.message(),
                            true});
    if (more.size() > files_max) {
        problems.push_back({{std::make_shared<const std::string>(folder.string()), 0, 0},
                            "more than " + std::to_string(files_max) + " files; merge some",
                            true});
        more.resize(files_max);
    }
    more.insert(more.begin(), file);
    return more;
}

void sort_by_place(Loaded& loaded) {
    const auto rank = [&](const Problem& p) {
        const auto at = std::find_if(loaded.files.begin(), loaded.files.end(), [&](const auto& file) {
            return p.where.file && file.string() == *p.where.file;
        });
        return std::tuple(at - loaded.files.begin(), p.where.line, p.where.column);
    };
    std::stable_sort(loaded.problems.begin(), loaded.problems.end(),
                     [&](const Problem& a, const Problem& b) { return rank(a) < rank(b); });
}

Node read_files(Loaded& loaded, const std::filesystem::path& file) {
    loaded.files = files_of(file, loaded.problems);
    Node document = read_document(loaded.files.front(), loaded.problems);
    for (std::size_t i = 1; i < loaded.files.size(); ++i)
        merge(document, read_document(loaded.files[i], loaded.problems));
    return document;
}

bool has_error(const std::vector<Problem>& problems) {
    return std::any_of(problems.begin(), problems.end(), [](const Problem& p) { return p.error; });
}

}  // namespace

Loaded load(const std::filesystem::path& file) {
    Loaded loaded;
    const Node document = read_files(loaded, file);
    // A file that is no TOML would only add complaints about what could not be read from it.
    if (!has_error(loaded.problems)) {
        Reading reading{loaded.problems, {}};
        Settings settings = read_settings(document, reading);
        if (!has_error(loaded.problems)) loaded.settings = std::move(settings);
    }
    sort_by_place(loaded);
    return loaded;
}

std::filesystem::path control_socket(const std::filesystem::path& file) {
    Loaded loaded;
    const Node document = read_files(loaded, file);
    ControlSettings control;
    Reading reading{loaded.problems, {}};
    Section root(reading, &document, "");
    read_control(Section(reading, root.table("control"), "control"), control);
    return control.socket;
}

TokenPlace token_place(const std::filesystem::path& file) {
    Loaded loaded;
    const Node document = read_files(loaded, file);
    AuthSettings auth;
    ControlSettings control;
    Reading reading{loaded.problems, {}};
    Section root(reading, &document, "");
    read_auth(Section(reading, root.table("auth"), "auth"), auth);
    read_control(Section(reading, root.table("control"), "control"), control);
    return {auth.tokens_file, control.group};
}

std::vector<std::string> known_keys() {
    std::vector<Problem> ignored;
    Reading reading{ignored, {}};
    read_settings(Node{}, reading);
    std::sort(reading.keys.begin(), reading.keys.end());
    reading.keys.erase(std::unique(reading.keys.begin(), reading.keys.end()), reading.keys.end());
    return reading.keys;
}

std::string summary(const Settings& settings) {
    std::string out = "gateway " + settings.gateway.id + " of store " + settings.gateway.store + "\n";
    out += "  takes events from " + settings.link.url + " as " + settings.link.client_id + "\n";
    out += "  keeps them in " + settings.store.path.string() + ", at most " +
           (settings.store.bytes == 0
                ? std::string("what the free disk allows")
                : std::to_string(settings.store.bytes / static_cast<std::uint64_t>(mib)) + " MiB") +
           "\n";
    for (const uplink::PushOptions& push : settings.push)
        out += "  sends to " + push.name + " at " + push.url + "\n";
    if (settings.profiles.feed)
        out += "  follows the profiles of " + settings.profiles.feed->connection.url + "\n";
    std::string mappings;
    for (const uplink::ProfileMapping& mapping : settings.profiles.mappings)
        mappings += (mappings.empty() ? "" : ", ") + mapping.name;
    if (!mappings.empty())
        out += "  reads other platforms' profiles by " + mappings + " in " +
               settings.profiles.mappings_folder.string() + "\n";
    if (settings.push.empty())
        out += "  sends to nobody: there is no [[uplink.push]], events stay on the disk\n";
    const auto listener = [&](const char* whom, const HttpSettings& http) {
        out += std::string("  answers ") + whom + " by " + (http.tls_cert.empty() ? "HTTP" : "HTTPS") +
               " on " + http.listen.address + " port " + std::to_string(http.listen.port) + "\n";
    };
    listener("the shop", settings.http_local);
    if (settings.http_platform) listener("the platform", *settings.http_platform);
    out += settings.auth.tokens_file.empty()
               ? std::string("  without access tokens: on loopback only, where everybody may do everything\n")
               : "  to whom a token in " + settings.auth.tokens_file.string() + " lets in\n";
    out += "  control socket " + settings.control.socket.string() + "\n";
    return out;
}

}  // namespace touchpoint::config
