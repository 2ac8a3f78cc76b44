#include "gateway/profiles/profile_routes.hpp"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <charconv>
#include <chrono>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "devices/json_slice.hpp"
#include "gateway/core/json_text.hpp"
#include "gateway/profiles/profile_document.hpp"

namespace touchpoint::gateway {
namespace {

using store::ProfileChange;
using store::ProfileOutcome;
using store::Profiles;
using Verdict = ProfileOutcome::Verdict;

constexpr std::size_t body_bytes_max = Profiles::json_bytes_max + (64u << 10);  // and its aliases
constexpr std::size_t erasures_default = 100;
constexpr std::chrono::seconds batch_deadline{120};
// Between two transactions of a batch. The committer may wait for the same lock, which is not fair: who lets
// it go and takes it at once gets it.
constexpr std::chrono::milliseconds breath{1};

HttpResponse bad(std::string_view words) { return problem(400, "bad-request", words); }

HttpResponse busy() {
    HttpResponse response = problem(503, "busy", "too many profiles are being written; nothing of this was");
    response.headers.emplace_back("Retry-After", "1");
    return response;
}

HttpResponse not_written() {
    HttpResponse response = problem(503, "store-io", "the cache cannot be written; nothing of this was");
    response.headers.emplace_back("Retry-After", "10");
    return response;
}

struct Told {
    unsigned status = 200;
    std::string_view word;  // of what was done, or the problem's type
    std::string detail;
};

Told told(const ProfileOutcome& outcome) {
    const std::string held = std::to_string(outcome.version);
    switch (outcome.verdict) {
        case Verdict::created:
            return {201, "created", {}};
        case Verdict::replaced:
            return {200, "replaced", {}};
        case Verdict::unchanged:
            return {200, "unchanged", {}};
        case Verdict::merged:
            return {200, "merged", {}};
        case Verdict::unmerged:
            return {200, "unmerged", {}};
        case Verdict::erased:
            return {200, "erased", {}};
        case Verdict::refused_older:
            return {409, "older-version", "version " + held + " is here already"};
        case Verdict::refused_erased:
            return {410, "erased", "this profile was erased; only a newer version brings it back"};
        case Verdict::refused_merged:
            return {409, "merged", "this profile is merged into " + outcome.id};
        case Verdict::refused_missing:
            return {404, "not-cached", "no such profile is here; send all of it with PUT"};
        case Verdict::refused_version:
            return {412, "other-version", "version " + held + " is here"};
        case Verdict::refused_loop:
            return {409, "merge-conflict", outcome.detail};
        case Verdict::refused_apart:
            return {409, "not-merged", outcome.detail};
        case Verdict::refused_invalid:
            return {400, "bad-request", outcome.detail};
    }
    return {500, "error", {}};
}

// The members of what was done, without braces.
std::string members_of(const ProfileOutcome& outcome, std::string_view word) {
    std::string out =
        "\"id\":" + json_string(outcome.id) + ",\"outcome\":" + json_string(word) + ",\"version\":";
    out += outcome.version == store::every_version ? "null" : std::to_string(outcome.version);
    if (!outcome.reference.empty())
        out += ",\"reference\":" + json_string(outcome.reference) +
               ",\"time\":" + json_string(to_rfc3339(outcome.time));
    return out;
}

HttpResponse response_to(const ProfileOutcome& outcome) {
    const Told said = told(outcome);
    if (outcome.refused()) return problem(said.status, said.word, said.detail);
    return json_response("{" + members_of(outcome, said.word) + "}\n", said.status);
}

// `place`: the beginning of the result.
std::string line_of(const std::string& place, const ProfileOutcome& outcome) {
    const Told said = told(outcome);
    std::string out = place + "\"status\":" + std::to_string(said.status) + ',';
    if (!outcome.refused()) return out + members_of(outcome, said.word) + '}';
    return out + "\"error\":{\"type\":" + json_string(said.word) + ",\"detail\":" + json_string(said.detail) +
           "}}";
}

// What became of it on the writer, for loop.
struct Effects {
    std::vector<std::pair<std::string, std::vector<std::string>>> arrived;
    std::vector<std::string> forgotten;
    std::vector<std::string> changed;

