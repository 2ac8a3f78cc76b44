#include "devices/link_log.hpp"

#include <utility>

namespace touchpoint::devices {
namespace {

constexpr int bad_user_or_password = 0x86;
constexpr int not_authorized = 0x87;
constexpr int session_taken_over = 0x8e;
constexpr const char* refused_user = "the broker refuses ";

}  // namespace

LinkLine LinkLog::told_up(SteadyTime now) {
    told_up_ = true;
    LinkLine line{log::Level::info, "connected to the broker", {}, {}};
    if (down_since_) line.down = std::chrono::duration_cast<std::chrono::seconds>(now - *down_since_);
    down_since_.reset();
    return line;
}

std::optional<LinkLine> LinkLog::subscribed(SteadyTime now) {
    up_since_ = now;
    if (unsettled_) return std::nullopt;
    return told_up(now);
}

std::optional<LinkLine> LinkLog::lost(SteadyTime now, const std::string& reason) {
    const auto up = std::exchange(up_since_, std::nullopt);
    if (!down_since_) down_since_ = now;
    if (reason == "closed") {
        told_up_.reset();
        unsettled_ = false;
        return std::nullopt;
    }
    if (up) unsettled_ = now - *up < settled_after;
    if (told_up_ == false && (reason == told_reason_ || reason == nothing_answers)) return std::nullopt;
    const bool was_told = told_up_ == true;
    told_up_ = false;
    told_reason_ = reason;
    return LinkLine{reason.starts_with(refused_user) ? log::Level::error : log::Level::warning,
                    was_told ? "connection to the broker lost" : "no connection to the broker",
                    reason,
                    {}};
}

std::optional<LinkLine> LinkLog::tick(SteadyTime now) {
    if (told_up_ == true || !up_since_ || now - *up_since_ < settled_after) return std::nullopt;
    unsettled_ = false;
    return told_up(now);
}

std::string broker_refusal(int code, const std::string& text, const std::string& username) {
    switch (code) {
        case bad_user_or_password:
        case not_authorized:
            return refused_user +
                   (username.empty() ? std::string("clients without a user") : "user " + username) + " (" +
                   text + ")";
        case session_taken_over:
            return "another client has connected under our user or client id (" + text + ")";
        default:
            return "the broker says: " + text;
    }
}

}  // namespace touchpoint::devices
