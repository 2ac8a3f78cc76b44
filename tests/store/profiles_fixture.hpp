// The profile cache on a real LMDB file in a folder of its own.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/cache.hpp"
#include "store/keys.hpp"
#include "store/profiles.hpp"
#include "tests/store/store_fixture.hpp"

namespace touchpoint::tests {

// As devices/pseudonym names them: a text that says nothing.
inline store::Alias alias(const std::string& text) {
    constexpr char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    std::string key = "p1_";
    for (const char c : store::keyed_hash("pseudonyms", text).substr(0, 26))
        key += letters[static_cast<unsigned char>(c) % 32];
    return {key, text};
}

class ProfilesFixture : public testing::Test {
  protected:
    using Verdict = store::ProfileOutcome::Verdict;
    using Kind = store::ProfileLook::Kind;

    void open() {
        profiles_.reset();
        cache_.reset();
        auto cache = store::Cache::open({.folder = folder_.path() / "cache",
                                         .bytes_max = 16u << 20,
                                         .profiles_bytes = options_.bytes_max});
        ASSERT_TRUE(cache) << cache.error().context;
        cache_ = std::move(*cache);
        profiles_.emplace(*cache_, *box_, store::keyed_hash(key_, "profiles"), options_);
    }

    store::ProfileOutcome apply(store::ProfileChange change) {
        const auto outcomes = profiles_->apply({&change, 1}, now_);
        EXPECT_TRUE(outcomes) << outcomes.error().context;
        return outcomes ? outcomes->front() : store::ProfileOutcome{};
    }
    store::ProfileOutcome put(const std::string& id, std::uint64_t version,
                              const std::vector<std::string>& aliases = {}, const std::string& json = "{}") {
        store::ProfilePut wanted{id, version, {}, {}, json, {}};
        for (const std::string& text : aliases) wanted.aliases.push_back(alias(text));
        return apply(std::move(wanted));
    }
    store::ProfileOutcome erase(const std::string& id, std::optional<std::uint64_t> version = {}) {
        return apply(store::ProfileErase{id, version});
    }
    store::ProfileOutcome merge(const std::string& id, std::vector<std::string> from) {
        return apply(store::ProfileMerge{id, std::move(from)});
    }
    store::ProfileOutcome unmerge(const std::string& id, std::vector<std::string> ids) {
        return apply(store::ProfileUnmerge{id, std::move(ids)});
    }
    store::ProfileLook by_id(const std::string& id) {
        const auto look = profiles_->by_id(id, now_);
        EXPECT_TRUE(look) << look.error().context;
        return look ? *look : store::ProfileLook{};
    }
    store::ProfileLook by_alias(const std::string& text) {
        const auto look = profiles_->by_alias(alias(text).key, now_);
        EXPECT_TRUE(look) << look.error().context;
        return look ? *look : store::ProfileLook{};
    }
    // The id that an alias leads to; empty: none.
    std::string whose(const std::string& text) { return by_alias(text).profile.id; }

    const TempFolder folder_{memory_folder()};
    std::string key_ = std::string(32, 'b');
    std::unique_ptr<store::SealedBox> box_ = std::make_unique<store::SealedBox>(key_);
    store::Profiles::Options options_{.bytes_max = 4u << 20};
    UtcTime now_{1'790'000'000'000};
    std::unique_ptr<store::Cache> cache_;
    std::optional<store::Profiles> profiles_;
};

}  // namespace touchpoint::tests
