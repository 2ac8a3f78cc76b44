// Counts what a process writes to the disk and how often it asks for a flush, by standing in front of libc's
// calls (liblmdb's calls come here too). Linked into bench_commit; loaded into touchpointd with LD_PRELOAD.
//
//   BENCH_CALLS_FILE   file that holds the counters, mapped shared: readable while the process runs
//   BENCH_FLUSH_US     a flush, and a write through a descriptor with O_DSYNC, takes so long more: a slow
//   disk
//
// Threads: any.
#pragma once

#include <atomic>
#include <cstdint>

namespace touchpoint::bench {

// Of all files with one name. The order stands in run's Python, too.
struct DiskCalls {
    std::atomic<std::uint64_t> writes;        // calls
    std::atomic<std::uint64_t> bytes;         // sum of their lengths
    std::atomic<std::uint64_t> pages;         // of 4,096 bytes that each call touched
    std::atomic<std::uint64_t> zeros;         // of the bytes: the file filled ahead
    std::atomic<std::uint64_t> dsync_writes;  // through a descriptor with O_DSYNC or O_SYNC
    std::atomic<std::uint64_t> flushes;       // fdatasync, fsync
};
struct AllDiskCalls {
    DiskCalls events;  // .../events/data.mdb
    DiskCalls cache;   // .../cache/data.mdb
    DiskCalls log;     // .../segment.log
    std::atomic<std::uint64_t> flush_us;
};

AllDiskCalls& disk_calls();

}  // namespace touchpoint::bench
