#include "gateway/profiles/profile_routes.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "gateway/core/json_text.hpp"
#include "gateway/profiles/profile_batch.hpp"
#include "gateway/profiles/profile_document.hpp"
#include "gateway/profiles/profile_writing.hpp"

namespace touchpoint::gateway {
namespace {

using store::ProfileChange;
using store::ProfileOutcome;
using store::Profiles;
using Verdict = ProfileOutcome::Verdict;

constexpr std::size_t erasures_default = 100;
constexpr std::chrono::seconds batch_deadline{120};

using Made = Read<ProfileChange>;
using Make = std::function<Made()>;

// `make` reads the body, on the writer.
void write_one(const ProfileParts& parts, Make make, const Reply& reply) {
    const bool posted = parts.writer.post([parts, make = std::move(make), reply] {
        Made change = make();
        if (!change) return reply_on_loop(parts, {}, bad(change.error().words), reply);
        const auto changes = std::make_shared<std::vector<ProfileChange>>();
        changes->push_back(std::move(*change));
        erase_events_first(parts, changes, {}, [parts, changes, reply](const Result<void>& ready) {
            if (!ready) return reply_on_loop(parts, {}, not_erased(ready.error()), reply);
            Effects effects;
            const auto outcomes =
                write_changes(parts, *changes, parts.clock.utc(), store::Durable::now, effects);
            if (!outcomes) {
                HttpResponse failed = effects.changed.empty() ? not_written() : not_forgotten();
                return reply_on_loop(parts, std::move(effects), std::move(failed), reply);
            }
            reply_on_loop(parts, std::move(effects), response_to(outcomes->front()), reply);
        });
    });
    if (!posted) reply(busy());
}

// "41", or an ETag as a read has it: W/"41-3f2a9c01"; the part behind a minus is of one reader's answer.
Read<std::optional<std::uint64_t>> only_version(const HttpRequest& request) {
    std::string_view text = request.header("if-match");
    if (text.empty()) return std::optional<std::uint64_t>();
    if (text.starts_with("W/")) text.remove_prefix(2);
    const Mistake wrong{"If-Match must be one version, such as \"41\""};
    if (text.size() < 3 || text.front() != '"' || text.back() != '"') return wrong;
    text = text.substr(1, text.size() - 2);
    text = text.substr(0, text.find('-'));
    std::uint64_t version = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return wrong;
    return std::optional<std::uint64_t>(version);
}

template <class Change>
Made conditional(Read<Change> change, std::optional<std::uint64_t> version) {
    if (!change) return change.error();
    change->only_version = version;
    return ProfileChange(std::move(*change));
}

void put_or_patch(const ProfileParts& parts, const HttpRequest& request, const Reply& reply) {
    const auto version = only_version(request);
    if (!version) return reply(bad(version.error().words));
    const bool put = request.method == "PUT";
    write_one(
        parts,
        [parts, put, only = *version, id = std::string(request.parameter("id")),
         body = request.body]() -> Made {
            const auto& names = parts.pseudonymiser;
            return unless_too_far(parts,
                                  put ? conditional(profile_put(body, id, names), only)
                                      : conditional(profile_patch(body, id, names), only),
                                  body);
        },
        reply);
}

void erase(const ProfileParts& parts, const HttpRequest& request, const Reply& reply) {
    std::optional<std::uint64_t> up_to;
    if (!request.query.empty()) {  // nothing but the version
        const std::string_view text = request.query_value("version");
        std::uint64_t version = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
        if (request.query.size() > 1 || error != std::errc() || end != text.data() + text.size() ||
            text.empty() || version > profile_version_max)
            return reply(bad("version must be a whole number from 0 to 9007199254740991"));
        up_to = version;
    }
    write_one(
        parts,
        [&names = parts.pseudonymiser, up_to, id = std::string(request.parameter("id")),
         body = request.body]() -> Made {
            auto wanted = profile_erase(body, id, names);
            if (!wanted) return wanted.error();
            if (up_to) wanted->version = up_to;
            return ProfileChange(std::move(*wanted));
        },
        reply);
}

void merge(const ProfileParts& parts, const HttpRequest& request, const Reply& reply) {
    write_one(
        parts,
        [id = std::string(request.parameter("id")), body = request.body]() -> Made {
            auto wanted = profile_merge(body, id);
            if (!wanted) return wanted.error();
            return ProfileChange(std::move(*wanted));
        },
        reply);
}

void unmerge(const ProfileParts& parts, const HttpRequest& request, const Reply& reply) {
    write_one(
        parts,
        [id = std::string(request.parameter("id")), body = request.body]() -> Made {
            auto wanted = profile_unmerge(body, id);
            if (!wanted) return wanted.error();
            return ProfileChange(std::move(*wanted));
        },
        reply);
}

// --- erasures

void list_erasures(const ProfileParts& parts, const HttpRequest& request, const Reply& reply) {
    std::size_t max = erasures_default;
    for (const auto& [key, value] : request.query) {
        if (key == "after") continue;
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), max);
        if (key != "max" || error != std::errc() || end != value.data() + value.size() || max == 0 ||
            max > Profiles::erasures_page_max)
            return reply(
                bad("the parameters here are after, a page's 'next', and max, a number from 1 to 1000"));
    }
    const auto page = parts.profiles.erasures(request.query_value("after"), max);
    if (!page && page.error().code == Errc::invalid_argument)
        return reply(bad("after must be the 'next' of the page before"));
    if (!page) return reply(not_now(503, "store-io", "the cache cannot be read", std::chrono::seconds(10)));
    std::string out = "{\"erasures\":[";
    for (const store::Erasure& one : page->rows) {
        out += out.back() == '[' ? "\n" : ",\n";
        out += "{\"reference\":" + json_string(one.reference) + ",\"version\":" +
               (one.version == store::every_version ? "null" : std::to_string(one.version)) +
               ",\"time\":" + json_string(to_rfc3339(one.time)) + '}';
    }
    out += "],\"next\":" + (page->next.empty() ? "null" : json_string(page->next)) + "}\n";
    reply(json_response(std::move(out)));
}

