// Random changes of the profile cache against a few maps that say what must be there. The long run is in
// tests/model.
#include "tests/store/profiles_model.hpp"

namespace touchpoint::tests {
namespace {

class ProfilesModelTest : public ProfilesAgainstMaps, public testing::WithParamInterface<unsigned> {};

TEST_P(ProfilesModelTest, HoldsWhatTheChangesSay) { run(GetParam(), 1500, 10); }

INSTANTIATE_TEST_SUITE_P(Seeds, ProfilesModelTest, testing::Values(1u, 2u, std::random_device{}()),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace touchpoint::tests
