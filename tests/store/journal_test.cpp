// The journal in memory (/dev/shm), as in /run. Killing the process in mid-append is played by cutting the
// file at every byte; the real kill is in tests/crash.

#include "store/journal.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <time.h>

#include <chrono>
#include <fstream>
#include <functional>

#include "tests/store/store_fixture.hpp"
#include "tests/support/process.hpp"

namespace touchpoint::tests {
namespace {

using store::Incoming;
using store::Journal;
using store::JournalPosition;
using testing::ElementsAre;
using testing::IsEmpty;

// Of this thread: another load on the machine does not count. Compared with other work of the same build
// only.
std::chrono::nanoseconds cpu_time(const std::function<void()>& work) {
    const auto now = [] {
        timespec time{};
        ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
        return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
    };
    const auto before = now();
    work();
    return now() - before;
}

class JournalTest : public testing::Test {
  protected:
    static Incoming message(const std::string& payload) {
        Incoming made;
        made.received = {1'790'000'000'000};
        made.since_boot = std::chrono::milliseconds(77);
        made.clock_trusted = true;
        made.topic = "touchpoint/v1/pos/t1/event/sale";
        made.payload = payload;
        return made;
    }
    void open(const std::optional<JournalPosition>& committed = std::nullopt) {
        journal_.reset();
        auto opened = try_open(committed);
        ASSERT_TRUE(opened) << opened.error().context;
        journal_ = std::move(*opened);
    }
    Result<std::unique_ptr<Journal>> try_open(
        const std::optional<JournalPosition>& committed = std::nullopt) {
        return Journal::open(options_, committed, ++random_);
    }
    // Begins anew under a journal that did not end, as after kill -9 (the kernel keeps the file).
    void append(const std::string& payload) { ASSERT_TRUE(journal_->append(message(payload))); }
    std::vector<Journal::Frame> frames(std::uint64_t bytes_max = 1u << 20) {
        std::vector<Journal::Frame> all;
        while (journal_->read_position() != journal_->end()) {
            auto some = journal_->read(bytes_max);
            EXPECT_TRUE(some);
            if (!some) return all;
            std::move(some->begin(), some->end(), std::back_inserter(all));
        }
        return all;
    }
    std::vector<std::string> payloads(std::uint64_t bytes_max = 1u << 20) {
        std::vector<std::string> all;
        for (const Journal::Frame& frame : frames(bytes_max)) all.push_back(frame.message.payload);
        return all;
    }
    // Of so many frames of a megabyte, each hashed once.
    std::chrono::nanoseconds cost_of_reading(int count) {
        const std::string megabyte(1'000'000, 'x');
        return cpu_time([&] {
            for (int i = 0; i < count; ++i) {
                append(megabyte);
                EXPECT_TRUE(payloads() == std::vector<std::string>{megabyte});
                journal_->cut(journal_->end());
            }
        });
    }
    std::filesystem::path file() const { return folder_.path() / "journal"; }
    std::uint64_t blocks_bytes() const {
        struct stat found {};
        EXPECT_EQ(::stat(file().c_str(), &found), 0);
        return static_cast<std::uint64_t>(found.st_blocks) * 512;
    }
    void flip(std::uint64_t offset) {
        std::fstream bytes(file(), std::ios::in | std::ios::out | std::ios::binary);
        bytes.seekg(static_cast<std::streamoff>(offset));
        const char was = static_cast<char>(bytes.get());
        bytes.seekp(static_cast<std::streamoff>(offset));
        bytes.put(static_cast<char>(was ^ 0x10));
    }

    const TempFolder folder_{memory_folder()};
    Journal::Options options_{.folder = folder_.path(), .boot_id = "boot-1", .reserve_bytes = 64u << 10};
    std::uint64_t random_ = 0;
    std::unique_ptr<Journal> journal_;
};

TEST_F(JournalTest, AMessageComesBackWithEverythingThatCameWithIt) {
    Incoming full = message("{\"query\":\"oat milk\"}");
    full.dup = true;
    full.retain = true;
    full.clock_trusted = false;
    full.content_type = "application/json";
    full.response_topic = "touchpoint/v1/pos/t1/receipt";
    full.correlation_data = std::string("\0\1\2", 3);
    full.user_properties = {{"event_id", "a1"}, {"", ""}};
    open();
    ASSERT_TRUE(journal_->append(full));
    ASSERT_TRUE(journal_->append(message("")));
    const auto all = frames();
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].message, full);
    EXPECT_EQ(all[1].message, message(""));
    EXPECT_EQ(all[0].end, all[1].offset);
    EXPECT_EQ(all[1].end, journal_->end());
    EXPECT_TRUE(all[0].may_be_decoded);
}

