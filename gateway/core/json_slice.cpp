#include "gateway/core/json_slice.hpp"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <cstdint>

namespace touchpoint {
namespace {

namespace json = boost::json;

// Takes every event of the parser and keeps nothing: only the grammar is of interest.
struct NullHandler {
    static constexpr std::size_t max_object_size = std::size_t(-1);
    static constexpr std::size_t max_array_size = std::size_t(-1);
    static constexpr std::size_t max_key_size = std::size_t(-1);
    static constexpr std::size_t max_string_size = std::size_t(-1);

    using Ec = json::error_code;
    bool on_document_begin(Ec&) { return true; }
    bool on_document_end(Ec&) { return true; }
    bool on_object_begin(Ec&) { return true; }
    bool on_object_end(std::size_t, Ec&) { return true; }
    bool on_array_begin(Ec&) { return true; }
    bool on_array_end(std::size_t, Ec&) { return true; }
    bool on_key_part(json::string_view, std::size_t, Ec&) { return true; }
    bool on_key(json::string_view, std::size_t, Ec&) { return true; }
    bool on_string_part(json::string_view, std::size_t, Ec&) { return true; }
    bool on_string(json::string_view, std::size_t, Ec&) { return true; }
    bool on_number_part(json::string_view, Ec&) { return true; }
    bool on_int64(std::int64_t, json::string_view, Ec&) { return true; }
    bool on_uint64(std::uint64_t, json::string_view, Ec&) { return true; }
    bool on_double(double, json::string_view, Ec&) { return true; }
    bool on_bool(bool, Ec&) { return true; }
    bool on_null(Ec&) { return true; }
    bool on_comment_part(json::string_view, Ec&) { return true; }
    bool on_comment(json::string_view, Ec&) { return true; }
};

bool is_space(char c) noexcept { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

JsonFault fault(JsonFault::Kind kind, std::string_view words, std::size_t position) {
    return {kind, position, std::string(words) + " at byte " + std::to_string(position)};
}

// Walks over valid JSON; every function starts at at_ and ends behind what it names.
class Scanner {
  public:
    explicit Scanner(std::string_view text) : text_(text) {}

    void space() {
        while (at_ < text_.size() && is_space(text_[at_])) ++at_;
    }
    bool take(char c) {
        if (at_ >= text_.size() || text_[at_] != c) return false;
        ++at_;
        return true;
    }
    std::string_view string() {
        const std::size_t begin = at_;
        // From quote to quote, which find() does many bytes at a time, and not byte by byte: documents of
        // customers are mostly text, and each read walks over one.
        for (at_ = begin + 1;;) {
            const std::size_t quote = text_.find('"', at_);
            at_ = std::min(quote, text_.size() - 1) + 1;
            if (quote == std::string_view::npos) break;
            std::size_t backslashes = 0;  // the quote at the beginning is none
            while (text_[quote - 1 - backslashes] == '\\') ++backslashes;
            if (backslashes % 2 == 0) break;
        }
        return text_.substr(begin, at_ - begin);
    }
    std::string_view value() {
        const std::size_t begin = at_;
        if (at_ >= text_.size()) return {};
        if (text_[at_] == '"') return string();
        if (text_[at_] == '{' || text_[at_] == '[') {
            std::size_t depth = 0;
            while (at_ < text_.size()) {
                const char c = text_[at_];
                if (c == '"') {
                    string();
                    continue;
                }
                ++at_;
                if (c == '{' || c == '[') ++depth;
                if ((c == '}' || c == ']') && --depth == 0) break;
            }
            return text_.substr(begin, at_ - begin);
        }
        while (at_ < text_.size() && !is_space(text_[at_]) && text_[at_] != ',' && text_[at_] != '}' &&
               text_[at_] != ']')
            ++at_;
        return text_.substr(begin, at_ - begin);
    }
    bool at_end() const { return at_ >= text_.size(); }

  private:
    std::string_view text_;
    std::size_t at_ = 0;
};

void append_utf8(std::string& out, std::uint32_t point) {
    const auto byte = [&](std::uint32_t value) {
        out += static_cast<char>(static_cast<unsigned char>(value));
    };
    if (point < 0x80) {
        byte(point);
    } else if (point < 0x800) {
        byte(0xC0 | (point >> 6)), byte(0x80 | (point & 0x3F));
    } else if (point < 0x10000) {
        byte(0xE0 | (point >> 12)), byte(0x80 | ((point >> 6) & 0x3F)), byte(0x80 | (point & 0x3F));
    } else {
        byte(0xF0 | (point >> 18)), byte(0x80 | ((point >> 12) & 0x3F));
        byte(0x80 | ((point >> 6) & 0x3F)), byte(0x80 | (point & 0x3F));
    }
}

std::uint32_t hex4(std::string_view digits) {
    std::uint32_t value = 0;
    for (const char c : digits.substr(0, 4)) {
        value = value * 16 + static_cast<std::uint32_t>(c <= '9'   ? c - '0'
                                                        : c <= 'F' ? c - 'A' + 10
                                                                   : c - 'a' + 10);
    }
    return value;
}

}  // namespace

std::optional<JsonFault> validate_json(std::string_view text) {
    json::parse_options options;
    options.max_depth = json_depth_max;
    json::basic_parser<NullHandler> parser(options);
    json::error_code ec;
    const std::size_t taken = parser.write_some(false, text.data(), text.size(), ec);
    if (ec == json::error::too_deep)
        return fault(JsonFault::Kind::too_deep,
                     "nested deeper than " + std::to_string(json_depth_max) + " levels", taken);
    // Some releases of the library report broken UTF-8 as a syntax error: one look tells them apart.
    if (ec) {
        if (!valid_utf8(text)) return fault(JsonFault::Kind::invalid_utf8, "not UTF-8", taken);
        if (ec == json::error::incomplete)
            return fault(JsonFault::Kind::not_json, "the text ends too early", taken);
        return fault(JsonFault::Kind::not_json, "not JSON", taken);
    }
    for (std::size_t i = taken; i < text.size(); ++i)
        if (!is_space(text[i])) return fault(JsonFault::Kind::not_json, "text behind the JSON value", i);
    return std::nullopt;
}

bool valid_utf8(std::string_view text) noexcept {
    for (std::size_t i = 0; i < text.size();) {
        const auto lead = static_cast<unsigned char>(text[i]);
        if (lead < 0x80) {
            ++i;
            continue;
        }
        const std::size_t length = lead >= 0xC2 && lead < 0xE0   ? 2
                                   : lead >= 0xE0 && lead < 0xF0 ? 3
                                   : lead >= 0xF0 && lead < 0xF5 ? 4
                                                                 : 0;
        if (length == 0 || i + length > text.size()) return false;
        for (std::size_t k = 1; k < length; ++k)
            if ((static_cast<unsigned char>(text[i + k]) & 0xC0) != 0x80) return false;
        const auto second = static_cast<unsigned char>(text[i + 1]);
        if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ||
            (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F))
            return false;
        i += length;
    }
    return true;
}

std::string_view json_trim(std::string_view text) noexcept {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    return text;
}

bool JsonMember::is(std::string_view name) const {
    return escaped ? json_unescape(key) == name : key.substr(1, key.size() - 2) == name;
}

std::vector<JsonMember> json_members(std::string_view object) {
    std::vector<JsonMember> members;
    Scanner in(object);
    in.space();
    if (!in.take('{')) return members;
    in.space();
    while (!in.at_end() && !in.take('}')) {
        JsonMember member;
        member.key = in.string();
        member.escaped = member.key.find('\\') != std::string_view::npos;
        in.space();
        in.take(':');
        in.space();
        member.value = in.value();
        members.push_back(member);
        in.space();
        in.take(',');
        in.space();
    }
    return members;
}

std::vector<std::string_view> json_items(std::string_view array, std::size_t items_max) {
    std::vector<std::string_view> items;
    Scanner in(array);
    in.space();
    if (!in.take('[')) return items;
    in.space();
    while (!in.at_end() && !in.take(']') && items.size() <= items_max) {
        items.push_back(in.value());
        in.space();
        in.take(',');
        in.space();
    }
    return items;
}

std::string json_unescape(std::string_view quoted) {
    const std::string_view in = quoted.substr(1, quoted.size() - 2);
    std::string out;
    out.reserve(in.size());
    for (std::size_t i = 0; i < in.size(); ++i) {
        if (in[i] != '\\') {
            out += in[i];
            continue;
        }
        switch (in[++i]) {
            case 'n':
                out += '\n';
                break;
            case 'r':
                out += '\r';
                break;
            case 't':
                out += '\t';
                break;
            case 'b':
                out += '\b';
                break;
            case 'f':
                out += '\f';
                break;
            case 'u': {
                std::uint32_t point = hex4(in.substr(i + 1));
                i += 4;
                if (point >= 0xD800 && point < 0xDC00 && i + 6 < in.size() && in[i + 1] == '\\') {
                    point = 0x10000 + ((point - 0xD800) << 10) + (hex4(in.substr(i + 3)) - 0xDC00);
                    i += 6;
                }
                append_utf8(out, point);
                break;
            }
            default:
                out += in[i];  // '"', '\\', '/'
        }
    }
    return out;
}

std::optional<std::string_view> json_find(const std::vector<JsonMember>& members, std::string_view name) {
    for (const JsonMember& member : members)
        if (member.is(name)) return member.value;
    return std::nullopt;
}

}  // namespace touchpoint
