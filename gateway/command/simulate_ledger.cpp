#include "gateway/command/simulate_ledger.hpp"

#include <cerrno>
#include <cstring>
#include <utility>

#include "gateway/core/json_text.hpp"

namespace touchpoint::simulate {

const char* name(Outcome outcome) {
    switch (outcome) {
        case Outcome::receipted:
            return "receipted";
        case Outcome::duplicate:
            return "duplicate";
        case Outcome::pubacked:
            return "pubacked";
        case Outcome::rejected:
            return "rejected";
        case Outcome::unknown:
            return "unknown";
    }
    return "?";
}

Result<Ledger> Ledger::open(const std::filesystem::path& path, const std::string& run, UtcTime started) {
    Ledger ledger;
    if (path.empty()) return ledger;
    ledger.path_ = path.string();
    ledger.file_.reset(std::fopen(path.c_str(), "we"));
    if (!ledger.file_) return fail(Errc::io, ledger.path_ + ": " + std::strerror(errno));
    ledger.write("{\"ledger\":1,\"run\":" + json_string(run) +
                 ",\"started\":" + json_string(to_rfc3339(started)) + "}");
    return ledger;
}

void Ledger::write(const std::string& line) {
    if (!file_) return;
    const bool whole = std::fwrite(line.data(), 1, line.size(), file_.get()) == line.size() &&
                       std::fputc('\n', file_.get()) == '\n';
    if (!whole) failed_ = true;
}

void Ledger::note(const std::string& kind, const std::string& device, const std::string& event,
                  const std::string& id, const std::string& marker, Outcome outcome, std::uint32_t sends) {
    ++counts_[static_cast<std::size_t>(outcome)];
    if (outcome == Outcome::pubacked) ++plain_[kind + "/" + device];
    if (!file_) return;
    std::string line = "{\"topic\":";
    append_json_string(line, "touchpoint/v1/" + kind + "/" + device + "/event/" + event);
    line += id.empty() ? ",\"n\":" : ",\"id\":";
    append_json_string(line, id.empty() ? marker : id);
    line += ",\"state\":\"";
    line += name(outcome);
    line += "\",\"sends\":" + std::to_string(sends) + "}";
    write(line);
}

Result<void> Ledger::close() {
    std::string line = "{\"summary\":{";
    for (std::size_t i = 0; i < counts_.size(); ++i) {
        if (i > 0) line += ',';
        line += '"';
        line += name(static_cast<Outcome>(i));
        line += "\":" + std::to_string(counts_[i]);
    }
    line += "},\"plain\":{";
    const char* comma = "";
    for (const auto& [device, count] : plain_) {
        line += comma;
        append_json_string(line, device);
        line += ":" + std::to_string(count);
        comma = ",";
    }
    line += "}}";
    write(line);
    if (std::FILE* file = file_.release(); file != nullptr && std::fclose(file) != 0) failed_ = true;
    if (failed_) return fail(Errc::io, path_ + ": could not be written to its end; is the disk full?");
    return {};
}

}  // namespace touchpoint::simulate
