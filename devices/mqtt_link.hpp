// The connection to Mosquitto. What comes is put into the journal on Paho's thread, and only then does Paho
// write the PUBACK; so a PUBACK that leaves means that kill -9 cannot take the message any more.
//
//     Mosquitto ──> Paho's thread: Journal::append, return ──> PUBACK          loop: message() ──>
//     Intake::step
//
// Promised
//   One MQTT 5 session under a fixed client id, kept by the broker while we are away; subscribed again on
//   every connect, because a broker may have lost it. A message that cannot be appended is never
//   acknowledged: the process aborts instead, and the broker gives the message to the next one.
// Not promised
//   A message comes once: the broker repeats what was in flight (DUP is kept in the journal).
//
// Threads: all functions on one thread (loop); the handlers are called on Paho's threads and must only post.
// On the wire: devices/README.md.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "devices/options.hpp"
#include "devices/stats.hpp"
#include "gateway/core/clock.hpp"
#include "gateway/core/result.hpp"
#include "store/journal.hpp"

namespace touchpoint::devices {

class MqttLink {
  public:
    struct Handlers {
        std::function<void(bool session_present)> connected;
        // Also for an attempt that failed ("connection refused") and after our own disconnect ("closed").
        std::function<void(std::string reason)> lost;
        // Something was appended. Called once until rearm().
        std::function<void()> message;
        // Behind each connected: the broker has granted every subscription (true), or refused one (false; no
        // message will come, close the link and try again later).
        std::function<void(bool granted)> subscribed;
    };
    // Of messages that Paho holds for sending; beyond it publish() says no.
    static constexpr int outgoing_max = 1000;

    // `journal` and `clock` must outlive it. Fails with invalid_argument when Paho does not take the URL.
    static Result<std::unique_ptr<MqttLink>> open(LinkOptions options, store::Journal& journal,
                                                  const Clock& clock, Handlers handlers);
    ~MqttLink();  // close(); no handler is called afterwards

    // Starts one attempt; the answer is connected or lost. There is no reconnect behind your back.
    // False: the link is not closed, or a file could not be read (stats().last_error); nothing will be
    // called.
    bool connect();
    // Tells everybody `status` (retained, on the gateway's status topic) and leaves in order; the broker
    // keeps the session. The answer is lost("closed"). False: there was no connection.
    bool disconnect(const std::string& status);
    // disconnect, then waits for it, at most `deadline`. For the end of the program.
    void close(const std::string& status, std::chrono::milliseconds deadline);

    // Never blocks on the network, never throws. False: not connected, or outgoing_max is reached; counted.
    bool publish(const std::string& topic, const std::string& payload, int qos, bool retain,
                 const std::string& correlation = {});

    // From now on message() is called again. Call it before reading the journal.
    void rearm();
    LinkStats stats() const;

  private:
    class Impl;
    explicit MqttLink(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace touchpoint::devices
