// Random visits, profiles, consents, merges and erasures against a few maps that say what a till must read.
// TOUCHPOINT_SEED=n repeats one run.
#include <gmock/gmock.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <set>

#include "tests/gateway/profile_shop.hpp"
#include "tests/store/profiles_model.hpp"

namespace touchpoint::tests {
namespace {

// What events have said, per name. Times are those of commits, and each commit has its own.
class PlainEvents {
  public:
    struct Touch {
        std::int64_t ms = 0;
        std::string type;
    };
    struct Line {
        std::int64_t quantity = 0;
        std::int64_t ms = 0;
    };
    struct Consent {
        std::string state;
        std::int64_t ms = 0;
    };
    struct One {
        std::vector<Touch> touches;
        std::map<std::string, Line> cart;
        std::int64_t paid = -1;
        std::map<std::string, Consent> consents;
        std::vector<std::string> names;
    };
    struct Session {
        std::string owner;
        std::vector<Touch> touches;
    };
    std::map<std::string, One> by_name;
    std::map<std::string, Session> sessions;

    void touch(const std::string& name, const std::string& session, const Touch& one) {
        std::string whose = name;
        if (!session.empty()) {
            Session& held = sessions[session];
            if (!name.empty() && held.owner.empty()) {
                auto& touches = by_name[name].touches;
                touches.insert(touches.end(), held.touches.begin(), held.touches.end());
                held.touches.clear();
            }
            if (whose.empty()) whose = held.owner;
            if (whose.empty()) return held.touches.push_back(one);
            held.owner = whose;
        }
        by_name[whose].touches.push_back(one);
    }
    std::vector<std::string> group(const std::string& name) const {
        const auto found = by_name.find(name);
        if (found == by_name.end() || found->second.names.empty()) return {name};
        return found->second.names;
    }
    void join(const std::vector<std::string>& names) {
        std::vector<std::string> all;
        for (const std::string& name : names)
            for (const std::string& one : group(name))
                if (std::find(all.begin(), all.end(), one) == all.end()) all.push_back(one);
        for (const std::string& name : all) by_name[name].names = all;
    }
    void part(const std::set<std::string>& ones, const std::set<std::string>& others) {
        const auto leaves = [&](const std::string& name) {
            return others.contains(name) && !ones.contains(name);
        };
        for (auto& [name, one] : by_name) {
            const bool touched = std::any_of(one.names.begin(), one.names.end(), leaves);
            if (!touched) continue;
            const bool gone = leaves(name);
            std::erase_if(one.names, [&](const std::string& other) { return leaves(other) != gone; });
            if (one.names.size() < 2) one.names.clear();
        }
    }
    void forget(const std::string& name) {
        for (const std::string& other : group(name)) leave(other, name);
        by_name.erase(name);
        std::erase_if(sessions, [&](const auto& one) { return one.second.owner == name; });
    }
    void leave(const std::string& whose, const std::string& name) {
        auto& names = by_name[whose].names;
        std::erase(names, name);
        if (names.size() < 2) names.clear();
    }
};

class PersonsModelTest : public ProfileShop {
  protected:
    void run(int steps, int compare_every, unsigned otherwise) {
        const char* given = std::getenv("TOUCHPOINT_SEED");
        const unsigned seed = given != nullptr ? static_cast<unsigned>(std::stoul(given)) : otherwise;
        std::cout << "TOUCHPOINT_SEED=" << seed << '\n';
        random_.seed(seed);
        for (int i = 0; i < ids; ++i) references_[id_of(i)] = profiles_->reference(id_of(i));
        for (int step = 0; step < steps; ++step) {
            SCOPED_TRACE("seed " + std::to_string(seed) + ", step " + std::to_string(step));
            clock_.advance(std::chrono::milliseconds(1));
            ASSERT_NO_FATAL_FAILURE(change());
            if (step % compare_every != 0 && step + 1 != steps) continue;
            ASSERT_NO_FATAL_FAILURE(compare());
        }
    }

  private:
    using Names = PlainProfiles::Names;
    static constexpr int ids = 6;
    static constexpr int cards = 9;
    static std::string id_of(int number) { return "c-" + std::to_string(number); }
    unsigned roll(unsigned sides) { return static_cast<unsigned>(random_() % sides); }
    std::string some_id() { return id_of(static_cast<int>(roll(ids))); }
    std::string some_card() { return "card:" + std::to_string(roll(cards)); }
    std::string key(const std::string& card) { return names_.pseudonym(devices::normalise(card)); }
    std::int64_t now() { return clock_.utc().ms; }

