#include "store/records.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/bytes.hpp"

namespace touchpoint::store {
namespace {

StateRow a_state() {
    StateRow row;
    row.epoch = "00000000000000ab";
    row.commit = 12;
    row.dedup_seed = 99;
    for (const Stream stream : all_streams) {
        row.last[stream] = 10 + static_cast<std::uint64_t>(stream);
        row.events[stream] = 20 + static_cast<std::uint64_t>(stream);
        row.bytes[stream] = 30 + static_cast<std::uint64_t>(stream);
        row.shed[stream] = 40 + static_cast<std::uint64_t>(stream);
        row.expired[stream] = 50 + static_cast<std::uint64_t>(stream);
        row.released[stream] = 60 + static_cast<std::uint64_t>(stream);
    }
    row.dedup_ids = 5;
    row.journal = JournalPosition{"11112222333344445555666677778888", "boot", 4096};
    return row;
}

Gap a_gap() { return {Stream::sales, "platform", 5, 9, "parked", "\"status\":422", {1'790'000'000'000}}; }

TEST(Records, StateRowComesBack) {
    for (const bool with_journal : {true, false}) {
        StateRow row = a_state();
        if (!with_journal) row.journal.reset();
        const auto read = decode_state(encode(row));
        ASSERT_TRUE(read) << read.error().context;
        EXPECT_EQ(read->epoch, row.epoch);
        EXPECT_EQ(read->commit, row.commit);
        EXPECT_EQ(read->dedup_seed, row.dedup_seed);
        EXPECT_EQ(read->last, row.last);
        EXPECT_EQ(read->events, row.events);
        EXPECT_EQ(read->bytes, row.bytes);
        EXPECT_EQ(read->shed, row.shed);
        EXPECT_EQ(read->expired, row.expired);
        EXPECT_EQ(read->released, row.released);
        EXPECT_EQ(read->dedup_ids, row.dedup_ids);
        EXPECT_EQ(read->journal, row.journal);
    }
}

TEST(Records, ConsumerRowComesBack) {
    ConsumerState row{"platform", {}, {}, false};
    row.streams[Stream::sales] = true;
    row.acknowledged[Stream::sales] = 1'000'000'000'000;
    const auto read = decode_consumer("platform", encode(row));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->name, "platform");
    EXPECT_EQ(read->streams, row.streams);
    EXPECT_EQ(read->acknowledged, row.acknowledged);
    EXPECT_FALSE(read->configured);
    EXPECT_EQ(read->kind, ConsumerKind::push);
    row.kind = ConsumerKind::pull;
    row.configured = true;
    row.released[Stream::sales] = 2'000'000'000'000;
    row.since = {1'790'000'000'000};
    row.last_seen = {1'790'000'000'001};
    const auto pull = decode_consumer("bi", encode(row));
    ASSERT_TRUE(pull);
    EXPECT_EQ(pull->kind, ConsumerKind::pull);
    EXPECT_TRUE(pull->configured);
    EXPECT_EQ(pull->released, row.released);
    EXPECT_EQ(pull->since, row.since);
    EXPECT_EQ(pull->last_seen, row.last_seen);
}

TEST(Records, GapRowComesBackWithWhatItsKeySays) {
    const Gap gap = a_gap();
    const auto read = decode_gap(gap_key(gap.stream, gap.last, gap.consumer), encode(gap));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->stream, gap.stream);
    EXPECT_EQ(read->consumer, gap.consumer);
    EXPECT_EQ(read->first, gap.first);
    EXPECT_EQ(read->last, gap.last);
    EXPECT_EQ(read->reason, gap.reason);
    EXPECT_EQ(read->detail, gap.detail);
    EXPECT_EQ(read->time, gap.time);
    EXPECT_EQ(read->since, gap.since);
}

TEST(Records, DedupRowComesBackAndItsLengthTellsHowManyIds) {
    const DedupRow row{{1'790'000'000'000}, {{7, 70}, {8, 80}, {9, 90}}};
    const std::string bytes = encode(row);
    EXPECT_EQ(dedup_ids_in(bytes), 3U);
    EXPECT_EQ(dedup_ids_in(""), 0U);
    const auto read = decode_dedup(bytes);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->time, row.time);
    ASSERT_EQ(read->entries.size(), 3U);
    EXPECT_EQ(read->entries[2].id_hash, 9U);
    EXPECT_EQ(read->entries[2].content_hash, 90U);
}

