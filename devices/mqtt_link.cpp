#include "devices/mqtt_link.hpp"

#include <mqtt/async_client.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "devices/broker_socket.hpp"
#include "devices/link_log.hpp"
#include "devices/topics.hpp"
#include "gateway/core/log.hpp"

namespace touchpoint::devices {
namespace {

constexpr std::chrono::seconds connect_timeout{10};
// What was published before gets this long to leave. Messages still come in, and need room in the journal.
constexpr std::chrono::milliseconds disconnect_after{100};
// Beyond the journal's soft bound the callback pauses after so many bytes (13 MB/s), and longer the less of
// the reserve is left: a burst of large arrays would fill 48 MB in a fifth of a second, and on a busy machine
// loop may need seconds to close the link. The default reserve lasts for more than 20.
constexpr std::size_t hurried_bytes_max = 64u << 10;
constexpr std::chrono::milliseconds hurried_pause{5};
std::chrono::milliseconds pause_for(double reserve_used) {
    if (reserve_used < 0.5) return hurried_pause;
    if (reserve_used < 0.75) return 4 * hurried_pause;
    return 16 * hurried_pause;
}
// What everybody reads when we die without a word.
constexpr const char* will_payload = R"({"state":"offline"})";

std::string gateway_status_topic() { return Topic{TopicRole::gateway_status, {}, {}}.build(); }

// First line of a secret's file.
std::optional<std::string> first_line(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    if (!file || !std::getline(file, line)) return std::nullopt;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    return line;
}

// Paho C 1.3.12 gives the code of a refused CONNECT as its own return code.
std::string reason_of(const mqtt::token& token, const std::string& username) {
    const int reason = token.get_reason_code();
    const int code = reason >= 0x80 ? reason : token.get_return_code();
    if (code >= 0x80) return broker_refusal(code, mqtt::exception::reason_code_str(code), username);
    // Paho's word is "Failure".
    if (code == MQTTASYNC_FAILURE) return nothing_answers;
    return mqtt::exception::error_str(code);
}

store::Incoming incoming(const mqtt::message& message, const Clock& clock) {
    store::Incoming in;
    in.received = clock.utc();
    in.since_boot = clock.since_boot();
    in.clock_trusted = clock.trusted();
    in.dup = message.is_duplicate();
    in.retain = message.is_retained();
    in.topic = message.get_topic();
    in.payload = message.get_payload_str();
    const auto text = [](const MQTTLenString& value) {
        return std::string(value.data, static_cast<std::size_t>(value.len));
    };
    const MQTTProperties& properties = message.get_properties().c_struct();
    for (int i = 0; i < properties.count; ++i) {
        const MQTTProperty& property = properties.array[i];
        const int identifier = property.identifier;
        if (identifier == mqtt::property::CONTENT_TYPE) in.content_type = text(property.value.data);
        if (identifier == mqtt::property::RESPONSE_TOPIC) in.response_topic = text(property.value.data);
        if (identifier == mqtt::property::CORRELATION_DATA) in.correlation_data = text(property.value.data);
        if (identifier == mqtt::property::USER_PROPERTY)
            in.user_properties.emplace_back(text(property.value.data), text(property.value.value));
    }
    return in;
}

// Forwards the end of an asynchronous call to functions.
struct Listener final : mqtt::iaction_listener {
    std::function<void(const mqtt::token&)> success;
    std::function<void(const mqtt::token&)> failure;
    void on_success(const mqtt::token& token) override { success(token); }
    void on_failure(const mqtt::token& token) override { failure(token); }
};

enum class State { closed, connecting, open, closing };

}  // namespace

class MqttLink::Impl {
  public:
    Impl(LinkOptions options, store::Journal& journal, const Clock& clock, Handlers handlers)
        : options_(std::move(options)),
          journal_(journal),
          clock_(clock),
          handlers_(std::move(handlers)),
          client_(options_.url, options_.client_id, mqtt::create_options(MQTTVERSION_5, outgoing_max),
                  static_cast<mqtt::iclient_persistence*>(nullptr)) {
        // Debian's build traces every call into a buffer; this takes a fifth off the CPU of a message.
        MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_ERROR);
        stats_.since = clock_.utc();
        // Set before the first connect and never changed: a message without a handler is dropped and
        // acknowledged.
        client_.set_message_callback(
            [this](const mqtt::const_message_ptr& message) noexcept { arrived(message); });
        client_.set_connection_lost_handler(
            [this](const std::string& cause) { down(cause.empty() ? "connection lost" : cause); });
        // Behind a DISCONNECT of the broker Paho C 1.3.12 closes the socket and says nothing more: it is the
        // end. Where connection_lost follows all the same, it finds the link closed.
        client_.set_disconnected_handler([this](const mqtt::properties&, mqtt::ReasonCode code) {
            down(broker_refusal(code, mqtt::exception::reason_code_str(code), options_.username));
        });
        on_connect_.success = [this](const mqtt::token& token) {
            up(token.get_connect_response().is_session_present());
        };
        on_connect_.failure = [this](const mqtt::token& token) { down(reason_of(token, options_.username)); };
        on_disconnect_.success = [this](const mqtt::token&) { down("closed"); };
        on_disconnect_.failure = on_disconnect_.success;
        on_subscribe_.success = [this](const mqtt::token&) { granted(); };
        on_subscribe_.failure = [this](const mqtt::token& token) {
            // Without a word from the broker the connection ended first; the next one subscribes again.
            if (token.get_reason_code() < 0x80) return;
            not_granted(mqtt::exception::reason_code_str(token.get_reason_code()));
        };
    }

