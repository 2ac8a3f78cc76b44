// A disk that refuses what is written to one file from now on.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <system_error>

namespace touchpoint::tests {

enum class Descriptors { through, others };  // opened with O_DSYNC, or without

// Writes and flushes by these descriptors of this process fail; what is mapped can be read.
inline void break_file(const std::filesystem::path& file, Descriptors which) {
    const std::filesystem::path wanted = std::filesystem::canonical(file);
    const int broken = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        const int fd = std::stoi(entry.path().filename());
        std::error_code gone;
        const bool through = (::fcntl(fd, F_GETFL) & O_DSYNC) != 0;
        if (std::filesystem::read_symlink(entry.path(), gone) == wanted &&
            through == (which == Descriptors::through))
            ::dup3(broken, fd, O_CLOEXEC);
    }
    ::close(broken);
}

}  // namespace touchpoint::tests
