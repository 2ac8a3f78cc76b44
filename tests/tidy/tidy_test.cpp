// The tree keeps the rules of CONTRIBUTING.md; and the checker is checked, for a test that cannot fail is no
// test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/process.hpp"
#include "tests/tidy/rules.hpp"

namespace touchpoint::tidy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<File> tree() {
    namespace fs = std::filesystem;
    const fs::path root = SOURCE_DIR;
    std::vector<File> files;
    for (auto entry = fs::recursive_directory_iterator(root); entry != fs::recursive_directory_iterator();
         ++entry) {
        const std::string name = entry->path().filename().string();
        if (entry->is_directory()) {
            // .git and build folders; fixtures are data of others.
            if (name == ".git" || name == "build" || name == "node_modules" || name == "fixtures" ||
                name == "__pycache__")
                entry.disable_recursion_pending();
            continue;
        }
        const std::string path = fs::relative(entry->path(), root).string();
        // This folder holds bad examples on purpose.
        const bool own = path.starts_with("tests/tidy/");
        if (entry->is_regular_file() && !own) files.push_back({path, tests::read_file(entry->path())});
    }
    return files;
}

std::string sentences(const Violations& violations) {
    std::string all;
    for (const std::string& violation : violations) all += violation + "\n";
    return all;
}

TEST(Tree, EveryFileKeepsTheRules) {
    const auto files = tree();
    ASSERT_GT(files.size(), 50u);
    Violations all;
    for (const File& file : files)
        for (std::string& violation : check_file(file)) all.push_back(std::move(violation));
    EXPECT_THAT(all, IsEmpty()) << sentences(all);
}

TEST(Tree, EveryFolderExplainsItself) {
    const auto violations = check_folders(tree());
    EXPECT_THAT(violations, IsEmpty()) << sentences(violations);
}

TEST(Tree, EveryProgramThatIsCalledComesWithAPackageOfToolsDeps) {
    const auto violations = check_packages(tree());
    EXPECT_THAT(violations, IsEmpty()) << sentences(violations);
}

// The checker itself.

Violations of(const std::string& path, const std::string& code) {
    const std::string opening = path.ends_with(".hpp") ? "// What it is.\n#pragma once\n" : "";
    return check_file({path, opening + code + "\n"});
}

TEST(IncludeRule, LetsAFolderSeeWhatStandsToItsRightOnly) {
    EXPECT_THAT(of("devices/a.cpp", "#include \"store/journal.hpp\""), IsEmpty());
    EXPECT_THAT(of("devices/a.cpp", "#include \"gateway/core/event.hpp\""), IsEmpty());
    EXPECT_THAT(of("gateway/a.cpp", "#include \"config/loader.hpp\""), IsEmpty());
    EXPECT_THAT(of("gateway/command/a.cpp", "#include \"config/loader.hpp\""), IsEmpty());
    EXPECT_THAT(of("devices/a.cpp", "#include \"uplink/pusher.hpp\""),
                ElementsAre(HasSubstr("include rule")));
    EXPECT_THAT(of("uplink/a.hpp", "#include \"devices/topics.hpp\""),
                ElementsAre(HasSubstr("include rule")));
    EXPECT_THAT(of("store/a.cpp", "#include \"devices/topics.hpp\""), ElementsAre(HasSubstr("include rule")));
    EXPECT_THAT(of("gateway/core/a.hpp", "#include \"store/journal.hpp\""),
                ElementsAre(HasSubstr("include rule")));
    EXPECT_THAT(of("config/a.cpp", "#include \"gateway/daemon.hpp\""),
                ElementsAre(HasSubstr("include rule")));
    EXPECT_THAT(of("gateway/a.cpp", "#include \"gateway/command/client.hpp\""),
                ElementsAre(HasSubstr("include rule")));
    EXPECT_THAT(of("store/a.cpp", "#include \"tests/support/wait.hpp\""),
                ElementsAre(HasSubstr("nothing of tests/")));
    EXPECT_THAT(of("tools/platform/a.cpp", "#include \"uplink/pusher.hpp\""),
                ElementsAre(HasSubstr("from outside")));
    EXPECT_THAT(of("tests/uplink/a.cpp", "#include \"uplink/pusher.hpp\""), IsEmpty());
}

