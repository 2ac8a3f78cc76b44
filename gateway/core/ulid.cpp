#include "gateway/core/ulid.hpp"

#include <algorithm>

namespace touchpoint {
namespace {
constexpr std::uint64_t forty_bits = (1ULL << 40) - 1;

void put(std::string& text, std::size_t at, std::size_t characters, std::uint64_t bits) {
    constexpr char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    for (std::size_t i = characters; i > 0; --i, bits >>= 5) text[at + i - 1] = crockford[bits & 31];
}
}  // namespace

std::string UlidMaker::make(UtcTime now) {
    const std::int64_t ms = std::max<std::int64_t>(now.ms, 0);
    if (ms > last_ms_) {
        last_ms_ = ms;
        low_ = random_() & forty_bits;
        high_ = random_() & forty_bits;
    } else {
        low_ = (low_ + 1) & forty_bits;
        if (low_ == 0) high_ = (high_ + 1) & forty_bits;
    }
    std::string text(26, '0');
    put(text, 0, 10, static_cast<std::uint64_t>(last_ms_));
    put(text, 10, 8, high_);
    put(text, 18, 8, low_);
    return text;
}

}  // namespace touchpoint
