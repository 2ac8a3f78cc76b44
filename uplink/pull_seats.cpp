#include "uplink/pull_seats.hpp"

#include <algorithm>

namespace touchpoint::uplink {

PullSeats::Claim PullSeats::look(const std::string& consumer, const std::string& reader, bool take_over,
                                 SteadyTime now) const {
    Claim claim;
    const auto found = seats_.find(consumer);
    claim.granted = true;
    if (found == seats_.end()) return claim;
    const Seat& seat = found->second;
    const bool leased = !seat.reader.empty() && now < seat.until;
    if (!seat.request && !leased) return claim;
    const bool same = !reader.empty() && seat.reader == reader;
    claim.granted = same || take_over;
    if (claim.granted) {
        claim.displaced = seat.request;
    } else {
        const auto left = std::chrono::duration_cast<std::chrono::seconds>(seat.until - now);
        claim.retry_after = std::max(std::chrono::seconds(1), left);
    }
    return claim;
}

PullSeats::Claim PullSeats::claim(const std::string& consumer, const std::string& reader, bool take_over,
                                  std::uint64_t request, SteadyTime now, SteadyTime until) {
    const Claim claim = look(consumer, reader, take_over, now);
    if (!claim.granted) return claim;
    Seat& seat = seats_[consumer];
    seat.request = request;
    seat.reader = reader;
    seat.until = until;
    return claim;
}

void PullSeats::release(const std::string& consumer, std::uint64_t request, SteadyTime now) {
    const auto found = seats_.find(consumer);
    if (found == seats_.end() || found->second.request != request) return;  // taken over, or erased
    found->second.request.reset();
    found->second.until = now + lease;
}

void PullSeats::seen(const std::string& consumer, const std::string& reader, SteadyTime now) {
    const auto found = seats_.find(consumer);
    if (found == seats_.end() || reader.empty() || found->second.reader != reader) return;
    if (!found->second.request && now < found->second.until) found->second.until = now + lease;
}

unsigned PullSeats::turn(const std::string& consumer) const {
    const auto found = seats_.find(consumer);
    return found == seats_.end() ? 0 : found->second.turn;
}

void PullSeats::set_turn(const std::string& consumer, unsigned turn) {
    if (const auto found = seats_.find(consumer); found != seats_.end()) found->second.turn = turn;
}

}  // namespace touchpoint::uplink
