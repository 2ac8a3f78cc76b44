#include "tests/system/hostile_mqtt.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace touchpoint::tests {
namespace {

using std::chrono::milliseconds;
using Steady = std::chrono::steady_clock;

enum Type : std::uint8_t { connack = 2, publish_type = 3, puback = 4, suback = 9, disconnect = 14 };
constexpr std::size_t no_keepalive = 0;  // it sends no pings

enum Property : char { content_type_is = 3, response_topic_is = 8, correlation_is = 9, user_is = 38 };

std::string variable(std::size_t value) {
    std::string out;
    do {
        out += static_cast<char>((value & 127) | (value > 127 ? 128 : 0));
        value >>= 7;
    } while (value != 0);
    return out;
}

std::string two_bytes(std::size_t value) {
    return {static_cast<char>(value >> 8 & 255), static_cast<char>(value & 255)};
}

// Takes "length, bytes" from the front of `rest`.
std::string take_text(std::string_view& rest) {
    if (rest.size() < 2) return rest = {}, std::string();
    const std::size_t size = static_cast<unsigned char>(rest[0]) * 256u + static_cast<unsigned char>(rest[1]);
    std::string out(rest.substr(2, size));
    rest.remove_prefix(std::min(rest.size(), size + 2));
    return out;
}

std::size_t take_variable(std::string_view& rest) {
    std::size_t value = 0;
    for (int shift = 0; !rest.empty() && shift < 28; shift += 7) {
        const auto byte = static_cast<unsigned char>(rest.front());
        rest.remove_prefix(1);
        value |= static_cast<std::size_t>(byte & 127) << shift;
        if (byte < 128) break;
    }
    return value;
}

}  // namespace

std::string MqttWire::packet(std::uint8_t first_byte, std::string_view body) {
    return static_cast<char>(first_byte) + variable(body.size()) + std::string(body);
}

std::string MqttWire::text(std::string_view value) { return two_bytes(value.size()) + std::string(value); }

std::string MqttWire::connect_packet(const std::string& client_id, const std::optional<Will>& will) {
    const char flags = will ? 0x02 | 0x04 | 0x08 : 0x02;  // clean start; a will of QoS 1
    std::string body = text("MQTT") + '\x05' + flags + two_bytes(no_keepalive) + '\0' + text(client_id);
    if (will) body += '\0' + text(will->topic) + text(will->payload);
    return packet(0x10, body);
}

MqttWire::MqttWire(int port, const std::string& client_id, const std::optional<Will>& will)
    : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        close();
        return;
    }
    send(connect_packet(client_id, will));
    const auto answer = await(connack, std::chrono::seconds(20));
    if (!answer || answer->body.size() < 2 || answer->body[1] != 0) close();
}

MqttWire::MqttWire(MqttWire&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      last_packet_(other.last_packet_),
      received_(std::move(other.received_)),
      messages_(std::move(other.messages_)) {}

MqttWire::~MqttWire() { close(); }

void MqttWire::close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

bool MqttWire::send(std::string_view bytes) {
    while (!bytes.empty() && fd_ >= 0) {
        const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n <= 0) return close(), false;
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return fd_ >= 0;
}

std::optional<MqttWire::Packet> MqttWire::read_packet(milliseconds deadline) {
    const auto end = Steady::now() + deadline;
    while (fd_ >= 0) {
        std::string_view rest = received_;
        if (rest.size() >= 2) {
            const auto first = static_cast<std::uint8_t>(rest.front());
            rest.remove_prefix(1);
            const bool whole_length =
                std::any_of(rest.begin(),
                            rest.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(rest.size(), 4)),
                            [](char c) { return static_cast<unsigned char>(c) < 128; });
            const std::size_t size = take_variable(rest);
            if (whole_length && rest.size() >= size) {
                Packet out{first, std::string(rest.substr(0, size))};
                received_.erase(0, received_.size() - rest.size() + size);
                return out;
            }
        }
        const auto left = std::chrono::duration_cast<milliseconds>(end - Steady::now());
        pollfd ready{fd_, POLLIN, 0};
        if (left.count() < 0 || ::poll(&ready, 1, static_cast<int>(left.count()) + 1) <= 0)
            return std::nullopt;
        char bytes[65536];
        const ssize_t n = ::recv(fd_, bytes, sizeof bytes, 0);
        if (n <= 0) return close(), std::nullopt;
        received_.append(bytes, static_cast<std::size_t>(n));
    }
    return std::nullopt;
}

