#include "gateway/profiles/joined.hpp"

#include <cstdint>
#include <utility>

#include "store/bytes.hpp"

namespace touchpoint::gateway {

using store::append_little;

std::string merge_id(const std::string& epoch, const Mark& mark) {
    return "merge-" + epoch + '-' + std::string(name(mark.stream)) + '-' + std::to_string(mark.sequence);
}

std::string write_joined(const std::vector<Joined>& all) {
    std::string out;
    for (const Joined& one : all) {
        store::append_text(out, one.epoch);
        append_little(out, static_cast<std::uint8_t>(one.mark.stream));
        append_little(out, one.mark.sequence);
        append_little(out, static_cast<std::uint64_t>(one.mark.recorded.ms));
        append_little(out, static_cast<std::uint32_t>(one.names.size()));
        for (const std::string& name : one.names) store::append_text(out, name);
    }
    return out;
}

std::vector<Joined> read_joined(std::string_view bytes) {
    std::vector<Joined> all;
    store::ByteReader in(bytes);
    while (in.ok() && !in.at_end()) {
        Joined one;
        one.epoch = in.text();
        const auto stream = in.little<std::uint8_t>();
        if (stream >= stream_count) return {};
        one.mark.stream = static_cast<Stream>(stream);
        one.mark.sequence = in.little<std::uint64_t>();
        one.mark.recorded = UtcTime{static_cast<std::int64_t>(in.little<std::uint64_t>())};
        for (auto names = in.little<std::uint32_t>(); names > 0 && in.ok(); --names)
            one.names.emplace_back(in.text());
        all.push_back(std::move(one));
    }
    return in.ok() ? all : std::vector<Joined>();
}

}  // namespace touchpoint::gateway
