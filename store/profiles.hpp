// The profile cache: what the platform says about customers, for every touchpoint, also while it is away.
//
//     platform ──put, patch, (un)merge, erase──> apply() ──> rows in `cache` ──> by_id(), by_alias() ──> till
//
// Promised
//   An older version never wins; the same version again changes nothing but the time it was heard of last.
//   An alias leads to one profile: the last put that lists it has it. A merged id and its aliases lead to the
//   survivor, in one step: merges cannot loop. Undone, each is what it was and has the aliases that were its
//   own and still lead to the survivor; only a document for which there was no room is missing then.
//   An erased profile stays erased for every put of the version that was erased, or an older one, and its
//   first 16 aliases say so, too, until somebody else lists them.
//   What apply() has returned survives a power cut; with Durable::later, when settle() has returned.
//   No id and no alias stands on the disk outside a sealed text.
// Not promised
//   A profile stays: above `bytes_max` those that were not read for longest leave. Which is the oldest is
//   known to `touch_step`, and among the next 32 rows. Its version stays behind, about as long as a profile
//   that nobody reads, and not where the map is crowded; then an older one may come in. A row that does not
//   open (another key, changed bytes) is as if it were not there.
//
// Threads: reads from any thread, without a lock beside LMDB's; apply() and write_touches() from one at a
// time. On disk: store/README.md, "cache".
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "gateway/core/clock.hpp"
#include "gateway/core/result.hpp"
#include "store/durable.hpp"
#include "store/profile_rows.hpp"

namespace touchpoint::store {

class Cache;
class Transaction;

struct Profile {
    std::string id;
    std::uint64_t version = 0;
    UtcTime updated;
    UtcTime received;            // when this version came, or came again
    UtcTime came;                // when it came for the first time
    UtcTime consents_came;       // when its consents did, in it or in an older version
    std::string json;            // one object without id, aliases, version, updated
    std::vector<Alias> aliases;  // its own and those of the profiles merged into it, each once
    std::vector<std::string> merged_from;
    // What those refused and this one has not told of since; what it refused itself, where that was lost.
    std::vector<Refusal> refused_by_merged;
};

struct ProfileLook {
    enum class Kind { missing, found, erased };
    Kind kind = Kind::missing;
    Profile profile;         // only when found
    bool by_merged = false;  // the id that was asked for is one of profile.merged_from
};

struct ProfilePut {
    std::string id;
    std::uint64_t version = 0;
    UtcTime updated;
    std::vector<Alias> aliases;
    std::string json;
    std::optional<std::uint64_t> only_version;   // only when this version is held
    std::uint8_t purposes_told = every_purpose;  // of their consents it says what holds
    bool heard = false;  // also an older version says that the profile is one of the platform's
};
struct ProfilePatch {
    std::string id;
    std::uint64_t version = 0;  // of the result
    std::optional<std::uint64_t> only_version;
    // What becomes of the profile. Fails with invalid_argument; the context says what is wrong with the
    // patch.
    std::function<Result<ProfilePut>(const Profile&)> edit;
    bool create = false;  // where none is held: of an empty one
    std::uint8_t purposes_told = 0;
    bool heard = false;  // as of ProfilePut
};
struct ProfileErase {
    std::string id;
    // Up to which version a put is too late. A later one that is held, or was until it was merged or left for
    // want of room, stays, and he with it: the erasure was said before, and comes once more. Without: the one
    // that is held; of a profile that is not, every version.
    std::optional<std::uint64_t> version;
    // Of this person, also where the cache does not know it (any more): their vault rows go, too.
    std::vector<Alias> aliases{};
    // A later version that is held goes, too: where the version is a time, whose clock was it?
    bool whatever_is_held = false;
};
struct ProfileMerge {
    std::string id;  // the survivor
    std::vector<std::string> from;
    bool needs_alias = false;  // only where one of all of them has one
};
// Those live by themselves again. Who was merged into one of them before it was merged comes with it, unless
// it is named, too.
struct ProfileUnmerge {
    std::string id;  // the survivor
    std::vector<std::string> ids;
};
using ProfileChange = std::variant<ProfilePut, ProfilePatch, ProfileErase, ProfileMerge, ProfileUnmerge>;

struct ProfileOutcome {
    enum class Verdict {
        created,
        replaced,
        unchanged,  // this version was here already
        merged,
        unmerged,
        erased,
        refused_older,
        refused_erased,
        refused_merged,   // `id` names the survivor
        refused_missing,  // a patch, or a survivor, that is not held
        refused_version,  // only_version is not the one that is held
        refused_loop,   // a merge against one that was made before, or without an alias; `detail` says which
        refused_apart,  // an unmerge of one that is merged into another profile; `detail` says which
        refused_invalid,  // `detail` says why
    };
    Verdict verdict = Verdict::unchanged;
    std::string id;
    std::uint64_t version = 0;  // that is held now
    std::string detail;
    std::string reference;  // of an erasure
    UtcTime time;           // of an erasure
    // Keys of aliases whose vault rows went: whoever remembers that they are in the vault must forget it.
    std::vector<std::string> forgotten;

