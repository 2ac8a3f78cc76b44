#include "gateway/profiles/profile_read_routes.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "gateway/core/ascii.hpp"

namespace touchpoint::gateway {
namespace {

constexpr std::size_t wanted_page_max = 1000;

HttpResponse bad(std::string_view words) { return problem(400, "bad-request", words); }

// Whose misses are counted: the device (as in ProfileQuestion), else the token, else the machine.
std::string asker_of(const HttpRequest& request) {
    const std::string& device = request.caller.device;
    if (!device.empty()) return device.substr(device.find('/') + 1);
    if (!request.caller.token.empty()) return "token " + request.caller.token;
    return request.peer.substr(0, request.peer.rfind(':'));
}

// If-None-Match: a list of tags, or *. Some clients and proxies leave out that ours are weak ones.
bool matches(std::string_view header, std::string_view tag) {
    if (header == "*") return true;
    tag.remove_prefix(std::string_view("W/").size());
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

Read<ProfileQuestion> question_of(const HttpRequest& request, std::vector<std::string> names) {
    ProfileQuestion question;
    bool said = false;
    for (const auto& [key, value] : request.query) {
        if (key != "purpose") return Mistake{"the parameters here are purpose; there is another one"};
        if (std::exchange(said, true)) return Mistake{"purpose is there more than once"};
        question.purpose = value;
    }
    question.names = std::move(names);
    question.roles = request.caller.roles;
    question.asker = asker_of(request);
    return question;
}

HttpResponse response_to(const HttpRequest& request, ProfileAnswer answer) {
    HttpResponse response = json_response(std::move(answer.body), answer.status);
    if (answer.status != 200) {
        response.content_type = "application/problem+json";
        if (answer.retry_after.count() > 0)
            response.headers.emplace_back("Retry-After", std::to_string(answer.retry_after.count()));
        return response;
    }
    response.headers = {{"ETag", answer.etag}, {"Age", std::to_string(answer.age.count())}};
    if (!answer.survivor.empty()) response.headers.emplace_back("Content-Location", path_of(answer.survivor));
    if (matches(request.header("if-none-match"), answer.etag)) {
        response.status = 304;
        response.content_type.clear();
        response.body.clear();
    }
    return response;
}

// --- changes, as Server-Sent Events

bool wants_stream(const HttpRequest& request) {
    if (request.method == "HEAD") return false;
    return ascii_lower(request.header("accept")).find("text/event-stream") != std::string::npos;
}

// A line end in the text would begin a line of its own.
std::string data_lines(std::string_view text) {
    while (text.ends_with('\n')) text.remove_suffix(1);
    std::string out = "data: ";
    for (const char c : text) {
        if (c == '\r') continue;
        out += c;
        if (c == '\n') out += "data: ";
    }
    return out + "\n\n";
}

// An empty id makes a browser forget the last one: it has nothing of this profile any more.
std::string event_of(const ProfileAnswer& answer) {
    if (answer.status != 200) return "event: gone\nid:\n" + data_lines(answer.body);
    return "event: profile\nid: " + answer.etag + '\n' + data_lines(answer.body);
}

HttpResponse streamed(const ProfileReadParts& parts, const HttpRequest& request, ProfileQuestion question,
                      const ProfileAnswer& first) {
    const auto stream = std::make_shared<BodyStream>([](std::uint64_t) { return std::string(":\n\n"); });
    stream->set_pulse(":\n\n");
    const SteadyTime now = parts.clock.steady();
    ProfileFollowers::Follower follower;
    follower.question = std::move(question);
    follower.state = ProfileFollowers::state_of(first);
    follower.keys = first.keys;
    // Only the newest is told: while the one before has not left, the next one waits for it.
    follower.tell = [stream](const ProfileAnswer& answer) {
        if (stream->closed()) return ProfileFollowers::Told::gone;
        if (!stream->empty()) return ProfileFollowers::Told::not_yet;
        stream->push(event_of(answer));
        return ProfileFollowers::Told::taken;
    };
    follower.gone = [stream] { return stream->closed(); };
    if (!parts.followers.follow(std::move(follower), now, false))
        return response_to(request, too_many_followers());
    const bool known = first.status == 200 && request.header("last-event-id") == first.etag;
    stream->push(known ? std::string(":\n\n") : event_of(first));
    HttpResponse response;
    response.content_type = "text/event-stream";
    response.stream = stream;
    return response;
}

HttpResponse answer(const ProfileReadParts& parts, const HttpRequest& request,
                    std::vector<std::string> names) {
    if (parts.late && parts.late()) return response_to(request, parts.reads.not_now());
    auto question = question_of(request, std::move(names));
    if (!question) return bad(question.error().words);
    question->follows = wants_stream(request);
    ProfileAnswer given = parts.reads.ask(*question);
    const bool answered = given.status == 200 || given.status == 404 || given.status == 410;
    if (answered && question->follows) return streamed(parts, request, std::move(*question), given);
    return response_to(request, std::move(given));
}

HttpResponse read(const ProfileReadParts& parts, const HttpRequest& request) {
    return answer(parts, request, {std::string(request.parameter("id"))});
}

HttpResponse lookup(const ProfileReadParts& parts, const HttpRequest& request) {
    if (request.body.size() > lookup_bytes_max)
        return problem(413, "body-too-large", "nothing here needs so large a body");
    const auto names = lookup_body(request.body);
    if (!names) return bad(names.error().words);
    return answer(parts, request, *names);
}

}  // namespace

std::vector<Route> profile_read_routes(const ProfileReadParts& parts) {
    Route one =
        get("/v1/profiles/{id}", [parts](const HttpRequest& request) { return read(parts, request); });
    Route any;
    any.method = "POST";
    any.path = "/v1/profiles/lookup";
    any.handler = [parts](const HttpRequest& request, const Reply& reply) { reply(lookup(parts, request)); };
    one.roles = any.roles = {Role::device, Role::app, Role::platform, Role::technician};
    return {std::move(any), std::move(one)};
}

Route wanted_route(const ProfileReads& reads) {
    Route route = get("/v1/profiles/wanted", [&reads](const HttpRequest& request) {
        if (!request.query.empty()) return bad("this path takes no parameters");
        return json_response(reads.wanted_json(wanted_page_max));
    });
    route.roles = {Role::platform};
    return route;
}

}  // namespace touchpoint::gateway
