// The examples of uplink/README.md, "Pull", as they are printed there: only the port is another one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "tests/gateway/platform_shop.hpp"
#include "tests/support/process.hpp"
#include "tests/support/wait.hpp"

namespace touchpoint::tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;

class PullReadmeTest : public PlatformShop {
  protected:
    void SetUp() override {
        open();
        const std::string whole = read_file(std::string(SOURCE_DIR) + "/uplink/README.md");
        const std::size_t begin = whole.find("### Try it");
        ASSERT_NE(begin, std::string::npos);
        section_ = whole.substr(begin, whole.find("### Reading", begin) - begin);
        const std::string printed = "127.0.0.1:8443";
        const std::string ours = "127.0.0.1:" + std::to_string(port_);
        for (auto at = section_.find(printed); at != std::string::npos; at = section_.find(printed))
            section_.replace(at, printed.size(), ours);
    }
    std::string run(const std::string& command) {
        const auto output = folder_.path() / ("output-" + std::to_string(++runs_));
        Process shell({"sh", "-c", command}, output);
        EXPECT_EQ(shell.wait(), 0) << command;
        return read_file(output);
    }
    std::string section_;
    int runs_ = 0;
};

TEST_F(PullReadmeTest, TheCurlExamplesWork) {
    submit(Stream::sales, 3);
    std::vector<std::string> commands;
    std::istringstream lines(section_);
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with("    curl ")) commands.push_back(line.substr(4));
    ASSERT_THAT(commands, SizeIs(8));

    EXPECT_THAT(run(commands[0]), HasSubstr(R"("name":"crm")"));
    const HttpAnswer read = answer_of(run(commands[1]));
    EXPECT_EQ(read.status, 200);
    EXPECT_EQ(given(read).size(), 3u);
    std::string acknowledge = commands[2];
    acknowledge.replace(acknowledge.find("..."), 3, read.cursor());
    EXPECT_THAT(run(acknowledge), HasSubstr(R"("sales":{"acknowledged":3)"));
    EXPECT_THAT(run(commands[3]), HasSubstr(R"("lag":0)"));
    EXPECT_THAT(run(commands[4]), HasSubstr(R"("name":"crm")"));
    submit(Stream::sales, 1);  // what was there is acknowledged by everybody, and deleted
    EXPECT_THAT(run(commands[5]), HasSubstr("store.pos.sale.v1"));
    EXPECT_THAT(run(commands[6]), StartsWith(R"({"epoch":)"));
    EXPECT_EQ(run(commands[7]), "");
    EXPECT_EQ(get("/v1/consumers/crm").status, 404);
}

TEST_F(PullReadmeTest, ThePullerGetsEverythingAndGoesOnAfterItWasKilled) {
    const std::size_t begin = section_.find("```python\n") + 10;
    const auto script = folder_.path() / "puller.py";
    write_file(script, section_.substr(begin, section_.find("```", begin) - begin));
    submit(Stream::sales, 2);
    const auto output = folder_.path() / "printed";
    {
        Process puller({"python3", script.string()}, output);
        EXPECT_TRUE(wait_for([&] { return store_->acknowledged("crm", Stream::sales) == 2; }));
        submit(Stream::telemetry, 1);
        EXPECT_TRUE(wait_for([&] { return store_->acknowledged("crm", Stream::telemetry) == 1; }));
        puller.kill();
    }
    const std::string before = read_file(output);
    EXPECT_EQ(before,
              "sales 1 store.pos.sale.v1\nsales 2 store.pos.sale.v1\ntelemetry 1 store.pos.sale.v1\n");
    submit(Stream::sales, 1);
    Process again({"python3", script.string()}, output);
    EXPECT_TRUE(wait_for([&] { return store_->acknowledged("crm", Stream::sales) == 3; }));
    again.kill();
    // Its file is written on: nothing came twice.
    EXPECT_EQ(read_file(output), before + "sales 3 store.pos.sale.v1\n");
}

}  // namespace
}  // namespace touchpoint::tests
