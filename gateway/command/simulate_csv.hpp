// Reads a CSV file (RFC 4180), plain or gzip, one record at a time.
//
// Understood: fields in quotes with doubled quotes, commas and line ends inside; CR LF and LF; a last record
// without line end; a byte order mark in front. Fields are given as they stand: nothing is trimmed or
// converted.
//
// Threads: confined to one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/core/result.hpp"

namespace touchpoint::simulate {

class CsvReader {
  public:
    static constexpr std::size_t record_bytes_max = 1u << 20;

    // Fails with io (no such file, not readable).
    static Result<CsvReader> open(const std::filesystem::path& path);

    // True: `fields` holds the next record. False: the end. An empty line is skipped.
    // Fails with damaged (a quote that does not end, text behind a closing quote, a record beyond
    // record_bytes_max, a broken gzip file); context names the line.
    Result<bool> next(std::vector<std::string>& fields);

    // Line of the file on which the record given last began; the first is 1.
    std::uint64_t line() const { return record_line_; }

  private:
    struct File;
    explicit CsvReader(std::shared_ptr<File> file) : file_(std::move(file)) {}
    int get();   // next byte, -1 at the end
    int peek();  // the byte that get() would give
    std::size_t take_plain(std::string& field, std::string_view stops, bool none);
    Error damaged(const char* what) const;

    std::shared_ptr<File> file_;  // one owner; shared_ptr because File is only declared here
    std::uint64_t line_ = 1;
    std::uint64_t record_line_ = 0;
};

// Where the columns of a header stand.
// Fails with not_found; context names the column that is missing.
Result<std::vector<std::size_t>> columns(const std::vector<std::string>& header,
                                         const std::vector<std::string>& wanted);

}  // namespace touchpoint::simulate
