#include "uplink/compress.hpp"

#include <zlib.h>
#include <zstd.h>

#include <utility>

#include "gateway/core/assert.hpp"

namespace touchpoint::uplink {
namespace {

// zstd 3 gives about the size of gzip 6 at a tenth of its time; more costs a small box more than it saves.
constexpr int zstd_level = 3;
constexpr int gzip_level = 6;

std::string gzip(const std::string& text) {
    z_stream stream{};
    constexpr int gzip_window = 15 + 16;  // zlib: 16 asks for the gzip frame
    constexpr int memory_level = 8;
    TP_ASSERT(deflateInit2(&stream, gzip_level, Z_DEFLATED, gzip_window, memory_level, Z_DEFAULT_STRATEGY) ==
              Z_OK);
    std::string out(deflateBound(&stream, text.size()), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));  // zlib does not write to it
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    const int code = deflate(&stream, Z_FINISH);
    const std::size_t size = stream.total_out;
    deflateEnd(&stream);
    TP_ASSERT(code == Z_STREAM_END);  // deflateBound promised the room
    out.resize(size);
    return out;
}

std::string zstd(const std::string& text) {
    std::string out(ZSTD_compressBound(text.size()), '\0');
    const std::size_t size = ZSTD_compress(out.data(), out.size(), text.data(), text.size(), zstd_level);
    TP_ASSERT(ZSTD_isError(size) == 0);  // only memory can fail here
    out.resize(size);
    return out;
}

}  // namespace

std::string compress(std::string text, Compression compression) {
    std::string out;
    switch (compression) {
        case Compression::none:
            return text;
        case Compression::gzip:
            out = gzip(text);
            break;
        case Compression::zstd:
            out = zstd(text);
            break;
    }
    out.shrink_to_fit();  // a batch can be held for hours
    return out;
}

std::string_view content_encoding(Compression compression) {
    switch (compression) {
        case Compression::none:
            return {};
        case Compression::gzip:
            return "gzip";
        case Compression::zstd:
            return "zstd";
    }
    return {};
}

}  // namespace touchpoint::uplink
