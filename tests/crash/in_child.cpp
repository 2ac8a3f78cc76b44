#include "tests/crash/in_child.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace touchpoint::tests {

std::vector<std::string> in_child(const std::function<std::vector<std::string>()>& look) {
    int pipe[2];
    if (::pipe(pipe) != 0) return {"no pipe"};
    const pid_t child = ::fork();
    if (child == 0) {
        ::alarm(child_seconds_max);
        ::dup2(::open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);  // what is said here is expected
        std::string said;
        for (const std::string& one : look()) said += one + "\n";
        said += ".";  // the end: the child came to one
        const ssize_t written = ::write(pipe[1], said.data(), said.size());
        ::_exit(written == static_cast<ssize_t>(said.size()) ? 0 : 1);
    }
    ::close(pipe[1]);
    std::string said;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::read(pipe[0], buffer, sizeof buffer)) > 0;)
        said.append(buffer, static_cast<std::size_t>(n));
    ::close(pipe[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    std::vector<std::string> lines;
    for (std::size_t at = 0, end = 0; (end = said.find('\n', at)) != std::string::npos; at = end + 1)
        lines.push_back(said.substr(at, end - at));
    if (!said.ends_with("."))
        lines.push_back(WIFSIGNALED(status) ? "crashed: signal " + std::to_string(WTERMSIG(status))
                                            : "crashed");
    return lines;
}

void place(const FileState& file, const std::filesystem::path& folder) {
    std::filesystem::create_directories(folder);
    std::filesystem::remove(folder / "lock.mdb");
    const int fd = ::open((folder / "data.mdb").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    EXPECT_EQ(::ftruncate(fd, 0), 0);  // nothing of an earlier child
    EXPECT_EQ(::pwrite(fd, file.bytes.data(), file.bytes.size(), 0), static_cast<ssize_t>(file.bytes.size()));
    EXPECT_EQ(::ftruncate(fd, static_cast<off_t>(file.length)), 0);
    ::close(fd);
}

Found examine(const std::vector<DiskOp>& ops, const CutPlan& plan,
              const std::function<std::vector<std::string>(std::size_t cut, const FileState& file)>& broken) {
    Found found;
    found.states = cut_power(ops, plan, [&](std::size_t cut, const FileState& file) {
        const std::vector<std::string> promises = broken(cut, file);
        if (promises.empty()) return true;
        found.text +=
            "  cut after operation " + std::to_string(cut) + " of " + std::to_string(ops.size()) + "\n";
        for (const std::string& one : promises) found.text += "    broken promise: " + one + "\n";
        return ++found.bad < bad_states_shown;
    });
    return found;
}

}  // namespace touchpoint::tests
