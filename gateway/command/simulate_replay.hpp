// Turns a file of real invoices (the "Online Retail" CSV of the UCI repository) into sales and returns of
// tills.
//
//     CSV lines ──> InvoiceRun (consecutive lines of one invoice) ──> one Draft, or several parts if it is
//     large
//
// Amounts stay the decimal strings of the file, so that what arrives can be compared with it exactly.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gateway/command/simulate_csv.hpp"
#include "gateway/command/simulate_draft.hpp"

namespace touchpoint::simulate {

struct InvoiceLine {
    std::string item;
    std::string description;
    std::string quantity;
    std::string unit_price;
};

struct InvoiceRun {
    std::string invoice;
    std::uint32_t number = 1;  // 1 for the first run of this invoice in the file
    UtcTime date;              // of its first line; the file has no time zone: taken as UTC
    std::string customer;      // "loyalty:17850", or empty
    std::string country;
    std::vector<InvoiceLine> lines;
};

class InvoiceFile {
  public:
    // Fails with io, damaged, not_found (a column).
    static Result<InvoiceFile> open(const std::filesystem::path& path);
    // The next run; empty at the end. Fails with damaged: a wrong number of fields, a date that is none.
    Result<std::optional<InvoiceRun>> next();

  private:
    explicit InvoiceFile(CsvReader csv) : csv_(std::move(csv)) {}
    Result<bool> read_line();

    CsvReader csv_;
    std::vector<std::size_t> places_;
    std::vector<std::string> fields_;
    bool pending_ = false;  // fields_ holds a line that belongs to the next run
    std::map<std::string, std::uint32_t> runs_;
};

// The latest date in the file: what the shift to "now" needs to know.
Result<UtcTime> last_date(const std::filesystem::path& path);

// "17850.0" -> "loyalty:17850"; empty stays empty.
std::string customer_alias(const std::string& customer_id);

// Sum of quantity times unit price as a decimal string with at least two places; exact. Empty when a number
// of the lines is no plain decimal.
std::optional<std::string> exact_total(const std::vector<InvoiceLine>& lines);

// One event, or several with "part" and "parts" so that none has more than `bytes_max` of JSON members. A
// single line larger than that goes alone.
std::vector<Draft> to_drafts(const InvoiceRun& run, std::uint32_t tills, std::chrono::milliseconds shift,
                             std::size_t bytes_max);

// Plays the file at `speed` times the pace of the real shop; 0: as fast as answers come.
class Replay final : public Source {
  public:
    struct Options {
        std::filesystem::path file;
        double speed = 0;
        std::uint32_t tills = 10;
        bool keep_dates = false;
    };
    static constexpr std::size_t event_bytes_max = 200'000;
    static constexpr std::size_t unanswered_max = 500;

    // `now`: where the last date of the file is shifted to.
    static Result<Replay> open(Options options, UtcTime now);

    std::optional<Draft> next(SteadyTime now, UtcTime utc) override;
    bool finished() const override { return finished_; }
    std::size_t outstanding_max() const override { return unanswered_max; }

    std::uint64_t lines() const { return lines_; }
    std::uint64_t runs() const { return runs_; }
    // What ended the replay early, if anything did.
    const std::optional<Error>& error() const { return error_; }

  private:
    Replay(Options options, InvoiceFile file) : options_(std::move(options)), file_(std::move(file)) {}
    bool read_ahead();

    Options options_;
    InvoiceFile file_;
    std::chrono::milliseconds shift_{0};
    std::deque<Draft> ready_;
    UtcTime ready_date_;  // of ready_, unshifted
    std::optional<SteadyTime> began_;
    UtcTime first_date_;
    bool finished_ = false;
    std::uint64_t lines_ = 0;
    std::uint64_t runs_ = 0;
    std::optional<Error> error_;
};

}  // namespace touchpoint::simulate