    bool connect() {
        State expected = State::closed;
        if (!state_.compare_exchange_strong(expected, State::connecting)) return false;
        try {
            mqtt::connect_options connect;
            connect.set_mqtt_version(MQTTVERSION_5);
            connect.set_clean_start(false);
            connect.set_keep_alive_interval(options_.keepalive);
            connect.set_connect_timeout(connect_timeout);
            connect.set_automatic_reconnect(false);
            if (!options_.username.empty()) connect.set_user_name(options_.username);
            if (!options_.password_file.empty()) {
                const auto password = first_line(options_.password_file);
                if (!password) return refused("cannot read " + options_.password_file);
                connect.set_password(*password);
            }
            if (options_.url.starts_with("mqtts://") || options_.url.starts_with("ssl://")) {
                mqtt::ssl_options ssl;
                if (!options_.ca_file.empty()) ssl.set_trust_store(options_.ca_file);
                ssl.set_enable_server_cert_auth(true);
                ssl.set_verify(true);
                connect.set_ssl(std::move(ssl));
            }
            mqtt::will_options will;
            will.set_topic(gateway_status_topic());
            will.set_payload(std::string(will_payload));
            will.set_qos(1);
            will.set_retained(true);
            connect.set_will(std::move(will));
            // Paho C++ 1.2: the builder loses the properties, and so does a move of the options; a copy keeps
            // them.
            connect.set_properties({{mqtt::property::SESSION_EXPIRY_INTERVAL,
                                     static_cast<std::int32_t>(options_.session_expiry.count())}});
            client_.connect(connect, nullptr, on_connect_);
            return true;
        } catch (const std::exception& error) {
            return refused(error.what());
        }
    }

    bool disconnect(const std::string& status) {
        if (state_.load() != State::open) return false;
        publish(gateway_status_topic(), status, 1, true, {});
        State expected = State::open;
        if (!state_.compare_exchange_strong(expected, State::closing)) return false;
        try {
            client_.disconnect(disconnect_after, nullptr, on_disconnect_);
        } catch (const std::exception&) {
            down("closed");  // the connection went away in the meantime
        }
        return true;
    }

    void close(const std::string& status, std::chrono::milliseconds deadline) {
        disconnect(status);
        std::unique_lock lock(mutex_);
        closed_.wait_for(lock, deadline, [this] { return state_.load() == State::closed; });
    }

    bool publish(const std::string& topic, const std::string& payload, int qos, bool retain,
                 const std::string& correlation) {
        if (state_.load() == State::open) {
            try {
                mqtt::properties properties;
                if (!correlation.empty())
                    properties.add({mqtt::property::CORRELATION_DATA, mqtt::string_ref(correlation)});
                client_.publish(
                    mqtt::message::create(topic, payload.data(), payload.size(), qos, retain, properties));
                return true;
            } catch (const std::exception&) {
                // Refused: counted below. A lost receipt is harmless, the device repeats.
            }
        }
        const std::lock_guard lock(mutex_);
        ++stats_.publishes_failed;
        return false;
    }

    // An exchange, not a store: a store may become visible after the caller has looked at the journal's end,
    // and then a message appended in between wakes nobody. Reading what arrived() wrote, it also sees its
    // frame.
    void rearm() { woken_.exchange(false, std::memory_order_acq_rel); }

    LinkStats stats() const {
        const std::lock_guard lock(mutex_);
        LinkStats out = stats_;
        out.messages = messages_.load();
        out.bytes = bytes_.load();
        return out;
    }

  private:
    // On Paho's thread, with its global mutex held: nothing here waits for anybody. Only beyond the journal's
    // soft bound it takes its time, so that loop can close the link before the hard bound is reached.
    void arrived(const mqtt::const_message_ptr& message) noexcept {
        if (!message) return;
        const store::Incoming in = incoming(*message, clock_);
        const auto appended = journal_.append(in);
        if (!appended) {
            // Returning would acknowledge a message that nobody has.
            log::error("mqtt", "a message cannot be kept, the process ends before it is acknowledged",
                       {{"error", appended.error().context}});
            std::abort();
        }
        messages_.fetch_add(1, std::memory_order_relaxed);
        bytes_.fetch_add(in.payload.size(), std::memory_order_relaxed);
        if (!woken_.exchange(true, std::memory_order_acq_rel)) handlers_.message();
        if (!journal_.above_soft_bound()) {
            hurried_bytes_ = 0;
        } else if ((hurried_bytes_ += in.payload.size()) >= hurried_bytes_max) {
            // A message of the largest size counts as what it is: four.
            const auto portions = static_cast<int>(hurried_bytes_ / hurried_bytes_max);
            hurried_bytes_ = 0;
            std::this_thread::sleep_for(portions * pause_for(journal_.reserve_used()));
        }
    }

