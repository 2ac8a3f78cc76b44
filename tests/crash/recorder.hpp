// Records what a program does to one file: the writes, and the flushes that make them durable. The test
// program itself defines write(), pwritev(), fdatasync() ... and exports them, so that LMDB calls them; they
// do the system call and take a note.
//
// What a power cut may leave is then a matter of replay (power_cut.hpp). Not recorded: stores into a mapping
// (LMDB makes none without MDB_WRITEMAP).
//
// Threads: any. One file at a time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace touchpoint::tests {

struct DiskOp {
    // written_through: by an O_DSYNC descriptor, durable at once.
    // zeros: a large write of nothing but zeros, as when a file is filled ahead; only its place is kept.
    // lost: a flush that failed. As with Linux, what it should have covered is dropped, and the next flush
    // succeeds without it.
    enum class Kind { write, written_through, zeros, flush, length, lost };
    Kind kind = Kind::write;
    std::uint64_t offset = 0;
    std::uint64_t end = 0;  // of length: the new length
    std::string data;
};

class Recorder {
  public:
    // From now on, also while the file does not exist yet. Each flush takes `flush_cost` longer, as it would
    // on a card: what is committed and not yet flushed stays so for a while.
    static void watch(const std::filesystem::path& file, std::chrono::microseconds flush_cost);
    // How many operations were noted. What is observed at position n was there before operation n.
    static std::size_t position();
    // Is asked before each write and flush (its data is left out): 0, or the errno with which it fails with
    // nothing done. Called by one thread at a time; must not write. Ends with stop() and watch(). As with
    // Linux, which tells it once for each descriptor, the next write by an O_DSYNC one is done and says EIO.
    static void refuse(std::function<int(const DiskOp&)> why);
    // A new descriptor knows nothing of a flush that failed before.
    static void opened_again();
    // What was noted so far; the watch goes on.
    static std::vector<DiskOp> noted();
    static std::vector<DiskOp> stop();
};

}  // namespace touchpoint::tests
