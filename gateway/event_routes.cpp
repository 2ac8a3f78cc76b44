#include "gateway/event_routes.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "devices/topics.hpp"
#include "gateway/core/json_text.hpp"

namespace touchpoint::gateway {
namespace {

constexpr std::string_view cloudevents_header = "ce-";  // CloudEvents 1.0, HTTP binding, binary mode

std::string id_list(const std::vector<std::string>& ids) {
    std::string out = "[";
    for (const std::string& id : ids) {
        if (out.size() > 1) out += ',';
        append_json_string(out, id);
    }
    return out += ']';
}

std::string body_of(const devices::DirectIntake::Answer& answer) {
    std::string out = "{\"stored\":" + id_list(answer.stored) + ",\"duplicate\":" + id_list(answer.duplicate);
    if (!answer.id_reused.empty()) out += ",\"idreused\":" + id_list(answer.id_reused);
    out += ",\"rejected\":[";
    bool first = true;
    for (const auto& [index, rejection] : answer.rejected) {
        if (!std::exchange(first, false)) out += ',';
        out += "{\"index\":" + std::to_string(index) + ',' + devices::rejected_payload(rejection).substr(1);
    }
    return out + "]}\n";
}

HttpResponse response_to(const devices::DirectIntake::Answer& answer) {
    if (answer.busy) return not_now(503, "busy", "the gateway takes no events now; nothing of this was kept");
    const bool none = answer.stored.empty() && answer.duplicate.empty() && !answer.rejected.empty();
    return json_response(body_of(answer), !none ? 200 : answer.too_large ? 413 : 422);
}

// "kiosk/k7"
std::optional<devices::DeviceAddress> address_of(std::string_view text) {
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    return devices::DeviceAddress::parse(text.substr(0, slash), text.substr(slash + 1));
}

bool is_cloudevent(const HttpRequest& request) {
    return request.header("content-type").starts_with("application/cloudevents") ||
           !request.header("ce-specversion").empty();
}

void take(devices::DirectIntake& intake, const HttpRequest& request, const Reply& reply) {
    const std::string_view own = request.caller.device;
    std::string_view device = request.query_value("device");
    if (device.empty()) device = own;
    const auto address = address_of(device);
    if (!address)
        return reply(problem(400, "bad-device",
                             "say who sends: ?device=kiosk/k7, the kind of [a-z0-9-]{1,32}, the device of "
                             "[A-Za-z0-9_-]{1,64}"));
    if (!own.empty() && address->key() != own)
        return reply(problem(403, "foreign-device", "this token sends as " + std::string(own) + " only"));
    std::string name(request.query_value("event"));
    if (name.empty()) {
        if (!is_cloudevent(request))
            return reply(problem(400, "bad-event-name", "say what happened: ?event=search"));
        name = "event";  // a CloudEvent has its own type
    }
    store::Incoming message;
    message.topic = devices::Topic{devices::TopicRole::event, *address, name}.build();
    if (!devices::Topic::parse(message.topic))
        return reply(problem(400, "bad-event-name", "the event's name is of [A-Za-z0-9_-]{1,64}"));
    message.payload = request.body;
    // What is not said to be a CloudEvent is looked at: `curl -d` names a form.
    message.content_type = std::string(request.header("content-type"));
    for (const auto& [header, value] : request.headers) {
        if (!header.starts_with(cloudevents_header)) continue;
        const auto text = percent_decoded(value);
        if (!text) return reply(problem(400, "bad-header", header + " is not percent-encoded UTF-8"));
        std::string attribute = header.substr(cloudevents_header.size());
        message.user_properties.emplace_back(std::move(attribute), *text);
    }
    intake.take(std::move(message),
                [reply](devices::DirectIntake::Answer answer) { reply(response_to(answer)); });
}

}  // namespace

std::vector<Route> event_routes(devices::DirectIntake& intake) {
    Route route;
    route.method = "POST";
    route.path = "/v1/events";
    route.handler = [&intake](const HttpRequest& request, const Reply& reply) {
        take(intake, request, reply);
    };
    route.deadline = std::chrono::seconds(10);
    // Not technician: a token that watches must not be able to write a sale.
    route.roles = {Role::device, Role::app};
    return {route};
}

}  // namespace touchpoint::gateway
