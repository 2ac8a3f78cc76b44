#include "store/cache.hpp"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "gateway/core/log.hpp"
#include "store/environment.hpp"

namespace touchpoint::store {

Cache::Cache() = default;
Cache::~Cache() = default;
bool Cache::failed() const noexcept { return environment_->failed(); }

Result<void> Cache::open_tables() {
    auto txn = environment_->begin_write();
    if (!txn) return txn.error();
    const auto open = [&](const char* name, unsigned& out) -> Result<void> {
        const auto table = txn->open_table(name);
        if (!table) return table.error();
        out = *table;
        return {};
    };
    for (const auto& [name, out] :
         {std::pair("vault", &tables_.vault), std::pair("registry", &tables_.registry),
          std::pair("profiles", &tables_.profiles), std::pair("aliases", &tables_.aliases),
          std::pair("touched", &tables_.touched), std::pair("erasures", &tables_.erasures),
          std::pair("profile_counts", &tables_.profile_counts), std::pair("pictures", &tables_.pictures)})
        if (const auto opened = open(name, *out); !opened) return opened;
    // Where they are there already nothing is written: a disk that takes nothing for the cache must not keep
    // the events from starting.
    return txn->commit(Durable::later);
}

Result<std::unique_ptr<Cache>> Cache::open(Options options) {
    std::unique_ptr<Cache> self(new Cache);
    self->bytes_max_ = options.bytes_max;
    self->vault_room_ = options.bytes_max + options.registry_bytes + 2 * options.pictures_bytes;
    // Twice the bytes of profiles: free pages that lie one by one do not take a row of several. Erasures are
    // bounded by their number, and are as large as that only where each had 16 aliases; the file does not
    // grow before.
    const Environment::Options wanted{
        .folder = options.folder,
        .map_bytes = self->vault_room_ + 2 * options.profiles_bytes + options.erasures_bytes,
        .tables = 12,
        .random_access = true};
    for (;;) {
        const auto open_all = [&]() -> Result<void> {
            if (options.look_first && !self->replaced_ &&
                !Environment::readable(options.folder, wanted.tables))
                return fail(Errc::damaged, "a page of data.mdb is damaged");
            auto environment = Environment::open(wanted);
            if (!environment) return environment.error();
            self->environment_ = std::move(*environment);
            // Reading behind the end of the mapped file would end the process (SIGBUS), at every start.
            std::error_code unknown;
            const auto bytes = std::filesystem::file_size(options.folder / "data.mdb", unknown);
            if (!unknown && bytes < self->environment_->used_bytes())
                return fail(Errc::damaged, "data.mdb ends before its last used page");
            return self->open_tables();
        };
        const Result<void> opened = open_all();
        if (opened) {
            self->measure();
            return self;
        }
        self->environment_.reset();
        const bool unreadable =
            opened.error().code == Errc::damaged || opened.error().code == Errc::wrong_machine;
        if (!unreadable || self->replaced_) return opened.error();
        const auto aside = set_aside(options.folder);
        if (!aside) return aside.error();
        log::error("store", "the cache is damaged and begins anew",
                   {{"why", opened.error().context}, {"kept_in", aside->string()}});
        self->replaced_ = true;
    }
}

// Without the lock of a writer, which is held for a flush.
Result<bool> Cache::all_known(std::span<const Identity> identities) const {
    if (identities.empty()) return true;
    const auto txn = environment_->begin_read();
    if (!txn) return txn.error();
    for (const Identity& identity : identities) {
        const auto known = txn->get(tables_.vault, identity.pseudonym);
        if (!known) return known.error();
        if (!*known) return false;
    }
    return true;
}

void Cache::measure() {
    const auto txn = environment_->begin_read();
    const auto pages = txn ? txn->pages(tables_.vault) : Result<std::uint64_t>(txn.error());
    if (pages) used_bytes_ = *pages * environment_->page_bytes();
}

Result<void> Cache::commit(Transaction& txn) {
    auto committed = txn.commit();
    measure();
    return committed;
}

Result<void> Cache::put_identities(std::span<const Identity> identities) {
    const auto nothing_new = all_known(identities);
    if (!nothing_new) return nothing_new.error();
    if (*nothing_new) return environment_->in_doubt() ? environment_->settle() : Result<void>();
    if (used_bytes() >= bytes_max_) {
        measure();  // an erasure of profiles may have made room
        if (used_bytes() >= bytes_max_) return fail(Errc::full, "the identity vault is full");
    }
    auto txn = environment_->begin_write();
    if (!txn) return txn.error();
    for (const Identity& identity : identities) {
        const auto known = txn->get(tables_.vault, identity.pseudonym);
        if (!known) return known.error();
        if (*known) continue;
        if (const auto put = txn->put(tables_.vault, identity.pseudonym, identity.sealed); !put)
            return put.error();
    }
    return commit(*txn);
}

Result<std::optional<std::string>> Cache::sealed_identity(std::string_view pseudonym) const {
    const auto txn = environment_->begin_read();
    if (!txn) return txn.error();
    const auto found = txn->get(tables_.vault, pseudonym);
    if (!found) return found.error();
    if (!*found) return std::optional<std::string>{};
    return std::optional<std::string>{std::string(**found)};
}

Result<bool> Cache::erase_identity(std::string_view pseudonym) {
    auto txn = environment_->begin_write();
    if (!txn) return txn.error();
    const auto erased = txn->erase(tables_.vault, pseudonym);
    if (!erased) return erased.error();
    if (const auto committed = commit(*txn); !committed) return committed.error();
    return *erased;
}

Result<void> Cache::put_devices(std::span<const std::pair<std::string, std::string>> rows) {
    if (rows.empty()) return {};
    auto txn = environment_->begin_write();
    if (!txn) return txn.error();
    for (const auto& [key, value] : rows)
        if (const auto put = txn->put(tables_.registry, key, value); !put) return put.error();
    return txn->commit();
}

Result<std::vector<std::pair<std::string, std::string>>> Cache::devices() const {
    std::vector<std::pair<std::string, std::string>> rows;
    const auto txn = environment_->begin_read();
    if (!txn) return txn.error();
    std::string next;
    for (;;) {
        const auto row = txn->seek(tables_.registry, next);
        if (!row) return row.error();
        if (!*row) return rows;
        rows.emplace_back((*row)->key, (*row)->value);
        next = std::string((*row)->key) + '\0';
    }
}

}  // namespace touchpoint::store
