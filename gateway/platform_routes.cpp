#include "gateway/platform_routes.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "gateway/negotiation.hpp"
#include "gateway/platform_json.hpp"
#include "uplink/compress.hpp"
#include "uplink/formats.hpp"

namespace touchpoint::gateway {
namespace {

using std::chrono::seconds;
using uplink::Pull;
using uplink::PullFault;
using uplink::Refusal;

template <class T>
using Read = boost::system::result<T, Mistake>;

constexpr std::size_t name_bytes_max = 64;
// Beyond the wait: what is to be read is read, and sent.
constexpr seconds answer_max{20};

unsigned status_of(PullFault fault) {
    switch (fault) {
        case PullFault::bad_request:
        case PullFault::bad_cursor:
        case PullFault::cursor_epoch:
        case PullFault::cursor_beyond:
            return 400;
        case PullFault::no_consumer:
            return 404;
        case PullFault::push_destination:
        case PullFault::consumer_busy:
        case PullFault::taken_over:
        case PullFault::too_many_consumers:
            return 409;
        case PullFault::gone:
            return 410;
        case PullFault::busy:
        case PullFault::stopping:
        case PullFault::store_io:
            return 503;
    }
    return 500;
}

HttpResponse refused(const Refusal& refusal) {
    HttpResponse response = problem(status_of(refusal.fault), name(refusal.fault), refusal.detail);
    if (!refusal.members.empty()) response.body.insert(response.body.rfind('}'), "," + refusal.members);
    if (refusal.retry_after.count() > 0)
        response.headers.emplace_back("Retry-After", std::to_string(refusal.retry_after.count()));
    return response;
}

HttpResponse bad(const std::string& words) { return problem(400, name(PullFault::bad_request), words); }

bool is_word(std::string_view text, std::string_view more) {
    return !text.empty() && text.size() <= name_bytes_max &&
           std::all_of(text.begin(), text.end(), [more](char c) {
               return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                      more.find(c) != std::string_view::npos;
           });
}

// --- the query

// A parameter that nobody reads would be a wish that nobody grants: it is refused.
std::optional<Mistake> unknown_in(const HttpRequest& request, std::initializer_list<std::string_view> known) {
    for (std::size_t i = 0; i < request.query.size(); ++i) {
        const std::string& key = request.query[i].first;
        if (std::find(known.begin(), known.end(), key) == known.end()) {
            std::string words;
            for (const std::string_view each : known)
                words += (words.empty() ? "" : ", ") + std::string(each);
            return Mistake{words.empty() ? "this path takes no parameters"
                                         : "the parameters here are " + words + "; there is another one"};
        }
        for (std::size_t j = 0; j < i; ++j)
            if (request.query[j].first == key) return Mistake{key + " is given twice"};
    }
    return std::nullopt;
}

std::optional<std::uint64_t> number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

Read<std::uint64_t> bounded(const HttpRequest& request, std::string_view key, std::uint64_t otherwise,
                            std::uint64_t least, std::uint64_t most) {
    const std::string_view text = request.query_value(key);
    if (text.empty()) return otherwise;
    const auto value = number(text);
    if (!value || *value < least || *value > most)
        return Mistake{std::string(key) + " must be a number from " + std::to_string(least) + " to " +
                       std::to_string(most)};
    return *value;
}

Read<bool> yes_or_no(const HttpRequest& request, std::string_view key) {
    const std::string_view text = request.query_value(key);
    if (text.empty() || text == "false") return false;
    if (text == "true") return true;
    return Mistake{std::string(key) + " must be true or false"};
}

Read<std::string> reader_id(const HttpRequest& request) {
    const std::string_view text = request.query_value("reader");
    if (!text.empty() && !is_word(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ._"))
        return Mistake{"reader must be 1 to 64 of the characters a-z A-Z 0-9 . _ -"};
    return Read<std::string>(boost::system::in_place_value, text);
}

// What named and ad hoc reads have in common.
std::optional<Mistake> read_wishes(const HttpRequest& request, uplink::PullRead& wanted) {
    const auto events = bounded(request, "max", wanted.events_max, 1, Pull::events_max);
    if (!events) return events.error();
    const auto bytes = bounded(request, "max_bytes", Pull::body_bytes_max, 1, Pull::body_bytes_max);
    if (!bytes) return bytes.error();
    const auto longest = std::chrono::duration_cast<seconds>(Pull::wait_max);
    const auto wait = bounded(request, "wait", 0, 0, static_cast<std::uint64_t>(longest.count()));
    if (!wait) return wait.error();
    wanted.events_max = *events;
    wanted.bytes_max = *bytes;
    wanted.wait = seconds(*wait);
    if (const auto text = request.query_value("streams"); !text.empty()) {
        const auto streams = streams_named(text);
        if (!streams) return streams.error();
        wanted.streams = *streams;
    }
    auto types = uplink::TypeFilter::parse(request.query_value("types"));
    if (!types)
        return Mistake{"types must be at most " + std::to_string(uplink::TypeFilter::patterns_max) +
                       " types with commas between; a * may stand at the end of each"};
    wanted.types = std::move(*types);
    return std::nullopt;
}

// --- reads

// False: none of our forms is accepted.
bool negotiate(const HttpRequest& request, uplink::PullRead& wanted) {
    using uplink::Compression;
    using uplink::Format;
    const std::string_view accept = request.header("accept");
    const std::vector<std::string_view> types = {uplink::Formatter::content_type(Format::ndjson),
                                                 uplink::Formatter::content_type(Format::cloudevents_batch)};
    const auto type = preferred(accept.empty() ? "*/*" : accept, types);
    if (!type) return false;
    wanted.format = *type == 0 ? Format::ndjson : Format::cloudevents_batch;
    const std::string_view encodings = request.header("accept-encoding");
    // "*" alone comes from clients that do not know what they read: that is what everybody can read.
    const auto encoding = encodings == "*" ? std::nullopt : preferred(encodings, {"zstd", "gzip"});
    wanted.compression = Compression::none;
    if (encoding) wanted.compression = *encoding == 0 ? Compression::zstd : Compression::gzip;
    return true;
}

HttpResponse body_response(uplink::PullBody body, uplink::Format format, uplink::Compression compression,
                           const std::string& epoch) {
    HttpResponse response;
    response.headers = {{"Touchpoint-Next-Cursor", body.next_cursor},
                        {"Touchpoint-Lag", std::to_string(body.lag)},
                        {"Touchpoint-Epoch", epoch}};
    if (body.items == 0) {
        response.status = 204;
        return response;
    }
    if (body.oldest.ms != 0) response.headers.emplace_back("Touchpoint-Oldest", to_rfc3339(body.oldest));
    response.content_type = std::string(uplink::Formatter::content_type(format));
    if (compression != uplink::Compression::none)
        response.headers.emplace_back("Content-Encoding", std::string(uplink::content_encoding(compression)));
    response.body = std::move(body.body);
    return response;
}

void start_read(Pull& pull, const HttpRequest& request, uplink::PullRead wanted, const Reply& reply) {
    if (!negotiate(request, wanted))
        return reply(problem(406, "not-acceptable",
                             "events come as application/x-ndjson or application/cloudevents-batch+json"));
    const uplink::Format format = wanted.format;
    const uplink::Compression compression = wanted.compression;
    const std::uint64_t id = pull.read(std::move(wanted), [&pull, reply, format, compression](auto result) {
        reply(result ? body_response(std::move(*result), format, compression, pull.epoch())
                     : refused(result.error()));
    });
    request.client->on_gone([&pull, id] { pull.abandon(id); });
}

void read_named(Pull& pull, const HttpRequest& request, const Reply& reply) {
    uplink::PullRead wanted;
    wanted.consumer = std::string(request.parameter("name"));
    auto mistake =
        unknown_in(request, {"max", "max_bytes", "wait", "streams", "types", "ack", "reader", "take_over"});
    if (!mistake) mistake = read_wishes(request, wanted);
    if (mistake) return reply(bad(mistake->words));
    auto reader = reader_id(request);
    const auto take_over = yes_or_no(request, "take_over");
    if (!reader) return reply(bad(reader.error().words));
    if (!take_over) return reply(bad(take_over.error().words));
    wanted.reader = std::move(*reader);
    wanted.take_over = *take_over;
    wanted.ack = std::string(request.query_value("ack"));
    start_read(pull, request, std::move(wanted), reply);
}

void read_ad_hoc(Pull& pull, const HttpRequest& request, const Reply& reply) {
    using Kind = uplink::PullPlace::Kind;
    uplink::PullRead wanted;
    auto mistake = unknown_in(request, {"after", "from", "max", "max_bytes", "wait", "streams", "types"});
    if (!mistake) mistake = read_wishes(request, wanted);
    if (mistake) return reply(bad(mistake->words));
    const std::string_view after = request.query_value("after");
    const std::string_view from = request.query_value("from");
    if (!after.empty() && !from.empty()) return reply(bad("after and from exclude each other"));
    if (!after.empty()) {
        wanted.place.kind = Kind::cursor;
        wanted.place.cursor = std::string(after);
    } else if (from == "latest") {
        wanted.place.kind = Kind::latest;
    } else if (!from.empty() && from != "oldest") {
        const auto time = parse_rfc3339(from);
        if (!time)
            return reply(
                bad("from must be oldest, latest or a time such as 2026-09-21T08:00:00Z (a '+' is "
                    "written %2B in a URL)"));
        wanted.place.kind = Kind::time;
        wanted.place.time = *time;
    }
    start_read(pull, request, std::move(wanted), reply);
}

// --- consumers and gaps

uplink::Done<uplink::PullPicture> shows(Pull& pull, const Reply& reply) {
    return [&pull, reply](uplink::Pulled<uplink::PullPicture> result) {
        if (!result) return reply(refused(result.error()));
        HttpResponse response =
            json_response(consumer_json(*result, pull.epoch()), result->created ? 201 : 200);
        if (result->created) response.headers.emplace_back("Location", "/v1/consumers/" + result->state.name);
        reply(std::move(response));
    };
}

void put(Pull& pull, const HttpRequest& request, const Reply& reply) {
    if (const auto mistake = unknown_in(request, {})) return reply(bad(mistake->words));
    const auto body = consumer_body(request.body);
    if (!body) return reply(bad(body.error().words));
    pull.put(std::string(request.parameter("name")), body->streams, body->from, shows(pull, reply));
}

void acknowledge(Pull& pull, const HttpRequest& request, const Reply& reply) {
    if (const auto mistake = unknown_in(request, {"reader"})) return reply(bad(mistake->words));
    const auto reader = reader_id(request);
    const auto cursor = cursor_body(request.body);
    if (!reader) return reply(bad(reader.error().words));
    if (!cursor) return reply(bad(cursor.error().words));
    pull.acknowledge(std::string(request.parameter("name")), *cursor, *reader, shows(pull, reply));
}

void seek(Pull& pull, const HttpRequest& request, const Reply& reply) {
    if (const auto mistake = unknown_in(request, {"reader", "take_over"})) return reply(bad(mistake->words));
    const auto reader = reader_id(request);
    const auto take_over = yes_or_no(request, "take_over");
    const auto place = place_body(request.body);
    if (!reader) return reply(bad(reader.error().words));
    if (!take_over) return reply(bad(take_over.error().words));
    if (!place) return reply(bad(place.error().words));
    pull.seek(std::string(request.parameter("name")), *place, *reader, *take_over, shows(pull, reply));
}

void erase(Pull& pull, const HttpRequest& request, const Reply& reply) {
    if (const auto mistake = unknown_in(request, {})) return reply(bad(mistake->words));
    pull.erase(std::string(request.parameter("name")), [reply](auto result) {
        HttpResponse response;
        response.status = 204;
        reply(result ? std::move(response) : refused(result.error()));
    });
}

void list_gaps(Pull& pull, const HttpRequest& request, const Reply& reply) {
    if (const auto mistake = unknown_in(request, {"stream", "after", "max"}))
        return reply(bad(mistake->words));
    uplink::GapsWanted wanted;
    if (const auto text = request.query_value("stream"); !text.empty()) {
        wanted.stream = stream_named(text);
        if (!wanted.stream) return reply(bad("stream must be the name of one stream"));
        wanted.after_stream = *wanted.stream;
    }
    if (const auto text = request.query_value("after"); !text.empty()) {
        const std::size_t colon = text.find(':');
        const auto stream =
            colon == std::string_view::npos ? wanted.stream : stream_named(text.substr(0, colon));
        const auto last = number(text.substr(colon == std::string_view::npos ? 0 : colon + 1));
        if (!stream || !last || (wanted.stream && stream != wanted.stream))
            return reply(bad("after must be the 'next' of the page before, such as sales:1200"));
        wanted.after_stream = *stream;
        wanted.after = *last;
    }
    const auto max = bounded(request, "max", wanted.max, 1, Pull::gaps_max);
    if (!max) return reply(bad(max.error().words));
    wanted.max = *max;
    pull.gaps(wanted, [&pull, reply](auto result) {
        reply(result ? json_response(gaps_json(*result, pull.epoch())) : refused(result.error()));
    });
}

using Handler = void (*)(Pull&, const HttpRequest&, const Reply&);

Route route(const PlatformParts& parts, std::string method, std::string path, Handler handler, Roles roles) {
    Route made;
    made.method = std::move(method);
    made.path = std::move(path);
    made.roles = roles;
    made.handler = [&pull = parts.pull, handler](const HttpRequest& request, const Reply& reply) {
        const std::string_view consumer = request.parameter("name");
        if (!request.parameters.empty() && !is_word(consumer, ""))
            return reply(bad("a consumer's name is 1 to 64 of the characters a-z 0-9 -"));
        if (request.body.size() > platform_body_max)
            return reply(problem(413, "body-too-large", "nothing here needs so large a body"));
        handler(pull, request, reply);
    };
    return made;
}

}  // namespace

Route gaps_route(const PlatformParts& parts) {
    return route(parts, "GET", "/v1/gaps", list_gaps, {Role::platform, Role::technician});
}

std::vector<Route> platform_routes(const PlatformParts& parts) {
    const Roles both{Role::platform, Role::technician};
    const Roles platform{Role::platform};
    const Handler list = [](Pull& pull, const HttpRequest& request, const Reply& reply) {
        if (const auto mistake = unknown_in(request, {})) return reply(bad(mistake->words));
        pull.describe_all([&pull, reply](auto result) {
            reply(result ? json_response(consumers_json(*result, pull.epoch())) : refused(result.error()));
        });
    };
    const Handler show = [](Pull& pull, const HttpRequest& request, const Reply& reply) {
        if (const auto mistake = unknown_in(request, {})) return reply(bad(mistake->words));
        pull.describe(std::string(request.parameter("name")), shows(pull, reply));
    };
    const std::string one = "/v1/consumers/{name}";
    std::vector<Route> routes = {
        route(parts, "GET", "/v1/consumers", list, both),
        route(parts, "GET", one, show, both),
        route(parts, "PUT", one, put, platform),
        route(parts, "DELETE", one, erase, platform),
        route(parts, "GET", one + "/events", read_named, platform),
        route(parts, "POST", one + "/ack", acknowledge, platform),
        route(parts, "POST", one + "/seek", seek, platform),
        route(parts, "GET", "/v1/events", read_ad_hoc, platform),
        gaps_route(parts),
    };
    for (Route& each : routes)
        if (each.path.ends_with("/events")) each.deadline = Pull::wait_max + answer_max;
    return routes;
}

}  // namespace touchpoint::gateway
