// The journal: the kill-safe copy of what Paho handed over, until its group is durable in LMDB.
//
//     Paho's thread: append() ──> file in /run ──> loop: read() ──> admit ──> commit ──> horizon ──> store:
//     cut()
//
// It is the queue between the link and the loop, too: what is read is always read from the file, so a start
// after kill -9 goes the same way as every other moment, and memory does not grow with the backlog.
//
// Promised
//   A message whose append() returned survives kill -9 of this process at any instruction.
//   A torn frame at the end (killed inside append) is cut off at open(): its PUBACK never left.
//   Disk space for `reserve_bytes` is taken ahead, so append() does not fail when /run fills up.
// Not promised
//   Anything about a power cut: the file lives in memory (tmpfs). Receipts are for that.
//
// Threads: append() on one thread, read()/decoding()/decoded() on one, cut() on one; they may be three.
// On disk: store/README.md, "Journal".
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/core/result.hpp"
#include "store/incoming.hpp"

namespace touchpoint::store {

// Names the byte of one journal before which everything is in LMDB. Ids are 32 hex digits.
struct JournalPosition {
    std::string journal_id;
    std::string boot_id;
    std::uint64_t offset = 0;
    bool operator==(const JournalPosition&) const = default;
};

class Journal {
  public:
    struct Options {
        std::filesystem::path folder;  // made if missing, mode 0700
        std::string boot_id;           // of the running kernel; an argument, so that tests can cut the power
        // Uncut bytes at which `above_soft_bound()` says: close the link, the broker keeps the rest.
        std::uint64_t soft_bytes = 16u << 20;
        // Behind the soft bound, for what is still in flight. Beyond it append() fails.
        std::uint64_t hard_bytes = 64u << 20;
        // Of topic, payload and properties together. Of a larger message only the topic and the beginning of
        // the payload are kept: it must be answered to the broker, or it comes again for ever.
        std::uint64_t message_bytes_max = 1u << 20;
        // Taken ahead of the end.
        std::uint64_t reserve_bytes = 1u << 20;
    };

    struct Frame {
        std::uint64_t offset = 0;  // where it begins
        std::uint64_t end = 0;     // where the next one begins
        // False: the process died twice while this frame was being decoded; it goes to quarantine undecoded.
        bool may_be_decoded = true;
        Incoming message;
    };

    // `committed` is the position that LMDB holds. Frames behind it in the same journal are given by read();
    // a journal of another id is given from its cut on (its messages may be repeats: dup is set on them).
    // `random` makes the id of a new journal.
    // Fails with io (folder not writable) or locked.
    static Result<std::unique_ptr<Journal>> open(Options options,
                                                 const std::optional<JournalPosition>& committed,
                                                 std::uint64_t random);
    ~Journal();
    Journal(const Journal&) = delete;
    Journal& operator=(const Journal&) = delete;

    // After success the message survives kill -9 (larger than message_bytes_max: its beginning). A failure
    // (full beyond the hard bound, or io) means that the caller must not return to Paho: it aborts the
    // process, so that no PUBACK leaves.
    Result<void> append(const Incoming& message);

    // The next frames after the last read, at least one if there is one, up to `bytes_max`; one that is
    // larger comes alone. Behind a damaged place it searches for the next one within a bound. Never blocks.
    Result<std::vector<Frame>> read(std::uint64_t bytes_max);
    // Around the decoding of one frame; costs a store into shared memory.
    void decoding(const Frame& frame) noexcept;
    void decoded() noexcept;
    // Takes space ahead of the end; call it from a thread that may wait. False: /run is full, close the link.
    bool reserve();

    // Everything before `offset` is durable in LMDB: its space is given back. A lower one changes nothing.
    void cut(std::uint64_t offset);

    JournalPosition position(std::uint64_t offset) const;
    std::uint64_t end() const noexcept { return end_.load(std::memory_order_acquire); }
    std::uint64_t read_position() const noexcept { return read_.load(std::memory_order_acquire); }
    std::uint64_t uncut_bytes() const noexcept { return end() - cut_.load(std::memory_order_acquire); }
    bool above_soft_bound() const noexcept { return uncut_bytes() >= options_.soft_bytes; }
    // How much of the room between the two bounds is used: 0 to 1.
    double reserve_used() const noexcept;
    // Half of the soft bound: room enough to open the link again.
    bool below_resume_bound() const noexcept { return uncut_bytes() <= options_.soft_bytes / 2; }

  private:
    struct Header;
    explicit Journal(Options options) : options_(std::move(options)) {}
    std::vector<Frame> whole_frames(std::uint64_t from) const;
    Result<std::uint64_t> damaged_bytes(std::uint64_t from, std::uint64_t end);

    Options options_;
    std::string id_;
    int fd_ = -1;
    Header* header_ = nullptr;  // mapped shared: what stands in it survives kill -9
    std::atomic<std::uint64_t> end_{0};
    std::atomic<std::uint64_t> read_{0};
    std::atomic<std::uint64_t> cut_{0};
    std::atomic<std::uint64_t> reserved_{0};  // space is taken up to here
    std::uint64_t repeats_until_ = 0;         // frames before it may be repeats
    std::uint64_t suspect_offset_ = 0;        // frame under which the process died twice; 0: none
    std::string scratch_;                     // append()'s
    std::vector<char> read_buffer_;           // read()'s
};

}  // namespace touchpoint::store
