// The power is cut while profiles are loaded: their transactions are durable later than they are visible.
// What anybody was told before is there, and what is left of the file is a whole one.
//
// Not covered: a disk that loses what it said it had flushed; a flush that failed and wrote a part.

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <iostream>
#include <map>
#include <optional>
#include <random>
#include <stdexcept>

#include "gateway/core/log.hpp"
#include "store/cache.hpp"
#include "store/environment.hpp"
#include "store/keys.hpp"
#include "store/profiles.hpp"
#include "store/sealed_box.hpp"
#include "tests/crash/in_child.hpp"
#include "tests/crash/power_cut.hpp"
#include "tests/crash/recorder.hpp"
#include "tests/support/temp_folder.hpp"

namespace touchpoint::tests {
namespace {

using store::Durable;

constexpr std::chrono::microseconds no_flush_cost{0};
constexpr UtcTime now{1'790'000'000'000};
constexpr unsigned tables = 12;  // of a cache, at most

std::filesystem::path fast_folder() {
    return std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : std::filesystem::temp_directory_path();
}

std::uint64_t seed() {
    const char* text = std::getenv("TOUCHPOINT_SEED");
    return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

const std::string key(32, 'b');

// A cache with its profiles, as the gateway has it.
struct Desk {
    explicit Desk(const std::filesystem::path& folder) {
        auto opened = store::Cache::open(
            {.folder = folder / "cache", .bytes_max = 16u << 20, .profiles_bytes = 16u << 20});
        if (!opened) return;
        cache = std::move(*opened);
        profiles.emplace(*cache, box, store::keyed_hash(key, "profiles"),
                         store::Profiles::Options{.bytes_max = 16u << 20});
    }
    const store::SealedBox box{key};
    std::unique_ptr<store::Cache> cache;
    std::optional<store::Profiles> profiles;
};

// What was told, and when: Recorder::position().
struct Told {
    std::size_t at = 0;
    std::map<std::string, std::uint64_t> versions;  // of profiles
    std::vector<std::string> pseudonyms;            // that the vault has
};

std::string text_of(std::uint64_t version) {
    return R"({"traits":{"told":")" +
           std::string(100 + version % 7 * 400, static_cast<char>('a' + version % 26)) + "\"}}";
}

struct Kind {
    int steps = 0;
    unsigned flushes_a_failure = 0;  // 0: none fails
};
constexpr Kind healthy{80, 0};
constexpr Kind failing{40, 5};

// One who loads, one after the other; some ask for what was loaded just now, and the vault has its own
// writer.
class Loading {
  public:
    Loading(const std::filesystem::path& folder, Kind kind) : folder_(folder), random_(seed()) {
        Recorder::watch(folder_ / "cache" / "data.mdb", no_flush_cost);
        if (kind.flushes_a_failure != 0)
            Recorder::refuse([this, kind](const DiskOp& op) {
                if (op.kind != DiskOp::Kind::flush || random_() % kind.flushes_a_failure != 0) return 0;
                ++failed_;
                return EIO;
            });
        open();
        for (int step = 0; step < kind.steps; ++step) take_step();
        ops_ = Recorder::stop();
    }
    const std::vector<DiskOp>& ops() const { return ops_; }
    const std::vector<Told>& told() const { return told_; }
    int failed() const { return failed_; }

  private:
    static constexpr int persons = 25;

    void open() {
        // What was committed for later nobody settles. A start that fails is made again.
        for (int left = 20; left > 0; --left) {
            desk_.reset();
            Recorder::opened_again();
            desk_.emplace(folder_);
            if (desk_->profiles) return;
        }
        throw std::runtime_error("the cache cannot be opened");
    }
    store::ProfilePut put() {
        const std::string id = "person-" + std::to_string(random_() % persons);
        return {id, ++version_, {}, {{"p1_" + id, "card:" + id}}, text_of(version_), {}};
    }
    // Of which only settle() tells.
    void load(std::map<std::string, std::uint64_t>& loaded) {
        std::vector<store::ProfileChange> changes;
        for (std::uint64_t left = 1 + random_() % 3; left > 0; --left) changes.push_back(put());
        const auto outcomes = desk_->profiles->apply(changes, now, Durable::later);
        if (!outcomes) return;
        for (const store::ProfileOutcome& outcome : *outcomes) loaded[outcome.id] = outcome.version;
    }
    void take_step() {
        // As the gateway does, some time later.
        if (desk_->cache->failed() && random_() % 2 == 0) open();
        std::map<std::string, std::uint64_t> loaded;
        for (std::uint64_t left = 1 + random_() % 6; left > 0; --left) load(loaded);
        switch (random_() % 6) {
            case 0: {  // another one sends the same
                if (loaded.empty()) return;
                const auto& [id, version] = *loaded.begin();
                const store::ProfileChange again =
                    store::ProfilePut{id, version, {}, {}, text_of(version), {}};
                if (desk_->profiles->apply({&again, 1}, now)) tell(std::move(loaded));
                return;
            }
            case 3:  // killed
                open();
                if (desk_->profiles->settle()) tell(std::move(loaded));
                return;
            case 1: {
                const store::ProfileChange one = put();
                const auto outcomes = desk_->profiles->apply({&one, 1}, now);
                if (!outcomes) return;
                loaded[outcomes->front().id] = outcomes->front().version;
                tell(std::move(loaded));
                return;
            }
            case 2: {
                const Identity identity{"p1_" + std::to_string(version_), "sealed"};
                if (!desk_->cache->put_identities({&identity, 1})) return;
                tell(std::move(loaded));
                told_.back().pseudonyms.push_back(identity.pseudonym);
                return;
            }
            default:
                // Once more, as whoever was told that it did not work.
                if (desk_->profiles->settle() || desk_->profiles->settle()) tell(std::move(loaded));
        }
    }
    void tell(std::map<std::string, std::uint64_t> versions) {
        told_.push_back({Recorder::position(), std::move(versions), {}});
    }

