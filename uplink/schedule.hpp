// Which stream is sent next. Pure: counts and a time in, a stream out.
//
// Higher streams first: the highest that has something waiting is chosen. Never starving a lower one: a
// stream that waits and was passed over `passes_max` times in a row is chosen before all others. So a lower
// stream gets at least one batch in passes_max + stream_count - 1, and a higher one never waits for more than
// the lower streams' one batch each.
//
// Threads: confined to one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "gateway/core/clock.hpp"
#include "gateway/core/streams.hpp"
#include "uplink/options.hpp"

namespace touchpoint::uplink {

class Schedule {
  public:
    static constexpr unsigned passes_max = 8;

    struct Choice {
        std::optional<Stream> stream;
        // When nothing is chosen although something waits: until then it waits for company.
        std::optional<SteadyTime> look_again;
    };

    // `waiting`: events of each stream between the position and the horizon. Streams that are not in
    // options.streams are never chosen.
    Choice choose(const PerStream<std::uint64_t>& waiting, const PushOptions& options, SteadyTime now) {
        PerStream<bool> ready;
        Choice choice;
        for (const Stream stream : all_streams) {
            auto& since = since_[stream];
            if (!options.streams[stream] || waiting[stream] == 0) {
                since.reset();
                passed_[stream] = 0;
                continue;
            }
            if (!since) since = now;
            const bool may_linger = stream == Stream::interactions || stream == Stream::telemetry;
            const SteadyTime until = *since + options.linger;
            ready[stream] = !may_linger || waiting[stream] >= options.batch_events_max || now >= until;
            if (!ready[stream]) choice.look_again = std::min(until, choice.look_again.value_or(until));
        }
        choice.stream = next(ready);
        if (choice.stream) {
            since_[*choice.stream].reset();  // what is left over begins to wait anew
            choice.look_again.reset();
        }
        return choice;
    }

  private:
    std::optional<Stream> next(const PerStream<bool>& ready) {
        std::optional<Stream> chosen;
        for (const Stream stream : all_streams) {
            if (!ready[stream]) continue;
            const bool overdue = passed_[stream] >= passes_max;
            if (!chosen || (overdue && passed_[stream] > passed_[*chosen])) chosen = stream;
        }
        for (const Stream stream : all_streams)
            passed_[stream] = ready[stream] && stream != chosen ? passed_[stream] + 1 : 0;
        return chosen;
    }

    PerStream<unsigned> passed_;
    PerStream<std::optional<SteadyTime>> since_;
};

}  // namespace touchpoint::uplink
