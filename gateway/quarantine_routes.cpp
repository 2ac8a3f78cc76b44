#include "gateway/quarantine_routes.hpp"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <charconv>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/quarantine.hpp"
#include "store/event_reader.hpp"

namespace touchpoint::gateway {
namespace {

constexpr std::size_t refused_told_max = 20;  // of one retry, with their reasons
constexpr std::chrono::seconds retry_deadline{60};
constexpr std::chrono::seconds stopping_retry{5};

std::optional<std::uint64_t> number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

// Reads the quarantine stream on the reader and gives the slice to `answer`, which runs there too.
void read_quarantine(const QuarantineParts& parts, Sequence after, std::uint32_t limit, const Reply& reply,
                     std::function<HttpResponse(const store::Slice&)> answer) {
    const store::EventStore& store = parts.store;
    const bool posted = parts.reader.post([&store, after, limit, reply, answer = std::move(answer)] {
        store::EventReader::Limits limits;
        limits.events_max = limit;
        const auto slice = store.make_reader()->read(Stream::quarantine, after, "", limits);
        if (slice)
            reply(answer(*slice));
        else
            reply(problem(500, "store-io", "the quarantine cannot be read"));
    });
    if (!posted) reply(not_now(503, "busy", "too many readers wait; try again"));
}

// One request for the list. A slice has a bound of bytes and a rejected message may be a megabyte: it is read
// in as many as it takes.
struct List {
    Sequence after = 0;
    std::uint32_t left = 0;  // items still to come
    std::string items;
    Sequence last = 0;

    std::string body() const {
        return R"({"items":[)" + items + R"(],"last":)" + std::to_string(last) + "}\n";
    }
};

// Each slice is a job of its own, so that other readers have their turns between.
void read_list(const QuarantineParts& parts, const std::shared_ptr<List>& list, const Reply& reply) {
    const bool posted = parts.reader.post([parts, list, reply] {
        store::EventReader::Limits limits;
        limits.events_max = list->left;
        const auto slice = parts.store.make_reader()->read(Stream::quarantine, list->after, "", limits);
        if (!slice) return reply(problem(500, "store-io", "the quarantine cannot be read"));
        add_quarantine_items(list->items, *slice);
        if (!slice->events.empty()) list->after = list->last = slice->events.back().sequence;
        list->left -= std::min(list->left, static_cast<std::uint32_t>(slice->events.size()));
        if (slice->events.empty() || !slice->more || list->left == 0)
            return reply(json_response(list->body()));
        read_list(parts, list, reply);
    });
    if (!posted) reply(not_now(503, "busy", "too many readers wait; try again"));
}

void list_quarantine(const QuarantineParts& parts, const HttpRequest& request, const Reply& reply) {
    std::uint64_t limit = 20;
    if (const auto text = request.query_value("limit"); !text.empty()) {
        const auto given = number(text);
        if (!given || *given == 0 || *given > quarantine_page_max)
            return reply(
                problem(400, "bad-query", "limit must be 1 to " + std::to_string(quarantine_page_max)));
        limit = *given;
    }
    // Without a position: the newest, which is what a person looks for.
    const Sequence horizon = parts.store.horizon(Stream::quarantine);
    Sequence after = horizon > limit ? horizon - limit : 0;
    if (const auto text = request.query_value("after"); !text.empty()) {
        const auto given = number(text);
        if (!given) return reply(problem(400, "bad-query", "after must be a sequence"));
        after = *given;
    }
    const auto list = std::make_shared<List>();
    list->after = after;
    list->left = static_cast<std::uint32_t>(limit);
    read_list(parts, list, reply);
}

void show_quarantine(const QuarantineParts& parts, const HttpRequest& request, const Reply& reply) {
    const auto sequence = number(request.parameter("sequence"));
    if (!sequence || *sequence == 0) return reply(problem(400, "bad-path", "a sequence is a number from 1"));
    const store::SealedBox& box = parts.box;
    read_quarantine(parts, *sequence - 1, 1, reply, [&box, wanted = *sequence](const store::Slice& slice) {
        const auto shown = quarantine_show(slice, wanted, box);
        if (shown) return json_response(*shown);
        return shown.error().code == Errc::not_found ? problem(404, "not-found", shown.error().context)
                                                     : problem(500, "damaged", shown.error().context);
    });
}

// ?first=5&last=9 of a POST; `last` may be left out. Empty: `reply` has been told what is wrong.
struct Range {
    Sequence first = 0;
    Sequence last = 0;
};
std::optional<Range> range_of(const HttpRequest& request, const Reply& reply) {
    const auto first = number(request.query_value("first"));
    const std::string_view last_text = request.query_value("last");
    const auto last = last_text.empty() ? first : number(last_text);
    if (first && last && *first > 0 && *first <= *last) return Range{*first, *last};
    reply(problem(400, "bad-query", "say which: ?first=5 or ?first=5&last=9"));
    return std::nullopt;
}

// A row for everybody: readers get it in the place of the message.
void out_of_quarantine(const QuarantineParts& parts, Range range, std::string_view reason) {
    store::Gap gap;
    gap.stream = Stream::quarantine;
    gap.first = range.first;
    gap.last = range.last;
    gap.reason = reason;
    gap.time = parts.clock.utc();
    parts.store.record_gap(std::move(gap));
}

void answer_when_durable(const QuarantineParts& parts, const Reply& reply, std::string body) {
    parts.store.when_durable([reply, body = std::move(body)](const Result<void>& durable) {
        reply(durable ? json_response(body)
                      : not_now(503, "stopping", durable.error().context, stopping_retry));
    });
}

// One request to throw away: which of the numbers are still kept. What was tried again, thrown away before,
// or has gone to whoever it was for, keeps its own record or none.
struct Discard {
    Range asked;
    Sequence after = 0;  // looked at
    std::vector<Range> kept;
    std::uint64_t messages = 0;
    bool more = false;

