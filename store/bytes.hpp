// Numbers in files: keys big-endian, so that they sort; values little-endian. Readers never run over the end.
#pragma once

#include <concepts>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace touchpoint::store {

template <std::unsigned_integral T>
void append_big(std::string& out, T value) {
    for (int shift = (sizeof(T) - 1) * 8; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
}

template <std::unsigned_integral T>
T read_big(std::string_view bytes) {  // REQUIRES: bytes.size() >= sizeof(T)
    T value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i)
        value =
            static_cast<T>((static_cast<std::uint64_t>(value) << 8) | static_cast<unsigned char>(bytes[i]));
    return value;
}

template <std::unsigned_integral T>
void append_little(std::string& out, T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i) {
        out += static_cast<char>(value & 0xff);
        value = static_cast<T>(static_cast<std::uint64_t>(value) >> 8);
    }
}

// A string of up to 4 GB with its length in front.
inline void append_text(std::string& out, std::string_view text) {
    append_little(out, static_cast<std::uint32_t>(text.size()));
    out += text;
}

class ByteReader {
  public:
    explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

    template <std::unsigned_integral T>
    T little() {
        if (rest_.size() < sizeof(T)) return ok_ = false, T{};
        T value = 0;
        for (std::size_t i = sizeof(T); i > 0; --i)
            value = static_cast<T>((static_cast<std::uint64_t>(value) << 8) |
                                   static_cast<unsigned char>(rest_[i - 1]));
        rest_.remove_prefix(sizeof(T));
        return value;
    }
    std::string_view text() {
        const auto size = little<std::uint32_t>();
        if (rest_.size() < size) return ok_ = false, std::string_view{};
        const std::string_view found = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return found;
    }
    // False once anything was read that was not there.
    bool ok() const { return ok_; }
    bool at_end() const { return rest_.empty(); }
    std::string_view rest() const { return rest_; }

  private:
    std::string_view rest_;
    bool ok_ = true;
};

}  // namespace touchpoint::store
