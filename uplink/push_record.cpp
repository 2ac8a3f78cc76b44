#include "uplink/push_record.hpp"

#include <bit>
#include <utility>

#include "gateway/core/log.hpp"

namespace touchpoint::uplink {
namespace {

std::string words(const Answer& answer) {
    if (answer.status == 0) return answer.error;
    const std::string status = "HTTP " + std::to_string(answer.status);
    // An answer that is well and moves nothing.
    return answer.status >= 200 && answer.status < 300 ? "it took nothing (" + status + ")" : status;
}

}  // namespace

PushRecord::PushRecord(std::string name, const Clock& clock) : clock_(clock) {
    stats_.name = std::move(name);
    stats_.since = clock.utc();
}

void PushRecord::enter(PushState state) {
    if (stats_.state == state) return;
    stats_.state = state;
    stats_.since = clock_.utc();
}

void PushRecord::attempt(std::size_t body_bytes) {
    ++stats_.attempts;
    stats_.bytes_sent += body_bytes;
    stats_.retry_at = {};
    if (stats_.state == PushState::idle) enter(PushState::delivering);
}

void PushRecord::delivered(Stream stream, std::uint64_t events, int status) {
    stats_.delivered[stream] += events;
    ++stats_.batches;
    stats_.last_status = status;
    stats_.last_error.clear();
    stats_.last_success = clock_.utc();
    enter(PushState::delivering);
    if (!down_since_) return;
    const auto down = std::chrono::duration_cast<std::chrono::seconds>(clock_.steady() - *down_since_);
    log::info("uplink", "delivering again",
              {{"destination", stats_.name}, {"failures", failures_in_outage_}, {"down_s", down.count()}});
    down_since_.reset();
    failures_in_outage_ = 0;
}

void PushRecord::failed(const Answer& answer, PushState state, std::chrono::milliseconds retry_in,
                        std::uint64_t waiting) {
    ++stats_.failures;
    ++failures_in_outage_;
    stats_.last_status = answer.status;
    stats_.last_error = words(answer);
    stats_.retry_at = clock_.utc() + retry_in;
    if (!down_since_) down_since_ = clock_.steady();
    if (stats_.state == state) return;
    enter(state);
    const bool paused = state == PushState::paused;
    log::write(
        paused ? log::Level::error : log::Level::warning, "uplink",
        paused ? "the platform refuses this gateway; events wait on disk" : "not delivering, will retry",
        {{"destination", stats_.name},
         {"reason", stats_.last_error},
         {"retry_in_ms", retry_in.count()},
         {"backlog_events", waiting}});
}

void PushRecord::narrowed(const Answer& answer, std::size_t items) {
    ++stats_.failures;
    stats_.last_status = answer.status;
    stats_.last_error = words(answer);
    log::debug("uplink", "batch refused, sending less",
               {{"destination", stats_.name}, {"status", answer.status}, {"items", items}});
}

void PushRecord::parked(Stream stream, Sequence first, Sequence last, int status, bool named) {
    ++stats_.parked;
    // A platform can refuse everything: 1, 2, 4, 8 ... are lines, the rest is a count.
    if (!std::has_single_bit(stats_.parked)) return;
    log::warning("uplink",
                 named ? "refused for good by the platform, which named it: not sent again"
                       : "refused for good by the platform, which gets a gap in its place",
                 {{"destination", stats_.name},
                  {"stream", name(stream)},
                  {"first_sequence", first},
                  {"last_sequence", last},
                  {"status", status},
                  {"parked_events", stats_.parked}});
}

void PushRecord::idle() {
    if (stats_.state == PushState::delivering) enter(PushState::idle);
}

}  // namespace touchpoint::uplink
