#include "store/dedup.hpp"

#include <xxhash.h>

#include <algorithm>

#include "gateway/core/assert.hpp"

namespace touchpoint::store {
namespace {

constexpr std::uint64_t generations_for_the_window = 8;
constexpr std::uint64_t slots_min = 256;

// Slot of a hash in a table of any length, without a division.
std::size_t home(std::uint64_t hash, std::size_t slots) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::size_t>((static_cast<Wide>(hash) * slots) >> 64);
}

}  // namespace

std::uint64_t dedup_hash(std::string_view source, std::string_view id, std::uint64_t seed) {
    const std::uint64_t hash =
        XXH3_64bits_withSeed(id.data(), id.size(), XXH3_64bits_withSeed(source.data(), source.size(), seed));
    return std::max<std::uint64_t>(hash, 1);
}

DedupWindow::DedupWindow(std::uint64_t ids_min, std::chrono::milliseconds age)
    : ids_min_(std::max<std::uint64_t>(ids_min, 1)),
      per_generation_((ids_min_ + generations_for_the_window - 1) / generations_for_the_window),
      age_(age) {}

DedupWindow::Found DedupWindow::find(DedupEntry entry) const {
    Found found = Found::no;
    for (const Generation& generation : generations_) {
        for (std::size_t at = home(entry.id_hash, generation.ids.size()); generation.ids[at] != 0;
             at = at + 1 == generation.ids.size() ? 0 : at + 1) {
            if (generation.ids[at] != entry.id_hash) continue;
            if (generation.contents[at] == entry.content_hash) return Found::same_content;
            found = Found::other_content;
        }
    }
    return found;
}

void DedupWindow::insert(Generation& generation, DedupEntry entry) {
    std::size_t at = home(entry.id_hash, generation.ids.size());
    while (generation.ids[at] != 0) at = at + 1 == generation.ids.size() ? 0 : at + 1;
    generation.ids[at] = entry.id_hash;
    generation.contents[at] = entry.content_hash;
    ++generation.count;
}

void DedupWindow::grow(Generation& generation) const {
    // The last step fits a full generation exactly: 1.35 slots an id.
    const std::uint64_t slots_max = std::max(per_generation_ * 135 / 100 + 1, slots_min);
    const std::uint64_t slots =
        std::min(std::max<std::uint64_t>(generation.ids.size() * 4, slots_min), slots_max);
    Generation larger;
    larger.ids.assign(slots, 0);
    larger.contents.assign(slots, 0);
    larger.newest = generation.newest;
    larger.dated = generation.dated;
    for (std::size_t i = 0; i < generation.ids.size(); ++i)
        if (generation.ids[i] != 0) insert(larger, {generation.ids[i], generation.contents[i]});
    generation = std::move(larger);
}

void DedupWindow::add(DedupEntry entry, UtcTime time, std::optional<UtcTime> now) {
    TP_ASSERT(entry.id_hash != 0);
    const auto too_old = [&](const Generation& one) { return now && one.dated && one.newest < *now - age_; };
    while (!generations_.empty() &&
           (too_old(generations_.front()) || size_ - generations_.front().count >= ids_min_)) {
        size_ -= generations_.front().count;
        generations_.pop_front();
    }
    if (generations_.empty() || generations_.back().count >= per_generation_) generations_.emplace_back();
    Generation& newest = generations_.back();
    if ((newest.count + 1) * 4 > newest.ids.size() * 3) grow(newest);
    insert(newest, entry);
    newest.newest = std::max(newest.newest, time);
    newest.dated = newest.dated && time != UtcTime{};
    ++size_;
}

}  // namespace touchpoint::store
