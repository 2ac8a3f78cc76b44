#include "store/chunk.hpp"

#include <xxhash.h>
#include <zstd.h>

#include "gateway/core/assert.hpp"
#include "store/bytes.hpp"

namespace touchpoint::store {
namespace {

constexpr std::string_view magic = "TPC1";
enum Codec : std::uint8_t { codec_raw = 0, codec_zstd = 1 };
constexpr std::uint8_t flag_untrusted = 1;  // our clock, when it was committed
// magic 4, codec 1, flags 1, reserved 2, events 4, raw 4, first 8, last 8, recorded 8, checksum 8
constexpr std::size_t header_bytes = 48;
constexpr std::size_t checksum_at = 40;

std::uint64_t checksum(std::string_view chunk) {
    return XXH3_64bits_withSeed(chunk.data() + header_bytes, chunk.size() - header_bytes,
                                XXH3_64bits(chunk.data(), checksum_at));
}

}  // namespace

struct ChunkPacker::Zstd {
    ZSTD_CCtx* context = ZSTD_createCCtx();
    ~Zstd() { ZSTD_freeCCtx(context); }
};

ChunkPacker::ChunkPacker() : zstd_(std::make_unique<Zstd>()) {}
ChunkPacker::~ChunkPacker() = default;

std::string_view ChunkPacker::pack(const ChunkHeader& header, std::string_view lines) {
    TP_ASSERT(header.events > 0 && header.last - header.first + 1 == header.events &&
              lines.size() <= event_line_bytes_max);
    packed_.resize(header_bytes + ZSTD_compressBound(lines.size()));
    std::size_t stored =
        ZSTD_compressCCtx(zstd_->context, packed_.data() + header_bytes, packed_.size() - header_bytes,
                          lines.data(), lines.size(), chunk_zstd_level);
    Codec codec = codec_zstd;
    if (ZSTD_isError(stored) != 0 || stored >= lines.size()) {
        codec = codec_raw;
        stored = lines.size();
        lines.copy(packed_.data() + header_bytes, lines.size());
    }
    packed_.resize(header_bytes + stored);

    std::string head;
    head += magic;
    append_little(head, static_cast<std::uint8_t>(codec));
    append_little(head, header.trusted ? std::uint8_t{0} : flag_untrusted);
    append_little(head, std::uint16_t{0});
    append_little(head, header.events);
    append_little(head, static_cast<std::uint32_t>(lines.size()));
    append_little(head, header.first);
    append_little(head, header.last);
    append_little(head, static_cast<std::uint64_t>(header.recorded.ms));
    TP_ASSERT(head.size() == checksum_at);
    head.copy(packed_.data(), checksum_at);
    head.clear();
    append_little(head, checksum(packed_));
    head.copy(packed_.data() + checksum_at, 8);
    return packed_;
}

Result<ChunkHeader> read_header(std::string_view chunk) {
    if (chunk.size() < header_bytes || !chunk.starts_with(magic)) return fail(Errc::damaged, "chunk header");
    ByteReader in(chunk.substr(magic.size() + 1));
    ChunkHeader header;
    header.trusted = (in.little<std::uint8_t>() & flag_untrusted) == 0;
    in.little<std::uint16_t>();
    header.events = in.little<std::uint32_t>();
    header.raw_bytes = in.little<std::uint32_t>();
    header.first = in.little<std::uint64_t>();
    header.last = in.little<std::uint64_t>();
    header.recorded.ms = static_cast<std::int64_t>(in.little<std::uint64_t>());
    if (header.events == 0 || header.last - header.first + 1 != header.events ||
        header.raw_bytes > event_line_bytes_max)
        return fail(Errc::damaged, "chunk header");
    return header;
}

Result<std::string> unpack(std::string_view chunk) {
    const Result<ChunkHeader> header = read_header(chunk);
    if (!header) return header.error();
    ByteReader sum(chunk.substr(checksum_at));
    if (sum.little<std::uint64_t>() != checksum(chunk)) return fail(Errc::damaged, "chunk checksum");
    const std::string_view payload = chunk.substr(header_bytes);
    std::string lines(header->raw_bytes, '\0');
    const auto codec = static_cast<std::uint8_t>(chunk[magic.size()]);
    if (codec == codec_raw) {
        if (payload.size() != lines.size()) return fail(Errc::damaged, "chunk length");
        payload.copy(lines.data(), lines.size());
    } else if (codec == codec_zstd) {
        const std::size_t size = ZSTD_decompress(lines.data(), lines.size(), payload.data(), payload.size());
        if (ZSTD_isError(size) != 0 || size != lines.size()) return fail(Errc::damaged, "chunk payload");
    } else {
        return fail(Errc::format_too_new, "chunk codec " + std::to_string(codec));
    }
    return lines;
}

}  // namespace touchpoint::store