// A bit of the state row that flips unseen would give a sequence twice.
TEST(Records, EveryFlippedBitAndEveryMissingByteOfARowIsNoticed) {
    const std::string gap_row_key = gap_key(Stream::sales, 9, "platform");
    const std::vector<std::pair<std::string, std::function<Errc(std::string_view)>>> rows = {
        {encode(a_state()),
         [](auto bytes) { return decode_state(bytes) ? Errc::refused : decode_state(bytes).error().code; }},
        {encode(ConsumerState{"c", {}, {}, true}),
         [](auto bytes) {
             return decode_consumer("c", bytes) ? Errc::refused : decode_consumer("c", bytes).error().code;
         }},
        {encode(a_gap()),
         [&](auto bytes) {
             return decode_gap(gap_row_key, bytes) ? Errc::refused
                                                   : decode_gap(gap_row_key, bytes).error().code;
         }},
        {encode(DedupRow{{1}, {{7, 70}}}),
         [](auto bytes) { return decode_dedup(bytes) ? Errc::refused : decode_dedup(bytes).error().code; }},
    };
    for (const auto& [good, read] : rows) {
        ASSERT_EQ(read(good), Errc::refused) << "a good row must be read";
        for (std::size_t at = 0; at < good.size(); ++at) {
            EXPECT_EQ(read(std::string_view(good).substr(0, at)), Errc::damaged) << "length " << at;
            for (int bit = 0; bit < 8; ++bit) {
                std::string bad = good;
                bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
                EXPECT_EQ(read(bad), Errc::damaged) << "byte " << at << " of row of " << good.size();
            }
        }
    }
}

TEST(Records, AStateRowOfALaterFormatIsNotTakenForDamage) {
    std::string later;
    append_little(later, format_version + 1);
    later += "whatever a later release writes here";
    append_little(later, row_checksum(later));
    const auto read = decode_state(later);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, Errc::format_too_new);
}

TEST(Records, KeysSortByKindThenStreamThenNumber) {
    const std::vector<std::string> in_order = {
        state_key(),
        consumer_key("a"),
        consumer_key("b"),
        dedup_key(1),
        dedup_key(256),
        chunk_key(Stream::customer, 1),
        chunk_key(Stream::customer, 255),
        chunk_key(Stream::customer, 256),
        chunk_key(Stream::sales, 1),
        chunk_key(Stream::quarantine, 1),
        gap_key(Stream::customer, 1, ""),
        gap_key(Stream::customer, 256, ""),
        gap_key(Stream::customer, 1, "a"),
        gap_key(Stream::customer, 2, "a"),
        gap_key(Stream::customer, 1, "a-1"),
        gap_key(Stream::customer, 1, "a1"),
        gap_key(Stream::sales, 1, ""),
    };
    EXPECT_TRUE(std::is_sorted(in_order.begin(), in_order.end()));
    EXPECT_EQ(chunk_first(chunk_key(Stream::sales, 77)), 77U);
    EXPECT_TRUE(is_chunk_of(chunk_key(Stream::sales, 1), Stream::sales));
    EXPECT_FALSE(is_chunk_of(chunk_key(Stream::sales, 1), Stream::customer));
    EXPECT_FALSE(is_chunk_of(gap_key(Stream::sales, 1, ""), Stream::sales));
    EXPECT_EQ(gap_last(gap_key(Stream::sales, 77, "a")), 77U);
    EXPECT_EQ(gap_consumer(gap_key(Stream::sales, 77, "a")), "a");
    EXPECT_EQ(gap_consumer(gap_key(Stream::sales, 77, "")), "");
    EXPECT_LT(chunk_key(Stream::sales, ~Sequence{0}), chunk_end(Stream::sales));
    EXPECT_LT(gap_key(Stream::sales, ~Sequence{0}, "z"), gap_end(Stream::sales));
}

}  // namespace
}  // namespace touchpoint::store
