#include "devices/sealed_properties.hpp"

#include <cstddef>
#include <utility>

namespace touchpoint::devices {
namespace {

constexpr std::string_view content_type_name = "content-type";
constexpr std::string_view between = ": ";

void append_escaped(std::string& out, std::string_view text) {
    for (const char c : text) {
        if (c == '\\') {
            out += "\\\\";
        } else if (c == '\n') {
            out += "\\n";
        } else {
            out += c;
        }
    }
}

std::string unescaped(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 1 == text.size()) {
            out += text[i];
            continue;
        }
        ++i;
        out += text[i] == 'n' ? '\n' : text[i];
    }
    return out;
}

void append_line(std::string& out, std::string_view name, std::string_view value) {
    append_escaped(out, name);
    out += between;
    append_escaped(out, value);
    out += '\n';
}

}  // namespace

std::string write_properties(const store::Incoming& message) {
    std::string out;
    append_line(out, content_type_name, message.content_type);
    for (const auto& [name, value] : message.user_properties) append_line(out, name, value);
    return out;
}

void read_properties(std::string_view text, store::Incoming& message) {
    bool first = true;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(line.size() < text.size() ? line.size() + 1 : line.size());
        const std::size_t colon = line.find(between);
        if (colon == std::string_view::npos) continue;
        std::string value = unescaped(line.substr(colon + between.size()));
        if (std::exchange(first, false))
            message.content_type = std::move(value);
        else
            message.user_properties.emplace_back(unescaped(line.substr(0, colon)), std::move(value));
    }
}

}  // namespace touchpoint::devices
