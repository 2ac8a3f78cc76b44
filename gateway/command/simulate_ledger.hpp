// What the simulated devices were promised, one event a line, to be held against what the platform got
// (tools/verify-ledger). NDJSON:
//
//   {"ledger":1,"run":"..","started":".."}
//   {"topic":"touchpoint/v1/kiosk/k1/event/search","id":"..","state":"receipted","sends":1}
//   {"topic":"touchpoint/v1/kiosk/k3/event/view","n":"..","state":"pubacked","sends":1}
//   {"summary":{"receipted":..,"duplicate":..,"pubacked":..,"rejected":..,"unknown":..},"plain":{"kiosk/k3":12}}
//
// An event's line is written when its outcome is known, so the order is that of the outcomes. A ledger
// without its summary line belongs to a simulator that was killed.
//
// Threads: confined to one thread.
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "gateway/core/clock.hpp"
#include "gateway/core/result.hpp"

namespace touchpoint::simulate {

enum class Outcome : std::uint8_t {
    receipted,  // the gateway said "stored": survives a power cut
    duplicate,  // the gateway said "I have it already", which is as good
    pubacked,   // a plain device's: the broker has said so
    rejected,   // the gateway refused it and said why
    unknown,    // no answer until the end
};
const char* name(Outcome outcome);

class Ledger {
  public:
    using Counts = std::array<std::uint64_t, 5>;  // by Outcome

    // Empty path: counts only. Fails with io.
    static Result<Ledger> open(const std::filesystem::path& path, const std::string& run, UtcTime started);

    // Exactly one of `id` and `marker` is given. `sends`: how often it left this process.
    void note(const std::string& kind, const std::string& device, const std::string& event,
              const std::string& id, const std::string& marker, Outcome outcome, std::uint32_t sends);
    // Writes the summary line. Fails with io: the file is not whole.
    Result<void> close();

    const Counts& counts() const { return counts_; }
    std::uint64_t count(Outcome outcome) const { return counts_[static_cast<std::size_t>(outcome)]; }

  private:
    Ledger() = default;
    struct Close {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };
    void write(const std::string& line);

    std::unique_ptr<std::FILE, Close> file_;
    std::string path_;
    bool failed_ = false;
    Counts counts_{};
    std::map<std::string, std::uint64_t> plain_;  // "kind/device" -> pubacked
};

}  // namespace touchpoint::simulate
