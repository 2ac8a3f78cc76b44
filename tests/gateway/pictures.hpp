// Snapshots as a test wants them.
#pragma once

#include "gateway/snapshot.hpp"

namespace touchpoint::tests {

// A gateway in which all is well, with one destination "platform" that has taken everything.
inline gateway::Snapshot healthy() {
    gateway::Snapshot s;
    s.version = "0.1.0";
    s.gateway_id = "gw-9";
    s.store_id = "s9";
    s.broker = "mqtt://127.0.0.1:1883";
    s.now = {1'790'000'000'000};
    s.started = s.now - std::chrono::hours(3);
    s.uptime = std::chrono::hours(3);
    s.clock_trusted = true;
    s.link.connected = s.link.subscribed = true;
    s.link.since = s.started;
    s.store.epoch = "e1";
    s.store.limit_bytes = 1000u << 20;
    s.store.live_bytes = 30u << 20;
    s.profiles.stats.bytes_max = 256u << 20;
    store::ConsumerState consumer;
    consumer.name = "platform";
    for (const Stream stream : all_streams) {
        s.store.horizon[stream] = 1000;
        s.store.first[stream] = 1001;
        consumer.acknowledged[stream] = 1000;
        consumer.streams[stream] = stream != Stream::quarantine;
    }
    s.store.consumers.push_back(consumer);
    gateway::PushPicture push;
    push.stats.name = "platform";
    push.stats.since = s.started;
    push.host = "ingest.example.net";
    s.push.push_back(push);
    return s;
}

}  // namespace touchpoint::tests
