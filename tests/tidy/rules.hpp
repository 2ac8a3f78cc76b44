// The rules of CONTRIBUTING.md that a machine can check, on texts: tidy_test.cpp reads the tree and asks.
// Each violation is one sentence that names the file and says what to do.
#pragma once

#include <string>
#include <vector>

namespace touchpoint::tidy {

struct File {
    std::string path;  // from the project's root: "devices/admission.cpp"
    std::string text;
};

using Violations = std::vector<std::string>;

inline constexpr std::size_t lines_max = 600;

// One file by itself: include rule, fences, clocks, threads, name, length, forbidden words.
Violations check_file(const File& file);
// All together: every folder that needs one has a README.md, every file is part of something.
Violations check_folders(const std::vector<File>& files);
// Programs that scripts and tests call, against the list of packages in tools/deps.
Violations check_packages(const std::vector<File>& files);

}  // namespace touchpoint::tidy
