#include "gateway/command/simulate_link.hpp"

#include <MQTTAsync.h>
#include <mqtt/async_client.h>

#include <algorithm>
#include <utility>

namespace touchpoint::simulate {
namespace {

constexpr int mqtt_3_1_1 = 4;
constexpr int mqtt_5 = 5;
constexpr const char* system_ca_file = "/etc/ssl/certs/ca-certificates.crt";  // Debian

void* as_context(std::uint64_t key) {
    static_assert(sizeof(void*) >= sizeof(std::uint32_t));
    // Paho gives it back untouched; it is never followed.
    return reinterpret_cast<void*>(static_cast<std::uintptr_t>(key));  // NOLINT(performance-no-int-to-ptr)
}

}  // namespace

void Inbox::push(Notice notice) {
    {
        const std::lock_guard lock(mutex_);
        notices_.push_back(std::move(notice));
    }
    filled_.notify_one();
}

std::vector<Notice> Inbox::take(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    filled_.wait_for(lock, patience, [this] { return !notices_.empty(); });
    return std::exchange(notices_, {});
}

// A Paho client that lives for one connection. A new one for each spares us its rules about reconnecting with
// messages in flight: what was in flight is ours to send again.
class Link::Session final : public mqtt::callback, public mqtt::iaction_listener {
  public:
    Session(std::size_t link, std::uint64_t number, const Options& options, Inbox& inbox)
        : link_(link),
          number_(number),
          inbox_(inbox),
          client_(options.url, options.client_id, mqtt::create_options(options.mqtt5 ? mqtt_5 : mqtt_3_1_1)) {
        client_.set_callback(*this);
        // A broker that shuts down says so to MQTT 5 clients, and then connection_lost may not be called.
        client_.set_disconnected_handler(
            [this](const mqtt::properties&, mqtt::ReasonCode) { tell(Notice::Kind::lost); });
    }

    void connect(const Options& options) {
        mqtt::connect_options connect;
        if (options.mqtt5) {
            connect.set_mqtt_version(mqtt_5);
            connect.set_clean_start(true);
        } else {
            connect.set_mqtt_version(mqtt_3_1_1);
            connect.set_clean_session(true);
        }
        connect.set_keep_alive_interval(30);
        connect.set_connect_timeout(5);
        if (!options.username.empty()) {
            connect.set_user_name(options.username);
            connect.set_password(options.password);
        }
        if (options.url.starts_with("mqtts:")) {
            mqtt::ssl_options tls;
            tls.set_trust_store(options.ca_file.empty() ? system_ca_file : options.ca_file);
            tls.set_verify(true);
            connect.set_ssl(tls);
        }
        try {
            client_.connect(connect, nullptr, connected_);
        } catch (const mqtt::exception&) {
            tell(Notice::Kind::lost);
        }
    }

    bool publish(std::uint64_t key, const std::string& topic, const std::string& payload,
                 const std::string& response_topic) {
        auto message = mqtt::message::create(topic, mqtt::binary_ref(payload), 1, false);
        if (!response_topic.empty()) {
            mqtt::properties properties;
            properties.add(mqtt::property(mqtt::property::RESPONSE_TOPIC, response_topic));
            message->set_properties(std::move(properties));
        }
        try {
            client_.publish(message, as_context(key), *this);
            return true;
        } catch (const mqtt::exception&) {
            return false;
        }
    }

    void subscribe(const std::vector<std::string>& filters) {
        constexpr std::size_t at_a_time = 100;
        try {
            for (std::size_t begin = 0; begin < filters.size(); begin += at_a_time) {
                const auto first = filters.begin() + static_cast<std::ptrdiff_t>(begin);
                const auto last = filters.size() - begin > at_a_time ? first + at_a_time : filters.end();
                const std::vector<std::string> some(first, last);
                const mqtt::iasync_client::qos_collection qos(some.size(), 0);
                client_.subscribe(mqtt::string_collection::create(some), qos);
            }
        } catch (const mqtt::exception&) {
            tell(Notice::Kind::lost);
        }
    }

    void disconnect() {
        try {
            if (client_.is_connected()) client_.disconnect(1000)->wait_for(std::chrono::seconds(2));
        } catch (const mqtt::exception&) {
            // The broker is away: there is nobody to say goodbye to.
        }
    }

    bool alive() const { return client_.is_connected(); }

    // On Paho's threads from here on.
    void connection_lost(const std::string&) override { tell(Notice::Kind::lost); }
    void message_arrived(mqtt::const_message_ptr message) override {
        Notice notice;
        notice.kind = Notice::Kind::arrived;
        notice.link = link_;
        notice.session = number_;
        notice.topic = message->get_topic();
        notice.payload = message->get_payload_str();
        inbox_.push(std::move(notice));
    }
    void on_success(const mqtt::token& token) override { told(token, Notice::Kind::published); }
    void on_failure(const mqtt::token& token) override { told(token, Notice::Kind::unsent); }

  private:
    class Connected final : public mqtt::iaction_listener {
      public:
        explicit Connected(Session& session) : session_(session) {}
        void on_success(const mqtt::token&) override { session_.tell(Notice::Kind::connected); }
        // Paho C 1.3.12 gives the broker's no as its own return code, which is negative for every other
        // failure.
        void on_failure(const mqtt::token& token) override {
            const int reason = static_cast<int>(token.get_reason_code());
            session_.tell(Notice::Kind::lost,
                          reason != 0 ? reason : std::max(0, static_cast<int>(token.get_return_code())));
        }

      private:
        Session& session_;
    };

    void tell(Notice::Kind kind, int reason = 0) {
        Notice notice;
        notice.kind = kind;
        notice.reason = reason;
        notice.link = link_;
        notice.session = number_;
        inbox_.push(std::move(notice));
    }
    void told(const mqtt::token& token, Notice::Kind kind) {
        Notice notice;
        notice.kind = kind;
        notice.link = link_;
        notice.session = number_;
        notice.key = reinterpret_cast<std::uintptr_t>(token.get_user_context());
        notice.reason = static_cast<int>(token.get_reason_code());
        inbox_.push(std::move(notice));
    }

    const std::size_t link_;
    const std::uint64_t number_;
    Inbox& inbox_;
    Connected connected_{*this};
    mqtt::async_client client_;  // last: its end stops the calls above
};

Link::Link(std::size_t index, Options options, Inbox& inbox)
    : index_(index), options_(std::move(options)), inbox_(inbox) {
    // Debian's Paho traces into memory for every packet, which costs a fifth of its time.
    MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_ERROR);
}

Link::~Link() = default;

void Link::connect() {
    ++session_number_;
    // The new client first: with the last client Paho would end its threads, and start them again.
    auto session = std::make_unique<Session>(index_, session_number_, options_, inbox_);
    session_ = std::move(session);
    session_->connect(options_);
}

bool Link::alive() const { return session_ && session_->alive(); }

void Link::listen_to(std::vector<std::string> filters) {
    if (alive()) session_->subscribe(filters);
    filters_.insert(filters_.end(), filters.begin(), filters.end());
}

bool Link::publish(std::uint64_t key, const std::string& topic, const std::string& payload,
                   const std::string& response_topic) {
    return session_ && session_->publish(key, topic, payload, response_topic);
}

void Link::subscribe() {
    if (session_ && !filters_.empty()) session_->subscribe(filters_);
}

void Link::disconnect() {
    if (session_) session_->disconnect();
}

}  // namespace touchpoint::simulate
