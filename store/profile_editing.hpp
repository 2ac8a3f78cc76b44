// One transaction's work on the profile cache: each change in turn sees what those before it did. Behind
// store/profiles.hpp.
//
// The first error of LMDB stays (`error()`), and nothing is done after it: whoever began the transaction
// looks once, at its end, and takes all of it back.
//
// Threads: that of its transaction.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/cache.hpp"
#include "store/environment.hpp"
#include "store/profiles.hpp"

namespace touchpoint::store {

class ProfileEditing {
  public:
    using Counts = Profiles::Counts;
    struct Parts {
        Transaction& txn;
        const Cache::Tables& tables;
        const SealedBox& box;
        const std::string& key;
        Counts& counts;
    };
    ProfileEditing(Parts parts, UtcTime now) : parts_(parts), now_(now) {}

    ProfileOutcome change(const ProfileChange& change);
    // The profile that was not read for longest, of those behind `sweep`, leaves, or the version that one of
    // them has left; `sweep` moves on. False: there is none.
    bool evict(std::string& sweep, bool versions_stay);
    std::uint64_t evicted() const { return evicted_; }  // profiles
    // The live profile of this row's key leaves; false: there is none.
    bool drop(const std::string& key);
    void forget_erasures(std::uint64_t erasures_max);
    void write_counts();
    std::optional<Error> error() const { return error_; }

    // Rows that are looked at to find one that may leave.
    static constexpr int sample = 32;
    static constexpr std::size_t forgotten_at_once = 64;

  private:
    using Verdict = ProfileOutcome::Verdict;
    struct Row {
        std::string key;
        ProfileHead head;
        std::size_t bytes = 0;            // of the value
        std::optional<ProfileBody> body;  // of a live one that opens
        std::string survivor;             // of a merged one that opens
        std::vector<std::string> buried;  // aliases that a tombstone names
        bool live() const { return head.kind == ProfileKind::live && body.has_value(); }
        // Came back from a merge without its document: any put is newer.
        bool hollow() const { return live() && body->json.empty(); }
    };

    ProfileOutcome put(const ProfilePut& wanted);
    ProfileOutcome patch(const ProfilePatch& wanted);
    ProfileOutcome erase(const ProfileErase& wanted);
    static void answer(MergedIn& one, const std::string& id, std::uint8_t purposes);
    void replace(Row row, bool was_there, const ProfilePut& wanted);
    void bury_person(const Row& person, const std::string& own, std::vector<std::string>& buried,
                     std::vector<std::string>& forgotten);

    // In profile_merging.cpp.
    ProfileOutcome merge(const ProfileMerge& wanted);
    void absorb(const Row& row, const std::string& id, const std::string& survivor_key, ProfileBody& body);
    ProfileOutcome unmerge(const ProfileUnmerge& wanted);
    std::optional<ProfileOutcome> unmerge_refused(const ProfileUnmerge& wanted,
                                                  std::vector<std::string>& ids);
    void bring_back(const MergedIn& one, std::vector<MergedIn> with, const std::string& survivor_key);
    static std::optional<ProfileOutcome> survivor_refused(const std::optional<Row>& row, std::string_view id);
    static std::optional<ProfileOutcome> merge_refused(const Row& survivor, const std::vector<Row>& from,
                                                       const std::vector<std::string>& ids, bool needs_alias);

    static ProfileOutcome refused(Verdict verdict, std::string_view id, std::uint64_t version = 0,
                                  std::string detail = {});
    static std::vector<std::string> alias_keys(const ProfileBody& body);

    // The platform has spoken of it now.
    void hear(const std::string& key);

    std::string key_of(std::string_view id) const;
    std::optional<Row> load(std::string key);
    void write_live(const std::string& key, const ProfileHead& head, const ProfileBody& body,
                    std::size_t bytes_before);
    void write_merged(const std::string& key, const ProfileHead& head, std::string_view survivor,
                      std::size_t bytes_before);
    // Neither aliases nor the rows of those merged into it.
    void drop_row(const Row& row);
    void forget_person(const std::string& alias_key);
    void add_live(const std::string& key, const ProfileHead& head, const ProfileBody& body);
    void drop_live(const Row& row);
    void leave_version(const Row& row);
    void write_tombstone(const std::string& key, std::uint64_t version,
                         const std::vector<std::string>& buried);
    void claim(const Alias& alias, const std::string& key);
    // False: it leads to another profile by now.
    bool release(const std::string& alias_key, const std::string& key);
    // False: its row is not counted, for it led to a tombstone.
    bool take_from(const std::string& alias_key, const std::string& key);
    // Those that lead to `from` lead to the tombstone from now on, are out of the vault, and are counted with
    // erasures. Returns those that the tombstone must name.
    std::vector<std::string> bury(const std::vector<Alias>& aliases, const std::string& from,
                                  const std::string& grave, std::vector<std::string>& forgotten);
    // Those that lead to nobody. False: none.
    bool bury_unheld(const std::vector<Alias>& aliases, const std::string& grave,
                     std::vector<std::string>& buried);
    void unbury(const std::vector<std::string>& buried, const std::string& grave);

    std::optional<std::string> get(Table table, std::string_view key);
    std::optional<std::pair<std::string, std::string>> seek(Table table, std::string_view key);
    void write(Table table, std::string_view key, std::string_view value);
    void remove(Table table, std::string_view key);

    Parts parts_;
    UtcTime now_;
    std::optional<Error> error_;
    std::uint64_t evicted_ = 0;
};

}  // namespace touchpoint::store
