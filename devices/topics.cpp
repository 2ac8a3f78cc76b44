#include "devices/topics.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

namespace touchpoint::devices {
namespace {

constexpr std::size_t kind_max = 32;
constexpr std::size_t name_max = 64;
constexpr std::size_t response_topic_bytes_max = 512;
// Mosquitto ends the connection of whoever publishes to a topic of more than 200 levels: it would be ours.
constexpr std::ptrdiff_t response_topic_slashes_max = 16;
// What the gateway says of itself: "/stores/{store}/gateway/{id}" and "store.system.gap.v1". A device that
// could speak so could explain away events of others.
constexpr std::array<std::string_view, 2> kinds_of_the_gateway = {"gateway", "system"};

bool lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_kind(std::string_view text) {
    if (std::find(kinds_of_the_gateway.begin(), kinds_of_the_gateway.end(), text) !=
        kinds_of_the_gateway.end())
        return false;
    return !text.empty() && text.size() <= kind_max &&
           std::all_of(text.begin(), text.end(), [](char c) { return lower_or_digit(c) || c == '-'; });
}
bool is_name(std::string_view text) {
    return !text.empty() && text.size() <= name_max && std::all_of(text.begin(), text.end(), [](char c) {
        return lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
    });
}

// The level before the first '/'; `rest` becomes what stands behind it, or nothing when there was no '/'.
std::string_view next_level(std::optional<std::string_view>& rest) {
    const std::string_view text = rest.value_or(std::string_view{});
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) return rest.reset(), text;
    rest = text.substr(slash + 1);
    return text.substr(0, slash);
}

// What stands behind "touchpoint/v1/", empty when the topic is not ours.
std::optional<std::string_view> behind_prefix(std::string_view topic) {
    if (!topic.starts_with(topic_prefix) || topic.size() <= topic_prefix.size() ||
        topic[topic_prefix.size()] != '/')
        return std::nullopt;
    return topic.substr(topic_prefix.size() + 1);
}

struct Level {
    TopicRole role;
    std::string_view word;
    bool named;
    bool heard;  // we listen to it
};
constexpr std::array<Level, 8> levels = {{
    {TopicRole::event, "event", true, true},
    {TopicRole::status, "status", false, true},
    {TopicRole::ack, "ack", false, true},
    {TopicRole::request, "req", true, true},
    {TopicRole::command, "cmd", true, false},
    {TopicRole::response, "res", true, false},
    {TopicRole::receipt, "receipt", false, false},
    {TopicRole::rejected, "rejected", false, false},
}};

}  // namespace

std::optional<DeviceAddress> DeviceAddress::parse(std::string_view kind, std::string_view device) {
    if (!is_kind(kind) || !is_name(device)) return std::nullopt;
    return DeviceAddress{std::string(kind), std::string(device)};
}

std::optional<Topic> Topic::parse(std::string_view text) {
    std::optional<std::string_view> rest = behind_prefix(text);
    if (!rest) return std::nullopt;
    if (*rest == "gateway/status") return Topic{TopicRole::gateway_status, {}, {}};
    const std::string_view kind = next_level(rest);
    const std::string_view device = next_level(rest);
    const std::string_view word = next_level(rest);
    auto address = DeviceAddress::parse(kind, device);
    if (!address) return std::nullopt;
    for (const Level& level : levels) {
        if (level.word != word) continue;
        if (!level.named)
            return rest ? std::nullopt : std::optional(Topic{level.role, std::move(*address), {}});
        if (!rest || !is_name(*rest)) return std::nullopt;
        return Topic{level.role, std::move(*address), std::string(*rest)};
    }
    return std::nullopt;
}

std::string Topic::build() const {
    std::string text(topic_prefix);
    if (role == TopicRole::gateway_status) return text += "/gateway/status";
    text += '/';
    text += address.kind;
    text += '/';
    text += address.device;
    for (const Level& level : levels) {
        if (level.role != role) continue;
        text += '/';
        text += level.word;
        if (level.named) {
            text += '/';
            text += name;
        }
    }
    return text;
}

std::optional<DeviceAddress> address_in(std::string_view topic) {
    std::optional<std::string_view> rest = behind_prefix(topic);
    if (!rest) return std::nullopt;
    const std::string_view kind = next_level(rest);
    if (!rest) return std::nullopt;
    return DeviceAddress::parse(kind, next_level(rest));
}

bool may_answer_on(std::string_view response_topic, const DeviceAddress& address) {
    std::string prefix(topic_prefix);
    prefix += '/';
    prefix += address.key();
    prefix += '/';
    if (!response_topic.starts_with(prefix) || response_topic.size() == prefix.size() ||
        response_topic.size() > response_topic_bytes_max ||
        std::count(response_topic.begin(), response_topic.end(), '/') > response_topic_slashes_max)
        return false;
    if (response_topic.find_first_of(std::string_view("+#\0", 3)) != std::string_view::npos) return false;
    std::optional<std::string_view> rest = response_topic.substr(prefix.size());
    const std::string_view word = next_level(rest);
    return std::none_of(levels.begin(), levels.end(),
                        [&](const Level& level) { return level.heard && level.word == word; });
}

std::vector<Subscription> subscriptions() {
    const std::string devices = std::string(topic_prefix) + "/+/+/";
    return {{devices + "event/#", false, 1},
            {devices + "status", true, 1},
            {devices + "req/" + std::string(profile_request), false, 0}};
}

}  // namespace touchpoint::devices