    void add(Sequence sequence) {
        ++messages;
        if (!kept.empty() && kept.back().last + 1 == sequence)
            kept.back().last = sequence;
        else
            kept.push_back({sequence, sequence});
    }
    std::string body() const {
        return "{\"first\":" + std::to_string(kept.front().first) +
               ",\"last\":" + std::to_string(kept.back().last) +
               ",\"discarded\":" + std::to_string(messages) +
               ",\"next\":" + (more ? std::to_string(after + 1) : "null") + "}\n";
    }
};

void discard_kept(const QuarantineParts& parts, const Discard& found, const Reply& reply) {
    if (found.messages == 0) return reply(problem(404, "not-found", "nothing is kept under this sequence"));
    if (!parts.store.has_gap_room(found.kept.size()))
        return reply(not_now(503, "busy", "try again in a second"));
    for (const Range& range : found.kept) out_of_quarantine(parts, range, "discarded");
    answer_when_durable(parts, reply, found.body());
}

// Each slice is a job of its own, as for the list.
void find_kept(const QuarantineParts& parts, const std::shared_ptr<Discard>& work, const Reply& reply) {
    const bool posted = parts.reader.post([parts, work, reply] {
        store::EventReader::Limits limits;
        limits.events_max = quarantine_page_max - static_cast<std::uint32_t>(work->messages);
        const auto slice = parts.store.make_reader()->read(Stream::quarantine, work->after, "", limits);
        if (!slice) return reply(problem(500, "store-io", "the quarantine cannot be read"));
        for (const store::StoredEvent& event : slice->events) {
            work->after = std::min(event.sequence, work->asked.last);
            if (event.gap < 0 && event.sequence <= work->asked.last) work->add(event.sequence);
        }
        work->more = slice->more && work->after < work->asked.last;
        if (work->more && work->messages < quarantine_page_max) return find_kept(parts, work, reply);
        boost::asio::post(parts.loop, [parts, work, reply] { discard_kept(parts, *work, reply); });
    });
    if (!posted) reply(not_now(503, "busy", "too many readers wait; try again"));
}

void discard(const QuarantineParts& parts, const HttpRequest& request, const Reply& reply) {
    const auto range = range_of(request, reply);
    if (!range) return;
    const auto work = std::make_shared<Discard>();
    work->asked = *range;
    work->after = range->first - 1;
    find_kept(parts, work, reply);
}

// One request to try again: what was read, and what has become of it. Lives until the last event is durable.
struct Retry {
    struct Message {
        Sequence sequence = 0;
        Result<store::Incoming> message;
    };
    std::vector<Message> messages;
    std::size_t running = 1;  // the loop over the messages itself
    std::uint64_t retried = 0;
    std::uint64_t refused = 0;
    std::string refused_text;
    Sequence first = 0;  // of those that were asked for
    Sequence next = 0;   // go on here; 0: all were looked at