    void change() {
        const unsigned dice = roll(100);
        if (dice < 40) return view();
        if (dice < 52) return cart();
        if (dice < 56) return sale();
        if (dice < 64) return consent();
        if (dice < 69) return identify();
        if (dice < 83) return put();
        if (dice < 88) return merge();
        if (dice < 93) return unmerge();
        if (dice < 96) return erase();
        if (dice < 99) {
            (void)pictures_->take_joined();  // the platform is told
            ASSERT_TRUE(pictures_->checkpoint());
            return;
        }
        close();
        open();
    }
    void view() {
        const std::string card = roll(3) == 0 ? "" : some_card();
        const std::string session =
            card.empty() || roll(3) == 0 ? "s-" + std::to_string(visit_) + std::to_string(roll(3)) : "";
        told(Stream::interactions, "store.kiosk.view.v1", card, session, "{}");
        events_.touch(card, session, {now(), "store.kiosk.view.v1"});
    }
    void cart() {
        const std::string card = some_card();
        const std::string item = std::string(1, static_cast<char>('a' + roll(4)));
        const bool add = roll(3) != 0;
        told(Stream::interactions, "store.kiosk.cart.v1", card, "",
             R"({"action":")" + std::string(add ? "add" : "remove") + R"(","item":")" + item + "\"}");
        events_.touch(card, "", {now(), "store.kiosk.cart.v1"});
        auto& lines = events_.by_name[card].cart;
        if (!add && !lines.contains(item)) return;
        auto& line = lines[item];
        line.quantity += add ? 1 : -1;
        line.ms = now();
        if (line.quantity <= 0) lines.erase(item);
    }
    void sale() {
        const std::string card = some_card();
        told(Stream::sales, "store.pos.sale.v1", card, "", "{}");
        events_.touch(card, "", {now(), "store.pos.sale.v1"});
        events_.by_name[card].cart.clear();
        events_.by_name[card].paid = now();
    }
    void consent() {
        const std::string card = some_card();
        const char* states[] = {"granted", "denied", "revoked"};
        const char* purposes[] = {"analytics", "marketing"};
        const std::string purpose = purposes[roll(2)], state = states[roll(3)];
        told(Stream::customer, "store.kiosk.consent.v1", card, "",
             R"({"purpose":")" + purpose + R"(","state":")" + state + "\"}");
        events_.touch(card, "", {now(), "store.kiosk.consent.v1"});
        events_.by_name[card].consents[purpose] = {state, now()};
    }
    void identify() {
        const std::string card = some_card(), other = some_card();
        if (card == other) return;
        told(Stream::customer, "store.kiosk.identify.v1", card, "", "{}", other);
        events_.touch(card, "", {now(), "store.kiosk.identify.v1"});
        events_.join({card, other});
    }

