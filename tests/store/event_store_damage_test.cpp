// What is left when bytes on the disk are not what they were: never a wrong event, never a number given
// twice, and never less than what is still good.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "store/bytes.hpp"
#include "store/chunk.hpp"
#include "store/environment.hpp"
#include "store/records.hpp"
#include "tests/store/store_fixture.hpp"
#include "tests/support/process.hpp"

namespace touchpoint::tests {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class EventStoreDamageTest : public StoreFixture {
  protected:
    std::filesystem::path data() const { return options_.folder / "data.mdb"; }

    // Flips a bit `offset` bytes into every copy of the chunk that begins with `first` (old pages keep
    // copies).
    void damage_chunk(Sequence first, std::size_t offset) {
        constexpr std::size_t used_bytes_max = 1u << 20;  // behind it there are zeros
        std::string bytes(used_bytes_max, '\0');
        std::fstream file(data(), std::ios::in | std::ios::out | std::ios::binary);
        ASSERT_TRUE(file.read(bytes.data(), static_cast<std::streamsize>(bytes.size())));
        int found = 0;
        for (std::size_t at = bytes.find("TPC1"); at != std::string::npos; at = bytes.find("TPC1", at + 1)) {
            const auto header = store::read_header(std::string_view(bytes).substr(at));
            if (!header || header->first != first) continue;
            file.seekp(static_cast<std::streamoff>(at + offset));
            file.put(static_cast<char>(bytes[at + offset] ^ 4));
            ++found;
        }
        ASSERT_GE(found, 1);
    }
    void write_row(const std::string& key, const std::string& value) {
        auto environment = store::Environment::open({.folder = options_.folder, .map_bytes = 80u << 20});
        ASSERT_TRUE(environment);
        auto txn = (*environment)->begin_write();
        ASSERT_TRUE(txn);
        const auto table = txn->open_table("");
        ASSERT_TRUE(txn->put(*table, key, value));
        ASSERT_TRUE(txn->commit());
    }
    std::string row(const std::string& key) {
        auto environment = store::Environment::open({.folder = options_.folder, .map_bytes = 80u << 20});
        auto txn = (*environment)->begin_write();
        const auto found = txn->get(*txn->open_table(""), key);
        return found && *found ? std::string(**found) : "";
    }
};

// LMDB follows a damaged page wherever it points: without the look in a child, such a start dies, every time.
TEST_F(EventStoreDamageTest, ADamagedPageCostsAnEpochAndNotEveryStart) {
    for (const char garbage : {'\xff', '\x00', '\x5a'}) {
        close();
        options_.folder = folder_.path() / ("events-" + std::to_string(static_cast<unsigned char>(garbage)));
        options_.look_first = true;
        open();
        for (int i = 0; i < 200; ++i)
            put({event("e" + std::to_string(i), Stream::sales, std::string(900, 'x'))});
        const std::string epoch = store_->epoch();
        close();
        open();
        EXPECT_EQ(store_->epoch(), epoch) << "a sound file stays";
        EXPECT_FALSE(store_->stats().replaced);
        close();
        {
            std::fstream file(data(), std::ios::in | std::ios::out | std::ios::binary);
            file.seekp(2 * 4096);  // behind the meta pages: every page of the trees
            const std::string page(256u << 10, garbage);
            file.write(page.data(), static_cast<std::streamsize>(page.size()));
        }
        open();
        EXPECT_NE(store_->epoch(), epoch);
        EXPECT_TRUE(store_->stats().replaced);
        put({event("after", Stream::sales)});
        EXPECT_THAT(seen(Stream::sales), ElementsAre(HasSubstr("epoch"), "after"));
    }
}

TEST_F(EventStoreDamageTest, ADamagedChunkIsAGapAndTheRestIsRead) {
    for (const std::size_t offset : {0, 12, 40, 52}) {  // magic, a length, checksum, payload
        close();
        options_.folder = folder_.path() / ("events-" + std::to_string(offset));
        open();
        for (const char* id : {"e1", "e2", "e3"}) put({event(id, Stream::sales, std::string(300, 'x'))});
        close();
        damage_chunk(2, offset);
        open();
        EXPECT_THAT(seen(Stream::sales), ElementsAre("e1", "damaged 2-2", "e3")) << "offset " << offset;
        EXPECT_EQ(store_->horizon(Stream::sales), 3U);
    }
}

TEST_F(EventStoreDamageTest, ADamagedChunkIsDeletedWhenEverybodyHasPassedIt) {
    options_.consumers = {reads_all("platform")};
    open();
    for (const char* id : {"e1", "e2", "e3"}) put({event(id, Stream::sales, std::string(300, 'x'))});
    close();
    damage_chunk(2, 0);
    open();
    ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, 2));
    EXPECT_TRUE(wait_for([&] { return store_->stats().first[Stream::sales] == 3; }));
    EXPECT_EQ(store_->stats().events[Stream::sales], 1U);
}

