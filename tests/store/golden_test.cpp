// A store of each format that was ever released, as a shop's box holds it, must open and say the same for
// ever.
//
// tests/fixtures/store/format-N/data.mdb was written once, by the test DISABLED_WritesTheGoldenFile below:
//     tests_store --gtest_also_run_disabled_tests --gtest_filter='*WritesTheGoldenFile'
// Run it only for a new format, into a folder of its own; the files of older formats stay as they are.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "store/environment.hpp"
#include "store/records.hpp"
#include "tests/store/store_fixture.hpp"
#include "tests/support/process.hpp"

namespace touchpoint::tests {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const std::filesystem::path golden = std::filesystem::path(SOURCE_DIR) / "tests/fixtures/store" /
                                     ("format-" + std::to_string(store::format_version));

class GoldenStore : public StoreFixture {
  protected:
    void configure() {
        store::ConsumerSpec platform = reads_all("platform");
        platform.streams[Stream::quarantine] = false;
        options_.consumers = {platform, reads_all("analytics")};
        options_.random = [n = std::uint64_t{0x0123456789abcdef}]() mutable { return n++; };
    }
};

TEST_F(GoldenStore, DISABLED_WritesTheGoldenFile) {
    configure();
    open();
    put({event("gone")});
    put({event("e2"), event("e3", Stream::sales, std::string(3'000, 'x'))}, 5'000);
    put({event("e2", Stream::sales, "other content")}, 6'000);
    put({anonymous("i1", Stream::interactions), event("c1", Stream::customer),
         event("q1", Stream::quarantine)},
        7'000);
    store_->record_gap({Stream::sales, "platform", 3, 3, "parked", "\"status\":422", clock_.utc()});
    ASSERT_TRUE(store_->acknowledge("platform", Stream::sales, 1));
    ASSERT_TRUE(store_->acknowledge("analytics", Stream::sales, 1));
    store::ConsumerSpec pull;
    pull.name = "pull";
    pull.streams[Stream::customer] = true;
    ASSERT_TRUE(store_->put_consumer(pull, store::From::latest));
    ASSERT_TRUE(wait_for([&] { return store_->stats().first[Stream::sales] == 2; }));
    close();
    std::uint64_t used = 0;
    {
        const auto environment =
            store::Environment::open({.folder = options_.folder, .map_bytes = 64u << 20});
        used = (*environment)->used_bytes();
    }
    std::filesystem::create_directories(golden);
    std::filesystem::copy_file(options_.folder / "data.mdb", golden / "data.mdb",
                               std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(golden / "data.mdb", used);  // without the zeros ahead
}

TEST_F(GoldenStore, SaysWhatItSaidWhenItWasWritten) {
    if (sizeof(void*) != 8 || ::sysconf(_SC_PAGESIZE) != 4096)
        GTEST_SKIP() << "LMDB files are bound to the machine";
    configure();
    std::filesystem::create_directories(options_.folder);
    std::filesystem::copy_file(golden / "data.mdb", options_.folder / "data.mdb");
    std::filesystem::permissions(options_.folder / "data.mdb", std::filesystem::perms::owner_all);
    open();
    EXPECT_EQ(store_->epoch(), "0123456789abcdf0");
    EXPECT_THAT(seen(Stream::sales, 1, "analytics"), ElementsAre("e2", "e3", "e2"));
    EXPECT_THAT(seen(Stream::sales, 1, "platform"), ElementsAre("e2", "parked 3-3", "e2"));
    EXPECT_THAT(seen(Stream::interactions), ElementsAre("i1"));
    EXPECT_THAT(seen(Stream::customer), ElementsAre("c1"));
    EXPECT_THAT(seen(Stream::quarantine), ElementsAre("q1"));
    EXPECT_THAT(seen(Stream::telemetry), IsEmpty());
    const auto slice = store_->make_reader()->read(Stream::sales, 3, "analytics", {});
    ASSERT_EQ(slice->events.size(), 1U);
    EXPECT_EQ(slice->events[0].members, "\"idreused\":true,\"id\":\"e2\",\"data\":\"other content\"");
    EXPECT_EQ(slice->events[0].recorded, (UtcTime{1'790'000'000'000}));
    EXPECT_EQ(store_->acknowledged("platform", Stream::sales), 1U);
    EXPECT_EQ(store_->acknowledged("pull", Stream::customer), 1U);
    for (const store::ConsumerState& one : store_->stats().consumers) {
        EXPECT_EQ(one.kind == store::ConsumerKind::pull, one.name == "pull");
        EXPECT_EQ(one.since, (UtcTime{1'790'000'000'000}));
    }
    EXPECT_EQ(store_->journal_position(), (store::JournalPosition{"journal-1", "boot-1", 7'000}));
    // Its window knows what it stored, also what is gone; its numbers go on.
    Event gone = event("gone");
    gone.ticket = 1;
    Event fresh = event("fresh");
    fresh.ticket = 2;
    put({gone, fresh});
    EXPECT_EQ(verdict(1), Verdict::duplicate);
    EXPECT_EQ(verdict(2), Verdict::stored);
    EXPECT_EQ(store_->horizon(Stream::sales), 5U);
}

}  // namespace
}  // namespace touchpoint::tests