    void put() {
        const std::string id = some_id();
        Names cards_of;
        for (unsigned i = roll(3) + 1; i > 0; --i) cards_of.insert(some_card());
        const std::string state = roll(2) == 0 ? "granted" : "denied";
        const bool seen = roll(3) == 0;
        std::string body = R"({"version":)" + std::to_string(++version_) +
                           R"(,"consents":{"analytics":{"state":")" + state + R"("}},"aliases":[)";
        for (const std::string& card : cards_of) body += (body.back() == '[' ? "\"" : ",\"") + card + "\"";
        body += "]" + (seen ? R"(,"updated":")" + to_rfc3339(clock_.utc()) + "\"" : std::string()) + "}";
        const unsigned status = ask("PUT", "/v1/profiles/" + id, body).status;
        const auto held = profiles_model_.live.find(id);
        const bool decided_anew = held == profiles_model_.live.end() || held->second.json != state;
        const bool taken = profiles_model_.put(id, version_, cards_of, state);
        ASSERT_EQ(status < 300, taken) << id << status;
        if (!taken) return;
        updated_[id] = seen ? now() : 0;
        if (decided_anew) consents_came_[id] = now();
        // What was seen is gone for good once that is written down; before, a start reads it from the log
        // again.
        if (seen) {
            ASSERT_TRUE(pictures_->checkpoint());
        }
        if (seen)
            for (const std::string& card : aliases_of(id))
                std::erase_if(events_.by_name[card].touches,
                              [&](const auto& one) { return one.ms <= now(); });
    }
    void merge() {
        const std::string id = some_id(), from = some_id();
        const unsigned status =
            ask("POST", "/v1/profiles/" + id + "/merge", R"({"from":[")" + from + R"("]})").status;
        ASSERT_EQ(status < 300, profiles_model_.merge(id, {from})) << from << " into " << id;
    }
    void unmerge() {
        std::string id = some_id(), which = some_id();
        if (!profiles_model_.merged.empty() && roll(3) != 0) {
            const auto at = std::next(profiles_model_.merged.begin(),
                                      roll(static_cast<unsigned>(profiles_model_.merged.size())));
            which = at->first;
            id = at->second.first;
        }
        if (id == which) return;
        const unsigned status =
            ask("POST", "/v1/profiles/" + id + "/unmerge", R"({"ids":[")" + which + R"("]})").status;
        const bool done = profiles_model_.unmerge(id, {which});
        ASSERT_EQ(status < 300, done) << which << " out of " << id;
        if (!done) return;
        events_.part(aliases_of(id), aliases_of(which));
    }
    void erase() {
        const std::string id = some_id();
        Names names = aliases_of(id);
        Names all = names;
        for (bool more = true; more;) {
            more = false;
            for (const std::string& name : Names(all))
                for (const std::string& other : events_.group(name)) more = all.insert(other).second || more;
        }
        for (const std::string& name : all)
            if (profiles_model_.whose(name).empty()) names.insert(name);
        // The events of this shop are not erased: what is not followed yet would come back.
        ASSERT_TRUE(pictures_->catch_up(1000));
        ASSERT_EQ(ask("DELETE", "/v1/profiles/" + id + "?version=" + std::to_string(version_)).status, 200u);
        profiles_model_.erase(id, version_, names, now(), references_);
        for (const std::string& name : names) events_.forget(name);
        ASSERT_TRUE(pictures_->checkpoint());
    }

    Names aliases_of(const std::string& id) const {
        const auto merged = profiles_model_.merged.find(id);
        const auto live =
            profiles_model_.live.find(merged == profiles_model_.merged.end() ? id : merged->second.first);
        return live == profiles_model_.live.end() ? Names() : live->second.aliases();
    }

    // Everybody who is one person with this card, and whose profile it is.
    struct Expected {
        Names names;
        std::string id;
        bool joined = false;
    };
    Expected expected(const std::string& card) {
        Expected out;
        out.names.insert(card);
        for (bool more = true; more;) {
            more = false;
            for (const std::string& name : Names(out.names)) {
                for (const std::string& other : events_.group(name))
                    more = out.names.insert(other).second || more;
                const std::string id = profiles_model_.whose(name);
                if (!id.empty())
                    for (const std::string& other : profiles_model_.live[id].aliases())
                        more = out.names.insert(other).second || more;
            }
        }
        out.id = profiles_model_.whose(card);
        std::string survivor;
        for (const std::string& name : out.names) {
            const auto group = events_.group(name);
            if (group.size() < 2) continue;
            for (const std::string& one : group) {
                const std::string id = profiles_model_.whose(one);
                if (id.empty()) continue;
                if (survivor.empty() || id < survivor) survivor = id;
                break;
            }
        }
        if (!survivor.empty()) out.id = survivor;
        return out;
    }

    void compare() {
        for (int i = 0; i < cards; ++i) {
            const std::string card = "card:" + std::to_string(i);
            SCOPED_TRACE(card);
            const auto person = persons_->by_alias(key(card), card, clock_.utc());
            ASSERT_TRUE(person);
            const Expected want = expected(card);
            if (profiles_model_.buried.contains(card) && profiles_model_.whose(card).empty()) {
                ASSERT_EQ(person->look.kind, store::ProfileLook::Kind::erased);
                continue;
            }
            ASSERT_NO_FATAL_FAILURE(compare_one(*person, want));
        }
    }
    void compare_one(const gateway::Person& person, const Expected& want) {
        const std::int64_t updated = want.id.empty() ? 0 : updated_[want.id];
        std::map<std::string, int> counts;
        std::map<std::string, std::int64_t> lines;
        std::map<std::string, PlainEvents::Consent> consents;
        std::map<std::string, std::int64_t> seen_of;  // by the profile of the name that said it
        std::int64_t paid = -1, newest = -1;
        bool anything = false;
        for (const std::string& name : want.names) paid = std::max(paid, events_.by_name[name].paid);
        for (const std::string& name : want.names) {
            const PlainEvents::One& one = events_.by_name[name];
            const std::string own = profiles_model_.whose(name);
            const std::int64_t seen = own.empty() ? updated : updated_[own];
            for (const auto& touch : one.touches)
                if (touch.ms > seen) ++counts[touch.type];
            for (const auto& [item, line] : one.cart)
                if (line.ms > paid) lines[item] += line.quantity, newest = std::max(newest, line.ms);
            for (const auto& [purpose, consent] : one.consents)
                if (consent.ms > consents[purpose].ms) consents[purpose] = consent, seen_of[purpose] = seen;
            anything = anything || !one.touches.empty() || !one.consents.empty();
        }
        if (want.id.empty()) {
            ASSERT_EQ(person.provisional, anything);
            if (!anything) return;
        } else {
            ASSERT_EQ(person.look.kind, store::ProfileLook::Kind::found);
            ASSERT_EQ(person.look.profile.id, want.id);
            ASSERT_FALSE(person.provisional);
            Names held;
            for (const auto& alias : person.look.profile.aliases) held.insert(alias.text);
            for (const auto& name : want.names) {
                const bool known = !profiles_model_.whose(name).empty();
                ASSERT_TRUE(!known || held.contains(name)) << name;
            }
        }
        const std::string& json = person.look.profile.json;
        std::string wanted = "\"counts\":{";
        for (const auto& [type, count] : counts)
            wanted += (wanted.back() == '{' ? "\"" : ",\"") + type + "\":" + std::to_string(count);
        if (counts.empty()) {
            ASSERT_EQ(json.find("\"counts\""), std::string::npos) << json;
        } else {
            ASSERT_NE(json.find(wanted + "}"), std::string::npos) << wanted << "\n" << json;
        }
        const bool cart_seen = newest <= updated && paid <= updated;
        std::size_t items = 0;
        for (std::size_t at = json.find("\"item\":"); at != std::string::npos;
             at = json.find("\"item\":", at + 1))
            ++items;
        ASSERT_EQ(items, cart_seen ? 0 : lines.size()) << json;
        for (const auto& [item, quantity] : lines) {
            if (cart_seen) break;
            ASSERT_NE(json.find("{\"item\":\"" + item + "\",\"quantity\":" + std::to_string(quantity) + "}"),
                      std::string::npos)
                << item << ' ' << quantity << '\n'
                << json;
        }
        // Whoever said no to the other of two profiles that are one person said it.
        bool refused = false;
        std::int64_t merged_refused = -1;
        for (const std::string& name : want.names) {
            const std::string id = profiles_model_.whose(name);
            if (id.empty()) continue;
            refused = refused || (id != want.id && profiles_model_.live[id].json == "denied");
            // And to one that the platform merged, while nothing new came of the whole; a later grant counts.
            for (const auto& merged : profiles_model_.live[id].from)
                if (merged.refusal_stands() && merged.json == "denied")
                    merged_refused = std::max(merged_refused, consents_came_.at(merged.id));
        }
        const auto said_here = consents.find("analytics");
        if (said_here != consents.end() && said_here->second.ms < merged_refused) refused = true;
        if ((refused || merged_refused >= 0) && !consents.contains("analytics")) {
            ASSERT_NE(json.find("\"analytics\":{\"state\":\"denied\""), std::string::npos) << json;
        }
        if (refused && consents.contains("analytics"))
            consents["analytics"] = {"denied", consents["analytics"].ms};
        for (const auto& [purpose, consent] : consents) {
            // A "no" stays until the platform says numbers, or tells of a later decision.
            if (consent.ms <= seen_of[purpose] && consent.state == "granted") continue;
            // Nor does a grant count that was told before the platform said no.
            const bool theirs = purpose == "analytics" && consent.state == "granted" && !want.id.empty() &&
                                profiles_model_.live[want.id].json == "denied" &&
                                consent.ms <= person.look.profile.consents_came.ms;
            if (theirs) {
                ASSERT_NE(json.find("\"analytics\":{\"state\":\"denied\"}"), std::string::npos) << json;
                continue;
            }
            ASSERT_NE(json.find("\"" + purpose + "\":{\"state\":\"" + consent.state + "\""),
                      std::string::npos)
                << purpose << ' ' << consent.state << '\n'
                << json;
        }
    }

    std::mt19937 random_;
    std::uint64_t version_ = 0;
    int visit_ = 0;
    std::map<std::string, std::int64_t> updated_;
    std::map<std::string, std::int64_t> consents_came_;
    std::map<std::string, std::string> references_;
    PlainProfiles profiles_model_;
    PlainEvents events_;
};

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int long_steps = 5'000;
#else
constexpr int long_steps = 100'000;
#endif

TEST_F(PersonsModelTest, ATillReadsWhatTheEventsAndThePlatformHaveSaid) {
    run(300, 7, std::random_device{}());
}

// A test of its own for ctest (tests/CMakeLists.txt).
class PersonsLongRun : public PersonsModelTest {};

TEST_F(PersonsLongRun, ATillReadsWhatAHundredThousandStepsHaveSaid) {
    // The same one each time: what a long run finds must not stand in the way of somebody else's change.
    run(long_steps, 17, 11);
}

}  // namespace
}  // namespace touchpoint::tests