using Handler = void (*)(const ProfileParts&, const HttpRequest&, const Reply&);

Route route(const ProfileParts& parts, std::string method, std::string path, Handler handler,
            std::string_view parameter = {}) {
    Route made;
    made.method = std::move(method);
    made.path = std::move(path);
    made.roles = {Role::platform};
    made.handler = [parts, handler, parameter](const HttpRequest& request, const Reply& reply) {
        for (const auto& [key, value] : request.query)
            if (parameter.empty() || key != parameter)
                return reply(bad("this path does not take such a parameter"));
        if (!request.parameters.empty() && !is_profile_id(request.parameter("id")))
            return reply(
                bad("a profile's id is 1 to 128 visible ASCII characters without / and :, and not batch, "
                    "lookup or wanted"));
        if (!request.parameters.empty() && request.body.size() > profile_body_bytes_max)
            return reply(problem(413, "body-too-large", "a profile is not so large"));
        handler(parts, request, reply);
    };
    return made;
}

}  // namespace

Route erasures_route(const ProfileParts& parts) {
    Route made;
    made.method = "GET";
    made.path = "/v1/erasures";
    made.roles = {Role::platform, Role::technician};
    made.handler = [parts](const HttpRequest& request, const Reply& reply) {
        list_erasures(parts, request, reply);
    };
    return made;
}

std::vector<Route> profile_routes(const ProfileParts& parts) {
    const std::string one = "/v1/profiles/{id}";
    std::vector<Route> routes = {route(parts, "POST", "/v1/profiles/batch", profile_batch, "mapping"),
                                 route(parts, "PUT", one, put_or_patch),
                                 route(parts, "PATCH", one, put_or_patch),
                                 route(parts, "DELETE", one, erase, "version"),
                                 route(parts, "POST", one + "/merge", merge),
                                 route(parts, "POST", one + "/unmerge", unmerge),
                                 erasures_route(parts)};
    routes.front().deadline = batch_deadline;
    return routes;
}

}  // namespace touchpoint::gateway
