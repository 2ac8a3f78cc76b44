#include "tools/platform/decompress.hpp"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <memory>

namespace touchpoint::platform {
namespace {

constexpr std::size_t step = 256 * 1024;

std::optional<std::string> gunzip(std::string_view body, std::size_t bytes_max) {
    z_stream stream{};
    constexpr int gzip_window = 15 + 16;  // zlib: 16 asks for the gzip frame
    if (inflateInit2(&stream, gzip_window) != Z_OK) return std::nullopt;
    const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&stream, inflateEnd);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));  // zlib does not write to it
    stream.avail_in = static_cast<uInt>(body.size());
    std::string out;
    for (;;) {
        const std::size_t have = out.size();
        if (have >= bytes_max) return std::nullopt;
        out.resize(std::min(have + step, bytes_max));
        stream.next_out = reinterpret_cast<Bytef*>(out.data() + have);
        stream.avail_out = static_cast<uInt>(out.size() - have);
        const int code = inflate(&stream, Z_NO_FLUSH);
        out.resize(out.size() - stream.avail_out);
        if (code == Z_STREAM_END) return stream.avail_in == 0 ? std::optional(std::move(out)) : std::nullopt;
        if (code != Z_OK || out.size() == have) return std::nullopt;  // damaged, or its end is missing
    }
}

std::optional<std::string> unzstd(std::string_view body, std::size_t bytes_max) {
    const std::unique_ptr<ZSTD_DStream, size_t (*)(ZSTD_DStream*)> stream(ZSTD_createDStream(),
                                                                          ZSTD_freeDStream);
    ZSTD_inBuffer in{body.data(), body.size(), 0};
    std::string out;
    for (;;) {
        const std::size_t have = out.size();
        if (have >= bytes_max) return std::nullopt;
        out.resize(std::min(have + step, bytes_max));
        ZSTD_outBuffer piece{out.data() + have, out.size() - have, 0};
        const std::size_t left = ZSTD_decompressStream(stream.get(), &piece, &in);
        out.resize(have + piece.pos);
        if (ZSTD_isError(left) != 0) return std::nullopt;
        if (left == 0) return in.pos == in.size ? std::optional(std::move(out)) : std::nullopt;
        if (in.pos == in.size && piece.pos == 0) return std::nullopt;  // its end is missing
    }
}

}  // namespace

std::optional<std::string> decompress(std::string_view body, std::string_view encoding,
                                      std::size_t bytes_max) {
    if (encoding == "gzip") return gunzip(body, bytes_max);
    if (encoding == "zstd") return unzstd(body, bytes_max);
    if (!encoding.empty() && encoding != "identity") return std::nullopt;
    if (body.size() > bytes_max) return std::nullopt;
    return std::string(body);
}

}  // namespace touchpoint::platform
