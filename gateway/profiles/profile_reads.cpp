#include "gateway/profiles/profile_reads.hpp"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>
#include <utility>

namespace touchpoint::gateway {
namespace {

using Kind = store::ProfileLook::Kind;

constexpr std::size_t wanted_page_max = 1000;

HttpResponse bad(std::string_view words) { return problem(400, "bad-request", words); }

// Whose misses are counted: the device, else the token, else the machine.
std::string asker_of(const HttpRequest& request) {
    if (!request.caller.device.empty()) return request.caller.device;
    if (!request.caller.token.empty()) return "token " + request.caller.token;
    return request.peer.substr(0, request.peer.rfind(':'));
}

// Another text, another tag: it changes with the version, and with what this reader may see of it.
std::string tag_of(const store::Profile& profile, std::string_view body) {
    std::array<char, 17> hash{};
    std::snprintf(hash.data(), hash.size(), "%016llx",
                  static_cast<unsigned long long>(XXH3_64bits(body.data(), body.size())));
    return '"' + std::to_string(profile.version) + '-' + std::string(hash.data(), 8) + '"';
}

// If-None-Match: a list of tags, or *.
bool matches(std::string_view header, std::string_view tag) {
    if (header == "*") return true;
    for (std::size_t at = header.find(tag); at != std::string_view::npos; at = header.find(tag, at + 1)) {
        const std::size_t end = at + tag.size();
        if (end == header.size() || header[end] == ',' || header[end] == ' ') return true;
    }
    return false;
}

// One that must not stand in a problem document or a header as it is.
std::string path_of(std::string_view id) {
    constexpr char digits[] = "0123456789ABCDEF";
    std::string out = "/v1/profiles/";
    for (const char c : id) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           std::string_view("-._~").find(c) != std::string_view::npos;
        if (plain) {
            out += c;
        } else {
            out += '%';
            out += digits[static_cast<unsigned char>(c) >> 4];
            out += digits[static_cast<unsigned char>(c) & 15];
        }
    }
    return out;
}

}  // namespace

ProfileReads::ProfileReads(Parts parts, Options options)
    : parts_(parts),
      options_(options),
      wanted_(parts.box, options.wanted_max),
      limits_(options.misses_per_min) {}

ProfileReadStats ProfileReads::stats() const {
    ProfileReadStats out = stats_;
    out.wanted = wanted_.size();
    out.wanted_dropped = wanted_.dropped();
    return out;
}

void ProfileReads::arrived(const std::string& id, const std::vector<std::string>& alias_keys) {
    if (wanted_.size() == 0) return;
    wanted_.found(parts_.profiles.reference(id));
    for (const std::string& key : alias_keys) wanted_.found(key);
}

HttpResponse ProfileReads::read(const HttpRequest& request) {
    return answer(request, {std::string(request.parameter("id"))});
}

HttpResponse ProfileReads::lookup(const HttpRequest& request) {
    if (request.body.size() > lookup_bytes_max)
        return problem(413, "body-too-large", "nothing here needs so large a body");
    const auto names = lookup_body(request.body);
    if (!names) return bad(names.error().words);
    return answer(request, *names);
}

HttpResponse ProfileReads::answer(const HttpRequest& request, const std::vector<std::string>& names) {
    std::string_view wish = "operation";
    for (const auto& [key, value] : request.query) {
        if (key != "purpose") return bad("the parameters here are purpose; there is another one");
        wish = value;
    }
    const auto purpose = purpose_named(wish);
    if (!purpose) return bad("purpose must be operation, analytics, personalisation or marketing");
    struct Asked {
        std::string key;
        std::string text;
        bool alias = false;
    };
    std::vector<Asked> asked;
    for (const std::string& name : names) {
        if (name.find(':') == std::string::npos && is_profile_id(name)) {
            asked.push_back({parts_.profiles.reference(name), name, false});
            continue;
        }
        auto alias = alias_of(name, parts_.pseudonymiser);
        if (!alias)
            return bad("a profile is asked for by its id, or by scheme:value such as card:2900000012345");
        asked.push_back({std::move(alias->key), std::move(alias->text), true});
    }

    const UtcTime now = parts_.clock.utc();
    const SteadyTime steady = parts_.clock.steady();
    // The platform sends the profiles: it finds out nothing.
    const bool limited = !request.caller.roles.has(Role::platform);
    const std::string asker = asker_of(request);
    if (const auto wait = limited ? limits_.wait(asker, steady) : std::chrono::seconds(0); wait.count() > 0) {
        ++stats_.limited;
        HttpResponse response = problem(
            429, "too-many-misses", "too many were asked for whom nobody knows; nothing is looked up now");
        response.headers.emplace_back("Retry-After", std::to_string(wait.count()));
        return response;
    }

    bool erased = false;
    for (const Asked& one : asked) {
        const auto look =
            one.alias ? parts_.profiles.by_alias(one.key, now) : parts_.profiles.by_id(one.text, now);
        if (!look) return problem(503, "store-io", "the cache cannot be read");
        if (look->kind == Kind::found) {
            ++stats_.hits;
            return shown(request, *purpose, *look);
        }
        erased = erased || look->kind == Kind::erased;
        // Nobody wants back who is to be forgotten.
        if (look->kind == Kind::missing) wanted_.note(one.key, one.text, now);
    }
    ++stats_.misses;
    if (limited) limits_.missed(asker, asked.size(), steady);
    if (erased) return problem(410, "erased", "this profile was erased");
    return problem(404, "not-cached", "no such profile is here; the platform is told that it is wanted");
}

HttpResponse ProfileReads::shown(const HttpRequest& request, Purpose purpose,
                                 const store::ProfileLook& look) {
    const Roles roles = request.caller.roles;
    const UtcTime now = parts_.clock.utc();
    // A clock that was set back has received nothing in the future.
    const auto age = std::max(std::chrono::milliseconds(0), now - look.profile.received);
    ProfileView view;
    view.purpose = purpose;
    view.persons = roles.any_of({Role::device, Role::app, Role::platform});
    view.whole_aliases = roles.has(Role::platform);
    view.unknown_granted = options_.unknown_granted;
    view.stale = age > options_.stale_after;
    HttpResponse response = json_response(profile_json(look.profile, view, now));
    const std::string tag = tag_of(look.profile, response.body);
    response.headers = {
        {"ETag", tag},
        {"Age", std::to_string(std::chrono::duration_cast<std::chrono::seconds>(age).count())}};
    if (look.by_merged) response.headers.emplace_back("Content-Location", path_of(look.profile.id));
    if (matches(request.header("if-none-match"), tag)) {
        response.status = 304;
        response.content_type.clear();
        response.body.clear();
    }
    return response;
}

std::vector<Route> ProfileReads::routes() {
    Route one = get("/v1/profiles/{id}", [this](const HttpRequest& request) { return read(request); });
    Route any;
    any.method = "POST";
    any.path = "/v1/profiles/lookup";
    any.handler = [this](const HttpRequest& request, const Reply& reply) { reply(lookup(request)); };
    one.roles = any.roles = {Role::device, Role::app, Role::platform, Role::technician};
    return {std::move(any), std::move(one)};
}

Route ProfileReads::wanted_route() {
    Route route = get("/v1/profiles/wanted", [this](const HttpRequest& request) {
        if (!request.query.empty()) return bad("this path takes no parameters");
        return json_response(wanted_.json(wanted_page_max));
    });
    route.roles = {Role::platform};
    return route;
}

}  // namespace touchpoint::gateway
