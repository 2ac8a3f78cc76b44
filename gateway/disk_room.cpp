#include "gateway/disk_room.hpp"

#include <sys/statvfs.h>

#include <algorithm>
#include <system_error>

namespace touchpoint::gateway {

std::uint64_t bytes_from_disk(const std::filesystem::path& path) {
    constexpr std::uint64_t least = 256u << 20;
    constexpr std::uint64_t most = 16ull << 30;
    std::error_code ignored;
    const auto held = std::filesystem::file_size(path / "events" / "data.mdb", ignored);
    struct statvfs disk {};
    std::uint64_t free = ignored ? 0 : held;
    if (statvfs(path.c_str(), &disk) == 0) free += static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
    return std::clamp(free / 2, least, most);
}

store::Cache::Options cache_options(const config::Settings& settings, bool look_first) {
    return {.folder = settings.store.path / "cache",
            .profiles_bytes = settings.profiles.bytes,
            .pictures_bytes = settings.profiles.live_bytes,
            .look_first = look_first};
}

}  // namespace touchpoint::gateway
