#include "uplink/cursor.hpp"

#include <xxhash.h>

#include "gateway/core/assert.hpp"

namespace touchpoint::uplink {
namespace {

constexpr char version = 0x01;
constexpr std::size_t epoch_bytes_max = 32;
constexpr std::size_t checksum_bytes = 4;
constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::uint8_t byte_at(std::string_view bytes, std::size_t at) { return static_cast<std::uint8_t>(bytes[at]); }

std::string to_base64url(std::string_view bytes) {
    std::string text;
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : bytes) {
        bits = (bits << 8) | static_cast<std::uint8_t>(c);
        for (count += 8; count >= 6;) text += alphabet[(bits >> (count -= 6)) & 63];
    }
    if (count > 0) text += alphabet[(bits << (6 - count)) & 63];
    return text;
}

std::optional<std::string> from_base64url(std::string_view text) {
    std::string bytes;
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : text) {
        const std::size_t value = alphabet.find(c);
        if (value == std::string_view::npos) return std::nullopt;
        bits = (bits << 6) | static_cast<std::uint32_t>(value);
        count += 6;
        if (count < 8) continue;
        count -= 8;
        bytes += static_cast<char>((bits >> count) & 255);
    }
    return bytes;
}

std::string checksum(std::string_view bytes) {
    std::uint64_t hash = XXH3_64bits(bytes.data(), bytes.size());
    std::string out;
    for (std::size_t i = 0; i < checksum_bytes; ++i, hash >>= 8) out += static_cast<char>(hash & 255);
    return out;
}

void append_number(std::string& out, std::uint64_t value) {
    for (; value >= 128; value >>= 7) out += static_cast<char>((value & 127) | 128);
    out += static_cast<char>(value);
}

std::optional<std::uint64_t> take_number(std::string_view& bytes) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
        const std::uint8_t byte = byte_at(bytes, 0);
        bytes.remove_prefix(1);
        value |= static_cast<std::uint64_t>(byte & 127) << shift;
        if (byte < 128) return value;
    }
    return std::nullopt;
}

}  // namespace

std::string encode(const Cursor& cursor) {
    TP_ASSERT(cursor.epoch.size() <= epoch_bytes_max);
    std::string bytes(1, version);
    bytes += static_cast<char>(cursor.epoch.size());
    bytes += cursor.epoch;
    bytes += static_cast<char>(cursor.turn);
    unsigned which = 0;
    for (const Stream stream : all_streams)
        if (cursor.positions[stream]) which |= 1u << static_cast<unsigned>(stream);
    bytes += static_cast<char>(which);
    for (const Stream stream : all_streams)
        if (cursor.positions[stream]) append_number(bytes, *cursor.positions[stream]);
    return to_base64url(bytes + checksum(bytes));
}

std::optional<Cursor> decode_cursor(std::string_view text) {
    if (text.size() > cursor_text_max) return std::nullopt;
    const auto bytes = from_base64url(text);
    if (!bytes || bytes->size() < 2 + checksum_bytes) return std::nullopt;
    std::string_view rest(*bytes);
    const std::string_view sum = rest.substr(rest.size() - checksum_bytes);
    rest.remove_suffix(checksum_bytes);
    if (sum != checksum(rest) || rest[0] != version) return std::nullopt;
    const std::size_t epoch_bytes = byte_at(rest, 1);
    rest.remove_prefix(2);
    if (epoch_bytes > epoch_bytes_max || rest.size() < epoch_bytes + 2) return std::nullopt;
    Cursor cursor;
    cursor.epoch = std::string(rest.substr(0, epoch_bytes));
    cursor.turn = byte_at(rest, epoch_bytes);
    const unsigned which = byte_at(rest, epoch_bytes + 1);
    rest.remove_prefix(epoch_bytes + 2);
    if (which >> stream_count != 0) return std::nullopt;
    for (const Stream stream : all_streams) {
        if ((which >> static_cast<unsigned>(stream) & 1u) == 0) continue;
        cursor.positions[stream] = take_number(rest);
        if (!cursor.positions[stream]) return std::nullopt;
    }
    // One place has one text: nothing behind it, no other spelling of it.
    if (!rest.empty() || encode(cursor) != text) return std::nullopt;
    return cursor;
}

}  // namespace touchpoint::uplink
