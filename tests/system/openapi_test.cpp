// gateway/openapi.yaml against the gateway: each example is asked for and compared, each route is looked for,
// and a linter that knows OpenAPI reads it.
#include <gtest/gtest.h>

#include <filesystem>
#include <iostream>
#include <string>

#include "tests/support/broker.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace touchpoint::tests {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

constexpr const char* document = SOURCE_DIR "/gateway/openapi.yaml";

TEST(OpenApiTest, EveryExampleIsAnsweredAsItSaysAndNothingElseIsServed) {
    TempFolder folder;
    Broker broker(folder.path() / "broker");
    broker.start();
    const fs::path said = folder.path() / "replay.log";
    Process replay(
        {"python3", SOURCE_DIR "/tests/system/openapi_replay.py", "--document", document, "--touchpointd",
         BINARY_DIR "/gateway/touchpointd", "--touchpoint", BINARY_DIR "/gateway/command/touchpoint",
         "--broker", broker.url(), "--folder", (folder.path() / "shops").string()},
        said, {{"PYTHONDONTWRITEBYTECODE", "1"}});
    EXPECT_EQ(replay.wait(seconds(900)), 0) << read_file(said);
    std::cout << read_file(said);
}

TEST(OpenApiTest, TheLinterFindsNoError) {
    TempFolder folder;
    const fs::path said = folder.path() / "lint.log";
    const fs::path judge = folder.path() / "judge";
    fs::create_directories(judge);
    {
        Process npm({"npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", judge.string(),
                     "@redocly/cli@2"},
                    said);
        if (npm.wait(seconds(300)) != 0)
            GTEST_SKIP() << "SKIPPED: node, npm or the npm registry is not here: " << read_file(said);
    }
    Process lint(
        {(judge / "node_modules" / ".bin" / "redocly").string(), "lint", "--max-problems", "1000", document},
        said, {{"REDOCLY_TELEMETRY", "off"}, {"NO_COLOR", "1"}});
    EXPECT_EQ(lint.wait(seconds(120)), 0) << read_file(said);
    EXPECT_NE(read_file(said).find("validated"), std::string::npos) << read_file(said);
}

}  // namespace
}  // namespace touchpoint::tests
