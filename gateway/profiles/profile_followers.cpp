#include "gateway/profiles/profile_followers.hpp"

#include <algorithm>
#include <utility>

#include "gateway/core/assert.hpp"
#include "gateway/http.hpp"

namespace touchpoint::gateway {

std::string ProfileFollowers::state_of(const ProfileAnswer& answer) {
    return answer.status == 200 ? answer.etag : std::to_string(answer.status);
}

bool ProfileFollowers::follow(Follower follower, SteadyTime now, bool oldest_leaves) {
    TP_ASSERT(follower.question.follows);
    if (follower.name.empty())
        follower.name = "#" + std::to_string(last_ + 1);
    else
        end(follower.name);
    const bool full = followers_.size() >= followers_max;
    auto oldest = followers_.end();
    std::size_t of_one = 0;
    const auto count = [&] {
        of_one = 0;
        oldest = followers_.end();
        for (auto at = followers_.begin(); at != followers_.end(); ++at) {
            if (at->second.follower.question.asker != follower.question.asker) continue;
            ++of_one;
            if (oldest == followers_.end() || at->second.order < oldest->second.order) oldest = at;
        }
    };
    count();
    if (full || of_one >= of_one_max) {
        drop_the_gone(now);
        count();
    }
    if (of_one >= of_one_max && !oldest_leaves) return false;
    if (of_one >= of_one_max) forget(oldest);
    if (followers_.size() >= followers_max) return false;
    std::string name = follower.name;
    const auto place = followers_.emplace(std::move(name), Entry{std::move(follower), ++last_, now}).first;
    index(place->second);
    return true;
}

bool ProfileFollowers::end(std::string_view name) {
    const auto found = followers_.find(std::string(name));
    if (found == followers_.end()) return false;
    forget(found);
    return true;
}

void ProfileFollowers::index(const Entry& entry) {
    for (const std::string& key : entry.follower.keys) names_of_.emplace(key, entry.follower.name);
}

void ProfileFollowers::unindex(const Entry& entry) {
    for (const std::string& key : entry.follower.keys) {
        const auto [begin, end] = names_of_.equal_range(key);
        const auto found =
            std::find_if(begin, end, [&](const auto& item) { return item.second == entry.follower.name; });
        if (found != end) names_of_.erase(found);
    }
}

void ProfileFollowers::forget(Entries::iterator place) {
    unindex(place->second);
    if (place->second.due) std::erase(due_, place->first);
    followers_.erase(place);
}

void ProfileFollowers::drop_the_gone(SteadyTime now) {
    for (auto at = followers_.begin(); at != followers_.end();) {
        const auto place = at++;
        const Follower& follower = place->second.follower;
        if (now >= follower.until || (follower.gone && follower.gone())) forget(place);
    }
}

void ProfileFollowers::make_due(Entry& entry) {
    if (std::exchange(entry.due, true)) return;
    due_.push_back(entry.follower.name);
}

void ProfileFollowers::changed(const std::vector<std::string>& keys, SteadyTime now) {
    if (followers_.empty()) return;
    for (const std::string& key : keys) {
        const auto [begin, end] = names_of_.equal_range(key);
        for (auto at = begin; at != end; ++at)
            if (const auto found = followers_.find(at->second); found != followers_.end())
                make_due(found->second);
    }
    ask_the_due(now);
}

void ProfileFollowers::all_changed(SteadyTime now) {
    for (auto& [name, entry] : followers_) make_due(entry);
    ask_the_due(now);
}

void ProfileFollowers::tick(SteadyTime now) {
    drop_the_gone(now);
    for (auto& [name, entry] : followers_)
        if (now - entry.asked >= look_every) make_due(entry);
    ask_the_due(now);
}

void ProfileFollowers::ask_the_due(SteadyTime now) {
    std::size_t questions = 0;
    for (std::size_t looked = due_.size(); looked != 0 && questions < questions_max; --looked) {
        const auto found = followers_.find(due_.front());
        std::string name = std::move(due_.front());
        due_.pop_front();
        Entry& entry = found->second;
        if (now - entry.asked < ask_every) {
            due_.push_back(std::move(name));
            continue;
        }
        entry.due = false;
        ++questions;
        if (!ask(entry, now)) forget(found);
    }
}

bool ProfileFollowers::ask(Entry& entry, SteadyTime now) {
    entry.asked = now;
    const ProfileAnswer answer = reads_.ask_again(entry.follower.question);
    // Not an answer: the cache could not be read.
    if (answer.status == 503) return make_due(entry), true;
    if (answer.keys != entry.follower.keys) {
        unindex(entry);
        entry.follower.keys = answer.keys;
        index(entry);
    }
    std::string state = state_of(answer);
    if (state == entry.follower.state) return true;
    switch (entry.follower.tell(answer)) {
        case Told::gone:
            return false;
        case Told::not_yet:
            make_due(entry);
            return true;
        case Told::taken:
            break;
    }
    ++told_;
    entry.follower.state = std::move(state);
    return true;
}

ProfileAnswer too_many_followers() {
    ProfileAnswer answer;
    answer.status = 503;
    answer.body =
        problem(503, "too-many-followers", "no change of this profile will be told; ask again now and then")
            .body;
    answer.retry_after = std::chrono::seconds(10);
    return answer;
}

}  // namespace touchpoint::gateway
