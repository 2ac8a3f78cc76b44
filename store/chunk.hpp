// A chunk: the events of one stream in one commit, as one LMDB value. Pure: bytes in, bytes out.
// On disk: store/README.md, "Chunk".
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/core/clock.hpp"
#include "gateway/core/result.hpp"
#include "gateway/core/streams.hpp"

namespace touchpoint::store {

// Raw bytes of lines in a chunk; a single larger event has one of its own.
inline constexpr std::size_t chunk_raw_bytes_max = 64u << 10;
// The largest event with its envelope. What devices/ and config/ let through is smaller.
inline constexpr std::uint32_t event_line_bytes_max = 4u << 20;
inline constexpr int chunk_zstd_level = 1;  // level 3 gave larger chunks of small JSON, and slower

struct ChunkHeader {
    std::uint32_t events = 0;
    Sequence first = 0;
    Sequence last = 0;
    std::uint32_t raw_bytes = 0;
    UtcTime recorded;
    bool trusted = true;  // our clock was, then
};

// Compresses chunks; keeps zstd's work space. Threads: confined to one.
class ChunkPacker {
  public:
    ChunkPacker();
    ~ChunkPacker();
    // `lines`: members of each event and a line feed, `header.events` of them. The view is valid until the
    // next call.
    std::string_view pack(const ChunkHeader& header, std::string_view lines);

  private:
    struct Zstd;
    std::unique_ptr<Zstd> zstd_;
    std::string packed_;
};

// Header without looking at the payload; damaged when it is not one.
Result<ChunkHeader> read_header(std::string_view chunk);
// The lines, after the checksum held. Fails with damaged.
Result<std::string> unpack(std::string_view chunk);

}  // namespace touchpoint::store