TEST_F(EventStoreDamageTest, AFileThatIsNotOursIsSetAsideAndANewEpochSaysSo) {
    options_.consumers = {reads_all("platform")};
    open();
    put({event("a"), event("b")});
    ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, 1));
    const std::string old_epoch = store_->epoch();
    close();
    write_file(data(), std::string(100'000, 'x'));
    open();
    EXPECT_NE(store_->epoch(), old_epoch);
    EXPECT_TRUE(std::filesystem::exists(folder_.path() / "events.damaged-1" / "data.mdb"));
    for (const Stream stream : all_streams) {
        EXPECT_EQ(store_->horizon(stream), 1U);
        EXPECT_EQ(store_->acknowledged("platform", stream), 0U);
        const auto slice = store_->make_reader()->read(stream, 0, "platform", {});
        ASSERT_EQ(slice->gaps.size(), 1U);
        EXPECT_EQ(slice->gaps[0].reason, "epoch");
        EXPECT_THAT(slice->gaps[0].detail, HasSubstr("\"oldepoch\":\"" + old_epoch + "\""));
        EXPECT_THAT(slice->gaps[0].detail, HasSubstr("\"sales\":2"));
    }
    put({event("c")});
    EXPECT_THAT(seen(Stream::sales, 0, "platform"), ElementsAre("epoch 1-1", "c"));
    restart();
    EXPECT_THAT(seen(Stream::sales, 0, "platform"), ElementsAre("epoch 1-1", "c"));
    ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, 2));
    EXPECT_TRUE(wait_for([&] { return store_->stats().events[Stream::sales] == 0; }));
}

TEST_F(EventStoreDamageTest, AtMostThreeDamagedFoldersAreKept) {
    for (int i = 0; i < 5; ++i) {
        std::filesystem::create_directories(options_.folder);
        write_file(data(), std::string(9'000, static_cast<char>('0' + i)));
        open();
        close();
    }
    EXPECT_EQ(read_file(folder_.path() / "events.damaged-1" / "data.mdb")[0], '4');
    EXPECT_EQ(read_file(folder_.path() / "events.damaged-3" / "data.mdb")[0], '2');
    EXPECT_FALSE(std::filesystem::exists(folder_.path() / "events.damaged-4"));
}

TEST_F(EventStoreDamageTest, WhatAnEarlierRunFoundDamagedIsSetAside) {
    open();
    put({event("a")});
    close();
    write_file(options_.folder / "damaged", "1\n");
    open();
    EXPECT_THAT(seen(Stream::sales), ElementsAre("epoch 1-1"));
}

// A flipped bit in the state row could give numbers twice: better a new epoch.
TEST_F(EventStoreDamageTest, ADamagedStateRowBeginsANewEpoch) {
    open();
    put({event("a")});
    close();
    std::string state = row(store::state_key());
    state[30] = static_cast<char>(state[30] ^ 1);
    write_row(store::state_key(), state);
    open();
    EXPECT_THAT(seen(Stream::sales), ElementsAre("epoch 1-1"));
}

TEST_F(EventStoreDamageTest, ADamagedConsumerRowCostsItsPositionOnly) {
    options_.consumers = {reads_all("platform"), reads_all("analytics")};
    open();
    put({event("a")});
    put({event("b")});
    ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, 1));
    ASSERT_TRUE(store_->acknowledge("analytics", Stream::sales, 2));
    const std::string epoch = store_->epoch();
    close();
    write_row(store::consumer_key("platform"), "garbage");
    open();
    EXPECT_EQ(store_->epoch(), epoch);
    EXPECT_EQ(store_->acknowledged("platform", Stream::sales), 1U);  // the oldest event held is 2
    EXPECT_EQ(store_->acknowledged("analytics", Stream::sales), 2U);
}

