// The tables of routes, put together as the daemon does it, against gateway/openapi.yaml: every route is
// described, for its listeners and its roles, and nothing else is.
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "devices/admission.hpp"
#include "devices/direct_intake.hpp"
#include "devices/reception.hpp"
#include "gateway/control.hpp"
#include "gateway/core/clock.hpp"
#include "gateway/event_routes.hpp"
#include "gateway/platform_routes.hpp"
#include "gateway/profiles/profile_read_routes.hpp"
#include "gateway/profiles/profile_reads.hpp"
#include "gateway/profiles/profile_routes.hpp"
#include "store/event_reader.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace touchpoint::gateway {
namespace {

// Nothing of it runs: a table only remembers whom it will ask.
class Tables {
  public:
    std::string text() {
        std::string out = lines("local", local_routes(parts_)) + lines("local", event_routes(*direct_));
        out += lines("platform", local_routes(parts_)) + lines("platform", platform_routes({*pull_}));
        out += lines("local", profile_read_routes({reads_, followers_, clock_})) +
               lines("platform", profile_read_routes({reads_, followers_, clock_}));
        out += lines("platform", {wanted_route(reads_)}) + lines("platform", profile_routes(writes_));
        out += lines("control", control_routes(parts_)) + lines("control", {gaps_route({*pull_})});
        return out + lines("control", {erasures_route(writes_)});
    }

  private:
    static std::string lines(std::string_view listener, const std::vector<Route>& routes) {
        std::string out;
        for (const Route& route : routes) {
            out += std::string(listener) + " " + route.method + " " + route.path;
            for (const Role role : all_roles_in_order)
                if (route.roles.has(role)) out += " " + std::string(name(role));
            out += "\n";
        }
        return out;
    }

    tests::TempFolder folder_;
    ManualClock clock_;
    boost::asio::io_context loop_;
    store::SealedBox box_{std::string(32, 'x')};
    store::Worker reader_{"reader"};
    Tail tail_;
    std::unique_ptr<store::Cache> cache_ = [this] {
        auto opened = store::Cache::open({folder_.path() / "cache"});
        return std::move(*opened);
    }();
    std::unique_ptr<store::EventStore> store_ = [this] {
        store::EventStore::Options options;
        options.folder = folder_.path() / "events";
        options.bytes_max = 64u << 20;
        options.reserve_bytes = 4u << 20;
        options.boot_id = std::string(32, 'b');
        auto opened = store::EventStore::open(options, *cache_, clock_);
        return std::move(*opened);
    }();
    devices::AdmissionOptions options_;
    devices::Registry registry_;
    devices::Admission admission_{options_, devices::Pseudonymiser(std::string(32, 'k'), "p1"), box_,
                                  [] { return std::uint64_t{1}; }};
    devices::Reception reception_{admission_, registry_};
    std::optional<devices::DirectIntake> direct_{std::in_place,
                                                 devices::DirectIntake::Parts{*store_, clock_, reception_}};
    std::optional<uplink::Pull> pull_{std::in_place, "gw-9", "s9",
                                      uplink::Pull::Parts{loop_, *store_, reader_, clock_}};
    devices::Pseudonymiser names_{std::string(32, 'k'), "p1"};
    store::Profiles profiles_{*cache_, box_, std::string(32, 'p'), {}};
    store::Pictures rows_{*cache_, box_, {}};
    LivePictures pictures_{*store_, rows_, clock_, std::string(32, 's')};
    Persons persons_{{profiles_, pictures_, store_->epoch()}, {}};
    ProfileReads reads_{{profiles_, persons_, names_, box_, clock_}, {}};
    ProfileFollowers followers_{reads_};
    LoadPace pace_;
    ProfileParts writes_{loop_,
                         reader_,
                         profiles_,
                         names_,
                         clock_,
                         pace_,
                         [] { return std::uint64_t{0}; },
                         [](const std::string&, const std::vector<std::string>&) {},
                         [](const std::vector<std::string>&) {},
                         [](const std::string&) {},
                         {},
                         {},
                         {},
                         [](std::vector<std::string> keys) { return keys; },
                         [](const std::vector<std::string>&) {},
                         [](const std::vector<std::string>&, const std::vector<std::string>&) {},
                         [](const std::vector<std::string>&) {}};
    RouteParts parts_{[] { return Snapshot{}; },
                      [] { return std::string(); },
                      tail_,
                      {loop_, *store_, reader_, box_, *direct_, clock_}};
};

TEST(OpenApiRoutesTest, TheDocumentDescribesEveryRouteOfTheTablesAndNoOther) {
    Tables tables;
    const tests::TempFolder folder;
    const auto served = folder.path() / "routes";
    const auto said = folder.path() / "said.log";
    tests::write_file(served, tables.text());
    tests::Process compare({"python3", SOURCE_DIR "/tests/system/openapi_routes.py",
                            SOURCE_DIR "/gateway/openapi.yaml", served.string()},
                           said, {{"PYTHONDONTWRITEBYTECODE", "1"}});
    EXPECT_EQ(compare.wait(), 0) << tests::read_file(said);
}

// The judge of the test above can be wrong.
TEST(OpenApiRoutesTest, ARouteThatIsNotDescribedIsNoticed) {
    Tables tables;
    const tests::TempFolder folder;
    const auto served = folder.path() / "routes";
    const auto said = folder.path() / "said.log";
    tests::write_file(served, tables.text() + "local GET /v1/secret technician\n");
    tests::Process compare({"python3", SOURCE_DIR "/tests/system/openapi_routes.py",
                            SOURCE_DIR "/gateway/openapi.yaml", served.string()},
                           said, {{"PYTHONDONTWRITEBYTECODE", "1"}});
    EXPECT_EQ(compare.wait(), 1);
    EXPECT_NE(tests::read_file(said).find("served, not documented: local GET /v1/secret technician"),
              std::string::npos)
        << tests::read_file(said);
}

}  // namespace
}  // namespace touchpoint::gateway
