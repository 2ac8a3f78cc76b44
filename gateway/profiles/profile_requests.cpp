#include "gateway/profiles/profile_requests.hpp"

#include <charconv>
#include <utility>

#include "devices/json_slice.hpp"
#include "devices/receipts.hpp"
#include "gateway/http.hpp"

namespace touchpoint::gateway {
namespace {

using devices::JsonMember;
using std::chrono::seconds;

ProfileAnswer refused(unsigned status, std::string_view type, std::string_view detail) {
    ProfileAnswer answer;
    answer.status = status;
    answer.body = problem(status, type, detail).body;
    return answer;
}

std::optional<Mistake> take_any(std::string_view value, std::vector<std::string>& names) {
    const Mistake wrong{"any must be a list of 1 to " + std::to_string(lookup_aliases_max) +
                        R"( of "scheme:value")"};
    if (!devices::is_array(value)) return wrong;
    const auto items = devices::json_items(value, lookup_aliases_max);
    if (items.empty() || items.size() > lookup_aliases_max) return wrong;
    for (const std::string_view item : items) {
        if (!devices::is_string(item)) return wrong;
        names.push_back(devices::json_unescape(item));
    }
    return std::nullopt;
}

std::optional<Mistake> take(const JsonMember& member, ProfileRequestBody& out) {
    if (member.is("follow")) {
        std::int64_t wanted = -1;
        const auto [end, error] =
            std::from_chars(member.value.data(), member.value.data() + member.value.size(), wanted);
        if (error != std::errc() || end != member.value.data() + member.value.size() || wanted < 0 ||
            wanted > profile_follow_max.count())
            return Mistake{"follow must be a number of seconds from 1 to 3600, or 0"};
        out.follow = seconds(wanted);
        return std::nullopt;
    }
    if (member.is("any")) return take_any(member.value, out.question.names);
    const bool id = member.is("id");
    if (!id && !member.is("purpose") && !member.is("req"))
        return Mistake{
            "the members of a request are id or any, purpose, req and follow; there is another one"};
    if (!devices::is_string(member.value)) return Mistake{"id, purpose and req must be texts"};
    std::string text = devices::json_unescape(member.value);
    if (id)
        out.question.names.push_back(std::move(text));
    else if (member.is("purpose"))
        out.question.purpose = std::move(text);
    else
        out.req = std::move(text);
    return std::nullopt;
}

bool may_be_level(const devices::DeviceAddress& device, const std::string& req) {
    return devices::Topic::parse(devices::Topic{devices::TopicRole::response, device, req}.build())
        .has_value();
}

// Empty: there is none.
std::string req_in(std::string_view payload) {
    if (devices::validate_json(payload) || !devices::is_object(devices::json_trim(payload))) return {};
    const auto req = devices::json_find(devices::json_members(devices::json_trim(payload)), "req");
    return req && devices::is_string(*req) ? devices::json_unescape(*req) : std::string();
}

// Of the device's own topics those that others listen to as well, a technician and a simulator: what is told
// about customers does not go there.
bool others_listen(std::string_view response_topic) {
    const auto topic = devices::Topic::parse(response_topic);
    return topic && topic->role != devices::TopicRole::response;
}

}  // namespace

Read<ProfileRequestBody> profile_request_body(std::string_view payload) {
    if (devices::validate_json(payload) || !devices::is_object(devices::json_trim(payload)))
        return Mistake{R"(a request is a JSON object such as {"id":"card:2900000012345"})"};
    ProfileRequestBody out;
    bool named = false;
    for (const JsonMember& member : devices::json_members(devices::json_trim(payload))) {
        if (member.is("id") || member.is("any")) {
            if (std::exchange(named, true)) return Mistake{"either id or any, and once"};
        }
        if (auto mistake = take(member, out)) return std::move(*mistake);
    }
    if (!named) return Mistake{R"(a request names whom it asks for: "id" or "any")"};
    return out;
}

void ProfileRequests::answer(const devices::DeviceAddress& device, const store::Incoming& message,
                             std::chrono::milliseconds waited) {
    Place place{
        devices::Topic{devices::TopicRole::response, device, std::string(devices::profile_request)}.build(),
        devices::correlation_of(message)};
    const bool own_topic =
        devices::may_answer_on(message.response_topic, device) && !others_listen(message.response_topic);
    if (own_topic) place.topic = message.response_topic;
    if (message.payload.size() > profile_request_bytes_max || message.left_out_bytes != 0) {
        send(place, refused(413, "body-too-large", "a request is not so large"));
        return;
    }
    // First: who asks for an answer under this name looks for what was wrong there, too.
    if (const std::string req = req_in(message.payload);
        !own_topic && !req.empty() && may_be_level(device, req))
        place.topic = devices::Topic{devices::TopicRole::response, device, req}.build();
    auto body = profile_request_body(message.payload);
    if (!body) {
        send(place, refused(400, "bad-request", body.error().words));
        return;
    }
    if (!body->req.empty() && !may_be_level(device, body->req)) {
        send(place, refused(400, "bad-request", "req must be 1 to 64 of A-Z, a-z, 0-9, _ and -"));
        return;
    }
    if (waited > answer_within_ || late_()) {
        send(place, parts_.reads.not_now());
        return;
    }
    body->question.roles = {Role::device};
    // Not the kind: whoever may be t1 may say pos/t1 and kiosk/t1, and would have the limits of both.
    body->question.asker = device.device;
    body->question.follows = body->follow.has_value();
    const ProfileAnswer given = parts_.reads.ask(body->question);
    send(place, given);
    follow(place, std::move(*body), given);
}

bool ProfileRequests::send(const Place& place, const ProfileAnswer& answer) {
    std::string payload = answer.body;
    if (payload.ends_with('\n')) payload.pop_back();
    // There is no header here.
    if (answer.retry_after.count() > 0 && payload.ends_with('}')) {
        payload.pop_back();
        payload += ",\"retry_after_s\":" + std::to_string(answer.retry_after.count()) + '}';
    }
    return publish_(place.topic, payload, place.correlation);
}

void ProfileRequests::follow(const Place& place, ProfileRequestBody body, const ProfileAnswer& answer) {
    if (!body.follow) return;
    const bool answered = answer.status == 200 || answer.status == 404 || answer.status == 410;
    if (body.follow->count() == 0 || !answered) {
        parts_.followers.end(place.name());
        return;
    }
    const SteadyTime now = parts_.clock.steady();
    ProfileFollowers::Follower follower;
    follower.name = place.name();
    follower.question = std::move(body.question);
    follower.state = ProfileFollowers::state_of(answer);
    follower.keys = answer.keys;
    follower.until = now + *body.follow;
    follower.tell = [this, place](const ProfileAnswer& changed) {
        return send(place, changed) ? ProfileFollowers::Told::taken : ProfileFollowers::Told::not_yet;
    };
    if (!parts_.followers.follow(std::move(follower), now, true)) send(place, too_many_followers());
}

}  // namespace touchpoint::gateway
