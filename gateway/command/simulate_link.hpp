// One MQTT connection that speaks for some of the simulated devices.
//
// Paho runs one receive thread for all connections of a process, and it must never wait for us: what happens
// on it becomes a Notice in the Inbox, and everything else happens on the thread that owns the Link.
//
// Threads: Link is confined to one thread; Inbox may be used from any.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace touchpoint::simulate {

struct Notice {
    enum class Kind {
        connected,
        lost,       // or the connect attempt failed
        published,  // PUBACK came; reason 0: the broker has it
        unsent,     // Paho gave the message up
        arrived,    // topic and payload are set
    };
    Kind kind = Kind::lost;
    std::size_t link = 0;
    std::uint64_t session = 0;  // which of the link's connections
    std::uint64_t key = 0;      // as given to publish()
    int reason = 0;             // of the PUBACK; of a connect attempt that the broker refused
    std::string topic;
    std::string payload;
};

class Inbox {
  public:
    void push(Notice notice);
    // Waits until there is something, at most `patience`; returns all there is. Bounded by what is in flight
    // and what the broker sends us, which are answers to it.
    std::vector<Notice> take(std::chrono::milliseconds patience);

  private:
    std::mutex mutex_;
    std::condition_variable filled_;
    std::vector<Notice> notices_;
};

class Link {
  public:
    struct Options {
        std::string url = "mqtt://127.0.0.1:1883";
        std::string username;
        std::string password;
        std::string ca_file;
        std::string client_id;
        bool mqtt5 = true;
    };

    // `inbox` must outlive the link.
    Link(std::size_t index, Options options, Inbox& inbox);
    ~Link();

    // Begins a new connection and forgets the one before; the outcome comes as a Notice with session().
    void connect();
    std::uint64_t session() const { return session_number_; }
    // False when the connection has ended without a word.
    bool alive() const;

    // Subscribes to these filters now and after every connect.
    void listen_to(std::vector<std::string> filters);

    // QoS 1. False: Paho does not take it now; try again later.
    // `response_topic`: MQTT 5 only; empty for none.
    bool publish(std::uint64_t key, const std::string& topic, const std::string& payload,
                 const std::string& response_topic);
    // Subscribes to all filters; called when connected.
    void subscribe();
    void disconnect();

  private:
    class Session;
    std::size_t index_;
    Options options_;
    Inbox& inbox_;
    std::uint64_t session_number_ = 0;
    std::vector<std::string> filters_;
    std::unique_ptr<Session> session_;
};

}  // namespace touchpoint::simulate
