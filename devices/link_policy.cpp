#include "devices/link_policy.hpp"

#include <algorithm>

namespace touchpoint::devices {

LinkAction LinkPolicy::tick(SteadyTime now, const LinkRoom& room) {
    if (room.journal_above_soft_bound || !room.journal_has_reserve || room.store_full) {
        closed_for_room_ = true;
    } else if (room.journal_below_resume_bound) {
        // Between the two bounds it stays as it is, or the link would open and close with every few messages.
        closed_for_room_ = false;
    }
    const bool wanted = !closed_for_room_ && !stopping_;
    switch (state_) {
        case State::closed:
            if (!wanted || (not_before_ && now < *not_before_)) return LinkAction::nothing;
            state_ = State::connecting;
            return LinkAction::connect;
        case State::open:
            if (wanted && !refused_) return LinkAction::nothing;
            state_ = State::closing;
            return LinkAction::disconnect;
        case State::connecting:
        case State::closing:
            return LinkAction::nothing;
    }
    return LinkAction::nothing;
}

void LinkPolicy::connected() {
    state_ = State::open;
    not_before_.reset();
}

void LinkPolicy::lost(SteadyTime now) {
    // What we closed ourselves may be opened at once.
    if (state_ == State::closing && !refused_) {
        not_before_.reset();
    } else {
        not_before_ = now + retry_;
        retry_ = std::min(retry_ * 2, retry_max_);
    }
    refused_ = false;
    state_ = State::closed;
}

std::optional<SteadyTime> LinkPolicy::next() const {
    if (state_ != State::closed || closed_for_room_ || stopping_) return std::nullopt;
    return not_before_.value_or(SteadyTime{});
}

}  // namespace touchpoint::devices