    void up(bool session_present) {
        if (send_at_once(port_of(options_.url)) == 0)
            log::warning("mqtt",
                         "receipts may come up to 40 ms late: the connection to the broker was not found");
        state_.store(State::open);
        {
            const std::lock_guard lock(mutex_);
            stats_.connected = true;
            stats_.session_present = session_present;
            ++stats_.connects;
            stats_.last_error.clear();
            stats_.since = clock_.utc();
            grants_missing_ = subscriptions().size();
        }
        std::string failed;
        // Without waiting: this is Paho's thread.
        for (const Subscription& subscription : subscriptions()) {
            try {
                client_.subscribe(
                    subscription.filter, subscription.qos, nullptr, on_subscribe_,
                    mqtt::subscribe_options(false, false,
                                            subscription.send_retained
                                                ? mqtt::subscribe_options::SEND_RETAINED_ON_SUBSCRIBE
                                                : mqtt::subscribe_options::DONT_SEND_RETAINED));
            } catch (const std::exception& error) {
                failed = error.what();
            }
        }
        handlers_.connected(session_present);
        if (!failed.empty()) not_granted(failed);
    }

    void granted() {
        {
            const std::lock_guard lock(mutex_);
            if (!stats_.connected || grants_missing_ == 0 || --grants_missing_ != 0) return;
            stats_.subscribed = true;
            if (!std::exchange(stats_.refusal, {}).empty())
                log::info("mqtt", "the broker grants our subscription again");
        }
        handlers_.subscribed(true);
    }

    // Logged once, however often it is tried again.
    void not_granted(const std::string& reason) {
        {
            const std::lock_guard lock(mutex_);
            if (stats_.refusal.empty())
                log::error(
                    "mqtt",
                    "the broker refuses our subscription: its access rules must allow this client to read "
                    "touchpoint/v1/#",
                    {{"reason", reason}});
            stats_.refusal = reason;
            stats_.last_error = "subscription refused: " + reason;
            grants_missing_ = 0;  // of this connection no other answer counts
        }
        handlers_.subscribed(false);
    }

    void down(const std::string& reason) {
        {
            const std::lock_guard lock(mutex_);
            if (state_.exchange(State::closed) == State::closed) return;
            if (std::exchange(stats_.connected, false)) stats_.since = clock_.utc();
            stats_.subscribed = false;
            if (reason != "closed") stats_.last_error = reason;
            closed_.notify_all();
        }
        handlers_.lost(reason);
    }

    bool refused(std::string reason) {
        state_.store(State::closed);
        const std::lock_guard lock(mutex_);
        stats_.last_error = std::move(reason);
        return false;
    }

    const LinkOptions options_;
    store::Journal& journal_;
    const Clock& clock_;
    const Handlers handlers_;
    std::atomic<State> state_{State::closed};
    std::atomic<bool> woken_{false};
    std::atomic<std::uint64_t> messages_{0};
    std::atomic<std::uint64_t> bytes_{0};
    std::size_t hurried_bytes_ = 0;  // on Paho's receive thread only
    // Never held while Paho is called: its callbacks take it with Paho's own mutex held.
    mutable std::mutex mutex_;
    std::condition_variable closed_;
    LinkStats stats_;
    std::size_t grants_missing_ = 0;  // of the present connection; guarded by mutex_
    Listener on_connect_;
    Listener on_disconnect_;
    Listener on_subscribe_;
    mqtt::async_client client_;  // last: goes first, and with it all callbacks
};

Result<std::unique_ptr<MqttLink>> MqttLink::open(LinkOptions options, store::Journal& journal,
                                                 const Clock& clock, Handlers handlers) {
    try {
        return std::unique_ptr<MqttLink>(
            new MqttLink(std::make_unique<Impl>(std::move(options), journal, clock, std::move(handlers))));
    } catch (const std::exception& error) {
        return fail(Errc::invalid_argument, error.what());
    }
}

MqttLink::MqttLink(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
MqttLink::~MqttLink() = default;

bool MqttLink::connect() { return impl_->connect(); }
bool MqttLink::disconnect(const std::string& status) { return impl_->disconnect(status); }
void MqttLink::close(const std::string& status, std::chrono::milliseconds deadline) {
    impl_->close(status, deadline);
}
bool MqttLink::publish(const std::string& topic, const std::string& payload, int qos, bool retain,
                       const std::string& correlation) {
    return impl_->publish(topic, payload, qos, retain, correlation);
}
void MqttLink::rearm() { impl_->rearm(); }
LinkStats MqttLink::stats() const { return impl_->stats(); }

}  // namespace touchpoint::devices