void MqttWire::keep(const Packet& publish) {
    std::string_view rest = publish.body;
    Message message;
    message.topic = take_text(rest);
    if ((publish.first & 6) != 0) rest.remove_prefix(2);
    const std::size_t properties = take_variable(rest);
    std::string_view property = rest.substr(0, properties);
    // The gateway sends no other property than this one.
    if (!property.empty() && property.front() == correlation_is) {
        property.remove_prefix(1);
        message.correlation = take_text(property);
    }
    message.payload = rest.substr(properties);
    messages_.push_back(std::move(message));
}

std::optional<MqttWire::Packet> MqttWire::await(std::uint8_t type, milliseconds deadline) {
    const auto end = Steady::now() + deadline;
    while (true) {
        const auto left = std::chrono::duration_cast<milliseconds>(end - Steady::now());
        auto read = read_packet(std::max(left, milliseconds(0)));
        if (!read) return std::nullopt;
        const auto came = static_cast<std::uint8_t>(read->first >> 4);
        if (came == publish_type) keep(*read);
        if (came == type) return read;
        if (came == disconnect) return close(), std::nullopt;
    }
}

bool MqttWire::subscribe(const std::string& filter) {
    send(packet(0x82, two_bytes(++last_packet_) + '\0' + text(filter) + '\0'));
    const auto answer = await(suback, std::chrono::seconds(20));
    return answer && !answer->body.empty() && static_cast<unsigned char>(answer->body.back()) < 0x80;
}

std::optional<int> MqttWire::publish(const std::string& topic, std::string_view payload,
                                     const Properties& given, bool retain) {
    std::string properties;
    const auto add = [&](Property which, std::string_view value) {
        if (!value.empty()) properties += static_cast<char>(which) + text(value);
    };
    add(content_type_is, given.content_type);
    add(response_topic_is, given.response_topic);
    add(correlation_is, given.correlation);
    for (const auto& [name, value] : given.user)
        properties += static_cast<char>(user_is) + text(name) + text(value);
    std::string body = text(topic) + two_bytes(++last_packet_) + variable(properties.size()) + properties;
    body += payload;
    if (!send(packet(retain ? 0x33 : 0x32, body))) return std::nullopt;
    const auto answer = await(puback, std::chrono::seconds(20));
    if (!answer) return std::nullopt;
    return answer->body.size() > 2 ? static_cast<unsigned char>(answer->body[2]) : 0;
}

bool MqttWire::publish_all(const std::vector<std::string>& topics, std::string_view payload) {
    constexpr std::size_t at_once = 100;
    for (std::size_t first = 0; first < topics.size(); first += at_once) {
        const std::size_t last = std::min(first + at_once, topics.size());
        std::string packets;
        for (std::size_t i = first; i < last; ++i)
            packets +=
                packet(0x32, text(topics[i]) + two_bytes(++last_packet_) + '\0' + std::string(payload));
        if (!send(packets)) return false;
        for (std::size_t i = first; i < last; ++i) {
            const auto answer = await(puback, std::chrono::seconds(20));
            if (!answer || (answer->body.size() > 2 && answer->body[2] != 0)) return false;
        }
    }
    return true;
}

std::optional<MqttWire::Message> MqttWire::next(const std::string& topic, milliseconds deadline) {
    const auto end = Steady::now() + deadline;
    while (true) {
        const auto found = std::find_if(messages_.begin(), messages_.end(),
                                        [&](const Message& message) { return message.topic == topic; });
        if (found != messages_.end()) {
            Message out = std::move(*found);
            messages_.erase(found);
            return out;
        }
        const auto left = std::chrono::duration_cast<milliseconds>(end - Steady::now());
        if (left.count() < 0 || !await(publish_type, left)) return std::nullopt;
    }
}

std::size_t MqttWire::waiting(const std::string& topic) const {
    return static_cast<std::size_t>(std::count_if(
        messages_.begin(), messages_.end(), [&](const Message& message) { return message.topic == topic; }));
}

bool MqttWire::hung_up(milliseconds deadline) {
    const auto end = Steady::now() + deadline;
    while (fd_ >= 0 && Steady::now() < end)
        await(disconnect,
              std::max(std::chrono::duration_cast<milliseconds>(end - Steady::now()), milliseconds(1)));
    return fd_ < 0;
}

}  // namespace touchpoint::tests
