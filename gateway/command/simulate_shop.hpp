// A day in a shop, invented: kiosks, beacons and tills that say plausible things of about 300 bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "gateway/command/simulate_draft.hpp"

namespace touchpoint::simulate {

class Shop final : public Source {
  public:
    struct Options {
        double rate = 20;            // events a second, all devices together
        std::uint32_t devices = 30;  // of all kinds; at least as many as tills
        std::uint32_t tills = 0;     // 0: a fifth of the devices
        std::uint64_t seed = 1;      // the same seed says the same things in the same order
    };

    explicit Shop(Options options);

    std::optional<Draft> next(SteadyTime now, UtcTime utc) override;
    bool finished() const override { return false; }
    std::size_t outstanding_max() const override { return unanswered_max; }

  private:
    static constexpr std::size_t unanswered_max = 20'000;
    struct Device {
        std::string kind;
        std::string name;
        bool identified = true;
        std::uint32_t session = 0;
        std::uint32_t counter = 0;
    };
    std::uint64_t below(std::uint64_t bound);
    std::string card();
    void kiosk(Device& device, Draft& draft);
    void beacon(Device& device, Draft& draft);
    void till(Device& device, Draft& draft);

    Options options_;
    std::mt19937_64 random_;
    std::vector<Device> devices_;
    std::optional<SteadyTime> due_;
};

// "1234" pence -> "12.34"
std::string money(std::uint64_t hundredths);
// The 13 digits of an EAN-13 whose first 12 are `number`.
std::string ean13(std::uint64_t number);

}  // namespace touchpoint::simulate
