#include "uplink/feed_record.hpp"

#include <utility>

#include "gateway/core/log.hpp"

namespace touchpoint::uplink {

FeedRecord::FeedRecord(std::string name, const Clock& clock, bool behind) : clock_(clock) {
    stats_.name = std::move(name);
    stats_.since = clock_.utc();
    if (behind)
        stats_.behind_since = stats_.since;
    else
        stats_.state = PushState::idle;
}

void FeedRecord::enter(PushState state) {
    if (stats_.state == state) return;
    stats_.state = state;
    stats_.since = clock_.utc();
}

void FeedRecord::heard(PushState state) {
    const bool away = stats_.state == PushState::retrying || stats_.state == PushState::paused;
    if (away && stats_.failed_in_row != 0)
        log::info("uplink", "the profile feed is back",
                  {{"feed", stats_.name}, {"failures", stats_.failed_in_row}});
    stats_.failed_in_row = 0;
    stats_.last_heard = clock_.utc();
    stats_.last_error.clear();
    enter(state);
}

void FeedRecord::taken(std::size_t lines, std::uint64_t refused, bool resyncing) {
    stats_.lines += lines;
    stats_.refused += refused;
    if (resyncing && stats_.behind_since.ms == 0) stats_.behind_since = clock_.utc();
    heard(PushState::delivering);
}

void FeedRecord::caught_up() {
    heard(PushState::idle);
    stats_.behind_since = {};
}

void FeedRecord::resync(const char* why) {
    ++stats_.resyncs;
    if (stats_.behind_since.ms == 0) stats_.behind_since = clock_.utc();
    log::info("uplink", "the profile feed is read from the beginning", {{"feed", stats_.name}, {"why", why}});
}

void FeedRecord::resynced(std::uint64_t dropped) {
    stats_.dropped += dropped;
    log::info("uplink", "the profile feed was read to its end",
              {{"feed", stats_.name}, {"profiles_dropped", dropped}});
}

void FeedRecord::failed(const Answer& answer, const FeedTrouble& trouble) {
    ++stats_.failures;
    stats_.last_status = answer.status;
    stats_.last_error = answer.error;
    if (stats_.behind_since.ms == 0) stats_.behind_since = clock_.utc();
    if (stats_.failed_in_row++ == 0 || stats_.state != trouble.state)
        log::warning(
            "uplink",
            trouble.state == PushState::paused ? "the profile feed is refused" : "the profile feed is away",
            {{"feed", stats_.name},
             {"status", answer.status},
             {"reason", answer.error},
             {"retry_ms", trouble.wait.count()}});
    enter(trouble.state);
}

}  // namespace touchpoint::uplink