TEST(Fences, HoldInTheDaemonAndNotInTheCommand) {
    for (const std::string header :
         {"mqtt/async_client.h", "lmdb.h", "toml++/toml.h", "boost/asio/ip/tcp.hpp",
          "boost/beast/http/parser.hpp", "openssl/evp.h"}) {
        EXPECT_THAT(of("devices/decode.cpp", "#include <" + header + ">"), ElementsAre(HasSubstr("fence")))
            << header;
        EXPECT_THAT(of("gateway/command/simulate_link.cpp", "#include <" + header + ">"), IsEmpty())
            << header;
    }
    EXPECT_THAT(of("devices/mqtt_link.cpp", "#include <mqtt/async_client.h>"), IsEmpty());
    EXPECT_THAT(of("store/environment.cpp", "#include <lmdb.h>"), IsEmpty());
    EXPECT_THAT(of("uplink/pusher.cpp", "#include <boost/asio/steady_timer.hpp>"), IsEmpty());
}

TEST(Fences, KeepThreadsAndClocksInTheirPlaces) {
    EXPECT_THAT(of("uplink/pusher.cpp", "std::thread t(f);"), ElementsAre(HasSubstr("threads")));
    EXPECT_THAT(of("store/worker.cpp", "thread_ = std::thread(f);"), IsEmpty());
    EXPECT_THAT(of("store/dedup.cpp", "auto now = std::chrono::system_clock::now();"),
                ElementsAre(HasSubstr("Clock")));
    EXPECT_THAT(of("devices/a.cpp", "auto now = time(nullptr);"), ElementsAre(HasSubstr("Clock")));
    EXPECT_THAT(of("gateway/health.cpp", "steady_clock::now()"), ElementsAre(HasSubstr("Clock")));
    EXPECT_THAT(of("gateway/system_clock.cpp", "steady_clock::now()"), IsEmpty());
    EXPECT_THAT(of("store/a.cpp", "// not std::thread, see store/worker.hpp"), IsEmpty());
    EXPECT_THAT(of("uplink/a.cpp", "co_spawn(loop, run(), asio::detached);"),
                ElementsAre(HasSubstr("completion")));
}

TEST(FileRules, RefuseDrawersLongFilesLateWorkAndMachinePaths) {
    EXPECT_THAT(of("store/string_utils.cpp", ""), ElementsAre(HasSubstr("admits everything")));
    EXPECT_THAT(of("store/lock_manager.hpp", ""), ElementsAre(HasSubstr("admits everything")));
    EXPECT_THAT(of("gateway/command/client.cpp", ""), IsEmpty());
    std::string lines;
    for (std::size_t i = 0; i <= lines_max; ++i) lines += "int x" + std::to_string(i) + ";\n";
    EXPECT_THAT(of("store/a.cpp", lines), ElementsAre(HasSubstr("two things")));
    EXPECT_THAT(of("store/a.cpp", "// TODO(now) finish"), ElementsAre(HasSubstr("do it")));
    EXPECT_THAT(of("store/a.cpp", "// TODO(someday) finish"), IsEmpty());
    EXPECT_THAT(of("docs/a.md", "see /home/me/notes"), ElementsAre(HasSubstr("machine")));
    EXPECT_THAT(of("docs/a.md", "see devices/home/x and /var/lib/touchpoint"), IsEmpty());
    EXPECT_THAT(check_file({"store/a.hpp", "// What it is.\nint x;\n"}),
                ElementsAre(HasSubstr("#pragma once")));
    EXPECT_THAT(check_file({"store/a.hpp", "#pragma once\n"}), ElementsAre(HasSubstr("what it is")));
}

TEST(FolderRule, MissesAReadme) {
    EXPECT_THAT(check_folders({{"README.md", ""}}),
                testing::Contains(HasSubstr("store/README.md is missing")));
}

TEST(PackageRule, FindsAProgramWithoutItsPackage) {
    const File deps{"tools/deps", "#!/bin/sh\nbuild=\"cmake git\n python3\"\n"};
    EXPECT_THAT(check_packages({deps, {"tools/x", "#!/bin/sh\ncmake . && git status\n# jq is not called\n"}}),
                IsEmpty());
    EXPECT_THAT(check_packages({deps, {"tools/x", "#!/bin/sh\ncurl x | jq .a\n"}}),
                testing::UnorderedElementsAre(HasSubstr("package curl"), HasSubstr("package jq")));
    EXPECT_THAT(check_packages({deps, {"tests/system/a.cpp", "Process p({\"mosquitto_sub\", \"-t\"});"}}),
                ElementsAre(HasSubstr("mosquitto-clients")));
    EXPECT_THAT(check_packages({}), ElementsAre(HasSubstr("tools/deps is missing")));
}

}  // namespace
}  // namespace touchpoint::tidy
