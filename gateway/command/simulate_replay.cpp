#include "gateway/command/simulate_replay.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <string_view>
#include <utility>

#include "gateway/core/json_text.hpp"

namespace touchpoint::simulate {
namespace {

enum Column : std::size_t {
    invoice_no,
    stock_code,
    description,
    quantity,
    date,
    unit_price,
    customer_id,
    country
};

std::uint64_t fnv1a(std::string_view text) {
    std::uint64_t hash = 14695981039346656037u;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
    return hash;
}

// A decimal as an integer of `decimal_places` places. Bounded so that a product of two cannot overflow.
constexpr int decimal_places = 4;
std::optional<std::int64_t> scaled(std::string_view text) {
    const bool negative = !text.empty() && text.front() == '-';
    if (negative) text.remove_prefix(1);
    std::int64_t value = 0;
    int places = -1;  // behind the point; -1: no point yet
    int digits = 0;
    for (const char c : text) {
        if (c == '.' && places < 0) {
            places = 0;
            continue;
        }
        if (c < '0' || c > '9' || ++digits > 13) return std::nullopt;
        if (places >= 0 && ++places > decimal_places) return std::nullopt;
        value = value * 10 + (c - '0');
    }
    if (digits == 0) return std::nullopt;
    for (int p = std::max(places, 0); p < decimal_places; ++p) value *= 10;
    return negative ? -value : value;
}

// True for what JSON accepts as an integer: then the file's text is also the number.
bool plain_integer(std::string_view text) {
    if (!text.empty() && text.front() == '-') text.remove_prefix(1);
    if (text.empty() || (text.size() > 1 && text.front() == '0') || text.size() > 15) return false;
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string line_json(const InvoiceLine& line) {
    std::string out = "{\"item\":";
    append_json_string(out, line.item);
    out += ",\"description\":";
    append_json_string(out, line.description);
    out += ",\"quantity\":";
    if (plain_integer(line.quantity))
        out += line.quantity;
    else
        append_json_string(out, line.quantity);
    out += ",\"unit_price\":";
    append_json_string(out, line.unit_price);
    out += '}';
    return out;
}

}  // namespace

Result<InvoiceFile> InvoiceFile::open(const std::filesystem::path& path) {
    auto csv = CsvReader::open(path);
    if (!csv) return csv.error();
    InvoiceFile file(std::move(*csv));
    const auto header = file.csv_.next(file.fields_);
    if (!header) return header.error();
    auto places = columns(file.fields_, {"InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate",
                                         "UnitPrice", "CustomerID", "Country"});
    if (!places) return fail(places.error().code, path.filename().string() + ": " + places.error().context);
    file.places_ = std::move(*places);
    return file;
}

Result<bool> InvoiceFile::read_line() {
    if (pending_) return true;
    const auto more = csv_.next(fields_);
    if (!more) return more.error();
    const std::size_t last = *std::max_element(places_.begin(), places_.end());
    if (*more && fields_.size() <= last)
        return fail(Errc::damaged, "line " + std::to_string(csv_.line()) + " has only " +
                                       std::to_string(fields_.size()) + " fields");
    pending_ = *more;
    return *more;
}

Result<std::optional<InvoiceRun>> InvoiceFile::next() {
    InvoiceRun run;
    for (;;) {
        const auto more = read_line();
        if (!more) return more.error();
        if (!*more) break;
        std::string& invoice = fields_[places_[invoice_no]];
        if (run.lines.empty()) {
            const auto when = parse_rfc3339(fields_[places_[date]] + "Z");
            if (!when)
                return fail(Errc::damaged, "line " + std::to_string(csv_.line()) +
                                               ": InvoiceDate is not like 2010-12-01 08:26:00");
            run.invoice = invoice;
            run.number = ++runs_[invoice];
            run.date = *when;
            run.customer = customer_alias(fields_[places_[customer_id]]);
            run.country = std::move(fields_[places_[country]]);
        } else if (invoice != run.invoice) {
            break;
        }
        run.lines.push_back({std::move(fields_[places_[stock_code]]),
                             std::move(fields_[places_[description]]), std::move(fields_[places_[quantity]]),
                             std::move(fields_[places_[unit_price]])});
        pending_ = false;
    }
    if (run.lines.empty()) return std::optional<InvoiceRun>();
    return std::optional<InvoiceRun>(std::move(run));
}

Result<UtcTime> last_date(const std::filesystem::path& path) {
    auto file = InvoiceFile::open(path);
    if (!file) return file.error();
    UtcTime last;
    for (;;) {
        const auto run = file->next();
        if (!run) return run.error();
        if (!*run) return last;
        last = std::max(last, (*run)->date);
    }
}

std::string customer_alias(const std::string& customer_id) {
    if (customer_id.empty()) return {};
    const auto point = customer_id.find('.');
    const bool whole =
        point != std::string::npos && customer_id.find_first_not_of('0', point + 1) == std::string::npos;
    return "loyalty:" + (whole ? customer_id.substr(0, point) : customer_id);
}

std::optional<std::string> exact_total(const std::vector<InvoiceLine>& lines) {
    // Twice decimal_places behind the point.
    __extension__ using Wide = __int128;
    Wide sum = 0;
    for (const InvoiceLine& line : lines) {
        const auto count = scaled(line.quantity);
        const auto price = scaled(line.unit_price);
        if (!count || !price) return std::nullopt;
        sum += static_cast<Wide>(*count) * *price;
    }
    const bool negative = sum < 0;
    if (negative) sum = -sum;
    std::string text;
    for (int place = 0; place < 2 * decimal_places || sum > 0; ++place) {
        if (place == 2 * decimal_places) text += '.';
        text += static_cast<char>('0' + static_cast<int>(sum % 10));
        sum /= 10;
    }
    if (text.find('.') == std::string::npos) text += ".0";
    std::reverse(text.begin(), text.end());
    const std::size_t shortest = text.find('.') + 3;
    while (text.size() > shortest && text.back() == '0') text.pop_back();
    return (negative ? "-" : "") + text;
}

std::vector<Draft> to_drafts(const InvoiceRun& run, std::uint32_t tills, std::chrono::milliseconds shift,
                             std::size_t bytes_max) {
    std::string head = "\"invoice\":" + json_string(run.invoice) + ",\"run\":" + std::to_string(run.number);
    if (!run.customer.empty()) head += ",\"customer\":" + json_string(run.customer);
    head += ",\"country\":" + json_string(run.country) + ",\"currency\":\"GBP\"";
    if (const auto total = exact_total(run.lines)) head += ",\"total\":" + json_string(*total);

    std::vector<std::string> parts(1);
    constexpr std::size_t frame_bytes = 64;  // "lines":[], "part", "parts"
    for (const InvoiceLine& line : run.lines) {
        const std::string text = line_json(line);
        if (!parts.back().empty() &&
            head.size() + frame_bytes + parts.back().size() + 1 + text.size() > bytes_max)
            parts.emplace_back();
        if (!parts.back().empty()) parts.back() += ',';
        parts.back() += text;
    }

    std::vector<Draft> drafts;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        Draft draft;
        draft.kind = "pos";
        draft.device = "till-" + std::to_string(fnv1a(run.invoice) % tills + 1);
        draft.name = run.invoice.starts_with('C') ? "return" : "sale";
        draft.id = run.invoice + "-" + std::to_string(run.number);
        draft.time = run.date + shift;
        draft.members = head;
        if (parts.size() > 1) {
            draft.id += "-" + std::to_string(i + 1);
            draft.members +=
                ",\"part\":" + std::to_string(i + 1) + ",\"parts\":" + std::to_string(parts.size());
        }
        draft.members += ",\"lines\":[" + parts[i] + "]";
        drafts.push_back(std::move(draft));
    }
    return drafts;
}

Result<Replay> Replay::open(Options options, UtcTime now) {
    std::chrono::milliseconds shift{0};
    if (!options.keep_dates) {
        const auto last = last_date(options.file);
        if (!last) return last.error();
        shift = now - *last;
    }
    auto file = InvoiceFile::open(options.file);
    if (!file) return file.error();
    Replay replay(std::move(options), std::move(*file));
    replay.shift_ = shift;
    return replay;
}

bool Replay::read_ahead() {
    if (!ready_.empty()) return true;
    if (finished_) return false;
    auto run = file_.next();
    if (!run) error_ = run.error();
    if (!run || !*run) {
        finished_ = true;
        return false;
    }
    lines_ += (*run)->lines.size();
    ++runs_;
    ready_date_ = (*run)->date;
    for (Draft& draft : to_drafts(**run, options_.tills, shift_, event_bytes_max))
        ready_.push_back(std::move(draft));
    return true;
}

std::optional<Draft> Replay::next(SteadyTime now, UtcTime) {
    if (!read_ahead()) return std::nullopt;
    if (!began_) {
        began_ = now;
        first_date_ = ready_date_;
    }
    if (options_.speed > 0) {
        const double due_ms = static_cast<double>((ready_date_ - first_date_).count()) / options_.speed;
        const double passed_ms = std::chrono::duration<double, std::milli>(now - *began_).count();
        if (passed_ms < due_ms) return std::nullopt;
    }
    Draft draft = std::move(ready_.front());
    ready_.pop_front();
    if (ready_.empty()) read_ahead();  // so that finished() is true with the last one
    return draft;
}

}  // namespace touchpoint::simulate
