#include "gateway/disk_room.hpp"

#include <gtest/gtest.h>

namespace touchpoint::tests {
namespace {

// What is missing here the vault would have to do without.
TEST(CacheOptions, GiveProfilesAndLivePicturesTheRoomThatTheirSettingsPromise) {
    config::Settings settings;
    settings.store.path = "/data";
    settings.profiles.bytes = 700u << 20;
    settings.profiles.live_bytes = 1u << 30;
    const auto options = gateway::cache_options(settings, true);
    EXPECT_EQ(options.folder, "/data/cache");
    EXPECT_EQ(options.profiles_bytes, 700u << 20);
    EXPECT_EQ(options.pictures_bytes, 1u << 30);
    EXPECT_TRUE(options.look_first);
}

}  // namespace
}  // namespace touchpoint::tests
