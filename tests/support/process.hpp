// A child process of a test: started, signalled, waited for, and never left behind.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace touchpoint::tests {

// A TCP port of 127.0.0.1 that was free a moment ago.
int free_port();

class Process {
  public:
    // Runs `arguments` (the first is the program, looked up in PATH) with stdout and stderr into `output`.
    // The child dies with the test. `environment` is added to ours.
    Process(std::vector<std::string> arguments, std::filesystem::path output,
            std::map<std::string, std::string> environment = {});
    ~Process();  // kill -9 if it still runs
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    pid_t pid() const { return pid_; }
    bool running();
    void signal(int number);
    // Exit status as a shell would say it (128 + signal), or empty after `deadline`.
    std::optional<int> wait(std::chrono::milliseconds deadline = std::chrono::seconds(30));
    void kill() { signal(9), wait(); }

  private:
    pid_t pid_ = -1;
    std::optional<int> status_;
};

// Everything in a file, empty if there is none.
std::string read_file(const std::filesystem::path& path);
void write_file(const std::filesystem::path& path, const std::string& text);

}  // namespace touchpoint::tests
