// Plays a recording of real beacon readings (CSV with the columns unix_time, sensor_mac, beacon_mac,
// rssi_dbm) as the telemetry of its receivers, at a pace of our own: the recording's pauses mean nothing to a
// gateway.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gateway/command/simulate_csv.hpp"
#include "gateway/command/simulate_draft.hpp"

namespace touchpoint::simulate {

class BeaconFile final : public Source {
  public:
    struct Options {
        std::filesystem::path file;
        double rate = 50;          // events a second
        std::uint64_t events = 0;  // at most; 0: the whole file
    };

    // Fails with io, damaged, not_found (a column).
    static Result<BeaconFile> open(Options options);

    // Every third receiver is a plain device. The reading's own time stands in the data ("heard_at").
    std::optional<Draft> next(SteadyTime now, UtcTime utc) override;
    bool finished() const override { return finished_; }
    std::size_t outstanding_max() const override { return unanswered_max; }
    const std::optional<Error>& error() const { return error_; }

  private:
    static constexpr std::size_t unanswered_max = 5'000;
    BeaconFile(Options options, CsvReader csv) : options_(std::move(options)), csv_(std::move(csv)) {}

    Options options_;
    CsvReader csv_;
    std::vector<std::size_t> places_;
    std::vector<std::string> fields_;
    std::map<std::string, std::size_t> receivers_;  // in order of appearance
    std::optional<SteadyTime> due_;
    std::uint64_t given_ = 0;
    bool finished_ = false;
    std::optional<Error> error_;
};

}  // namespace touchpoint::simulate