    void note(const ProfileParts& parts, const ProfileChange& change, const ProfileOutcome& outcome) {
        note_changed(parts, change, outcome);
        forgotten.insert(forgotten.end(), outcome.forgotten.begin(), outcome.forgotten.end());
        const bool came = outcome.verdict == Verdict::created || outcome.verdict == Verdict::replaced ||
                          outcome.verdict == Verdict::unchanged;
        const auto* put = std::get_if<store::ProfilePut>(&change);
        if (const auto* merge = std::get_if<store::ProfileMerge>(&change); merge && !outcome.refused())
            for (const std::string& id : merge->from) arrived.emplace_back(id, std::vector<std::string>());
        if (!came) return;
        arrived.emplace_back(outcome.id, std::vector<std::string>());
        if (put == nullptr) return;
        for (const store::Alias& alias : put->aliases) arrived.back().second.push_back(alias.key);
    }

  private:
    static std::vector<std::string> aliases_of(const ProfileParts& parts, const std::string& id) {
        std::vector<std::string> keys;
        if (const auto look = parts.profiles.by_id(id, parts.clock.utc()))
            for (const store::Alias& alias : look->profile.aliases) keys.push_back(alias.key);
        return keys;
    }
    void note_changed(const ProfileParts& parts, const ProfileChange& change, const ProfileOutcome& outcome) {
        if (outcome.refused()) return;
        changed.push_back(parts.profiles.reference(outcome.id));
        changed.insert(changed.end(), outcome.forgotten.begin(), outcome.forgotten.end());
        if (const auto* put = std::get_if<store::ProfilePut>(&change))
            for (const store::Alias& alias : put->aliases) changed.push_back(alias.key);
        if (const auto* merge = std::get_if<store::ProfileMerge>(&change))
            for (const std::string& id : merge->from) changed.push_back(parts.profiles.reference(id));
        if (const auto* undone = std::get_if<store::ProfileUnmerge>(&change))
            for (const std::string& id : undone->ids) {
                changed.push_back(parts.profiles.reference(id));
                parts.part(aliases_of(parts, outcome.id), aliases_of(parts, id));
            }
        // Only the result says which aliases a patch has brought.
        if (!std::holds_alternative<store::ProfilePatch>(change)) return;
        const auto look = parts.profiles.by_id(outcome.id, parts.clock.utc());
        if (!look) return;
        for (const store::Alias& alias : look->profile.aliases) changed.push_back(alias.key);
    }
};

void hear_on_loop(const ProfileParts& parts, const Effects& effects) {
    for (const auto& [id, keys] : effects.arrived) parts.arrived(id, keys);
    for (const std::string& key : effects.forgotten) parts.forgotten(key);
    if (!effects.changed.empty()) parts.changed(effects.changed);
}

void reply_on_loop(const ProfileParts& parts, Effects effects, HttpResponse response, const Reply& reply) {
    auto held = std::make_shared<std::pair<Effects, HttpResponse>>(std::move(effects), std::move(response));
    boost::asio::post(parts.loop, [parts, held, reply] {
        hear_on_loop(parts, held->first);
        reply(std::move(held->second));
    });
}

// --- erasing

// Everybody whom the change erases, by all names that lead to him now.
Result<std::vector<std::string>> names_of(const ProfileParts& parts, const ProfileChange& change) {
    std::vector<std::string> names;
    const auto* wanted = std::get_if<store::ProfileErase>(&change);
    if (wanted == nullptr) return names;
    for (const store::Alias& alias : wanted->aliases) names.push_back(alias.key);
    const auto held = parts.profiles.by_id(wanted->id, parts.clock.utc());
    if (!held) return held.error();
    for (const store::Alias& alias : held->profile.aliases) names.push_back(alias.key);
    // Names that only events know belong to him, too, unless the platform has them as somebody else.
    for (std::string& name : parts.joined(names)) {
        if (std::find(names.begin(), names.end(), name) != names.end()) continue;
        const auto whose = parts.profiles.by_alias(name, parts.clock.utc());
        if (!whose) return whose.error();
        if (whose->kind != store::ProfileLook::Kind::found) names.push_back(std::move(name));
    }
    return names;
}

// So that the cache forgets what stands under those names, too.
Result<void> name_all(const ProfileParts& parts, std::vector<ProfileChange>& changes) {
    for (ProfileChange& change : changes) {
        auto names = names_of(parts, change);
        if (!names) return names.error();
        for (std::string& name : *names)
            std::get<store::ProfileErase>(change).aliases.push_back({std::move(name), {}});
    }
    return {};
}

using Changes = std::shared_ptr<std::vector<ProfileChange>>;
using GoOn = std::function<void(const Result<void>&)>;

// Takes the persons whom `changes` erase out of the events that wait, then runs `go_on` on the writer. Others
// wrote meanwhile, and a name may have come to one of them: it looks again until there is nothing new. A
// failure is told on any thread. REQUIRES: on the writer
void erase_events_first(const ProfileParts& parts, const Changes& changes, std::vector<std::string> done,
                        const GoOn& go_on) {
    std::vector<std::string> names;
    for (const ProfileChange& change : *changes) {
        auto more = names_of(parts, change);
        if (!more) return go_on(more.error());
        names.insert(names.end(), more->begin(), more->end());
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    if (std::includes(done.begin(), done.end(), names.begin(), names.end()))
        return go_on(name_all(parts, *changes));
    parts.erase_events(names, [parts, changes, names, go_on](const Result<void>& erased) {
        if (!erased) return go_on(erased);
        const bool posted = parts.writer.post(
            [parts, changes, names, go_on] { erase_events_first(parts, changes, names, go_on); });
        if (!posted) go_on(fail(Errc::full, "too many profiles are being written; try again"));
    });
}

HttpResponse not_erased(const Error& why) {
    if (why.code == Errc::io || why.code == Errc::damaged) return not_written();
    HttpResponse response = problem(503, "erasure-waits", why.context + "; the profile is as it was");
    response.headers.emplace_back("Retry-After", "10");
    return response;
}

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
            const auto outcomes = parts.profiles.apply(*changes, parts.clock.utc());
            if (!outcomes) return reply_on_loop(parts, {}, not_written(), reply);
            Effects effects;
            effects.note(parts, changes->front(), outcomes->front());
            reply_on_loop(parts, std::move(effects), response_to(outcomes->front()), reply);
        });
    });
    if (!posted) reply(busy());
}

