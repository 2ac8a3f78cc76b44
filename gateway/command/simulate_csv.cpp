#include "gateway/command/simulate_csv.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

namespace touchpoint::simulate {

// gzread gives the bytes of a file that is not gzip as they are.
struct CsvReader::File {
    gzFile gz = nullptr;
    std::string name;
    std::array<char, 64 * 1024> buffer{};
    std::size_t begin = 0;
    std::size_t end = 0;
    bool broken = false;

    File() = default;
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() {
        if (gz != nullptr) gzclose(gz);
    }

    bool fill() {
        if (begin < end) return true;
        if (broken) return false;
        const int n = gzread(gz, buffer.data(), static_cast<unsigned>(buffer.size()));
        int state = Z_OK;
        gzerror(gz, &state);
        // A gzip file that stops in the middle ends with Z_BUF_ERROR and no more bytes.
        broken = n < 0 || (n == 0 && state != Z_OK && state != Z_STREAM_END);
        begin = 0;
        end = n > 0 ? static_cast<std::size_t>(n) : 0;
        return end > 0;
    }
};

Result<CsvReader> CsvReader::open(const std::filesystem::path& path) {
    auto file = std::make_shared<File>();
    file->name = path.filename().string();
    errno = 0;
    file->gz = gzopen(path.c_str(), "rb");
    if (file->gz == nullptr)
        return fail(Errc::io, path.string() + ": " + std::strerror(errno == 0 ? ENOMEM : errno));
    CsvReader reader(std::move(file));
    constexpr std::string_view mark = "\xEF\xBB\xBF";
    reader.file_->fill();
    const std::string_view head(reader.file_->buffer.data(), std::min(reader.file_->end, mark.size()));
    if (head == mark) reader.file_->begin = mark.size();
    return reader;
}

int CsvReader::peek() {
    if (!file_->fill()) return -1;
    return static_cast<unsigned char>(file_->buffer[file_->begin]);
}

int CsvReader::get() {
    const int c = peek();
    if (c >= 0) ++file_->begin;
    if (c == '\n') ++line_;
    return c;
}

// Bytes up to the next of `stops`, or of the buffer, in one go: most of a file is plain text.
std::size_t CsvReader::take_plain(std::string& field, std::string_view stops, bool none) {
    if (none || !file_->fill()) return 0;
    const std::string_view rest(file_->buffer.data() + file_->begin, file_->end - file_->begin);
    const std::string_view plain = rest.substr(0, rest.find_first_of(stops));
    field += plain;
    file_->begin += plain.size();
    return plain.size();
}

Error CsvReader::damaged(const char* what) const {
    return fail(Errc::damaged, file_->name + " line " + std::to_string(record_line_) + ": " + what);
}

Result<bool> CsvReader::next(std::vector<std::string>& fields) {
    fields.clear();
    while (peek() == '\n' || peek() == '\r') get();
    record_line_ = line_;
    if (peek() < 0) {
        if (file_->broken) return damaged("the gzip data are broken or end too early");
        return false;
    }
    std::string field;
    std::size_t bytes = 0;
    bool quoted = false;      // inside quotes
    bool was_quoted = false;  // behind a closing quote
    for (;;) {
        bytes += take_plain(field, quoted ? "\"\n" : "\",\r\n", was_quoted);
        const int c = get();
        if (c < 0 && file_->broken) return damaged("the gzip data are broken or end too early");
        if (++bytes > record_bytes_max)
            return damaged("the record is longer than 1 MiB; is a quote missing?");
        if (quoted) {
            if (c < 0) return damaged("a quote is opened and not closed");
            if (c != '"') {
                field += static_cast<char>(c);
            } else if (peek() == '"') {
                get();
                field += '"';
            } else {
                quoted = false;
                was_quoted = true;
            }
            continue;
        }
        const bool line_ends = c < 0 || c == '\n' || (c == '\r' && (peek() == '\n' || peek() < 0));
        if (line_ends || c == ',') {
            fields.push_back(std::exchange(field, {}));
            was_quoted = false;
            if (!line_ends) continue;
            if (c == '\r' && peek() == '\n') get();
            return true;
        }
        if (was_quoted)
            return damaged("text behind a closing quote; a quote inside a field is written twice");
        if (c == '"' && field.empty())
            quoted = true;
        else
            field += static_cast<char>(c);
    }
}

Result<std::vector<std::size_t>> columns(const std::vector<std::string>& header,
                                         const std::vector<std::string>& wanted) {
    std::vector<std::size_t> places;
    for (const std::string& name : wanted) {
        const auto found = std::find(header.begin(), header.end(), name);
        if (found == header.end()) return fail(Errc::not_found, "the header has no column " + name);
        places.push_back(static_cast<std::size_t>(found - header.begin()));
    }
    return places;
}

}  // namespace touchpoint::simulate
