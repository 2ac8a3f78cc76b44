// A long run of random changes of the profile cache against the maps of tests/store/profiles_model.hpp.
// TOUCHPOINT_SEED=n repeats one run.
#include <cstdlib>
#include <iostream>

#include "tests/store/profiles_model.hpp"

namespace touchpoint::tests {
namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int steps = 10'000;
#else
constexpr int steps = 100'000;
#endif
constexpr int compare_every = 101;

class ProfilesLongRun : public ProfilesAgainstMaps {};

TEST_F(ProfilesLongRun, HoldsWhatAHundredThousandChangesSay) {
    const char* given = std::getenv("TOUCHPOINT_SEED");
    const unsigned seed =
        given != nullptr ? static_cast<unsigned>(std::stoul(given)) : std::random_device{}();
    std::cout << "TOUCHPOINT_SEED=" << seed << '\n';
    run(seed, steps, compare_every);
}

}  // namespace
}  // namespace touchpoint::tests