TEST_F(EventStoreDamageTest, ADamagedDedupRowCostsItsIdsOnly) {
    open();
    put({event("a")});
    put({event("b")});
    close();
    write_row(store::dedup_key(2), "garbage");
    open();
    put({event("a"), event("b")});
    EXPECT_THAT(seen(Stream::sales), ElementsAre("a", "b", "a"));
}

TEST_F(EventStoreDamageTest, AStoreOfALaterReleaseIsLeftAlone) {
    open();
    put({event("a")});
    close();
    const std::string good = row(store::state_key());
    std::string later;
    store::append_little(later, store::format_version + 1);
    store::append_little(later, store::row_checksum(later));
    write_row(store::state_key(), later);
    const auto opened = try_open();
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Errc::format_too_new);
    EXPECT_FALSE(std::filesystem::exists(folder_.path() / "events.damaged-1"));
    write_row(store::state_key(), good);
    open();
    EXPECT_THAT(seen(Stream::sales), ElementsAre("a"));
}

TEST_F(EventStoreDamageTest, AFileOfAnotherWordSizeIsLeftAlone) {
    std::filesystem::create_directories(options_.folder);
    std::string page(16'384, '\0');
    page.replace(sizeof(void*) == 8 ? 12 : 16, 4,
                 "\xde\xc0\xef\xbe");  // LMDB's magic where the other size has it
    write_file(data(), page);
    const auto opened = try_open();
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Errc::wrong_machine);
    EXPECT_EQ(read_file(data()), page);
}

// Somebody removed the folder: the platform must not take the new numbers for the old ones' repeats.
TEST_F(EventStoreDamageTest, AStoreThatVanishedIsNamedByTheNewOne) {
    open();
    put({event("a")});
    const std::string old_epoch = store_->epoch();
    close();
    std::filesystem::remove_all(options_.folder);
    open();
    const auto slice = store_->make_reader()->read(Stream::sales, 0, "", {});
    ASSERT_EQ(slice->gaps.size(), 1U);
    EXPECT_THAT(slice->gaps[0].detail, HasSubstr(old_epoch));
}

// The note of the last numbers is not flushed: a power cut can leave anything of it, and it goes out as JSON.
TEST_F(EventStoreDamageTest, ATornNoteOfTheLastNumbersIsNotSentOn) {
    open();
    close();
    const std::filesystem::path note = options_.folder.string() + ".last-known";
    const std::string whole = read_file(note);
    ASSERT_GT(whole.size(), 20U);
    for (const std::string& torn :
         {whole.substr(0, 20), std::string(whole.size(), '\0'), std::string("{}}\n"), std::string()}) {
        std::filesystem::create_directories(options_.folder);
        write_file(options_.folder / "damaged", "1\n");
        write_file(note, torn);
        open();
        const auto slice = store_->make_reader()->read(Stream::sales, 0, "", {});
        ASSERT_EQ(slice->gaps.size(), 1U);
        EXPECT_EQ(slice->gaps[0].detail, "\"oldepoch\":null");
        close();
    }
}

TEST_F(EventStoreDamageTest, AFolderThatCannotBeMadeIsAnErrorNotALoss) {
    write_file(folder_.path() / "file", "");
    options_.folder = folder_.path() / "file" / "events";
    const auto opened = try_open();
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Errc::io);
}

}  // namespace
}  // namespace touchpoint::tests