// "41", as ETag and If-Match have it; the part behind a minus is of one reader's answer.
Read<std::optional<std::uint64_t>> only_version(const HttpRequest& request) {
    std::string_view text = request.header("if-match");
    if (text.empty()) return std::optional<std::uint64_t>();
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
        [&parts = parts.pseudonymiser, put, only = *version, id = std::string(request.parameter("id")),
         body = request.body]() -> Made {
            return put ? conditional(profile_put(body, id, parts), only)
                       : conditional(profile_patch(body, id, parts), only);
        },
        reply);
}

void erase(const ProfileParts& parts, const HttpRequest& request, const Reply& reply) {
    std::optional<std::uint64_t> up_to;
    if (const std::string_view text = request.query_value("version"); !text.empty()) {
        std::uint64_t version = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
        if (error != std::errc() || end != text.data() + text.size() || version > profile_version_max)
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

// --- many

std::vector<std::string_view> lines_of(std::string_view body) {
    std::vector<std::string_view> lines;
    while (!body.empty() && lines.size() <= profile_lines_max) {
        const std::size_t end = std::min(body.find('\n'), body.size());
        std::string_view line = body.substr(0, end);
        if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
        if (!line.empty()) lines.push_back(line);
        body.remove_prefix(std::min(end + 1, body.size()));
    }
    return lines;
}

// One change of a batch before it is read, or what its document had instead.
struct Entry {
    std::size_t index = 0;            // of the line
    std::optional<std::size_t> item;  // in the line's document, where it was mapped
    std::string_view text;
    std::string_view problem;

    std::string place() const {
        std::string out = "{\"index\":" + std::to_string(index) + ',';
        if (item) out += "\"item\":" + std::to_string(*item) + ',';
        return out;
    }
    bool passed_over() const { return item && text.empty() && problem.empty(); }
};

// What stands in a body, and what it points into.
struct Entries {
    std::vector<std::vector<uplink::MappedItem>> mapped;
    std::vector<Entry> list;
};

Entries entries_of(const std::vector<std::string_view>& lines, const uplink::ProfileMapping* mapping,
                   UtcTime now) {
    Entries out;
    for (std::size_t index = 0; index < lines.size() && out.list.size() <= profile_lines_max; ++index) {
        if (mapping == nullptr) {
            out.list.push_back({index, {}, lines[index], {}});
            continue;
        }
        out.mapped.push_back(uplink::map_profiles(*mapping, lines[index], now));
        std::size_t item = 0;
        for (const uplink::MappedItem& one : out.mapped.back())
            out.list.push_back({index, item++, one.line, one.problem});
    }
    return out;
}

// A document of another platform may be one value over several lines.
std::vector<std::string_view> documents_of(std::string_view body) {
    if (!devices::validate_json(body)) return {body};
    return lines_of(body);
}

// One batch on its way through the writer: a transaction after the other. Erasures stand in transactions of
// their own, because their persons leave the events first; others may write while that is waited for.
class Batch : public std::enable_shared_from_this<Batch> {
  public:
    Batch(const ProfileParts& parts, const uplink::ProfileMapping* mapping, std::string body, Reply reply)
        : parts_(parts), mapping_(mapping), body_(std::move(body)), reply_(std::move(reply)) {}

    // REQUIRES: on the writer
    void begin() {
        const auto lines = mapping_ == nullptr ? lines_of(body_) : documents_of(body_);
        entries_ = entries_of(lines, mapping_, parts_.clock.utc());
        if (lines.empty() || lines.size() > profile_lines_max || entries_.list.size() > profile_lines_max)
            return end(bad("the body must be 1 to " + std::to_string(profile_lines_max) + " lines of JSON"));
        results_.resize(entries_.list.size());
        go_on();
    }

  private:
    static constexpr std::size_t bytes_max = 1u << 20;  // of one transaction

    void go_on() {
        for (;;) {
            collect();
            if (changes_->empty()) return end(json_response(body()));
            if (erases_) break;
            if (!write()) return;
        }
        erase_events_first(parts_, changes_, {}, [self = shared_from_this()](const Result<void>& ready) {
            if (!ready) return self->end(self->broken_off(not_erased(ready.error())));
            if (self->write()) self->go_on();
        });
    }

    Made read(const Entry& entry) const {
        if (!entry.problem.empty()) return Mistake{std::string(entry.problem)};
        if (entry.text.size() > body_bytes_max)
            return Mistake{"a line is at most " + std::to_string(body_bytes_max) + " bytes"};
        return profile_line(entry.text, parts_.pseudonymiser);
    }

    // The next lines that go into one transaction.
    void collect() {
        std::size_t bytes = 0;
        for (; next_ < entries_.list.size() && changes_->size() < Profiles::changes_max && bytes < bytes_max;
             ++next_) {
            const Entry& entry = entries_.list[next_];
            if (entry.passed_over()) {
                results_[next_] = entry.place() + "\"status\":200,\"outcome\":\"passed-over\"}";
                continue;
            }
            auto change = read(entry);
            if (!change) {
                ProfileOutcome outcome;
                outcome.verdict = Verdict::refused_invalid;
                outcome.detail = std::move(change.error().words);
                results_[next_] = line_of(entry.place(), outcome);
                continue;
            }
            const bool erases = std::holds_alternative<store::ProfileErase>(*change);
            if (!changes_->empty() && erases != erases_) return;
            erases_ = erases;
            bytes += entry.text.size();
            places_.push_back(next_);
            changes_->push_back(std::move(*change));
        }
    }

    // False: the cache cannot be written; the lines before this are, and the answer would hide it.
    bool write() {
        const auto outcomes = parts_.profiles.apply(*changes_, parts_.clock.utc());
        if (!outcomes) return end(broken_off(not_written())), false;
        for (std::size_t i = 0; i < changes_->size(); ++i) {
            effects_.note(parts_, (*changes_)[i], (*outcomes)[i]);
            results_[places_[i]] = line_of(entries_.list[places_[i]].place(), (*outcomes)[i]);
        }
        changes_->clear();
        places_.clear();
        std::this_thread::sleep_for(breath);
        return true;
    }

    static HttpResponse broken_off(HttpResponse response) {
        response.body =
            problem(503, "store-io",
                    "not all can be written now; a part of this may be. Send all of it again: what "
                    "was written is unchanged then")
                .body;
        return response;
    }
    std::string body() const {
        std::string out = "{\"results\":[";
        for (const std::string& result : results_) {
            out += out.back() == '[' ? "\n" : ",\n";
            out += result;
        }
        return out + "]}\n";
    }
    void end(HttpResponse response) {
        reply_on_loop(parts_, std::move(effects_), std::move(response), reply_);
    }

    const ProfileParts parts_;
    const uplink::ProfileMapping* mapping_;
    const std::string body_;
    const Reply reply_;
    Entries entries_;  // of body_
    std::size_t next_ = 0;
    Changes changes_ = std::make_shared<std::vector<ProfileChange>>();
    bool erases_ = false;
    std::vector<std::size_t> places_;  // of the entries that stand in changes_
    std::vector<std::string> results_;
    Effects effects_;
};

const uplink::ProfileMapping* mapping_named(const ProfileParts& parts, std::string_view name) {
    if (parts.mappings == nullptr) return nullptr;
    for (const uplink::ProfileMapping& mapping : *parts.mappings)
        if (mapping.name == name) return &mapping;
    return nullptr;
}

void batch(const ProfileParts& parts, const HttpRequest& request, const Reply& reply) {
    const uplink::ProfileMapping* mapping = nullptr;
    if (!request.query.empty()) {
        mapping = mapping_named(parts, request.query_value("mapping"));
        if (mapping == nullptr) return reply(bad("there is no mapping of this name here"));
    }
    const auto work = std::make_shared<Batch>(parts, mapping, request.body, reply);
    if (!parts.writer.post([work] { work->begin(); })) reply(busy());
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
    if (!page) return reply(problem(503, "store-io", "the cache cannot be read"));
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
        if (!request.parameters.empty() && request.body.size() > body_bytes_max)
            return reply(problem(413, "body-too-large", "a profile is not so large"));
        handler(parts, request, reply);
    };
    return made;
}

}  // namespace

uplink::LinesWritten write_feed_lines(const ProfileParts& parts, std::span<const std::string_view> lines,
                                      UtcTime not_before) {
    std::vector<Entry> entries;
    for (const std::string_view line : lines) entries.push_back({entries.size(), {}, line, {}});
    Batch work(parts, not_before);
    const bool stored = work.take(entries);
    boost::asio::post(parts.loop,
                      [parts, effects = std::move(work.effects())] { hear_on_loop(parts, effects); });
    return {stored, work.refused()};
}

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
    std::vector<Route> routes = {route(parts, "POST", "/v1/profiles/batch", batch, "mapping"),
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