    void refuse(Sequence sequence, const std::string& error) {
        if (++refused > refused_told_max) return;
        if (!refused_text.empty()) refused_text += ',';
        refused_text += "{\"sequence\":" + std::to_string(sequence) + ",\"error\":" + error + '}';
    }
    void go_on_at(Sequence sequence) {
        if (next == 0 || sequence < next) next = sequence;
    }
    std::string body() const {
        return "{\"retried\":" + std::to_string(retried) + ",\"refused\":" + std::to_string(refused) +
               ",\"first_refused\":[" + refused_text +
               "],\"next\":" + (next == 0 ? "null" : std::to_string(next)) + "}\n";
    }
};

const char* not_opened(Errc why) {
    if (why == Errc::refused)
        return R"({"type":"erased","title":"A person in it was erased","detail":"its payload went with him"})";
    if (why == Errc::full)
        return R"({"type":"cut","title":"Only its beginning is kept","detail":"it names too many persons, or one whose name is not whole"})";
    return R"({"type":"damaged","title":"It cannot be read any more"})";
}

void retry_all(const QuarantineParts& parts, const std::shared_ptr<Retry>& retry, const Reply& reply) {
    const auto one_done = [parts, retry, reply] {
        if (--retry->running != 0) return;
        // Asked for the same again at once, it would say the same again.
        if (retry->next == retry->first)
            return reply(not_now(503, "busy", "the gateway takes no events now; none of these was tried"));
        answer_when_durable(parts, reply, retry->body());
    };
    for (Retry::Message& one : retry->messages) {
        if (!one.message) {
            retry->refuse(one.sequence, not_opened(one.message.error().code));
            continue;
        }
        const devices::DirectIntake::Outlook outlook = parts.intake.check(*one.message);
        if (outlook.reports == 0) {
            if (!outlook.refused.empty())
                retry->refuse(one.sequence, devices::problem_json(outlook.refused.front()));
            continue;
        }
        if (!parts.store.has_gap_room(retry->running)) {
            retry->go_on_at(one.sequence);
            break;
        }
        ++retry->running;
        parts.intake.take(std::move(*one.message), [parts, retry, one_done, sequence = one.sequence](
                                                       const devices::DirectIntake::Answer& answer) {
            if (answer.busy) {
                retry->go_on_at(sequence);
            } else {
                ++retry->retried;
                out_of_quarantine(parts, {sequence, sequence}, "retried");
            }
            one_done();
        });
        if (retry->next == one.sequence) break;  // busy
    }
    retry->messages.clear();
    one_done();
}

void retry(const QuarantineParts& parts, const HttpRequest& request, const Reply& reply) {
    const auto range = range_of(request, reply);
    if (!range) return;
    const bool posted = parts.reader.post([parts, range = *range, reply] {
        store::EventReader::Limits limits;
        limits.events_max =
            static_cast<std::uint32_t>(std::min<Sequence>(range.last - range.first + 1, quarantine_page_max));
        const auto slice = parts.store.make_reader()->read(Stream::quarantine, range.first - 1, "", limits);
        if (!slice) return reply(problem(500, "store-io", "the quarantine cannot be read"));
        const auto work = std::make_shared<Retry>();
        work->first = range.first;
        Sequence read_through = range.first - 1;
        for (const store::StoredEvent& event : slice->events) {
            read_through = std::min(event.sequence, range.last);
            if (event.gap >= 0 || event.sequence > range.last) continue;
            work->messages.push_back({event.sequence, quarantined_message(event.members, parts.box)});
        }
        if (read_through < range.last && slice->more) work->next = read_through + 1;
        boost::asio::post(parts.loop, [parts, work, reply] { retry_all(parts, work, reply); });
    });
    if (!posted) reply(not_now(503, "busy", "too many readers wait; try again"));
}

}  // namespace

std::vector<Route> quarantine_routes(const QuarantineParts& parts) {
    const auto route = [&parts](std::string method, std::string path, auto handle) {
        Route made;
        made.method = std::move(method);
        made.path = std::move(path);
        made.handler = [parts, handle](const HttpRequest& request, const Reply& reply) {
            handle(parts, request, reply);
        };
        made.deadline = retry_deadline;
        made.roles = {Role::technician};
        return made;
    };
    return {route("GET", "/v1/quarantine", list_quarantine),
            route("GET", "/v1/quarantine/{sequence}", show_quarantine),
            route("POST", "/v1/quarantine/retry", retry), route("POST", "/v1/quarantine/discard", discard)};
}

}  // namespace touchpoint::gateway