TEST_F(JournalTest, OfATooLargeMessageTheBeginningIsKeptAndTheRestIsCounted) {
    // Refusing it would end the process, and the broker would send it again for ever.
    options_.message_bytes_max = 10'000;
    open();
    Incoming properties = message("{}");
    properties.user_properties = {{"a", std::string(6'000, 'x')}, {"b", std::string(6'000, 'y')}};
    ASSERT_TRUE(journal_->append(properties));
    append(std::string(20'000, 'z'));
    append("next");
    open();
    const auto all = frames();
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(all[0].message.topic, properties.topic);
    EXPECT_EQ(all[0].message.payload, "{}");
    EXPECT_THAT(all[0].message.user_properties, IsEmpty());
    EXPECT_GE(all[0].message.left_out_bytes, 12'000U);
    EXPECT_EQ(all[1].message.payload, std::string(4'096, 'z'));
    EXPECT_EQ(all[1].message.left_out_bytes, 20'000U - 4'096U);
    EXPECT_EQ(all[2].message.payload, "next");
    EXPECT_EQ(all[2].message.left_out_bytes, 0U);
}

TEST_F(JournalTest, WhatIsNotCommittedComesAgainAfterAKill) {
    open();
    for (const char* text : {"one", "two", "three"}) append(text);
    const auto all = frames();
    const JournalPosition committed = journal_->position(all[0].end);
    open(committed);
    EXPECT_THAT(payloads(), ElementsAre("two", "three"));
    EXPECT_EQ(journal_->position(0).journal_id, committed.journal_id);
    append("four");
    open(committed);
    EXPECT_THAT(payloads(), ElementsAre("two", "three", "four"));
}

TEST_F(JournalTest, ATornEndIsCutOffAtEveryLength) {
    open();
    for (const char* text : {"one", "two"}) append(text);
    const std::uint64_t two_end = journal_->end();
    append("three");
    const std::uint64_t three_end = journal_->end();
    const JournalPosition begin = journal_->position(0);
    const std::string whole = read_file(file());
    for (std::uint64_t length = two_end; length < three_end; ++length) {
        journal_.reset();
        write_file(file(), whole.substr(0, length));
        open(begin);
        EXPECT_EQ(journal_->end(), two_end);
        append("new");
        EXPECT_THAT(payloads(), ElementsAre("one", "two", "new")) << "cut at " << length;
    }
}

// Where the kernel had grown the file and not yet copied the bytes.
TEST_F(JournalTest, ZerosBehindTheLastFrameAreCutOff) {
    open();
    append("one");
    const JournalPosition begin = journal_->position(0);
    const std::uint64_t end = journal_->end();
    journal_.reset();
    std::filesystem::resize_file(file(), end + 10'000);
    open(begin);
    EXPECT_EQ(journal_->end(), end);
    EXPECT_THAT(payloads(), ElementsAre("one"));
}

TEST_F(JournalTest, ADamagedFrameIsSkippedAndLaterOnesStillCome) {
    open();
    append("one");
    const std::uint64_t second = journal_->end();
    append("two");
    const std::uint64_t third = journal_->end();
    append("three");
    const JournalPosition begin = journal_->position(0);
    const std::string good = read_file(file());
    for (std::uint64_t at = second; at < third; ++at) {
        journal_.reset();
        write_file(file(), good);
        flip(at);
        open(begin);
        EXPECT_THAT(payloads(), ElementsAre("one", "three")) << "byte " << at - second << " of the frame";
    }
}

TEST_F(JournalTest, ALargeDamagedFrameDoesNotTakeItsLargeNeighbourAlong) {
    open();
    append("one");
    const std::uint64_t second = journal_->end();
    append(std::string(900'000, 'x'));
    append(std::string(600'000, 'y'));
    append("four");
    flip(second + 100);
    const auto all = payloads(64u << 10);
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(all[1], std::string(600'000, 'y'));
}

// Many heads of frames, each of which claims half of what there is.
std::string looks_like_frames(std::size_t bytes) {
    std::string text;
    for (const auto claimed = static_cast<std::uint32_t>(bytes / 2); text.size() < bytes;) {
        text += "TPJ1";
        for (int shift = 0; shift < 32; shift += 8) text += static_cast<char>(claimed >> shift & 0xff);
    }
    return text;
}

TEST_F(JournalTest, APayloadThatLooksLikeFramesIsReadLikeAnyOther) {
    open();
    const auto forty_of = [&](const std::string& payload) {
        return cpu_time([&] {
            for (int i = 0; i < 40; ++i) {
                append(payload);
                EXPECT_TRUE(payloads(256u << 10) == std::vector<std::string>{payload});
            }
        });
    };
    const auto any_other = forty_of(std::string(262'144, 'x'));
    EXPECT_LT(forty_of(looks_like_frames(262'144)), 5 * any_other);
}

TEST_F(JournalTest, TheSearchBehindADamagedHeadIsBoundedWhateverADeviceSent) {
    open();
    append("one");
    const std::uint64_t second = journal_->end();
    append(looks_like_frames(1'000'000));
    append("three");
    const JournalPosition begin = journal_->position(0);
    flip(second);
    const auto search = cpu_time([&] { EXPECT_EQ(payloads().front(), "one"); });
    EXPECT_EQ(journal_->read_position(), journal_->end());
    const auto at_open = cpu_time([&] { open(begin); });
    EXPECT_THAT(payloads(), ElementsAre("one"));
    // Without a bound it is four hundred times as much.
    const auto largest_search = cost_of_reading(64);
    EXPECT_LT(search, 5 * largest_search);
    EXPECT_LT(at_open, 5 * largest_search);
}

TEST_F(JournalTest, BehindADamagedBodyNothingIsSearched) {
    open();
    append(looks_like_frames(1'000'000));
    append("two");
    flip(500'000);
    const auto search = cpu_time([&] { EXPECT_THAT(payloads(), ElementsAre("two")); });
    EXPECT_LT(search, cost_of_reading(30));
}

TEST_F(JournalTest, AFrameThatIsLargerThanAReadComesAlone) {
    open();
    append(std::string(300'000, 'x'));
    for (int i = 0; i < 40; ++i) append(std::string(100'000, 'y'));
    auto read = journal_->read(256u << 10);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->size(), 1U);
    read = journal_->read(256u << 10);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->size(), 2U);
}

TEST_F(JournalTest, SmallReadsGiveEveryFrameOnceInOrder) {
    open();
    std::vector<std::string> expected;
    for (int i = 0; i < 50; ++i) {
        expected.push_back(std::string(static_cast<std::size_t>(i) * 37 % 1'000, 'a') + std::to_string(i));
        append(expected.back());
    }
    EXPECT_EQ(payloads(1), expected);
    EXPECT_THAT(payloads(), IsEmpty());
}

TEST_F(JournalTest, AnotherJournalThanTheStoreKnowsIsGivenAsPossibleRepeats) {
    open();
    append("one");
    open(JournalPosition{std::string(32, 'f'), "boot-1", 1'000'000});
    append("two");
    const auto all = frames();
    ASSERT_EQ(all.size(), 2U);
    EXPECT_TRUE(all[0].message.dup);
    EXPECT_FALSE(all[1].message.dup);
}

TEST_F(JournalTest, AJournalShorterThanTheStoreHasSeenBeginsAnew) {
    open();
    append("one");
    JournalPosition committed = journal_->position(journal_->end());
    append("two");
    committed.offset = journal_->end() + 1;
    open(committed);
    EXPECT_THAT(payloads(), IsEmpty());
    EXPECT_NE(journal_->position(0).journal_id, committed.journal_id);
}

TEST_F(JournalTest, AfterAPowerCutANewJournalHasAnotherId) {
    open();
    append("one");
    const JournalPosition committed = journal_->position(journal_->end());
    journal_.reset();
    std::filesystem::remove(file());
    options_.boot_id = "boot-2";
    open(committed);
    EXPECT_THAT(payloads(), IsEmpty());
    const JournalPosition now = journal_->position(journal_->end());
    EXPECT_NE(now.journal_id, committed.journal_id);
    EXPECT_EQ(now.boot_id, "boot-2");
    append("two");
    open(committed);  // the old position is not taken for one of the new journal
    EXPECT_THAT(payloads(), ElementsAre("two"));
}

TEST_F(JournalTest, AFrameUnderWhichTheProcessDiedTwiceIsNotToBeDecoded) {
    open();
    append("good");
    append("poison");
    const JournalPosition begin = journal_->position(0);
    for (int death = 0; death < 2; ++death) {
        const auto all = frames();
        ASSERT_EQ(all.size(), 2U);
        EXPECT_TRUE(all[1].may_be_decoded) << "after " << death << " deaths";
        journal_->decoding(all[0]);
        journal_->decoded();
        journal_->decoding(all[1]);
        open(begin);  // died
    }
    const auto all = frames();
    ASSERT_EQ(all.size(), 2U);
    EXPECT_TRUE(all[0].may_be_decoded);
    EXPECT_FALSE(all[1].may_be_decoded);
    EXPECT_EQ(all[1].message.payload, "poison");
}

TEST_F(JournalTest, DeathsUnderDifferentFramesBlameNone) {
    open();
    append("one");
    append("two");
    const JournalPosition begin = journal_->position(0);
    for (const std::size_t victim : {0, 1, 0}) {
        journal_->decoding(frames()[victim]);
        open(begin);
    }
    for (const Journal::Frame& frame : frames()) EXPECT_TRUE(frame.may_be_decoded);
}

TEST_F(JournalTest, ACutGivesTheSpaceBack) {
    open();
    for (int i = 0; i < 200; ++i) append(std::string(10'000, 'x'));
    EXPECT_GT(blocks_bytes(), 2'000'000U);
    EXPECT_GT(journal_->uncut_bytes(), 2'000'000U);
    const std::uint64_t end = journal_->end();
    journal_->cut(end);
    EXPECT_LT(blocks_bytes(), 100'000U + options_.reserve_bytes);
    EXPECT_EQ(journal_->uncut_bytes(), 0U);
    journal_->cut(5'000);  // a lower one changes nothing
    EXPECT_EQ(journal_->uncut_bytes(), 0U);
    append("after");
    open(JournalPosition{journal_->position(0).journal_id, "boot-1", 4'096});  // behind the cut
    EXPECT_THAT(payloads(), testing::Contains("after"));
}

TEST_F(JournalTest, TheSoftBoundSaysStopAndHalfOfItSaysGoOn) {
    options_.soft_bytes = 100'000;
    options_.hard_bytes = 200'000;
    open();
    std::vector<std::uint64_t> ends;
    while (!journal_->above_soft_bound()) append(std::string(10'000, 'x')), ends.push_back(journal_->end());
    EXPECT_FALSE(journal_->below_resume_bound());
    journal_->cut(ends[2]);
    EXPECT_FALSE(journal_->above_soft_bound());
    EXPECT_EQ(journal_->reserve_used(), 0);
    EXPECT_FALSE(journal_->below_resume_bound());
    journal_->cut(ends[6]);
    EXPECT_TRUE(journal_->below_resume_bound());
    while (journal_->uncut_bytes() < 150'000) append(std::string(10'000, 'x'));
    EXPECT_NEAR(journal_->reserve_used(), 0.5, 0.11);
    Result<void> appended;
    for (int i = 0; i < 100 && appended; ++i) appended = journal_->append(message(std::string(10'000, 'x')));
    ASSERT_FALSE(appended);
    EXPECT_EQ(appended.error().code, Errc::full);
    EXPECT_LE(journal_->uncut_bytes(), options_.hard_bytes + 11'000);
}

TEST_F(JournalTest, SpaceIsTakenAheadOfTheEnd) {
    open();
    const std::uint64_t before = blocks_bytes();
    EXPECT_GE(before, options_.reserve_bytes);
    append(std::string(options_.reserve_bytes / 2, 'x'));
    EXPECT_EQ(blocks_bytes(), before);  // it went into what was reserved
    EXPECT_TRUE(journal_->reserve());
    EXPECT_GT(blocks_bytes(), before);
}

TEST_F(JournalTest, WhatItHoldsIsReadAlsoWhereTheFolderHasNoRoomForMore) {
    open();
    append("one");
    options_.reserve_bytes = 1ull << 50;  // more than any folder in memory has
    open();
    EXPECT_THAT(payloads(), ElementsAre("one"));
    EXPECT_FALSE(journal_->reserve());
}

TEST_F(JournalTest, ASecondGatewayIsRefused) {
    open();
    const auto second = try_open();
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::locked);
}

TEST_F(JournalTest, AFileThatIsNoJournalBeginsAnew) {
    write_file(file(), std::string(9'000, 'z'));
    open();
    EXPECT_THAT(payloads(), IsEmpty());
    append("one");
    open(journal_->position(0));
    EXPECT_THAT(payloads(), ElementsAre("one"));
}

TEST_F(JournalTest, AnEmptyJournalWithFarOffsetsBeginsAnewAtTheNextOpen) {
    open();
    append("one");
    const std::string id = journal_->position(0).journal_id;
    journal_->cut(journal_->end());
    open(journal_->position(journal_->end()));
    EXPECT_EQ(journal_->position(0).journal_id, id);  // near: it goes on
    EXPECT_GT(journal_->end(), 4'096U);
}

}  // namespace
}  // namespace touchpoint::tests
