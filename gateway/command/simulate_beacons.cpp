#include "gateway/command/simulate_beacons.hpp"

#include <algorithm>
#include <utility>

#include "gateway/command/simulate_pace.hpp"
#include "gateway/core/json_text.hpp"

namespace touchpoint::simulate {

Result<BeaconFile> BeaconFile::open(Options options) {
    auto csv = CsvReader::open(options.file);
    if (!csv) return csv.error();
    BeaconFile file(std::move(options), std::move(*csv));
    const auto header = file.csv_.next(file.fields_);
    if (!header) return header.error();
    auto places = columns(file.fields_, {"unix_time", "sensor_mac", "beacon_mac", "rssi_dbm"});
    if (!places)
        return fail(places.error().code,
                    file.options_.file.filename().string() + ": " + places.error().context);
    file.places_ = std::move(*places);
    return file;
}

std::optional<Draft> BeaconFile::next(SteadyTime now, UtcTime utc) {
    if (finished_ || !pace_allows(due_, now, options_.rate)) return std::nullopt;
    const auto more = csv_.next(fields_);
    const bool whole = more && *more && fields_.size() > *std::max_element(places_.begin(), places_.end());
    if (!whole) {
        finished_ = true;
        if (!more)
            error_ = more.error();
        else if (*more)
            error_ = fail(Errc::damaged, "line " + std::to_string(csv_.line()) + " has too few fields");
        return std::nullopt;
    }
    const std::string& receiver = fields_[places_[1]];
    const std::size_t index = receivers_.emplace(receiver, receivers_.size()).first->second;
    Draft draft;
    draft.kind = "beacon";
    draft.device = "rx-" + receiver;
    draft.name = "telemetry";
    draft.identified = index % 3 != 2;
    draft.time = utc;
    draft.members = "\"beacon\":" + json_string(fields_[places_[2]]) +
                    ",\"rssi_dbm\":" + json_string(fields_[places_[3]]) +
                    ",\"heard_at\":" + json_string(fields_[places_[0]]);
    finished_ = ++given_ == options_.events;
    return draft;
}

}  // namespace touchpoint::simulate
