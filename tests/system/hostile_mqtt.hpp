// A device of bytes: MQTT 5 over a plain socket, so that a test can also send what no library would.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace touchpoint::tests {

class MqttWire {
  public:
    struct Message {
        std::string topic;
        std::string payload;
        std::string correlation;
    };
    // Of a PUBLISH. Strings go out as they are, also when they are no UTF-8.
    struct Properties {
        std::string response_topic;
        std::string correlation;
        std::string content_type;
        std::vector<std::pair<std::string, std::string>> user;
    };
    struct Will {
        std::string topic;
        std::string payload;
    };

    // Connects and waits for the CONNACK. Without a broker, or when it refuses: connected() is false.
    MqttWire(int port, const std::string& client_id, const std::optional<Will>& will = std::nullopt);
    ~MqttWire();
    MqttWire(MqttWire&& other) noexcept;
    MqttWire& operator=(MqttWire&&) = delete;

    bool connected() const { return fd_ >= 0; }
    // QoS 0; true when the broker granted it.
    bool subscribe(const std::string& filter);
    // QoS 1; the broker's reason code, or nothing when it hung up.
    std::optional<int> publish(const std::string& topic, std::string_view payload,
                               const Properties& properties, bool retain = false);
    std::optional<int> publish(const std::string& topic, std::string_view payload) {
        return publish(topic, payload, Properties());
    }
    // The same payload on many topics, QoS 1; true when the broker took them all.
    bool publish_all(const std::vector<std::string>& topics, std::string_view payload);
    // The next message whose topic is `topic`; others that come meanwhile are kept for later.
    std::optional<Message> next(const std::string& topic,
                                std::chrono::milliseconds deadline = std::chrono::seconds(20));
    // What came on `topic` and was not asked for.
    std::size_t waiting(const std::string& topic) const;

    // Bytes as they are. False: the other side has hung up.
    bool send(std::string_view bytes);
    // True when the other side hangs up within `deadline`.
    bool hung_up(std::chrono::milliseconds deadline = std::chrono::seconds(20));

    static std::string packet(std::uint8_t first_byte, std::string_view body);
    static std::string text(std::string_view value);  // with its length in front
    static std::string connect_packet(const std::string& client_id,
                                      const std::optional<Will>& will = std::nullopt);

  private:
    struct Packet {
        std::uint8_t first = 0;
        std::string body;
    };
    std::optional<Packet> read_packet(std::chrono::milliseconds deadline);
    // Reads until a packet of this type has come; messages are kept.
    std::optional<Packet> await(std::uint8_t type, std::chrono::milliseconds deadline);
    void keep(const Packet& publish);
    void close();

    int fd_ = -1;
    std::uint16_t last_packet_ = 0;
    std::string received_;
    std::vector<Message> messages_;
};

}  // namespace touchpoint::tests
