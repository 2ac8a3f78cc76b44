// bench_bare: the bare subscriber that intake is compared with. Paho C++, MQTT 5, QoS 1, session kept, trace
// off (as the gateway has it), and a callback that only counts. Prints "ready" when subscribed, then when the
// last of MESSAGES came (CLOCK_MONOTONIC) and the CPU they took.
#include <MQTTAsync.h>
#include <mqtt/async_client.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: bench_bare PORT MESSAGES\n");
        return 2;
    }
    const std::uint64_t wanted = std::strtoull(argv[2], nullptr, 10);
    std::atomic<std::uint64_t> count{0};
    mqtt::async_client client(std::string("mqtt://127.0.0.1:") + argv[1], "bench-bare",
                              mqtt::create_options(MQTTVERSION_5, 1000),
                              static_cast<mqtt::iclient_persistence*>(nullptr));
    MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_ERROR);
    client.set_message_callback(
        [&count](const mqtt::const_message_ptr&) { count.fetch_add(1, std::memory_order_relaxed); });
    mqtt::connect_options connect;
    connect.set_mqtt_version(MQTTVERSION_5);
    connect.set_clean_start(true);
    client.connect(connect)->wait();
    client.subscribe("touchpoint/v1/+/+/event/#", 1)->wait();
    std::printf("ready\n");
    std::fflush(stdout);
    rusage before{};
    ::getrusage(RUSAGE_SELF, &before);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(300);
    while (count < wanted && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const double ended =
        std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
    rusage after{};
    ::getrusage(RUSAGE_SELF, &after);
    const auto cpu = [](const rusage& r) {
        return static_cast<double>(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
               1e-6 * static_cast<double>(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
    };
    std::printf("{\"messages\":%llu,\"ended\":%.4f,\"cpu_seconds\":%.3f}\n",
                static_cast<unsigned long long>(count.load()), ended, cpu(after) - cpu(before));
    std::fflush(stdout);
    client.disconnect()->wait();
    return count >= wanted ? 0 : 1;
}