    const std::filesystem::path folder_;
    std::mt19937_64 random_;
    std::uint64_t version_ = 0;
    int failed_ = 0;
    std::optional<Desk> desk_;
    std::vector<Told> told_;
    std::vector<DiskOp> ops_;
};

// In a child.
std::vector<std::string> broken_promises(const Loading& loading, std::size_t cut,
                                         const std::filesystem::path& folder) {
    std::vector<std::string> broken;
    const bool told_any = loading.told().front().at <= cut;
    if (told_any && !store::Environment::readable(folder / "cache", tables))
        broken.push_back("profiles-torn");
    Desk desk(folder);
    if (!desk.profiles) return {"profiles-unreadable"};
    // A file that was just being made may begin anew.
    if (desk.cache->replaced() && told_any) broken.push_back("profiles-set-aside");
    std::map<std::string, std::uint64_t> versions;
    for (const Told& told : loading.told()) {
        if (told.at > cut) continue;
        for (const auto& [id, version] : told.versions) versions[id] = std::max(versions[id], version);
        for (const std::string& pseudonym : told.pseudonyms)
            if (const auto sealed = desk.cache->sealed_identity(pseudonym); !sealed || !*sealed)
                broken.push_back("identity-lost: " + pseudonym);
    }
    for (const auto& [id, version] : versions) {
        const auto look = desk.profiles->by_id(id, now);
        if (!look || look->kind != store::ProfileLook::Kind::found)
            broken.push_back("profile-lost: " + id);
        else if (look->profile.version < version)
            broken.push_back("profile-older: " + id + " has " + std::to_string(look->profile.version) +
                             " and not " + std::to_string(version));
        else if (look->profile.json != text_of(look->profile.version))
            broken.push_back("profile-changed: " + id);
    }
    // It goes on with the file as it is.
    const store::ProfileChange next = store::ProfilePut{"next", 1, {}, {}, text_of(1), {}};
    if (!desk.profiles->apply({&next, 1}, now)) broken.push_back("profiles-unwritable");
    return broken;
}

Found examine(const Loading& loading, const CutPlan& plan) {
    const TempFolder folder(fast_folder());
    return examine(loading.ops(), plan, [&](std::size_t cut, const FileState& file) {
        std::filesystem::remove_all(folder.path() / "cache");
        place(file, folder.path() / "cache");
        return in_child([&] { return broken_promises(loading, cut, folder.path()); });
    });
}

CutPlan plan_of(const Loading& loading) {
    CutPlan plan;
    plan.seed = seed();
    plan.exhaustive_states = 100;
    plan.random_states = 400;
    for (const Told& told : loading.told()) plan.certain_only_at.push_back(told.at);
    return plan;
}

void expect_nothing_told_is_lost(Kind kind) {
    log::set_level(static_cast<log::Level>(2));  // less than an error: they are met on purpose
    const TempFolder folder(fast_folder());
    const Loading loading(folder.path(), kind);
    ASSERT_GT(loading.told().size(), static_cast<std::size_t>(kind.steps / 4));
    ASSERT_EQ(loading.failed() > 0, kind.flushes_a_failure != 0);
    const Found found = examine(loading, plan_of(loading));
    std::cout << "states=" << found.states << " operations=" << loading.ops().size()
              << " failed_flushes=" << loading.failed() << " seed=" << seed() << "\n";
    EXPECT_EQ(found.bad, 0) << found.text;
    EXPECT_TRUE(found.bad > 0 || found.states >= 400U) << found.states << " states";
}

TEST(PowerCut, TakesNothingOfProfilesThatAnybodyWasTold) { expect_nothing_told_is_lost(healthy); }

TEST(PowerCut, TakesNothingOfProfilesAlsoWhereFlushesFail) { expect_nothing_told_is_lost(failing); }

// It holds nothing that events need: they start without it.
TEST(CacheOnABrokenDisk, OpensAndCanBeRead) {
    log::set_level(static_cast<log::Level>(2));
    const TempFolder folder(fast_folder());
    const store::ProfileChange put = store::ProfilePut{"c-1", 1, {}, {}, text_of(1), {}};
    {
        Desk desk(folder.path());
        ASSERT_TRUE(desk.profiles && desk.profiles->apply({&put, 1}, now));
    }
    Recorder::watch(folder.path() / "cache" / "data.mdb", no_flush_cost);
    Recorder::refuse([](const DiskOp&) { return EIO; });
    {
        Desk desk(folder.path());
        ASSERT_TRUE(desk.profiles);
        EXPECT_FALSE(desk.cache->replaced());
        EXPECT_FALSE(desk.profiles->apply({&put, 1}, now));
        EXPECT_FALSE(desk.profiles->settle());
        const auto look = desk.profiles->by_id("c-1", now);
        EXPECT_TRUE(look && look->kind == store::ProfileLook::Kind::found);
    }
    Recorder::stop();
}

// What proves that the tests above see anything.
TEST(PowerCut, WithoutFlushesProfilesAreFoundBroken) {
    log::set_level(static_cast<log::Level>(2));
    const TempFolder folder(fast_folder());
    const Loading loading(folder.path(), healthy);
    CutPlan plan = plan_of(loading);
    plan.exhaustive_states = 0;
    plan.certain_only_at.clear();
    plan.ignore_flushes = true;
    EXPECT_GT(examine(loading, plan).bad, 0);
}

}  // namespace
}  // namespace touchpoint::tests
