#include "store/journal.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "gateway/core/assert.hpp"
#include "gateway/core/log.hpp"
#include "store/bytes.hpp"

namespace touchpoint::store {
namespace {

constexpr std::uint64_t page = 4096;
constexpr std::uint64_t first_frame = page;  // behind the header page
constexpr char file_magic[8] = {'T', 'P', 'J', 'R', 'N', 'L', '0', '1'};
constexpr std::uint32_t frame_magic = 0x314a5054;  // "TPJ1"
constexpr std::size_t frame_head_bytes = 16;       // magic 4, body length 4, checksum 8
// More is never written, and never believed when read: the largest payload that can be configured (16 MiB),
// and as much again as usual for its topic and properties.
constexpr std::uint32_t body_bytes_max = 17u << 20;
// What is kept of a payload when the message is larger than the journal takes: enough to see what it was.
constexpr std::size_t kept_of_too_large = 4096;
// Hashed at most in search of a frame behind a damaged head: what looks like one inside a payload was written
// by a device, and may claim any length.
constexpr std::uint64_t search_hashed_bytes_max = 64u << 20;
// An empty journal whose offsets have come this far begins anew at the next open.
constexpr std::uint64_t begin_anew_bytes = 1u << 30;

std::string error_text(const std::filesystem::path& path, const char* doing) {
    return std::string("cannot ") + doing + " " + path.string() + ": " + std::strerror(errno);
}

// Seeded with the journal's id and the frame's place: old bytes at another place, or of another journal, are
// never taken for a frame.
std::uint64_t frame_checksum(std::string_view body, std::string_view journal_id, std::uint64_t offset) {
    return XXH3_64bits_withSeed(body.data(), body.size(),
                                XXH3_64bits(journal_id.data(), journal_id.size()) ^ offset);
}

void append_body(std::string& out, const Incoming& message) {
    append_little(out, static_cast<std::uint64_t>(message.received.ms));
    append_little(out, static_cast<std::uint64_t>(message.since_boot.count()));
    append_little(
        out, static_cast<std::uint8_t>((message.clock_trusted ? 1 : 0) | (message.dup ? 2 : 0) |
                                       (message.retain ? 4 : 0) | (message.left_out_bytes != 0 ? 8 : 0)));
    if (message.left_out_bytes != 0) append_little(out, message.left_out_bytes);
    append_text(out, message.topic);
    append_text(out, message.payload);
    append_text(out, message.content_type);
    append_text(out, message.response_topic);
    append_text(out, message.correlation_data);
    append_little(out, static_cast<std::uint32_t>(message.user_properties.size()));
    for (const auto& [key, value] : message.user_properties) {
        append_text(out, key);
        append_text(out, value);
    }
}

// Of what the sender decides; a text's length and the fixed fields are little beside it.
std::uint64_t bytes_of(const Incoming& message) {
    std::uint64_t bytes = message.topic.size() + message.payload.size() + message.content_type.size() +
                          message.response_topic.size() + message.correlation_data.size();
    for (const auto& [key, value] : message.user_properties) bytes += key.size() + value.size() + 8;
    return bytes;
}

Incoming beginning_of(const Incoming& message) {
    Incoming kept;
    kept.received = message.received;
    kept.since_boot = message.since_boot;
    kept.clock_trusted = message.clock_trusted;
    kept.dup = message.dup;
    kept.retain = message.retain;
    kept.topic = message.topic;
    kept.payload = message.payload.substr(0, kept_of_too_large);
    kept.left_out_bytes = bytes_of(message) - bytes_of(kept);
    return kept;
}

bool read_body(std::string_view body, Incoming& message) {
    ByteReader in(body);
    message.received.ms = static_cast<std::int64_t>(in.little<std::uint64_t>());
    message.since_boot = std::chrono::milliseconds(static_cast<std::int64_t>(in.little<std::uint64_t>()));
    const auto flags = in.little<std::uint8_t>();
    message.clock_trusted = (flags & 1) != 0;
    message.dup = (flags & 2) != 0;
    message.retain = (flags & 4) != 0;
    if ((flags & 8) != 0) message.left_out_bytes = in.little<std::uint64_t>();
    message.topic = in.text();
    message.payload = in.text();
    message.content_type = in.text();
    message.response_topic = in.text();
    message.correlation_data = in.text();
    const auto properties = in.little<std::uint32_t>();
    for (std::uint32_t i = 0; i < properties && in.ok(); ++i) {
        std::string key(in.text());
        std::string value(in.text());
        message.user_properties.emplace_back(std::move(key), std::move(value));
    }
    return in.ok() && in.at_end();
}

struct FrameHead {
    bool plausible = false;
    std::uint32_t body_bytes = 0;
    std::uint64_t checksum = 0;
};

FrameHead read_head(std::string_view bytes) {
    ByteReader in(bytes);
    FrameHead head;
    const auto magic = in.little<std::uint32_t>();
    head.body_bytes = in.little<std::uint32_t>();
    head.checksum = in.little<std::uint64_t>();
    head.plausible = in.ok() && magic == frame_magic && head.body_bytes <= body_bytes_max;
    return head;
}

// Where the frame at `at` (an index into `bytes`, which begin at file offset `base`) ends; 0: none is there
// whole.
std::size_t frame_end(std::string_view bytes, std::size_t at, std::uint64_t base,
                      std::string_view journal_id) {
    if (bytes.size() - at < frame_head_bytes) return 0;
    const FrameHead head = read_head(bytes.substr(at));
    if (!head.plausible || bytes.size() - at - frame_head_bytes < head.body_bytes) return 0;
    const std::string_view body = bytes.substr(at + frame_head_bytes, head.body_bytes);
    if (frame_checksum(body, journal_id, base + at) != head.checksum) return 0;
    return at + frame_head_bytes + head.body_bytes;
}

// The next whole frame behind the damaged one at `at`; npos: none. Where only its body is damaged, its head
// tells where that is.
std::size_t next_frame(std::string_view bytes, std::size_t at, std::uint64_t base,
                       std::string_view journal_id) {
    constexpr std::string_view magic_text("TPJ1", 4);
    if (const FrameHead head = read_head(bytes.substr(at)); head.plausible) {
        const std::uint64_t claimed = at + frame_head_bytes + head.body_bytes;
        if (claimed < bytes.size() && frame_end(bytes, claimed, base, journal_id) != 0) return claimed;
    }
    std::uint64_t hashed = 0;
    while ((at = bytes.find(magic_text, at + 1)) != std::string_view::npos) {
        const FrameHead head = read_head(bytes.substr(at));
        if (!head.plausible || bytes.size() - at - frame_head_bytes < head.body_bytes) continue;
        hashed += head.body_bytes;
        if (hashed > search_hashed_bytes_max) break;
        if (frame_end(bytes, at, base, journal_id) != 0) return at;
    }
    return std::string_view::npos;
}

Result<void> read_exactly(int fd, std::vector<char>& into, std::uint64_t offset, std::size_t size) {
    into.resize(size);
    std::size_t done = 0;
    while (done < size) {
        const ssize_t n = ::pread(fd, into.data() + done, size - done, static_cast<off_t>(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(Errc::io, std::string("journal: ") + std::strerror(errno));
        if (n == 0) break;
        done += static_cast<std::size_t>(n);
    }
    into.resize(done);
    return {};
}

std::string hex_of(std::uint64_t a, std::uint64_t b) {
    constexpr char digits[] = "0123456789abcdef";
    std::string text(32, '0');
    for (int i = 0; i < 16; ++i) {
        text[static_cast<std::size_t>(15 - i)] = digits[(a >> (4 * i)) & 15];
        text[static_cast<std::size_t>(31 - i)] = digits[(b >> (4 * i)) & 15];
    }
    return text;
}

}  // namespace

// The first page of the file, mapped shared: a store into it survives kill -9 like a write.
struct Journal::Header {
    char magic[8];
    char id[40];       // 32 hex digits
    char boot_id[48];  // of the last open
    std::atomic<std::uint64_t> cut;
    std::atomic<std::uint64_t> decoding;  // offset of the frame that is being decoded; 0: none
    std::uint64_t suspect;                // the frame under which the process died last
    std::uint64_t deaths;                 // how often, in a row
};

Result<std::unique_ptr<Journal>> Journal::open(Options options,
                                               const std::optional<JournalPosition>& committed,
                                               std::uint64_t random) {
    static_assert(sizeof(Header) <= page && std::atomic<std::uint64_t>::is_always_lock_free);
    std::error_code made;
    std::filesystem::create_directories(options.folder, made);
    if (made) return fail(Errc::io, "cannot make " + options.folder.string() + ": " + made.message());

    std::unique_ptr<Journal> self(new Journal(std::move(options)));
    const std::filesystem::path path = self->options_.folder / "journal";
    const auto open_file = [&]() -> Result<void> {
        self->fd_ = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        if (self->fd_ < 0) return fail(Errc::io, error_text(path, "open"));
        if (::flock(self->fd_, LOCK_EX | LOCK_NB) != 0)
            return fail(Errc::locked, path.string() + " is in use by another gateway process");
        if (::fallocate(self->fd_, FALLOC_FL_KEEP_SIZE, 0, page) != 0)
            return fail(Errc::io, error_text(path, "take space for"));
        if (::lseek(self->fd_, 0, SEEK_END) < static_cast<off_t>(page) && ::ftruncate(self->fd_, page) != 0)
            return fail(Errc::io, error_text(path, "make"));
        void* mapped = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd_, 0);
        if (mapped == MAP_FAILED) return fail(Errc::io, error_text(path, "map"));
        self->header_ = static_cast<Header*>(mapped);
        return {};
    };
    if (const auto opened = open_file(); !opened) return opened.error();
    Header& header = *self->header_;

    const bool known = std::memcmp(header.magic, file_magic, sizeof file_magic) == 0;
    const auto file_end = static_cast<std::uint64_t>(::lseek(self->fd_, 0, SEEK_END));
    const std::string_view file_id(header.id, 32);
    std::uint64_t start = first_frame;
    bool repeats = false;
    bool anew = !known;
    if (known) {
        start = std::max(header.cut.load(), first_frame);
        if (committed && committed->journal_id == file_id) {
            start = std::max(start, committed->offset);
            // The file is shorter than what LMDB has seen: a copy of an older moment, of no use.
            anew = committed->offset > file_end;
            if (anew) log::warning("store", "the journal is older than the store, it begins anew");
        } else {
            repeats = true;  // nobody knows how much of it is in this store
        }
    }

    std::uint64_t end = start;
    if (!anew && file_end > start) {
        std::vector<char> bytes;
        if (const auto read = read_exactly(self->fd_, bytes, start, file_end - start); !read)
            return read.error();
        const std::string_view all(bytes.data(), bytes.size());
        std::size_t at = 0;
        for (;;) {
            const std::size_t next = frame_end(all, at, start, file_id);
            if (next == 0) {
                const std::size_t resumed = next_frame(all, at, start, file_id);
                if (resumed == std::string_view::npos) break;
                log::error("store", "journal damaged, bytes skipped",
                           {{"offset", start + at}, {"bytes", resumed - at}});
                at = resumed;
                continue;
            }
            at = next;
        }
        end = start + at;
        if (end < file_end) log::info("store", "journal: torn end cut off", {{"bytes", file_end - end}});
    }
    if (!anew && end == start && start > begin_anew_bytes) anew = true;
    if (anew) {
        if (::ftruncate(self->fd_, page) != 0) return fail(Errc::io, error_text(path, "begin anew"));
        // The place in the file and the boot decide little; the id must differ from every earlier one.
        const std::string id = hex_of(random, XXH3_64bits_withSeed(self->options_.boot_id.data(),
                                                                   self->options_.boot_id.size(), random));
        std::memset(static_cast<void*>(&header), 0, sizeof header);
        std::memcpy(header.id, id.data(), id.size());
        header.cut = first_frame;
        std::memcpy(header.magic, file_magic, sizeof file_magic);
        start = end = first_frame;
        repeats = false;
    } else if (::ftruncate(self->fd_, static_cast<off_t>(end)) != 0) {  // nothing old stands behind the end
        return fail(Errc::io, error_text(path, "cut"));
    }
    std::memset(header.boot_id, 0, sizeof header.boot_id);
    self->options_.boot_id.copy(header.boot_id, sizeof header.boot_id - 1);

    if (const std::uint64_t at = header.decoding.exchange(0); at != 0) {
        header.deaths = header.suspect == at ? header.deaths + 1 : 1;
        header.suspect = at;
    }
    if (header.deaths >= 2) self->suspect_offset_ = header.suspect;
    self->id_ = std::string(header.id, 32);
    self->cut_ = start;
    self->read_ = start;
    self->end_ = end;
    self->reserved_ = end;
    if (start / page > 1)  // what an earlier life had not given back yet
        ::fallocate(self->fd_, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, page,
                    static_cast<off_t>(start / page * page - page));
    self->repeats_until_ = repeats ? end : 0;
    // Not a reason to fail: what the journal itself holds may be what fills the folder, and is read from here
    // on. Until there is room reserve() says no, and the link stays closed.
    if (!self->reserve())
        log::warning("store", "no room for the journal's reserve, no messages are taken until there is",
                     {{"folder", self->options_.folder.string()}});
    return self;
}

Journal::~Journal() {
    if (header_ != nullptr) ::munmap(static_cast<void*>(header_), page);
    if (fd_ >= 0) ::close(fd_);
}

Result<void> Journal::append(const Incoming& message) {
    const std::uint64_t offset = end_.load(std::memory_order_relaxed);
    if (uncut_bytes() >= options_.hard_bytes) return fail(Errc::full, "journal beyond its hard bound");
    scratch_.assign(frame_head_bytes, '\0');
    append_body(scratch_, bytes_of(message) <= options_.message_bytes_max ? message : beginning_of(message));
    const std::string_view body = std::string_view(scratch_).substr(frame_head_bytes);
    TP_ASSERT(body.size() <= body_bytes_max);
    std::string head;
    append_little(head, frame_magic);
    append_little(head, static_cast<std::uint32_t>(body.size()));
    append_little(head, frame_checksum(body, id_, offset));
    head.copy(scratch_.data(), frame_head_bytes);
    std::size_t done = 0;
    while (done < scratch_.size()) {
        const ssize_t n =
            ::pwrite(fd_, scratch_.data() + done, scratch_.size() - done, static_cast<off_t>(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return fail(Errc::io, std::string("journal: ") + std::strerror(n < 0 ? errno : ENOSPC));
        done += static_cast<std::size_t>(n);
    }
    end_.store(offset + scratch_.size(), std::memory_order_release);
    return {};
}

Result<std::vector<Journal::Frame>> Journal::read(std::uint64_t bytes_max) {
    std::vector<Frame> frames;
    std::uint64_t from = read_.load(std::memory_order_relaxed);
    const std::uint64_t end = end_.load(std::memory_order_acquire);
    while (frames.empty() && from < end) {
        const std::uint64_t usual =
            std::min(end - from, std::max<std::uint64_t>(bytes_max, frame_head_bytes));
        if (const auto read = read_exactly(fd_, read_buffer_, from, usual); !read) return read.error();
        frames = whole_frames(from);
        if (!frames.empty()) break;
        // One that is larger than what was read tells its own size.
        const FrameHead head = read_head({read_buffer_.data(), read_buffer_.size()});
        const std::uint64_t size = frame_head_bytes + head.body_bytes;
        if (head.plausible && size > usual && size <= end - from) {
            if (const auto read = read_exactly(fd_, read_buffer_, from, size); !read) return read.error();
            frames = whole_frames(from);
            if (!frames.empty()) break;
        }
        const auto skipped = damaged_bytes(from, end);
        if (!skipped) return skipped.error();
        log::error("store", "journal damaged, bytes skipped", {{"offset", from}, {"bytes", *skipped}});
        from += *skipped;
    }
    if (read_buffer_.capacity() > 2 * bytes_max) std::vector<char>().swap(read_buffer_);
    if (!frames.empty()) from = frames.back().end;
    read_.store(from, std::memory_order_release);
    return frames;
}

// Those at the beginning of what was read from `from` on.
std::vector<Journal::Frame> Journal::whole_frames(std::uint64_t from) const {
    std::vector<Frame> frames;
    const std::string_view bytes(read_buffer_.data(), read_buffer_.size());
    std::size_t at = 0;
    while (const std::size_t next = frame_end(bytes, at, from, id_)) {
        Frame frame;
        frame.offset = from + at;
        frame.end = from + next;
        frame.may_be_decoded = frame.offset != suspect_offset_;
        const std::string_view body = bytes.substr(at + frame_head_bytes, next - at - frame_head_bytes);
        if (!read_body(body, frame.message)) frame.may_be_decoded = false;
        if (frame.offset < repeats_until_) frame.message.dup = true;
        frames.push_back(std::move(frame));
        at = next;
    }
    return frames;
}

// No whole frame is at `from` (never seen; memory gone bad): how far the next one is. Where none is found it
// is skipped rather than stood still, but for one that may begin near the end of what was looked at.
Result<std::uint64_t> Journal::damaged_bytes(std::uint64_t from, std::uint64_t end) {
    // Large enough for a damaged frame and a whole one behind it, both of the largest kind.
    constexpr std::uint64_t frame_bytes_max = body_bytes_max + frame_head_bytes;
    const std::uint64_t size = std::min(end - from, 2 * frame_bytes_max);
    if (const auto read = read_exactly(fd_, read_buffer_, from, size); !read) return read.error();
    const std::size_t next = next_frame({read_buffer_.data(), read_buffer_.size()}, 0, from, id_);
    if (next != std::string_view::npos) return next;
    return from + size == end ? size : size - frame_bytes_max;
}

void Journal::decoding(const Frame& frame) noexcept {
    header_->decoding.store(frame.offset, std::memory_order_release);
}
void Journal::decoded() noexcept { header_->decoding.store(0, std::memory_order_release); }

double Journal::reserve_used() const noexcept {
    const std::uint64_t uncut = uncut_bytes();
    if (uncut <= options_.soft_bytes) return 0;
    if (uncut >= options_.hard_bytes) return 1;
    return static_cast<double>(uncut - options_.soft_bytes) /
           static_cast<double>(options_.hard_bytes - options_.soft_bytes);
}

bool Journal::reserve() {
    const std::uint64_t end = end_.load(std::memory_order_acquire);
    std::uint64_t reserved = reserved_.load(std::memory_order_relaxed);
    if (reserved >= end + options_.reserve_bytes / 2) return true;
    const std::uint64_t from = std::max(reserved, end) & ~(page - 1);
    const std::uint64_t to = (end + options_.reserve_bytes + page - 1) & ~(page - 1);
    if (::fallocate(fd_, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(from), static_cast<off_t>(to - from)) != 0) {
        // A file system without fallocate cannot promise; it still takes writes.
        return errno == EOPNOTSUPP;
    }
    reserved_.store(to, std::memory_order_relaxed);
    return true;
}

void Journal::cut(std::uint64_t offset) {
    const std::uint64_t before = cut_.load(std::memory_order_relaxed);
    if (offset <= before) return;
    TP_ASSERT(offset <= end());
    header_->cut.store(offset, std::memory_order_release);
    cut_.store(offset, std::memory_order_release);
    const std::uint64_t from = std::max(before & ~(page - 1), page);
    const std::uint64_t to = offset & ~(page - 1);
    // Giving memory back is a service; where the file system cannot, the file is only larger.
    if (to > from)
        ::fallocate(fd_, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, static_cast<off_t>(from),
                    static_cast<off_t>(to - from));
}

JournalPosition Journal::position(std::uint64_t offset) const { return {id_, options_.boot_id, offset}; }

}  // namespace touchpoint::store