    bool refused() const { return verdict >= Verdict::refused_older; }
};

inline constexpr std::uint64_t every_version = UINT64_MAX;  // of an erasure

struct Erasure {
    UtcTime time;
    std::string reference;  // 32 hex digits: the beginning of the profile's key
    std::uint64_t version = 0;
};
struct ErasurePage {
    std::vector<Erasure> rows;  // oldest first
    std::string next;           // empty: these were the last
};

struct UnheardStep {
    std::string place;  // where the next step begins
    std::size_t dropped = 0;
    bool done = false;
};

struct ProfileStats {
    std::uint64_t profiles = 0;
    std::uint64_t merged = 0;
    std::uint64_t erasures = 0;
    std::uint64_t bytes = 0;  // about, see row_cost()
    std::uint64_t bytes_max = 0;
    std::uint64_t evicted = 0;  // since the start
    std::uint64_t damaged = 0;  // rows that did not open, since the start
};

class Profiles {
  public:
    struct Options {
        std::uint64_t bytes_max = 256u << 20;  // the map has room for it: Cache::Options::profiles_bytes
        std::uint64_t erasures_max =
            100'000;                          // then the oldest are forgotten; Cache::Options::erasures_bytes
        std::chrono::minutes touch_step{60};  // a read is written down when the last one is so long ago
    };
    static constexpr std::size_t changes_max = 64;  // in one transaction: the committer waits for its lock
    static constexpr std::size_t json_bytes_max = 64u << 10;  // and of all that are kept to undo merges
    static constexpr std::size_t id_bytes_max = 128;
    static constexpr std::size_t aliases_max = 64;
    static constexpr std::size_t merged_max = 64;
    static constexpr std::size_t touches_max = 8192;  // reads that are not written down yet
    static constexpr std::size_t touches_a_commit = 1024;
    static constexpr std::size_t erasures_page_max = 1000;
    static constexpr std::size_t unheard_rows_a_commit = 1024;

    // `cache` and `box` outlive it; `key`: Keys::profiles. What cannot be counted is begun at nothing: a
    // cache in trouble ends nobody's start.
    Profiles(Cache& cache, const SealedBox& box, std::string key, Options options);
    ~Profiles();

    // Fails with io or damaged.
    Result<ProfileLook> by_id(std::string_view id, UtcTime now);
    Result<ProfileLook> by_alias(std::string_view alias_key, UtcTime now);

    // The version of what is held under this id, also of one that was merged or left for want of room; 0:
    // nothing, or it was erased. Fails with io.
    Result<std::uint64_t> version_of(std::string_view id) const;

    // One transaction; answers in the order of the changes. Fails with full, io or damaged; then nothing of
    // it is there. REQUIRES: changes.size() <= changes_max, each as large as the limits above allow.
    Result<std::vector<ProfileOutcome>> apply(std::span<const ProfileChange> changes, UtcTime now,
                                              Durable when = Durable::now);
    // What apply() has returned is durable when this returns. Fails with io; then it may be called again.
    Result<void> settle();

    // Profiles that the platform has not spoken of since `since` leave the cache, at most `max` in one
    // transaction, which looks at unheard_rows_a_commit rows. `place`: of the step before; empty: the first.
    // Those of version 0 are not the platform's and stay. From the thread of apply(). Fails as apply() does.
    Result<UnheardStep> drop_unheard_since(UtcTime since, std::string place, std::size_t max);

    // Those of these that are live leave the cache, as if nobody had sent them. From the thread of apply().
    // Fails as apply() does. REQUIRES: ids.size() <= merged_max
    Result<void> drop(std::span<const std::string> ids);

    // Erasures in the order of their times, behind `after` (a page's `next`; empty: from the oldest on).
    // Fails with invalid_argument (no such place).
    Result<ErasurePage> erasures(std::string_view after, std::size_t max) const;

    // Writes down who was read, at most touches_a_commit rows. Call it until there are none, now and then.
    Result<void> write_touches();
    std::size_t touches() const;

    // A name of the id that is nobody's: 32 hex digits, as in Erasure::reference.
    std::string reference(std::string_view id) const;
    ProfileStats stats() const;

  private:
    friend class ProfileEditing;
    struct Counts {
        std::uint64_t live = 0;
        std::uint64_t merged = 0;
        std::uint64_t erasures = 0;
        std::uint64_t bytes = 0;
    };
    Result<ProfileLook> look(Transaction& txn, std::string_view key, bool follow, UtcTime now);
    Result<void> read_counts();
    // Whether the map has less room left than the vault may need.
    Result<bool> crowded() const;
    void touch(std::string_view key, UtcTime now);
    Result<std::vector<ProfileOutcome>> apply_once(std::span<const ProfileChange> changes, UtcTime now,
                                                   Durable when, bool crowded_out);
    void publish(const Counts& counts, std::uint64_t evicted);

    Cache& cache_;
    const SealedBox& box_;
    const std::string key_;
    const Options options_;
    Counts counts_;      // the writer's
    std::string sweep_;  // where the search for old rows goes on
    mutable std::mutex mutex_;
    std::unordered_map<std::string, std::int64_t> touched_;
    std::atomic<std::uint64_t> live_{0}, merged_{0}, erasures_{0}, bytes_{0}, evicted_{0};
    mutable std::atomic<std::uint64_t> damaged_{0};
};

}  // namespace touchpoint::store
